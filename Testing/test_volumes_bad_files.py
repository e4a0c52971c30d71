"""Files that are no label map or no volume: refused in words, whatever library reads them."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from AnatoMaskGANLib.volumes import LabelMap, VolumeError, read_label_map, read_volume

LABELS = np.random.default_rng(0).integers(0, 36, (20, 30, 40)).astype(np.uint8)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


@pytest.fixture(params=["nibabel", "SimpleITK only"], autouse=True)
def nifti_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test once with nibabel and once as in Slicer, which has none."""
    if request.param != "nibabel":
        monkeypatch.setitem(sys.modules, "nibabel", None)
    return request.param


def _nifti(path: Path, array: np.ndarray = LABELS, **fields: Any) -> Path:
    """A NIfTI file of [K,J,I] with header fields that no library would write."""
    content = nibabel.Nifti1Image(array.T, AFFINE).to_bytes()
    header = nibabel.Nifti1Header(content[:348], check=False)
    for field, value in fields.items():
        header[field] = value
    content = header.binaryblock + content[348:]
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def _itk(path: Path, array: np.ndarray = LABELS, is_compressed: bool = False) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path), is_compressed)
    return path


def _refused(path: Path, words: str) -> None:
    for read in (read_label_map, read_volume):
        with pytest.raises(VolumeError, match=words) as caught:
            read(path)
        assert path.name in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "missing.nii.gz", "does not exist")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.mgz"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    _refused(tmp_path / name, "is empty")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.dcm", "a.mhd"])
def test_a_text_file_with_the_name_of_a_volume_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("hello, this is no volume\n" * 40)
    _refused(tmp_path / name, "cannot be read|not a NIfTI file")


@pytest.mark.parametrize("name", ["a.png", "a", "a.nii.zip", ".nii.gz"])
def test_an_unknown_type_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    _refused(tmp_path / name, "expected a name that ends with one of .nii")


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path, "no DICOM series")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_truncated_nifti_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    content = _nifti(tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    _refused(tmp_path / name, "truncated|not a NIfTI file")


@pytest.mark.parametrize("is_compressed", [True, False])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_truncated_nrrd_or_metaimage_file_is_refused(
    tmp_path: Path, suffix: str, is_compressed: bool
) -> None:
    path = _itk(tmp_path / f"a{suffix}", is_compressed=is_compressed)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    _refused(path, "cannot be read")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_packed_data_with_one_wrong_bit_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    _nifti(path) if "nii" in suffix else _itk(path, is_compressed=True)
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)
    _refused(path, "cannot be read")


def test_a_header_that_promises_more_than_any_disk_is_refused_at_once(tmp_path: Path) -> None:
    huge = _nifti(tmp_path / "huge.nii.gz", dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])
    _refused(huge, "32767 x 32767 x 32767 voxels")
    large = _nifti(tmp_path / "large.nii.gz", dim=[3, 1000, 1000, 1000, 1, 1, 1, 1])
    _refused(large, "truncated or damaged")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_two_and_four_dimensions_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    image = SimpleITK.GetImageFromArray(LABELS)
    SimpleITK.WriteImage(image[:, :, 0], str(path))
    _refused(path, r"2 dimensions \(40 x 30\); expected three")
    SimpleITK.WriteImage(SimpleITK.JoinSeries([image, image]), str(path))
    _refused(path, r"4 dimensions \(40 x 30 x 20 x 2\); expected three")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"srow_y": [np.nan, 0, 0, 0]}, "NaN"),
        ({"srow_x": [0, 0, 0, 0]}, "spacing along axis i is 0 mm"),
        ({"srow_y": [1, 0, 0, 0], "srow_x": [1, 0, 0, 0]}, "spacing along axis j is 0 mm"),
        ({"srow_x": [1, 0, 3, 0]}, "sheared: axes i and k meet at 45.00 degrees"),
        ({"sform_code": 0, "qform_code": 1, "pixdim": [1, 1, 0, 1, 0, 0, 0, 0]}, "voxel size"),
        ({"sform_code": 0, "qform_code": 1, "pixdim": [1, np.nan, 1, 1, 0, 0, 0, 0]}, "voxel size"),
        ({"sform_code": 0, "qform_code": 0, "pixdim": [1, 1, 1, -2, 0, 0, 0, 0]}, "voxel size"),
    ],
)
def test_a_nifti_file_without_a_place_is_refused(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    _refused(_nifti(tmp_path / "a.nii.gz", **fields), words)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("a.nrrd", b"(1,0,0)", b"(nan,nan,nan)", "space directions"),
        ("a.nrrd", b"space origin: (0,0,0)", b"space origin: (nan,nan,nan)", "space origin"),
        ("a.nrrd", b"(1,0,0)", b"(0,0,0)", "cannot be read: .*spacing"),
        ("a.nrrd", b"(1,0,0)", b"(1,1,0)", "sheared"),
        ("a.mha", b"NDims = 3", b"NDims = 73", "NDims = 73"),
        ("a.mha", b"Offset = 0 0 0", b"Offset = nan 0 0", "offset"),
        ("a.mha", b"ElementSpacing = 1", b"ElementSpacing = 0", "cannot be read: .*spacing"),
        ("a.mha", b"TransformMatrix = 1", b"TransformMatrix = 0", "cannot be read: .*direction"),
        ("a.mha", b"TransformMatrix = 1 0", b"TransformMatrix = 1 1", "sheared"),
    ],
)
def test_a_nrrd_or_metaimage_file_without_a_place_is_refused(
    tmp_path: Path, name: str, old: bytes, new: bytes, words: str
) -> None:
    content = _itk(tmp_path / name).read_bytes()
    assert old in content
    (tmp_path / name).write_bytes(content.replace(old, new, 1))
    _refused(tmp_path / name, words)


