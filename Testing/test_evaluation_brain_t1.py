"""The level that the label-mean image reaches on real brains, which every model must beat."""

from pathlib import Path

import pytest

from AnatoMaskGANLib.evaluation import (
    EvaluationCase,
    evaluate_cases,
    label_mean_image,
    measure_label_means,
)
from AnatoMaskGANLib.volumes import LabelMap, Volume, read_label_map, read_volume

HELD_OUT = ("sub-15", "sub-16", "sub-17", "sub-19")
WINDOW = (0.0, 150.0)


def _read(folder: Path) -> tuple[Volume, LabelMap]:
    return read_volume(folder / "image.nii.gz"), read_label_map(folder / "seg.nii.gz")


@pytest.mark.slow
def test_the_label_mean_image_of_held_out_brains_reaches_28_decibels(data_folder: Path) -> None:
    folders = sorted((data_folder / "brain-t1").glob("sub-*"))
    training = [folder for folder in folders if folder.name not in HELD_OUT]
    means = measure_label_means((_read(folder) for folder in training), WINDOW)
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
