"""One case on its way into the store: grid, intensities, classes, guidance, and what is noted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_archives
from tiny_archives import write_nifti

from AnatoMaskGANLib.preparation import prepared_case
from AnatoMaskGANLib.preparation.plan import Plan, make_plan
from AnatoMaskGANLib.preparation.prepared_case import PreparedCase, prepare_case
from AnatoMaskGANLib.preparation.settings import PreparationError, PreparationSettings
from AnatoMaskGANLib.volumes.case_store import StoredCase, open_case

ALL = (1.0, 0.0, 0.0)


def plan_for(folder: Path, **settings: object) -> Plan:
    settings = {"split": ALL} | settings
    layout = settings.pop("layout", "folder")
    return make_plan(PreparationSettings(layout, folder / "in", folder / "out", **settings))


def stored(plan: Plan, prepared: PreparedCase) -> StoredCase:
    return open_case(plan.settings.output, prepared.entry)


def write_pair(folder: Path, spacing=(1, 1, 1), orientation="RAS", **arrays: np.ndarray) -> None:
    labels = arrays.get("labels", tiny_archives.anatomy((1, 2, 3)))
    image = arrays.get("image", tiny_archives.image_of(labels, 0, 900))
    write_nifti(folder / "image.nii.gz", image, spacing, orientation)
    write_nifti(folder / "seg.nii.gz", labels, spacing, orientation, np.uint8)


def test_the_arrays_run_to_the_right_anterior_and_superior(tmp_path: Path) -> None:
    labels = tiny_archives.anatomy((1, 2, 3))
    write_pair(tmp_path / "in" / "a", orientation="LIA")
    plan = plan_for(tmp_path, window=(0.0, 900.0))
    case = stored(plan, prepare_case(plan, plan.cases[0]))
    assert np.array_equal(case.labels_sjk, labels.transpose(2, 1, 0))
    image = tiny_archives.image_of(labels, 0, 900).astype(np.int16).transpose(2, 1, 0)
    expected = np.clip(image, 0, 900) / 900
    assert np.abs(case.image(slice(None), slice(None), slice(None)) - expected).max() < 1e-4


def test_image_and_labels_are_resampled_to_one_spacing(tmp_path: Path) -> None:
    write_pair(tmp_path / "in" / "a", (1, 1, 2))
    plan = plan_for(tmp_path, spacing_mm=(2.0, 2.0, 2.0))
    case = stored(plan, prepare_case(plan, plan.cases[0]))
    assert case.shape_kji == (20, 11, 12)
    assert case.labels_sjk.shape == case.image_sjk.shape


def test_percentiles_stretch_each_image_by_itself(tmp_path: Path) -> None:
    labels = tiny_archives.anatomy((1, 2, 3))
    for name, scale in (("a", 1), ("b", 10)):
        image = tiny_archives.image_of(labels, 0, 900) * scale
        write_pair(tmp_path / "in" / name, image=image)
    plan = plan_for(tmp_path)
    a, b = (stored(plan, prepare_case(plan, case)) for case in plan.cases)
    assert b.window[1] == pytest.approx(10 * a.window[1], rel=0.02)
    difference = a.image_sjk.astype(float) - b.image_sjk
    assert np.abs(difference).mean() < 0.01 * 65535


def test_a_window_of_another_modality_fails_the_case(tmp_path: Path) -> None:
    write_pair(tmp_path / "in" / "a")
    plan = plan_for(tmp_path, window=(5000.0, 9000.0))
    with pytest.raises(PreparationError, match="expected a window that suits this modality"):
        prepare_case(plan, plan.cases[0])


def body_on_a_table() -> tuple[np.ndarray, np.ndarray]:
    """Image in HU and labels [I,J,K]."""
    i, j, _ = np.meshgrid(np.arange(60), np.arange(50), np.arange(8), indexing="ij")
    labels = ((i - 30) ** 2 + (j - 30) ** 2 < 15**2).astype(np.uint8)
    image = np.where(labels > 0, 50, -1000)
    image[5:55, 4:8] = 200
    return image, labels


def test_background_removal_clears_the_table_in_image_and_guidance(tmp_path: Path) -> None:
    image, labels = body_on_a_table()
    write_pair(tmp_path / "in" / "a", image=image, labels=labels)
    kept = plan_for(tmp_path, window=(-1000.0, 250.0), guidance="superpixels", num_superpixels=50)
    settings = replace(kept.settings, remove_background=True, output=tmp_path / "out2")
    cleared = make_plan(settings)
    with_table = stored(kept, prepare_case(kept, kept.cases[0]))
    without = stored(cleared, prepare_case(cleared, cleared.cases[0]))
    assert with_table.image_sjk[:, 4:8, 5:55].min() > 0
    assert without.image_sjk[:, :10].max() == 0 and without.guidance_sjk[:, :8].max() == 0
    body = without.labels_sjk > 0
    assert np.array_equal(without.image_sjk[body], with_table.image_sjk[body])


def test_labels_are_never_taken_for_background(tmp_path: Path) -> None:
    image, labels = body_on_a_table()
    labels[2, 46, :] = 1  # a label far from the body
    image[2, 46, :] = 100
    write_pair(tmp_path / "in" / "a", image=image, labels=labels)
    plan = plan_for(
        tmp_path, window=(-1000.0, 250.0), remove_background=True, body_threshold=-300.0
    )
    prepared = prepare_case(plan, plan.cases[0])
    assert stored(plan, prepared).image_sjk[:, 46, 2].min() > 0
    assert "of the labeled voxels were outside the body and are kept" in prepared.notes[0]


def test_guidance_is_stored_beside_the_image(tmp_path: Path) -> None:
    write_pair(tmp_path / "in" / "a")
    plan = plan_for(tmp_path, guidance="superpixels", num_superpixels=30, superpixel_step=20)
    case = stored(plan, prepare_case(plan, plan.cases[0]))
    assert case.guidance_sjk.shape == case.shape_kji
    assert set(np.unique(case.guidance_sjk)) <= set(range(0, 256, 20))


def test_mm_whs_becomes_seven_classes_and_its_known_slip_is_mended(tmp_path: Path) -> None:
    tiny_archives.mm_whs(tmp_path / "in", num_training=1)
    labels = tiny_archives.anatomy(tiny_archives.MM_WHS_VALUES)
    labels[labels == 420] = 421
    write_nifti(tmp_path / "in" / "ct_train" / "ct_train_1001_label.nii.gz", labels)
    plan = plan_for(tmp_path, layout="mm-whs")
    prepared = prepare_case(plan, plan.cases[0])
    assert prepared.entry["labels"] == [1, 2, 3, 4, 5, 6, 7] and prepared.entry["unit"] == "HU"
    assert "voxels with the value 421 are read as 420" in prepared.notes[0]
    assert plan.left_out == ("ct_test_2001",)


def test_mr_of_mm_whs_is_stretched_by_percentiles(tmp_path: Path) -> None:
    tiny_archives.mm_whs(tmp_path / "in", "mr", num_training=1)
    plan = plan_for(tmp_path, layout="mm-whs")
    prepared = prepare_case(plan, plan.cases[0])
    assert prepared.entry["window"] != [-200.0, 600.0] and prepared.entry["unit"] == ""


def test_a_structure_that_is_lost_in_resampling_is_noted(tmp_path: Path) -> None:
    labels = tiny_archives.anatomy((1, 2))
    labels[5, 5, 5] = 3
    write_pair(tmp_path / "in" / "a", labels=labels)
    (tmp_path / "in" / "labels.json").write_text('{"1": "liver", "2": "spleen", "3": "nodule"}')
    plan = plan_for(tmp_path, spacing_mm=(4.0, 4.0, 4.0))
    assert "too small for the store's voxels: nodule" in prepare_case(plan, plan.cases[0]).notes


def test_a_mirrored_case_is_noted(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 2)
    labels = tiny_archives.anatomy((3, 2, 1))
    write_pair(tmp_path / "in" / "sub-02", labels=labels)
    plan = plan_for(tmp_path)
    right_way, mirrored = (prepare_case(plan, case).notes for case in plan.cases)
    assert right_way == () and "left and right seem to be exchanged" in mirrored[0]


def test_a_case_without_a_partner_is_kept_only_when_asked_for(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 3)
    (tmp_path / "in" / "sub-02" / "seg.nii.gz").unlink()
    (tmp_path / "in" / "sub-03" / "image.nii.gz").unlink()
    plan = plan_for(tmp_path)
    with pytest.raises(PreparationError, match="sub-02.*has no label map.*--incomplete keep"):
        prepare_case(plan, plan.cases[1])
    with pytest.raises(PreparationError, match="sub-03.*has no image"):
        prepare_case(plan, plan.cases[2])
    keeping = plan_for(tmp_path, incomplete="keep")
    _, image_only, labels_only = (
        stored(keeping, prepare_case(keeping, case)) for case in keeping.cases
    )
    assert image_only.labels_sjk is None and labels_only.image_sjk is None


def test_a_case_without_image_and_labels_is_refused(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 2)
    plan = plan_for(tmp_path, incomplete="keep", split=ALL)
    with pytest.raises(PreparationError, match="sub-01 has neither an image nor labels"):
        prepare_case(plan, replace(plan.cases[0], image=None, labels=None))


def test_a_case_that_is_not_whole_is_made_again(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 1)
    plan = plan_for(tmp_path)
    first = prepare_case(plan, plan.cases[0])
    assert not first.was_done and prepare_case(plan, plan.cases[0]).was_done
    array = tmp_path / "out" / first.entry["folder"] / "image.npy"
    array.write_bytes(array.read_bytes()[:100])
    again = prepare_case(plan, plan.cases[0])
    assert not again.was_done and stored(plan, again).image_sjk.max() > 0


def test_a_case_whose_files_change_while_they_are_read_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(tmp_path / "in" / "a")
    plan = plan_for(tmp_path, window=(0.0, 900.0))
    read = prepared_case.read_case

    def read_while_they_change(*arguments: Any) -> Any:
        case = read(*arguments)
        write_pair(tmp_path / "in" / "a", labels=tiny_archives.anatomy((1, 2)))
        return case

    monkeypatch.setattr(prepared_case, "read_case", read_while_they_change)
    with pytest.raises(PreparationError, match="files of a changed while they were read"):
        prepare_case(plan, plan.cases[0])
