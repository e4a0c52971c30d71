"""A folder with a DICOM series is a volume; slices that do not lie evenly are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    SegmentationStorage,
    generate_uid,
)

from AnatoMaskGANLib.volumes import VolumeError, read_label_map, read_volume

# rows run to the left and a little up, columns to the back: LPS
ROW = np.array([np.cos(0.1), 0.0, np.sin(0.1)])
COLUMN = np.array([0.0, 1.0, 0.0])
NORMAL = np.cross(ROW, COLUMN)
ORIGIN_LPS = np.array([-100.5, -80.25, 40.0])
PIXEL_MM, SLICE_MM = 0.75, 2.5


def _write_slice(folder: Path, k: int, pixels: np.ndarray, position: np.ndarray, uid: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.StudyInstanceUID = uid, uid + ".1"
    data.Modality, data.PatientID, data.InstanceNumber = "CT", "phantom", k + 1
    data.Rows, data.Columns = pixels.shape
    data.ImagePositionPatient = [round(float(part), 6) for part in position]
    data.ImageOrientationPatient = [round(float(part), 6) for part in (*ROW, *COLUMN)]
    data.PixelSpacing = [PIXEL_MM, PIXEL_MM]
    data.SliceThickness = SLICE_MM
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleIntercept, data.RescaleSlope = -1024, 1
    data.PixelData = pixels.astype(np.uint16).tobytes()
    pydicom.dcmwrite(folder / f"{9 - k}.dcm", data, enforce_file_format=True)


def _write_series(folder: Path, shifts_mm: list[np.ndarray], uid: str = "1.2.3") -> np.ndarray:
    folder.mkdir(exist_ok=True)
    voxels = np.random.default_rng(0).integers(0, 2000, (len(shifts_mm), 6, 8))
    for k, shift in enumerate(shifts_mm):
        position = ORIGIN_LPS + k * SLICE_MM * NORMAL + shift
        _write_slice(folder, k, voxels[k], position, uid)
    return voxels


def test_a_series_is_a_volume_in_hounsfield_units_at_its_place(tmp_path: Path) -> None:
    voxels = _write_series(tmp_path, [np.zeros(3)] * 5)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels_kji, voxels - 1024)
    assert volume.unit == "HU"
    for i, j, k in [(0, 0, 0), (7, 5, 4), (7, 0, 2)]:
        lps = ORIGIN_LPS + i * PIXEL_MM * ROW + j * PIXEL_MM * COLUMN + k * SLICE_MM * NORMAL
        assert np.allclose(
            volume.ijk_to_ras @ (i, j, k, 1), (-lps[0], -lps[1], lps[2], 1), atol=1e-3
        )


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    gap = [np.zeros(3)] * 3 + [SLICE_MM * NORMAL] * 2
    _write_series(tmp_path, gap)
    with pytest.raises(VolumeError, match="Slices are missing, or the gantry was tilted"):
        read_volume(tmp_path)


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    _write_series(tmp_path, [0.4 * k * COLUMN for k in range(5)])
    with pytest.raises(VolumeError, match="gantry was tilted|sheared"):
        read_volume(tmp_path)


def test_two_series_in_a_folder_are_refused(tmp_path: Path) -> None:
    _write_series(tmp_path, [np.zeros(3)] * 3)
    (tmp_path / "9.dcm").rename(tmp_path / "first.dcm")
    _write_series(tmp_path, [np.zeros(3)] * 1, uid="1.2.4")
    with pytest.raises(VolumeError, match="holds 2 DICOM series"):
        read_volume(tmp_path)


def test_one_slice_is_a_volume(tmp_path: Path) -> None:
    _write_series(tmp_path, [np.zeros(3)])
    assert read_volume(tmp_path).shape_kji == (1, 6, 8)


@pytest.mark.parametrize("k", [1, 3])
def test_a_truncated_slice_is_refused_and_not_left_out(tmp_path: Path, k: int) -> None:
    _write_series(tmp_path, [np.zeros(3)] * 4)
    path = tmp_path / f"{9 - k}.dcm"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(VolumeError, match=f"{path.name} cannot be read: the element 7fe00010 says"):
        read_volume(tmp_path)


def test_other_files_beside_the_slices_do_no_harm(tmp_path: Path) -> None:
    _write_series(tmp_path, [np.zeros(3)] * 3)
    (tmp_path / "notes.txt").write_text("phantom")
    (tmp_path / "more").mkdir()
    assert read_volume(tmp_path).shape_kji == (3, 6, 8)


def test_slices_of_two_sizes_are_refused(tmp_path: Path) -> None:
    _write_series(tmp_path, [np.zeros(3)] * 2)
    _write_slice(tmp_path, 2, np.zeros((4, 8)), ORIGIN_LPS + 2 * SLICE_MM * NORMAL, "1.2.3")
    with pytest.raises(
        VolumeError, match="Expected complete slices of the same size. Export the series"
    ):
        read_volume(tmp_path)


def test_files_with_several_slices_each_are_refused_as_a_series(tmp_path: Path) -> None:
    for k in range(2):
        position = ORIGIN_LPS + k * SLICE_MM * NORMAL
        _write_slice(tmp_path, k, np.zeros((6, 8)), position, "1.2.3")
        path = tmp_path / f"{9 - k}.dcm"
        data = pydicom.dcmread(path)
        data.NumberOfFrames, data.PixelData = 2, bytes(2 * 6 * 8 * 2)
        data.save_as(path)
    with pytest.raises(VolumeError, match="4 dimensions; expected three"):
        read_volume(tmp_path)


def test_a_dicom_file_without_pixels_among_the_slices_is_refused(tmp_path: Path) -> None:
    _write_series(tmp_path, [np.zeros(3)] * 3)
    data = pydicom.dcmread(tmp_path / "8.dcm")
    del data.PixelData
    data.save_as(tmp_path / "report.dcm")
    with pytest.raises(VolumeError, match="report.dcm is a DICOM file, but no slice.*if it is no"):
        read_volume(tmp_path)


START = b"\0" * 128 + b"DICM" + b"\2\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
SEQUENCE = b"\x08\0\x40\x11SQ\0\0"
WITHOUT_LENGTH = b"\xff\xff\xff\xff"
ITEM = b"\xfe\xff\0\xe0" + WITHOUT_LENGTH


@pytest.mark.parametrize(
    ("elements", "told"),
    [
        ((SEQUENCE + WITHOUT_LENGTH + ITEM) * 80, "its sequences are nested too deeply"),
        (b"\x08\0\x60\0CS\0", "it ends within an element"),
        (b"\x08\0\x60\0OB\0\0" + WITHOUT_LENGTH, "the element 00080060 has no length"),
        (
            SEQUENCE + WITHOUT_LENGTH + b"\x08\0\x60\0CS\0\0",
            "a sequence holds the element 00080060",
        ),
        (
            SEQUENCE + b"\x08\0\0\0" + b"\xfe\xff\0\xe0\x63\0\0\0",
            "an item says that it has 99 bytes",
        ),
        (
            b"\xe0\x7f\x10\0OB\0\0" + WITHOUT_LENGTH + bytes(8),
            "its compressed pixels are incomplete",
        ),
    ],
)
def test_a_torn_dicom_file_is_refused_with_what_is_torn(
    tmp_path: Path, elements: bytes, told: str
) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(START + elements)
    with pytest.raises(
        VolumeError, match=f"{told}. Expected a complete DICOM file.*export it again"
    ):
        read_volume(path)


def test_a_segmentation_object_is_no_stack_of_slices(tmp_path: Path) -> None:
    _write_series(tmp_path, [np.zeros(3)])
    path = tmp_path / "9.dcm"
    data = pydicom.dcmread(path)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    pydicom.dcmwrite(path, data)
    for place in (path, tmp_path):
        with pytest.raises(VolumeError, match="is a DICOM segmentation of the type none"):
            read_label_map(place)


def test_a_series_that_says_it_is_synthetic_is_marked_so(tmp_path: Path) -> None:
    _write_series(tmp_path, [np.array([0.0, 0.0, 0.0])] * 4)
    assert read_volume(tmp_path).provenance == {}
    for path in tmp_path.iterdir():
        data_set = pydicom.dcmread(path)
        data_set.SyntheticData = "YES"
        data_set.save_as(path)
    assert read_volume(tmp_path).provenance == {"SyntheticData": "YES"}
