"""The level that the label-mean image reaches on real brains, which every model must beat."""

from pathlib import Path

import pytest

from AnatoMaskGANLib.evaluation import (
    EvaluationCase,
    LabelMeans,
    evaluate_cases,
    label_mean_image,
)
from AnatoMaskGANLib.training.label_means import measure_label_statistics
from AnatoMaskGANLib.volumes import LabelMap, Volume, read_label_map, read_volume
from AnatoMaskGANLib.volumes.case_store import open_case, write_case

HELD_OUT = ("sub-15", "sub-16", "sub-17", "sub-19")
WINDOW = (0.0, 150.0)


def _read(folder: Path) -> tuple[Volume, LabelMap]:
    return read_volume(folder / "image.nii.gz"), read_label_map(folder / "seg.nii.gz")


def _label_means(training: list[Path], store: Path) -> LabelMeans:
    """The means of the training subjects, by the way of a case store."""
    cases = []
    for folder in training:
        volume, label_map = _read(folder)
        entry = write_case(store, folder.name, volume.voxels_kji, label_map.labels_kji, WINDOW)
        cases.append(open_case(store, {**entry, "subject": folder.name, "split": "train"}))
    num_classes = 1 + max(int(case.labels_sjk.max()) for case in cases)
    return LabelMeans.from_json(measure_label_statistics(cases, num_classes))


@pytest.mark.slow
def test_the_label_mean_image_of_held_out_brains_reaches_28_decibels(
    data_folder: Path, tmp_path: Path
) -> None:
    folders = sorted((data_folder / "brain-t1").glob("sub-*"))
    training = [folder for folder in folders if folder.name not in HELD_OUT]
    means = _label_means(training, tmp_path)
    cases = (
        EvaluationCase(folder.name, *_read(folder)) for folder in folders if folder.name in HELD_OUT
    )
    table = evaluate_cases(
        cases,
        {"label-mean image": lambda case: label_mean_image(case.label_map, means, WINDOW)},
        WINDOW,
    )
    assert table.num_subjects == 4
    assert table.mean("label-mean image", "psnr") == pytest.approx(28.36, abs=0.05)
    assert table.mean("label-mean image", "ssim") == pytest.approx(0.935, abs=0.001)
    assert table.mean("label-mean image", "dz_ratio") == pytest.approx(0.556, abs=0.005)
