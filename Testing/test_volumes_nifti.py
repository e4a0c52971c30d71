"""NIfTI files as people have them, read with nibabel and without it."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from AnatoMaskGANLib.volumes import (
    VolumeError,
    files_read_with,
    nifti_files,
    read_label_map,
    read_volume,
)
from AnatoMaskGANLib.volumes.files import write_volume
from AnatoMaskGANLib.volumes.volume import Volume

LABELS = np.zeros((5, 4, 3), np.uint8)
LABELS[1:3, 1:3, 1] = 13
PLACE = np.array([[-2.0, 0, 0, 5], [0, -1, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
CARET = (
    '<CaretExtension><VolumeInformation Index="0"><LabelTable><Label Key="0">???</Label>'
    '<Label Key="13"><![CDATA[liver]]></Label></LabelTable></VolumeInformation></CaretExtension>'
)


@pytest.fixture(params=["nibabel", "alone"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "alone":
        monkeypatch.setattr(nifti_files, "nibabel_if_installed", lambda: None)
    return str(request.param)


def _is_as_saved(path: Path, place: np.ndarray = PLACE) -> None:
    label_map = read_label_map(path)
    assert np.array_equal(label_map.labels_kji, LABELS.T)
    assert np.allclose(label_map.ijk_to_ras, place)


def _image(kind: type = nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    image = kind(LABELS, PLACE)
    image.set_qform(PLACE, 1)
    image.set_sform(PLACE, 1)
    return image


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_both_versions_are_read(tmp_path: Path, kind: type, name: str) -> None:
    nibabel.save(_image(kind), tmp_path / name)
    _is_as_saved(tmp_path / name)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("asked", ["case.hdr", "case.img"])
def test_a_pair_is_read_by_either_half(tmp_path: Path, kind: type, asked: str) -> None:
    nibabel.save(_image(kind), tmp_path / "case.img")
    _is_as_saved(tmp_path / asked)


def test_a_half_without_the_other_is_told(tmp_path: Path) -> None:
    nibabel.save(_image(nibabel.Nifti1Pair), tmp_path / "case.img")
    assert files_read_with(tmp_path / "case.hdr")[1] == tmp_path / "case.img"
    (tmp_path / "case.img").unlink()
    assert files_read_with(tmp_path / "case.hdr") == (tmp_path / "case.hdr",)
    with pytest.raises(
        VolumeError, match="one half of a pair, and case.img is not in the same folder"
    ):
        read_label_map(tmp_path / "case.hdr")


def test_a_torn_pair_is_refused(tmp_path: Path) -> None:
    nibabel.save(_image(nibabel.Nifti1Pair), tmp_path / "case.img")
    (tmp_path / "case.img").write_bytes((tmp_path / "case.img").read_bytes()[:-1])
    with pytest.raises(VolumeError, match="truncated or damaged"):
        read_label_map(tmp_path / "case.hdr")


def test_an_analyze_pair_is_placed_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nibabel.save(nibabel.AnalyzeImage(LABELS, np.diag([2.0, 1, 3, 1])), tmp_path / "case.img")
    _is_as_saved(tmp_path / "case.hdr", np.diag([-2.0, -1, 3, 1]))
    assert "check left and right" in caplog.text


@pytest.mark.parametrize(("name", "is_packed"), [("a.nii.gz", False), ("a.nii", True)])
def test_packing_is_seen_in_the_file_and_not_in_its_name(
    tmp_path: Path, name: str, is_packed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / ("b.nii.gz" if is_packed else "b.nii")
    nibabel.save(_image(), other)
    other.rename(tmp_path / name)
    _is_as_saved(tmp_path / name)
    assert caplog.text.count("in spite of its name") == 1


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_voxels_that_begin_at_0_begin_behind_the_header(tmp_path: Path, kind: type) -> None:
    content = bytearray(_image(kind).to_bytes())
    if kind is nibabel.Nifti1Image:
        struct.pack_into("<f", content, 108, 0.0)
    else:
        struct.pack_into("<q", content, 168, 0)
    (tmp_path / "a.nii").write_bytes(content)
    _is_as_saved(tmp_path / "a.nii")


def test_a_sform_of_zeros_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(_image().to_bytes())
    struct.pack_into("<12f", content, 280, *[0.0] * 12)
    (tmp_path / "a.nii").write_bytes(content)
    _is_as_saved(tmp_path / "a.nii")
    assert "sform that contains only zeros" in caplog.text


@pytest.mark.parametrize("length", [1.000001, 1.0004])
def test_a_quaternion_a_little_too_long_is_brought_to_length_one(
    tmp_path: Path, length: float
) -> None:
    image = _image()
    image.set_sform(None, 0)
    content = bytearray(image.to_bytes())
    b, c, d = struct.unpack_from("<3f", content, 256)
    struct.pack_into("<3f", content, 256, b * length, c * length, d * length)
    (tmp_path / "a.nii").write_bytes(content)
    _is_as_saved(tmp_path / "a.nii")


def test_rounding_that_shears_the_axes_is_mended_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sheared = PLACE.copy()
    sheared[0, 1] = 5e-4
    image = nibabel.Nifti1Image(LABELS, sheared)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "a.nii")
    label_map = read_label_map(tmp_path / "a.nii")
    axes = label_map.ijk_to_ras[:3, :3] / label_map.spacing_ijk_mm
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert np.abs(label_map.ijk_to_ras - sheared).max() < 2e-3
    assert "not quite perpendicular" in caplog.text
    sheared[0, 1] = 0.2
    nibabel.save(nibabel.Nifti1Image(LABELS, sheared), tmp_path / "b.nii")
    with pytest.raises(VolumeError, match="sheared"):
        read_label_map(tmp_path / "b.nii")


@pytest.mark.parametrize(
    ("code", "text", "names"),
    [
        (0, CARET, {13: "liver"}),
        (30, '<?xml version="1.0" encoding="UTF-8"?>' + CARET, {13: "liver"}),
        (
            4,
            '<AFNI_attributes> "&lt;VALUE_LABEL_DTABLE&gt; &quot;13&quot; &quot;liver&quot;"',
            {13: "liver"},
        ),
        (0, CARET.replace("</LabelTable>", ""), {}),
        (0, '<!DOCTYPE a [<!ENTITY b "liver">]>' + CARET, {}),
        (6, "liver is 13", {}),
    ],
    ids=["TotalSegmentator", "Caret", "AFNI", "damaged", "entities", "a comment"],
)
def test_names_in_the_header_are_used(
    tmp_path: Path, code: int, text: str, names: dict[int, str]
) -> None:
    image = _image()
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, text.encode()))
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert read_label_map(tmp_path / "a.nii.gz").names == names


def test_a_scaling_of_the_header_is_used(tmp_path: Path) -> None:
    content = bytearray(nibabel.Nifti1Image(LABELS.astype(">i2"), PLACE).to_bytes())
    order = ">" if content[:4] == b"\0\0\x01\\" else "<"
    struct.pack_into(f"{order}2f", content, 112, 0.5, 10.0)
    (tmp_path / "a.nii").write_bytes(content)
    voxels = read_volume(tmp_path / "a.nii").voxels_kji
    assert np.unique(voxels).tolist() == [10.0, 16.5]


def test_nan_is_kept(tmp_path: Path) -> None:
    array = LABELS.astype(np.float32)
    array[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(array, PLACE), tmp_path / "a.nii")
    assert np.isnan(read_volume(tmp_path / "a.nii").voxels_kji[0, 0, 0])


def test_packed_and_plain_files_of_one_name_are_two(tmp_path: Path) -> None:
    for name, value in (("a.nii", 7), ("a.nii.gz", 13)):
        nibabel.save(
            nibabel.Nifti1Image((LABELS > 0).astype(np.uint8) * value, PLACE), tmp_path / name
        )
    assert read_label_map(tmp_path / "a.nii").values == (7,)
    assert read_label_map(tmp_path / "a.nii.gz").values == (13,)


def test_what_is_no_number_cannot_be_read_alone(tmp_path: Path, reader: str) -> None:
    if reader != "alone":
        pytest.skip("nibabel reads colors as fields, which are refused elsewhere")
    content = bytearray(_image().to_bytes())
    struct.pack_into("<2h", content, 70, 128, 24)
    (tmp_path / "a.nii").write_bytes(content + bytes(2 * LABELS.size))
    with pytest.raises(VolumeError, match="voxels of the type 128"):
        read_volume(tmp_path / "a.nii")
    struct.pack_into("<2h", content, 70, 16, 8)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(VolumeError, match="take 32 bits each, and its header says fewer"):
        read_volume(tmp_path / "a.nii")


def test_a_file_of_mgh_is_read_by_its_content(tmp_path: Path, reader: str) -> None:
    if reader == "alone":
        pytest.skip("MGH needs nibabel")
    nibabel.save(nibabel.MGHImage(LABELS, PLACE.astype(np.float32)), tmp_path / "a.mgz")
    for name in ("a.mgz", "b.mgh"):
        (tmp_path / name).write_bytes((tmp_path / "a.mgz").read_bytes())
        _is_as_saved(tmp_path / name)


def test_the_record_of_a_volume_is_read_without_nibabel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    volume = Volume(LABELS.T.astype(np.float32), PLACE, (0.0, 20.0), "HU", {"Seed": "7"})
    write_volume(volume, tmp_path / "a.nii.gz")
    monkeypatch.setattr(nifti_files, "nibabel_if_installed", lambda: None)
    found = read_volume(tmp_path / "a.nii.gz")
    assert (found.window, found.unit, found.provenance) == ((0.0, 20.0), "HU", {"Seed": "7"})
