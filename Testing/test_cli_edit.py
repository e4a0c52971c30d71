"""`anatomaskgan edit`: files in, edited scans out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    read_label_map,
    read_volume,
    write_label_map,
    write_volume,
)

NAMES = {1: "body", 2: "organ"}


def write_case(folder: Path) -> tuple[Path, Path, Path]:
    """A scan of noise around 100 in the body and 500 in the organ; the organ grows to one side."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.ones((24, 32, 32), np.uint8)
    labels[8:16, 10:20, 10:20] = 2
    values = np.random.default_rng(0).normal(0, 5, labels.shape) + np.where(labels == 2, 500, 100)
    after = labels.copy()
    after[8:16, 10:20, 20:23] = 2
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    files = tuple(folder / f"{name}.nii.gz" for name in ("image", "seg", "seg-edited"))
    write_volume(Volume(values.round().astype(np.int16), matrix), files[0])
    write_label_map(LabelMap(labels, matrix, NAMES), files[1])
    write_label_map(LabelMap(after, matrix, NAMES), files[2])
    return files


def test_the_scan_follows_the_edited_segmentation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, before, after = write_case(tmp_path)
    output = tmp_path / "edited.nii.gz"
    arguments = ["edit", str(scan), str(before), str(after), "--output", str(output)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(output)
    edited, real = read_volume(output), read_volume(scan)
    assert edited.voxels_kji.dtype == np.int16
    assert np.median(edited.voxels_kji[9:15, 12:18, 20:22]) > 450  # was body
    far = np.s_[:, :, :1]
    assert np.array_equal(edited.voxels_kji[far], real.voxels_kji[far])
    assert edited.provenance["EditedScan"] == "YES"


def test_an_edit_in_words_writes_its_label_map_too(tmp_path: Path) -> None:
    scan, before, _ = write_case(tmp_path)
    output = tmp_path / "out" / "edited.nii.gz"
    change = ["--change", "grow organ by 2 mm"]
    assert main(["edit", str(scan), str(before), "--output", str(output), *change]) == 0
    labels = read_label_map(tmp_path / "out" / "edited-seg.nii.gz")
    assert labels.names == NAMES
    grown = labels.labels_kji == 2
    assert grown.sum() > (read_label_map(before).labels_kji == 2).sum()
    assert np.median(read_volume(output).voxels_kji[grown]) > 450


def test_a_series_is_a_folder_and_is_not_made_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scan, before, _ = write_case(tmp_path)
    output = tmp_path / "series"
    arguments = ["edit", str(scan), str(before), "--output", str(output)]
    arguments += ["--change", "resize organ to 50/150 %"]
    assert main(arguments) == 0
    assert {file.name for file in output.iterdir()} == {
        "edited-50.nii.gz", "edited-50-seg.nii.gz", "edited-150.nii.gz", "edited-150-seg.nii.gz",
        "manifest.jsonl",
    }  # fmt: skip
    times = {file: file.stat().st_mtime_ns for file in output.glob("*.nii.gz")}
    assert main(arguments) == 0
    assert {file: file.stat().st_mtime_ns for file in output.glob("*.nii.gz")} == times
    assert main([*arguments, "--reach", "5"]) == 0  # another recipe
    assert all(file.stat().st_mtime_ns != before_ns for file, before_ns in times.items())
    assert len((output / "manifest.jsonl").read_text().splitlines()) == 4


def test_a_folder_of_cases_becomes_a_folder_of_cases(tmp_path: Path) -> None:
    for name in ("a", "b/c"):
        write_case(tmp_path / "cases" / name)
    output = tmp_path / "out"
    assert main(["edit", str(tmp_path / "cases"), "--output", str(output)]) == 0
    for name in ("a", "b/c"):
        assert (output / name / "image.nii.gz").is_file()
        written = read_label_map(output / name / "seg.nii.gz").labels_kji
        wanted = read_label_map(tmp_path / "cases" / name / "seg-edited.nii.gz").labels_kji
        assert np.array_equal(written, wanted)


def test_a_case_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    write_case(tmp_path / "cases" / "a")
    (tmp_path / "cases" / "b").mkdir()
    for name in ("image", "seg", "seg-edited"):
        (tmp_path / "cases" / "b" / f"{name}.nii.gz").write_bytes(b"no volume")
    output = tmp_path / "out"
    assert main(["edit", str(tmp_path / "cases"), "--output", str(output)]) == 1
    assert (output / "a" / "image.nii.gz").is_file()


def test_a_new_label_needs_a_look_and_the_error_says_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    scan, before, _ = write_case(tmp_path)
    output = tmp_path / "edited.nii.gz"
    arguments = ["edit", str(scan), str(before), "--output", str(output)]
    arguments += ["--change", "add lesion in organ with 6 mm"]
    assert main(arguments) == 1
    assert '--look "lesion=soft-tissue"' in caplog.text + capsys.readouterr().err
    assert not output.exists()
    assert main([*arguments, "--look", "lesion=300,20"]) == 0
    lesion = read_label_map(tmp_path / "edited-seg.nii.gz").labels_kji == 3
    assert abs(read_volume(output).voxels_kji[lesion].mean() - 300) < 3


def test_a_removed_structure_is_filled_as_asked(tmp_path: Path) -> None:
    scan, before, _ = write_case(tmp_path)
    output = tmp_path / "edited.nii.gz"
    arguments = ["edit", str(scan), str(before), "--output", str(output)]
    arguments += ["--change", "remove organ", "--fill", "organ=like:body"]
    assert main(arguments) == 0
    was = read_label_map(before).labels_kji == 2
    assert 80 < np.median(read_volume(output).voxels_kji[was]) < 120


@pytest.mark.parametrize(
    ("inputs", "more", "said"),
    [
        (1, [], "expected SCAN BEFORE AFTER"),
        (3, ["--change", "remove organ"], "expected SCAN BEFORE with --change"),
        (2, ["--change", "grow organ by 1/2 mm"], "the series has 2 steps"),
    ],
)
def test_inputs_that_do_not_go_together_are_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], inputs: int, more: list[str], said: str
) -> None:
    files = [str(file) for file in write_case(tmp_path)][:inputs]
    assert main(["edit", *files, "--output", str(tmp_path / "x.nii.gz"), *more]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (["organ"], "expected NAME=LOOK"),
        (["lesion=fat", "lesion=fluid"], "names 'lesion' twice"),
    ],
)
def test_looks_that_say_nothing_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    look: list[str],
    said: str,
) -> None:
    scan, before, _ = write_case(tmp_path)
    arguments = ["edit", str(scan), str(before), "--output", str(tmp_path / "x.nii.gz")]
    arguments += ["--change", "add lesion in organ with 6 mm", "--modality", "t1"]
    assert main([*arguments, "--look", *look]) == 1
    assert said in caplog.text + capsys.readouterr().err


