"""The commands with DICOM: segmentation objects in, series with their segmentations out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pydicom
import pytest

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    labels_on_grid_of,
    read_label_map,
    read_volume,
    same_grid,
    write_label_map,
    write_volume,
)
from Testing.dicom_objects import ct_slices, segmentation, write_all
from Testing.grids import LEFT_HANDED_PSL, grid

NAMES = {1: "Skin", 2: "cortical bone", 3: "marrow"}
PLACE = grid((0, 1, 2), (-1, -1, 1), (1.5, 2.0, 3.0), (0.1, 0.0, 0.2), (40, -10, 25))


def _labels() -> np.ndarray:
    labels = np.zeros((10, 18, 14), dtype=np.uint8)
    labels[1:9, 2:16, 2:12], labels[2:8, 5:13, 4:10], labels[3:7, 7:11, 5:9] = 1, 2, 3
    return labels


def _write_nifti(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_map(LabelMap(_labels(), PLACE, NAMES), path)
    return path


def _write_seg(path: Path) -> Path:
    labels = _labels()
    frames = [(value, k, labels[k] == value) for value in (1, 2) for k in range(1, 9)]
    made = segmentation(frames)
    for item, name in zip(made.SegmentSequence, ("Skin", "cortical bone"), strict=True):
        item.SegmentLabel = name
        del item.SegmentedPropertyTypeCodeSequence
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def _synthesize(model: Path, *arguments: object) -> int:
    return main(["synthesize", *map(str, arguments), "--model", str(model), "--device", "cpu"])


def _first(folder: Path) -> pydicom.Dataset:
    return pydicom.dcmread(sorted(folder.iterdir())[0])


def test_an_output_that_ends_in_dcm_is_a_series_with_its_segmentation(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = _write_nifti(tmp_path / "in" / "seg.nii.gz"), tmp_path / "new" / "scan.dcm"
    assert _synthesize(tiny_model, source, "--output", output) == 0
    assert capsys.readouterr().out.strip() == str(output)
    volume = read_volume(output)
    assert same_grid(volume, read_label_map(source))
    assert volume.provenance["Model"] == "tiny"
    assert _first(output).SyntheticData == "YES"
    assert _first(output).PatientID.startswith("ANON-")
    segments = read_label_map(output.with_name("scan-seg.dcm"))
    assert segments.names == NAMES
    assert np.array_equal(segments.labels_kji, _labels()[1:9])
    first = _first(output).SOPInstanceUID
    assert _synthesize(tiny_model, source, "--output", output) == 0  # replaces its own series
    assert _first(output).SOPInstanceUID != first


def test_a_segmentation_object_is_synthesized_for_its_own_patient(
    tiny_model: Path, tmp_path: Path
) -> None:
    source = _write_seg(tmp_path / "in" / "seg.dcm")
    assert _synthesize(tiny_model, source, "--output", tmp_path / "a.dcm") == 0
    assert same_grid(read_volume(tmp_path / "a.dcm"), read_label_map(source))
    said = _first(tmp_path / "a.dcm")
    assert (said.PatientID, said.StudyInstanceUID) == ("p-7", "1.2.3.1")
    assert said.FrameOfReferenceUID == "1.2.3.3" and said.Modality == "MR"
    assert _synthesize(tiny_model, source, "--output", tmp_path / "b.dcm", "--anonymous") == 0
    assert _first(tmp_path / "b.dcm").PatientID.startswith("ANON-")


def test_a_folder_of_segmentation_objects_becomes_series_that_are_not_made_twice(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a/x.dcm", "b/x"):
        _write_seg(tmp_path / "cases" / name)
    write_all(ct_slices(np.zeros((2, 6, 8))), tmp_path / "cases" / "ct")
    output = tmp_path / "cases" / "out"
    arguments = (tiny_model, tmp_path / "cases", "--output", output, "--dicom", "--samples", 2)
    assert _synthesize(*arguments) == 0
    made = sorted(path.relative_to(output) for path in output.rglob("*seed*.dcm"))
    names = ["x_synthetic_seed0-seg.dcm", "x_synthetic_seed0.dcm"]
    names += ["x_synthetic_seed1-seg.dcm", "x_synthetic_seed1.dcm"]
    assert made == [Path(case) / name for case in ("a", "b") for name in names]
    target = output / "a" / "x_synthetic_seed0.dcm"
    first = _first(target).SOPInstanceUID
    caplog.set_level(logging.INFO)
    assert _synthesize(*arguments) == 0
    assert _first(target).SOPInstanceUID == first and "up to date" in caplog.text
    (target / "1.dcm").unlink()  # a series with a slice less is made again
    assert _synthesize(*arguments) == 0
    assert (target / "1.dcm").exists() and _first(target).SOPInstanceUID != first
    assert _synthesize(*arguments, "--anonymous") == 0
    assert _first(target).PatientID.startswith("ANON-")


def test_the_patient_of_another_reference_can_be_chosen(tiny_model: Path, tmp_path: Path) -> None:
    source = _write_nifti(tmp_path / "seg.nii.gz")
    write_all(ct_slices(np.zeros((2, 6, 8))), tmp_path / "ct")
    output = ("--output", tmp_path / "a.dcm", "--dicom-reference", tmp_path / "ct")
    assert _synthesize(tiny_model, source, *output) == 0
    assert _first(tmp_path / "a.dcm").PatientName == "Mügge^Änne"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--output", "a.nii.gz", "--dicom"), "a.nii.gz is no DICOM, but --dicom was given"),
        (("--output", "a.nii.gz", "--anonymous"), "are for results as DICOM; expected --dicom"),
        (("--output", "a", "--dicom-reference", "x"), "are for results as DICOM"),
        (
            ("--output", "a.dcm", "--anonymous", "--dicom-reference", "x"),
            "Both --dicom-reference and --anonymous came",
        ),
        (("--output", "a", "--dicom", "--deform", "2"), "are not written as DICOM; expected a"),
        (("--output", "a.dcm", "--samples", "2"), "is one file, but 1 label map"),
        (("--output", "a.dcm", "--dicom-reference", "seg.nii.gz"), "holds no DICOM file"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    _write_nifti(tmp_path / "seg.nii.gz")
    assert _synthesize(tiny_model, "seg.nii.gz", *arguments) != 0
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("a*")] in ([], ["a"])


def test_a_segmentation_is_not_replaced_by_the_one_of_the_result(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _write_seg(tmp_path / "scan-seg.dcm")
    assert _synthesize(tiny_model, source, "--output", tmp_path / "scan.dcm") == 1
    assert "scan-seg.dcm would replace a label map" in capsys.readouterr().err


def _write_scan(folder: Path, low: int = -1000) -> tuple[Path, Path, np.ndarray]:
    """A CT series of a body with an organ, and its segmentation."""
    labels = np.zeros((12, 16, 20), dtype=np.uint8)
    labels[2:10, 3:13, 3:17], labels[4:8, 6:11, 6:12] = 1, 2
    voxels = np.select([labels == 1, labels == 2], [40, 300], low)
    voxels = voxels + np.random.default_rng(0).integers(-5, 6, voxels.shape)
    write_all(ct_slices(np.maximum(voxels, -1024)), folder / "ct")
    place = read_volume(folder / "ct").ijk_to_ras
    write_label_map(LabelMap(labels, place, {1: "body", 2: "organ"}), folder / "seg.nii.gz")
    return folder / "ct", folder / "seg.nii.gz", labels


def test_an_edited_ct_series_becomes_one_of_the_same_patient(tmp_path: Path) -> None:
    scan, before, labels = _write_scan(tmp_path)
    output, change = tmp_path / "edited.dcm", ("--change", "grow organ by 3 mm")
    assert main(["edit", str(scan), str(before), "--output", str(output), *change]) == 0
    edited, real = read_volume(output), read_volume(scan)
    assert same_grid(edited, real) and edited.unit == "HU"
    far = np.s_[:1]
    assert np.array_equal(edited.voxels_kji[far], real.voxels_kji[far])
    said = _first(output)
    assert (said.Modality, said.PatientID, said.SyntheticData) == ("CT", "p-7", "YES")
    assert "real person" in said.DerivationDescription
    grown = read_label_map(tmp_path / "edited-seg.dcm")
    assert np.count_nonzero(grown.labels_kji == 2) > np.count_nonzero(labels == 2)


def test_an_edit_on_another_grid_and_of_nobody_known_is_a_ct_by_its_values(
    tmp_path: Path,
) -> None:
    scan, before, _ = _write_scan(tmp_path)
    volume = read_volume(scan)
    write_volume(Volume(volume.voxels_kji, volume.ijk_to_ras), tmp_path / "scan.nii.gz")
    known = read_label_map(before)
    shifted = known.ijk_to_ras.copy()
    shifted[:3, 3] += 0.2
    write_label_map(LabelMap(known.labels_kji, shifted, known.names), tmp_path / "seg.nii.gz")
    arguments = [str(tmp_path / "scan.nii.gz"), str(before), "--output", str(tmp_path / "out")]
    change = ["--change", "resize organ to 90/110 %"]
    assert main(["edit", *arguments, *change, "--dicom"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    steps = {f"edited-{size}{end}.dcm" for size in (90, 110) for end in ("", "-seg")}
    assert names == steps | {"manifest.jsonl"}
    said = _first(tmp_path / "out" / "edited-90.dcm")
    assert said.Modality == "CT" and said.PatientID.startswith("ANON-")


def test_cases_in_folders_become_series(tmp_path: Path) -> None:
    scan, _, _ = _write_scan(tmp_path / "cases" / "a")
    write_volume(read_volume(scan), tmp_path / "cases" / "a" / "image.nii.gz")
    arguments = [str(tmp_path / "cases"), "--output", str(tmp_path / "out"), "--dicom"]
    assert main(["edit", *arguments, "--change", "grow organ by 2 mm"]) == 0
    case = tmp_path / "out" / "a"
    assert {path.name for path in case.iterdir()} == {"image.dcm", "image-seg.dcm"}


def test_labels_on_another_grid_are_the_nearest_ones() -> None:
    label_map = LabelMap(_labels(), PLACE, NAMES)
    assert labels_on_grid_of(label_map, LabelMap(_labels(), PLACE)) is label_map
    place = LEFT_HANDED_PSL.copy()  # whose middle is that of the map
    place[:3, 3] = PLACE[:3] @ (6.5, 8.5, 4.5, 1) - place[:3, :3] @ (8.5, 4.5, 6.5)
    turned = LabelMap(np.zeros((14, 10, 18), dtype=np.uint8), place)
    there = labels_on_grid_of(label_map, turned)
    to_source = np.linalg.inv(PLACE) @ turned.ijk_to_ras
    found = 0
    for k, j, i in np.ndindex(turned.shape_kji):
        place = to_source @ (i, j, k, 1)
        nearest = np.rint(place[:3]).astype(int)[::-1]
        if np.abs(place[:3] - np.rint(place[:3])).max() > 0.49:
            continue  # between two voxels
        is_inside = all(0 <= n < size for n, size in zip(nearest, _labels().shape, strict=True))
        expected = _labels()[tuple(nearest)] if is_inside else 0
        assert there.labels_kji[k, j, i] == expected
        found += int(expected > 0)
    assert there.names == NAMES and found > 0
