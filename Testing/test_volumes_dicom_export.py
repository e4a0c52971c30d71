"""DICOM out: a valid series and its segmentation, marked, of the right patient, in its place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK

from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    VolumeError,
    read_label_map,
    read_volume,
    same_grid,
)
from AnatoMaskGANLib.volumes.dicom import series
from AnatoMaskGANLib.volumes.dicom.export import (
    check_dicom_can_be_written,
    segmentation_file,
    write_dicom,
)
from AnatoMaskGANLib.volumes.dicom.patient import anonymous_patient, is_dicom_source, patient_of
from AnatoMaskGANLib.volumes.dicom.stored_pixels import stored_pixels
from Testing.dicom_objects import ct_slices, write_all
from Testing.grids import LEFT_HANDED_PSL, grid

SHAPE = (5, 6, 7)
OBLIQUE = grid((0, 1, 2), (-1, -1, 1), (0.7, 1.1, 2.5), (0.2, -0.1, 0.3), (10, -20, 30.5))
DOWNWARD = grid((0, 1, 2), (-1, -1, -1), (0.7, 0.7, 2.5), (0.2, 0.0, 0.0), (1, 2, 3))
SYNTHETIC = {
    "SyntheticData": "YES",
    "Model": "brain-t1",
    "Seed": "7",
    "Notice": "Synthetic image for research; not for diagnosis. Größe",
}
# Debian's validator of 2022 does not know (0008,001C), which is of 2023, and calls it an error.
YOUNGER_THAN_THE_VALIDATOR = "</(0008,001c)> - Attribute with an even group number is not a recogn"
GRIDS = pytest.mark.parametrize("place", [OBLIQUE, DOWNWARD, LEFT_HANDED_PSL])
UNITS = pytest.mark.parametrize("unit", ["", "HU"])
ANYBODY = {"PatientID": "p-7", "PatientBirthDate": "19700102", "StudyDate": "20250102"}


def _volume(place: np.ndarray = OBLIQUE, unit: str = "", **provenance: str) -> Volume:
    voxels = np.random.default_rng(0).normal(100, 50, SHAPE).astype(np.float32)
    return Volume(voxels, place, (0.0, 200.0), unit, provenance or SYNTHETIC)


def _label_map(place: np.ndarray = OBLIQUE) -> LabelMap:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:4, 2:4, 2:5], labels[3:, 4:, :3] = 3, 9
    return LabelMap(labels, place, {3: "Linke Niere, größer"}, {3: "SCT:64033007+SCT:7771000"})


def _written(tmp_path: Path, volume: Volume, label_map: LabelMap | None = None) -> Path:
    folder = tmp_path / "scan.dcm"
    write_dicom(volume, folder, anonymous_patient("somebody"), label_map)
    return folder


def _slices(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


@UNITS
@GRIDS
def test_pydicom_finds_every_voxel_where_it_was(
    tmp_path: Path, place: np.ndarray, unit: str
) -> None:
    volume = _volume(place, unit)
    tolerance = 0.5 if unit else 1e-2  # CT is stored in whole units
    slices = _slices(_written(tmp_path, volume))
    assert len(slices) == SHAPE[0]
    for k, one in enumerate(slices):
        values = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        assert np.abs(values - volume.voxels_kji[k]).max() <= tolerance
        row, column = np.reshape(one.ImageOrientationPatient, (2, 3)).astype(float)
        between_rows, between_columns = map(float, one.PixelSpacing)
        for i, j in [(0, 0), (6, 5), (6, 0)]:
            lps = np.array(one.ImagePositionPatient, dtype=float)
            lps = lps + i * between_columns * row + j * between_rows * column
            assert np.allclose(lps * (-1, -1, 1), (place @ (i, j, k, 1))[:3], atol=1e-4)


@GRIDS
def test_simpleitk_and_this_program_read_it_on_the_same_grid(
    tmp_path: Path, place: np.ndarray
) -> None:
    volume = _volume(place)
    folder = _written(tmp_path, volume)
    # readers order slices along the normal: against k where that runs the other way
    turned = np.linalg.det(place[:3, :3]) < 0
    step = -1 if turned else 1
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = SimpleITK.ReadImage(names)
    voxels = SimpleITK.GetArrayFromImage(image)[::step]
    assert np.abs(voxels - volume.voxels_kji).max() < 1e-2
    for i, j, k in [(0, 0, 0), (6, 5, 4), (6, 0, 2)]:
        lps = image.TransformIndexToPhysicalPoint((i, j, SHAPE[0] - 1 - k if turned else k))
        assert np.allclose(np.array(lps) * (-1, -1, 1), (place @ (i, j, k, 1))[:3], atol=1e-3)
    back = read_volume(folder)
    assert same_grid(back, volume) is not turned
    assert np.abs(back.voxels_kji[::step] - volume.voxels_kji).max() < 1e-2
    assert (back.window, back.unit, back.provenance) == ((0.0, 200.0), "", SYNTHETIC)


def test_what_was_made_artificially_says_so(tmp_path: Path) -> None:
    one = _slices(_written(tmp_path, _volume()))[0]
    assert one[0x0008, 0x001C].value == "YES"
    assert list(one.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    (equipment,) = one.ContributingEquipmentSequence
    purpose = equipment.PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109100", "DCM")
    assert purpose.CodeMeaning == "Synthesizing Equipment"
    assert one.SeriesDescription == "SYNTHETIC AnatoMaskGAN brain-t1 seed 7"
    assert SYNTHETIC["Notice"] in one.ImageComments and "synthetic" in one.DerivationDescription
    record = json.loads(one.private_block(0x0099, "ANATOMASKGAN")[0x01].value)
    assert record["provenance"] == SYNTHETIC


def test_an_edited_scan_is_marked_and_said_to_be_of_a_real_person(tmp_path: Path) -> None:
    notice = "A real scan, edited: most voxels are a real person's data."
    one = _slices(_written(tmp_path, _volume(EditedScan="YES", Notice=notice)))[0]
    assert one.SyntheticData == "YES"
    assert one.SeriesDescription == "EDITED AnatoMaskGAN"
    assert "edited" in one.DerivationDescription and notice in one.DerivationDescription
    purpose = one.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodeMeaning) == ("109103", "Modifying Equipment")


def test_a_volume_of_nobody_knows_where_is_not_called_synthetic(tmp_path: Path) -> None:
    volume = replace(_volume(), provenance={})
    one = _slices(_written(tmp_path, volume))[0]
    assert "SyntheticData" not in one
    assert one.SeriesDescription == "DERIVED AnatoMaskGAN"
    purpose = one.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0]
    assert purpose.CodeValue == "109102"


@pytest.mark.parametrize(("unit", "modality"), [("", "MR"), ("HU", "CT")])
def test_the_unit_decides_the_kind_of_images(tmp_path: Path, unit: str, modality: str) -> None:
    one = _slices(_written(tmp_path, _volume(unit=unit)))[0]
    kinds = {"MR": pydicom.uid.MRImageStorage, "CT": pydicom.uid.CTImageStorage}
    assert (one.Modality, one.SOPClassUID) == (modality, kinds[modality])
    assert (one.WindowCenter, one.WindowWidth) == (100, 200)


def test_the_patient_and_study_of_a_reference_are_kept_with_new_uids(tmp_path: Path) -> None:
    write_all(ct_slices(np.zeros((2, 6, 8))), tmp_path / "ct")
    patient = patient_of(tmp_path / "ct")
    write_dicom(_volume(unit="HU"), tmp_path / "out.dcm", patient)
    slices = _slices(tmp_path / "out.dcm")
    for one in slices:
        assert one.PatientName == "Mügge^Änne" and one.SpecificCharacterSet == "ISO_IR 192"
        assert {key: str(one[key].value) for key in ANYBODY} == ANYBODY
        assert one.StudyInstanceUID == "1.2.3.1" and one.FrameOfReferenceUID == "1.2.3.3"
        assert one.SeriesInstanceUID == slices[0].SeriesInstanceUID != "1.2.3.2"
    assert len({one.SOPInstanceUID for one in slices}) == len(slices)


def test_without_a_reference_the_patient_is_said_to_be_anonymous(tmp_path: Path) -> None:
    first = _slices(_written(tmp_path, _volume()))[0]
    assert first.PatientName == "Anonymous^AnatoMaskGAN"
    assert first.PatientID.startswith("ANON-") and first.PatientIdentityRemoved == "YES"
    again = anonymous_patient("somebody").elements
    assert again["StudyInstanceUID"] == first.StudyInstanceUID
    assert anonymous_patient("another").elements["StudyInstanceUID"] != first.StudyInstanceUID


def test_a_reference_without_uids_of_study_and_frame_gets_new_ones(tmp_path: Path) -> None:
    (made,) = ct_slices(np.zeros((1, 6, 8)))
    del made.StudyInstanceUID, made.FrameOfReferenceUID
    write_all([made], tmp_path)
    elements = patient_of(tmp_path).elements
    assert pydicom.uid.UID(elements["StudyInstanceUID"]).is_valid
    assert pydicom.uid.UID(elements["FrameOfReferenceUID"]).is_valid


def test_an_edited_scan_of_another_modality_is_refused(tmp_path: Path) -> None:
    write_all(ct_slices(np.zeros((1, 6, 8))), tmp_path / "ct")
    edited = _volume(EditedScan="YES")
    with pytest.raises(VolumeError, match="is not in HU and would become MR.*of the modality CT"):
        write_dicom(edited, tmp_path / "out.dcm", patient_of(tmp_path / "ct"))
    # a synthetic MR image of the patient of a CT is what it says that it is
    write_dicom(_volume(), tmp_path / "out.dcm", patient_of(tmp_path / "ct"))


def test_a_reference_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no DICOM")
    with pytest.raises(VolumeError, match="holds no DICOM file; expected"):
        patient_of(tmp_path)
    assert not is_dicom_source(tmp_path)
    write_all(ct_slices(np.zeros((1, 6, 8))), tmp_path)
    assert is_dicom_source(tmp_path)


def test_the_segmentation_lies_beside_the_series_with_names_codes_and_place(
    tmp_path: Path,
) -> None:
    label_map = _label_map()
    folder = _written(tmp_path, _volume(), label_map)
    path = segmentation_file(folder)
    assert path.name == "scan-seg.dcm"
    back = read_label_map(path)
    # its slices without a label, the first one here, have no frame
    assert np.array_equal(
        back.labels_kji,
        np.select([label_map.labels_kji == 3], [1], 0)[1:] + (2 * (label_map.labels_kji[1:] == 9)),
    )
    assert np.allclose(back.ijk_to_ras @ (0, 0, 0, 1), OBLIQUE @ (0, 0, 1, 1), atol=1e-3)
    assert back.names == {1: "Linke Niere, größer", 2: "label 9"}
    assert back.codes == {1: "SCT:64033007+SCT:7771000"}
    said, image = hd.seg.segread(path), _slices(folder)[0]
    assert said.StudyInstanceUID == image.StudyInstanceUID
    assert said.FrameOfReferenceUID == image.FrameOfReferenceUID
    referenced = said.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == image.SeriesInstanceUID


def test_a_label_map_on_another_grid_or_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="not on the grid of the volume; expected the one"):
        _written(tmp_path, _volume(), _label_map(DOWNWARD))
    empty = LabelMap(np.zeros(SHAPE, dtype=np.uint8), OBLIQUE)
    with pytest.raises(VolumeError, match="has no labels; expected at least one"):
        _written(tmp_path, _volume(), empty)
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_are_stored_as_they_are() -> None:
    for low, dtype in ((-300, np.int16), (0, np.int16), (40_000, np.uint16)):
        voxels = np.arange(low, low + 210).reshape(SHAPE)
        for given in (voxels, voxels.astype(np.float32)):
            stored = stored_pixels(Volume(given, OBLIQUE))
            assert stored.values_kji.dtype == dtype
            assert (stored.slope, stored.intercept) == (1, 0)
            assert np.array_equal(stored.values_kji, voxels)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_other_numbers_keep_their_value_to_a_65000th_of_the_range(
    tmp_path: Path, scale: float
) -> None:
    voxels = (np.random.default_rng(0).normal(3, 1, SHAPE) * scale).astype(np.float32)
    volume = Volume(voxels, OBLIQUE)
    one = _slices(_written(tmp_path, volume))[2]
    values = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
    extent = float(voxels.max() - voxels.min())
    assert np.abs(values - voxels[2]).max() <= extent / 65000
    assert len(str(one.RescaleSlope)) <= 16 and len(str(one.RescaleIntercept)) <= 16
    assert ("VOILUTFunction" in one) == (scale < 1)


def test_a_volume_of_one_value_is_written(tmp_path: Path) -> None:
    volume = Volume(np.full(SHAPE, 0.5, dtype=np.float32), OBLIQUE)
    assert np.array_equal(read_volume(_written(tmp_path, volume)).voxels_kji, volume.voxels_kji)


def test_a_folder_of_others_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "scan.dcm"
    write_all(ct_slices(np.zeros((2, 6, 8))), folder)
    with pytest.raises(VolumeError, match=r"holds 00\d.dcm, which this program did not write"):
        _written(tmp_path, _volume())
    assert len(list(folder.iterdir())) == 2
    shutil.rmtree(folder)
    folder.write_text("a file")
    with pytest.raises(VolumeError, match="is a file; a DICOM series is written as a folder"):
        _written(tmp_path, _volume())


def test_a_series_of_this_program_is_replaced_as_a_whole(tmp_path: Path) -> None:
    first = _slices(_written(tmp_path, _volume()))
    shorter = Volume(_volume().voxels_kji[:2], OBLIQUE, provenance=SYNTHETIC)
    second = _slices(_written(tmp_path, shorter))
    assert len(second) == 2
    assert first[0].SeriesInstanceUID != second[0].SeriesInstanceUID


def test_a_failure_leaves_what_was_there_and_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _written(tmp_path, _volume())
    before = [one.SOPInstanceUID for one in _slices(folder)]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pydicom.dataset.FileDataset, "save_as", full)
    with pytest.raises(VolumeError, match="could not be written: No space left on device"):
        _written(tmp_path, _volume())
    assert [one.SOPInstanceUID for one in _slices(folder)] == before
    assert [path.name for path in tmp_path.iterdir()] == ["scan.dcm"]


def test_a_slice_larger_than_dicom_can_say_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "_MOST_ROWS", 6)
    with pytest.raises(VolumeError, match="A slice has 7 x 6 voxels; DICOM expects at most 6"):
        _written(tmp_path, _volume())


@pytest.mark.parametrize("package", ["pydicom", "highdicom"])
def test_a_missing_package_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(VolumeError, match=rf"Writing .* needs the package {package}.*pip install"):
        check_dicom_can_be_written(tmp_path / "scan.dcm")


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy of dicom3tools is missing")
@UNITS
@pytest.mark.parametrize("has_reference", [True, False])
def test_a_validator_finds_no_error(tmp_path: Path, unit: str, has_reference: bool) -> None:
    folder, patient = tmp_path / "scan.dcm", anonymous_patient("somebody")
    if has_reference:
        write_all(ct_slices(np.zeros((2, 6, 8))), tmp_path / "ct")
        patient = replace(patient_of(tmp_path / "ct"), modality="")
    write_dicom(_volume(unit=unit), folder, patient, _label_map())
    for path in (*sorted(folder.iterdir()), segmentation_file(folder)):
        run = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
        errors = [line for line in run.stderr.splitlines() if line.startswith("Error")]
        assert [line for line in errors if YOUNGER_THAN_THE_VALIDATOR not in line] == []
        assert any(kind in run.stderr for kind in ("MRImage", "CTImage", "Segmentation"))