def test_a_folder_without_cases_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["edit", str(tmp_path / "empty"), "--output", str(tmp_path / "out")]) == 1
    assert "holds no case" in capsys.readouterr().err
    arguments = ["edit", str(tmp_path / "empty"), "--output", str(tmp_path / "out.nii.gz")]
    assert main(arguments) == 2
    assert "is a folder of cases" in capsys.readouterr().err


def test_an_input_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan, before, after = (str(file) for file in write_case(tmp_path))
    for file in (scan, before, after):
        assert main(["edit", scan, before, after, "--output", file]) == 1
        assert "would replace a scan or a segmentation" in capsys.readouterr().err


def test_the_manifest_tells_what_was_made(tmp_path: Path) -> None:
    write_case(tmp_path / "cases" / "a")
    assert main(["edit", str(tmp_path / "cases"), "--output", str(tmp_path / "out")]) == 0
    (line,) = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["target"] == "a/image.nii.gz"
    assert record["names"] == {"1": "body", "2": "organ"}


def write_model_case(folder: Path) -> tuple[Path, Path]:
    """A case whose labels the tiny model knows, skin and bone."""
    scan, before, _ = write_case(folder)
    labels = read_label_map(before)
    write_label_map(LabelMap(labels.labels_kji, labels.ijk_to_ras, {1: "skin", 2: "bone"}), before)
    return scan, before