def test_an_image_is_no_label_map(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for array, words in {
        "fractional": (LABELS + generator.random(LABELS.shape), "fractional.*intensity image"),
        "thousands": (generator.integers(0, 4096, LABELS.shape).astype(np.int16), "different val"),
        "ct": (generator.integers(-1000, 900, LABELS.shape).astype(np.int16), "negative.*CT"),
        "huge": (LABELS * 1e30, "expected labels"),
        "not finite": (np.where(LABELS == 3, np.inf, LABELS), "not finite|NaN or infinite"),
    }.values():
        for suffix in (".nii.gz", ".nrrd"):
            path = tmp_path / f"a{suffix}"
            _nifti(path, array) if "nii" in suffix else _itk(path, array)
            with pytest.raises(VolumeError, match=words) as caught:
                read_label_map(path)
            assert path.name in str(caught.value)


def test_colors_are_refused(tmp_path: Path) -> None:
    image = SimpleITK.Compose([SimpleITK.GetImageFromArray(LABELS)] * 3)
    SimpleITK.WriteImage(image, str(tmp_path / "rgb.nrrd"))
    _refused(tmp_path / "rgb.nrrd", "three axes")


def test_a_file_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _nifti(tmp_path / "a.nii.gz")
    monkeypatch.setattr("AnatoMaskGANLib.volumes.files.os.access", lambda *_: False)
    _refused(path, "no permission")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_no_random_damage_ends_in_anything_but_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    _nifti(path) if "nii" in name else _itk(path, is_compressed=True)
    content = path.read_bytes()
    generator = np.random.default_rng(2)
    for _ in range(40):
        damaged = bytearray(content)
        for position in generator.integers(0, min(len(content), 400), 6):
            damaged[position] = generator.integers(0, 256)
        path.write_bytes(damaged)
        try:
            labels = read_label_map(path)
        except VolumeError:
            continue
        assert isinstance(labels, LabelMap)


def test_two_forms_that_agree_are_read_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _both_forms(tmp_path, AFFINE, AFFINE)
    assert np.allclose(read_label_map(path).ijk_to_ras, AFFINE)
    assert not caplog.records


def test_of_two_forms_that_disagree_sform_is_taken_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, nifti_library: str
) -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 5
    path = _both_forms(tmp_path, sform=AFFINE, qform=moved)
    assert np.allclose(read_label_map(path).ijk_to_ras, AFFINE)
    assert "two positions that differ by up to 5 mm" in caplog.text


def test_a_sheared_sform_is_refused_even_beside_a_sound_qform(tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.5
    _refused(_both_forms(tmp_path, sform=sheared, qform=AFFINE), "sheared")


def test_only_a_qform_is_a_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = nibabel.Nifti1Image(LABELS.T, None)
    image.set_qform(np.diag([-1.0, 1.0, 3.0, 1.0]), code=1)
    image.set_sform(None, code=0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    read = read_label_map(tmp_path / "a.nii.gz")
    assert np.allclose(read.ijk_to_ras, np.diag([-1.0, 1.0, 3.0, 1.0]))
    assert not caplog.records


def test_no_form_at_all_is_placed_as_slicer_does_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _nifti(tmp_path / "a.nii.gz", sform_code=0, qform_code=0)
    read = read_label_map(path)
    image = SimpleITK.ReadImage(str(path))
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert image.GetOrigin() == (0, 0, 0)
    assert np.allclose(read.ijk_to_ras, np.diag([-1.0, -2.0, 3.0, 1.0]))
    assert "check left and right" in caplog.text


@pytest.mark.parametrize(("unit", "factor"), [(1, 1000.0), (2, 1.0), (3, 0.001), (0, 1.0)])
def test_meters_and_microns_become_millimeters(
    tmp_path: Path, unit: int, factor: float, caplog: pytest.LogCaptureFixture
) -> None:
    read = read_label_map(_nifti(tmp_path / "a.nii.gz", xyzt_units=unit))
    assert np.allclose(read.spacing_ijk_mm, np.array([1.0, 2.0, 3.0]) * factor)
    assert bool(caplog.records) == (factor != 1.0)


def _both_forms(folder: Path, sform: np.ndarray, qform: np.ndarray) -> Path:
    image = nibabel.Nifti1Image(LABELS.T, None)
    image.set_qform(qform, code=1)
    image.set_sform(sform, code=2)
    nibabel.save(image, folder / "both.nii.gz")
    return folder / "both.nii.gz"


def test_mgh_without_nibabel_says_what_to_install(tmp_path: Path, nifti_library: str) -> None:
    image = nibabel.MGHImage(LABELS.T.astype(np.int32), AFFINE.astype(np.float32))
    nibabel.save(image, tmp_path / "a.mgz")
    if nifti_library == "nibabel":
        assert np.array_equal(read_label_map(tmp_path / "a.mgz").labels_kji, LABELS)
        content = (tmp_path / "a.mgz").read_bytes()
        (tmp_path / "a.mgz").write_bytes(content[: len(content) // 2])
        _refused(tmp_path / "a.mgz", "cannot be read")
    else:
        _refused(tmp_path / "a.mgz", "needs the package nibabel")


def test_more_voxels_than_any_program_holds_are_refused_though_the_file_has_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.nrrd"
    path.write_text("NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2001 1000 1000\nencoding: raw\n\n")
    os.truncate(path, 2_001_001_000)  # holes, which take no room on the disk
    with pytest.raises(VolumeError, match="2001 x 1000 x 1000 voxels; expected at most 2e"):
        read_volume(path)