def test_moved_voxels_are_joined_by_a_model_where_the_scan_has_none(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Marrow is a label that the scan has not and the model knows: it needs no look."""
    scan, before = write_model_case(tmp_path)
    change = ["--change", "grow bone by 2 mm", "add marrow in bone with 6 mm"]
    arguments = ["edit", str(scan), str(before), *change, "--model", str(tiny_model)]
    arguments += ["--device", "cpu", "--seed", "5", "--output"]
    made = {}
    for filler, look in (("moved", ["--look", "marrow=300,5"]), ("both", []), ("model", [])):
        output = tmp_path / filler / "edited.nii.gz"
        assert main([*arguments, str(output), "--filler", filler, *look]) == 0
        made[filler] = read_volume(output)
    assert "of these by the model" in caplog.text
    labels = read_label_map(tmp_path / "both" / "edited-seg.nii.gz")
    (marrow,) = (value for value, name in labels.names.items() if name == "marrow")
    is_marrow = labels.labels_kji == marrow
    differs = made["both"].voxels_kji != made["moved"].voxels_kji
    assert differs[is_marrow].mean() > 0.8
    near = ndimage.binary_dilation(is_marrow, iterations=2)
    assert not differs[~near].any()  # what was moved keeps its bits
    assert made["both"].provenance["EditFiller"] == "both"
    assert made["model"].provenance["EditFiller"] == "model"
    assert made["both"].provenance["Seed"] == made["model"].provenance["Seed"] == "5"
    assert "EditFiller" not in made["moved"].provenance


def test_another_seed_or_filler_makes_the_edit_again(tmp_path: Path, tiny_model: Path) -> None:
    scan, before = write_model_case(tmp_path)
    output = tmp_path / "out"
    arguments = ["edit", str(scan), str(before), "--change", "grow bone by 2 mm"]
    arguments += ["--model", str(tiny_model), "--device", "cpu", "--output", str(output)]

    def num_made(*more: str) -> int:
        assert main([*arguments, *more]) == 0
        return len((output / "manifest.jsonl").read_text().splitlines())

    assert num_made("--filler", "model") == num_made("--filler", "model") == 1
    assert num_made("--filler", "model", "--seed", "1") == 2
    assert num_made("--filler", "both") == 3
    assert num_made() == num_made() == 4


def test_the_warning_of_another_anatomy_names_the_filler_to_choose(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scan, before = write_model_case(tmp_path)
    labels = read_label_map(before)
    draws = np.random.default_rng(1).integers(1, 3, (6, 8, 8)).astype(np.uint8)
    other = draws.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    after = tmp_path / "after.nii.gz"
    write_label_map(LabelMap(other, labels.ijk_to_ras, labels.names), after)
    arguments = ["edit", str(scan), str(before), str(after), "--output", str(tmp_path / "e.nii.gz")]
    assert main([*arguments, "--model", str(tiny_model), "--device", "cpu"]) == 0
    assert "a different anatomy" in caplog.text
    assert "choose the filler model instead of moved" in caplog.text


def test_a_noise_that_no_model_can_take_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, before, after = write_case(tmp_path)
    arguments = ["edit", str(scan), str(before), str(after), "--output", str(tmp_path / "e.nii.gz")]
    assert main([*arguments, "--noise-strength", "-1"]) == 2
    assert "noise_strength is -1" in capsys.readouterr().err
