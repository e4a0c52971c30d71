"""What is written is read back: labels, voxels, place, names, provenance, in every file type."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from grids import (
    LEFT_HANDED_PSL,
    OBLIQUE,
    grid,
    ijk_to_ras_matrices,
    small_shapes_kji,
    voxel_centers,
)
from hypothesis import HealthCheck, given, settings

from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    VolumeError,
    read_label_map,
    read_volume,
    write_label_map,
    write_volume,
)
from AnatoMaskGANLib.volumes.files import WRITABLE_SUFFIXES

GRIDS = {
    "left-handed": LEFT_HANDED_PSL,
    "oblique": OBLIQUE,
    "far": grid((0, 1, 2), (-1, 1, 1), (0.3, 0.3, 9.5), (0.01, 0.0, -0.02), (2000.0, -1500.0, 900)),
}
NAMES = {1: "Left-Hippocampus", 2: "tumor, 'old' = 3", 300: "Großhirn"}
CODES = {1: "SCT:5366008+SCT:7771000", 2: "SCT:108369006"}
PROVENANCE = {
    "Synthetic": "YES",
    "model": "brain-t1",
    "seed": "7",
    "sha256": "0123456789abcdef" * 4,
}


@pytest.fixture(params=["nibabel", "SimpleITK only"])
def nifti_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test once with nibabel and once as in Slicer, which has none."""
    if request.param != "nibabel":
        monkeypatch.setitem(sys.modules, "nibabel", None)
    return request.param


def _labels(shape: tuple[int, int, int] = (4, 5, 6)) -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([0, 1, 2, 300]), shape)


def _largest_center_error(shape: tuple[int, int, int], a: np.ndarray, b: np.ndarray) -> float:
    difference = voxel_centers(shape, a) - voxel_centers(shape, b)
    return float(np.linalg.norm(difference, axis=-1).max())


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
@pytest.mark.parametrize("grid_name", GRIDS)
def test_a_label_map_survives_its_file(
    tmp_path: Path, suffix: str, grid_name: str, nifti_library: str
) -> None:
    matrix = GRIDS[grid_name]
    written = LabelMap(_labels(), matrix, NAMES, CODES)
    write_label_map(written, tmp_path / f"map{suffix}")
    read = read_label_map(tmp_path / f"map{suffix}")
    assert np.array_equal(read.labels_kji, written.labels_kji)
    assert _largest_center_error(read.shape_kji, read.ijk_to_ras, matrix) < 1e-3
    assert read.sha256() == written.sha256()
    if nifti_library == "nibabel" or "nii" not in suffix:
        assert (read.names, read.codes) == (NAMES, CODES)


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, np.int32])
def test_a_volume_survives_its_file(
    tmp_path: Path, suffix: str, dtype: type, nifti_library: str
) -> None:
    voxels = np.random.default_rng(1).normal(60, 40, (4, 5, 6)).clip(0, 255).astype(dtype)
    written = Volume(voxels, OBLIQUE, (-100.0, 200.5), "HU", PROVENANCE)
    write_volume(written, tmp_path / f"volume{suffix}")
    read = read_volume(tmp_path / f"volume{suffix}")
    assert read.voxels_kji.dtype == dtype
    assert np.array_equal(read.voxels_kji, voxels)
    assert _largest_center_error(read.shape_kji, read.ijk_to_ras, OBLIQUE) < 1e-3
    if nifti_library == "nibabel" or "nii" not in suffix:
        assert (read.window, read.unit, read.provenance) == ((-100.0, 200.5), "HU", PROVENANCE)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(small_shapes_kji, ijk_to_ras_matrices)
def test_every_grid_survives_nifti_and_nrrd(
    tmp_path: Path, shape: tuple[int, int, int], matrix: np.ndarray
) -> None:
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    for suffix in (".nii", ".nrrd"):
        write_label_map(LabelMap(labels, matrix), tmp_path / f"map{suffix}")
        read = read_label_map(tmp_path / f"map{suffix}")
        assert np.array_equal(read.labels_kji, labels)
        assert _largest_center_error(shape, read.ijk_to_ras, matrix) < 1e-3


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ijk_to_ras_matrices)
def test_a_qform_is_read_as_nibabel_reads_it(tmp_path: Path, matrix: np.ndarray) -> None:
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), np.uint8), None)
    image.set_qform(matrix, code=1)
    image.set_sform(None, code=0)
    nibabel.save(image, tmp_path / "map.nii")
    expected = nibabel.load(tmp_path / "map.nii").affine
    read = read_label_map(tmp_path / "map.nii")
    # near half a turn 32 bits leave up to 6e-4 radians open
    tolerance = 1e-3 * np.linalg.norm(np.array(read.spacing_ijk_mm) * (5, 4, 3))
    assert _largest_center_error(read.shape_kji, read.ijk_to_ras, expected) < tolerance
    assert _largest_center_error(read.shape_kji, read.ijk_to_ras, matrix) < tolerance


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
def test_other_libraries_find_the_volume_in_the_same_place(tmp_path: Path, suffix: str) -> None:
    write_volume(Volume(np.zeros((4, 5, 6)), OBLIQUE), tmp_path / f"v{suffix}")
    image = SimpleITK.ReadImage(str(tmp_path / f"v{suffix}"))
    for index in [(0, 0, 0), (5, 0, 0), (0, 4, 0), (5, 4, 3)]:
        left, posterior, superior = image.TransformIndexToPhysicalPoint(index)
        expected = OBLIQUE @ (*index, 1)
        assert np.allclose((-left, -posterior, superior), expected[:3], atol=1e-3)
    if "nii" in suffix:
        header = nibabel.load(tmp_path / f"v{suffix}").header
        assert np.allclose(header.get_sform(), OBLIQUE, atol=1e-4)
        assert np.allclose(header.get_qform(), OBLIQUE, atol=1e-3)
        assert header["sform_code"] == header["qform_code"] == 1


def test_the_affine_of_a_nifti_file_comes_back_to_the_bit(tmp_path: Path) -> None:
    stored = OBLIQUE.astype(np.float32)
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), np.uint8), stored)
    nibabel.save(image, tmp_path / "in.nii.gz")
    labels = read_label_map(tmp_path / "in.nii.gz")
    write_label_map(labels, tmp_path / "out.nii.gz")
    assert np.array_equal(nibabel.load(tmp_path / "out.nii.gz").affine, stored.astype(np.float64))


@pytest.mark.usefixtures("nifti_library")
def test_a_short_note_in_the_nifti_header_says_that_it_is_synthetic(tmp_path: Path) -> None:
    volume = Volume(np.zeros((2, 2, 2)), np.eye(4), provenance=PROVENANCE)
    write_volume(volume, tmp_path / "v.nii.gz")
    note = nibabel.load(tmp_path / "v.nii.gz").header["descrip"].item().decode()
    assert note == "Synthetic=YES; model=brain-t1; seed=7; sha256=01234567"


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    volume = Volume(np.ones((2, 2, 2)), OBLIQUE, provenance=PROVENANCE)
    write_volume(volume, tmp_path / "a.nii.gz")
    write_volume(volume, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_volume_too_far_away_for_nifti_goes_to_nrrd(tmp_path: Path) -> None:
    far = np.eye(4)
    far[0, 3] = 123456.784
    volume = Volume(np.zeros((2, 2, 2)), far)
    with pytest.raises(VolumeError, match="write NRRD"):
        write_volume(volume, tmp_path / "v.nii")
    assert not (tmp_path / "v.nii").exists()
    write_volume(volume, tmp_path / "v.nrrd")
    assert read_volume(tmp_path / "v.nrrd").ijk_to_ras[0, 3] == pytest.approx(123456.784)


def test_labels_stored_as_floats_scaled_or_swapped_in_byte_order_are_labels(
    tmp_path: Path,
) -> None:
    labels = np.arange(24).reshape(2, 3, 4)
    for name, image in {
        "float": nibabel.Nifti1Image(labels.T.astype(np.float32), np.eye(4)),
        "big-endian": nibabel.Nifti1Image(labels.T.astype(">i2"), np.eye(4)),
    }.items():
        nibabel.save(image, tmp_path / f"{name}.nii")
        read = read_label_map(tmp_path / f"{name}.nii")
        assert np.array_equal(read.labels_kji, labels)
        assert read.labels_kji.dtype == np.uint8


@pytest.mark.usefixtures("nifti_library")
def test_a_trailing_axis_of_one_is_no_fourth_dimension(tmp_path: Path) -> None:
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(_labels().astype(np.int16))])
    for suffix in (".nii.gz", ".nrrd"):
        SimpleITK.WriteImage(image, str(tmp_path / f"map{suffix}"))
        assert np.array_equal(read_label_map(tmp_path / f"map{suffix}").labels_kji, _labels())


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
@pytest.mark.parametrize(
    "name",
    ["Gefäß", "ü中", "печень", " lead ", "two\nlines", "a\tb", 'a = "b" : \\', "~^|", "\u2028"],
)
def test_every_name_and_its_code_survive_their_file(tmp_path: Path, suffix: str, name: str) -> None:
    code = "SCT:64033007+SCT:7771000"
    written = LabelMap(np.array([[[0, 1, 2]]], np.uint8), np.eye(4), {1: name, 2: "b"}, {1: code})
    write_label_map(written, tmp_path / f"map{suffix}")
    read = read_label_map(tmp_path / f"map{suffix}")
    assert read.names == {1: name, 2: "b"}
    assert read.codes == {1: code}


@pytest.mark.parametrize("note", ["", "{", "[]", "5", '"'])
def test_a_damaged_name_of_a_segment_leaves_the_one_for_slicer(tmp_path: Path, note: str) -> None:
    image = SimpleITK.GetImageFromArray(np.ones((2, 2, 2), np.uint8))
    image.SetMetaData("Segment0_Name", "lead")
    image.SetMetaData("Segment0_NameAsJSON", note)
    SimpleITK.WriteImage(image, str(tmp_path / "map.nrrd"))
    assert read_label_map(tmp_path / "map.nrrd").names == {1: "lead"}


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
def test_a_long_provenance_is_written_or_refused_in_words(tmp_path: Path, suffix: str) -> None:
    volume = Volume(np.zeros((2, 2, 2)), np.eye(4), provenance={"note": "é" * 33_000})
    path = tmp_path / f"v{suffix}"
    if suffix == ".mha":
        with pytest.raises(VolumeError, match="198028 characters in the entry AnatoMaskGAN.*nrrd"):
            write_volume(volume, path)
        assert not path.exists()
        volume = Volume(np.zeros((2, 2, 2)), np.eye(4), provenance={"note": "e" * 31_900})
    write_volume(volume, path)
    assert read_volume(path).provenance == volume.provenance


def test_nifti_2_and_mgh_are_read(tmp_path: Path) -> None:
    labels = _labels().astype(np.int32)
    nibabel.save(nibabel.Nifti2Image(labels.T, OBLIQUE), tmp_path / "map.nii")
    nibabel.save(nibabel.MGHImage(labels.T, OBLIQUE.astype(np.float32)), tmp_path / "map.mgz")
    for name in ("map.nii", "map.mgz"):
        read = read_label_map(tmp_path / name)
        assert np.array_equal(read.labels_kji, labels)
        assert _largest_center_error(read.shape_kji, read.ijk_to_ras, OBLIQUE) < 1e-3


def _save_map_of_ones(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), path)
    return path


def test_names_come_from_the_given_table_the_file_the_folder_or_the_one_above(
    tmp_path: Path,
) -> None:
    path = _save_map_of_ones(tmp_path / "case" / "seg.nii.gz")
    assert read_label_map(path).names == {}
    (tmp_path / "labels.json").write_text('{"1": "above"}')
    assert read_label_map(path).names == {1: "above"}
    (tmp_path / "case" / "labels.json").write_text('{"1": "beside"}')
    assert read_label_map(path).names == {1: "beside"}
    write_label_map(LabelMap(np.ones((2, 2, 2), np.uint8), np.eye(4), {1: "inside"}), path)
    assert read_label_map(path).names == {1: "inside"}
    (tmp_path / "given.json").write_text('{"labels": {"1": "given"}}')
    assert read_label_map(path, tmp_path / "given.json").names == {1: "given"}
    assert read_label_map(path, "freesurfer-aseg").names[17] == "Left-Hippocampus"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "cannot be read"),
        ('["liver"]', "'liver'; expected an object"),
        ("5", "hold a int"),
        ('{"one": "liver"}', "'one'"),
        ('{"1": 5}', "expected a whole number and a name"),
        ('{"-1": "liver"}', "'-1'"),
    ],
)
def test_a_damaged_names_file_is_refused_in_words(tmp_path: Path, content: str, words: str) -> None:
    path = _save_map_of_ones(tmp_path / "seg.nii.gz")
    (tmp_path / "table.json").write_text(content)
    with pytest.raises(VolumeError, match=words):
        read_label_map(path, tmp_path / "table.json")


def test_a_names_file_that_is_not_there_names_the_bundled_ones(tmp_path: Path) -> None:
    path = _save_map_of_ones(tmp_path / "seg.nii.gz")
    with pytest.raises(VolumeError, match="no label table 'nope'.*freesurfer-brain"):
        read_label_map(path, "nope")


@pytest.mark.parametrize("record", ['{"AnatoMaskGAN": 5}', '{"AnatoMaskGAN": {"names": [1]', "[]"])
def test_a_damaged_note_in_a_header_does_not_lose_the_labels(tmp_path: Path, record: str) -> None:
    image = nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4))
    text = record if "AnatoMaskGAN" in record else f"AnatoMaskGAN {record}"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", text.encode()))
    nibabel.save(image, tmp_path / "map.nii.gz")
    assert read_label_map(tmp_path / "map.nii.gz").values == (1,)
    assert read_label_map(tmp_path / "map.nii.gz").names == {}


def test_the_sample_subject_has_names_for_all_its_labels() -> None:
    folder = Path(__file__).resolve().parents[1] / "Resources/SampleData/brain-t1-sub-19"
    labels = read_label_map(folder / "seg.nii.gz")
    image = read_volume(folder / "image.nii.gz")
    assert labels.shape_kji == image.shape_kji == (224, 192, 160)
    assert set(labels.values) <= set(labels.names)
    assert labels.names == {
        int(value): name for value, name in json.loads((folder / "labels.json").read_text()).items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("data_set", ["brain-t1", "mouse-brain", "ct-mr-samples"])
def test_real_cases_survive_their_files(data_folder: Path, tmp_path: Path, data_set: str) -> None:
    paths = sorted((data_folder / data_set).glob("*/seg.nii.gz"))
    assert paths
    for path in paths:
        labels = read_label_map(path)
        assert labels.values and set(labels.values) <= set(labels.names)
        for suffix in (".nii.gz", ".nrrd"):
            write_label_map(labels, tmp_path / f"seg{suffix}")
            again = read_label_map(tmp_path / f"seg{suffix}")
            assert np.array_equal(again.labels_kji, labels.labels_kji)
            assert np.allclose(again.ijk_to_ras, labels.ijk_to_ras, rtol=0, atol=1e-6)
        assert read_volume(path.with_name("image.nii.gz")).shape_kji == labels.shape_kji


def test_a_detached_metaimage_with_torn_data_is_refused(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((20, 20, 20), np.uint8))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mhd"), True)
    assert read_volume(tmp_path / "a.mhd").shape_kji == (20, 20, 20)
    data = tmp_path / "a.zraw"
    data.write_bytes(data.read_bytes()[:-3])
    with pytest.raises(VolumeError, match="a.zraw cannot be read"):
        read_volume(tmp_path / "a.mhd")
    data.unlink()
    with pytest.raises(VolumeError, match="a.mhd cannot be read"):
        read_volume(tmp_path / "a.mhd")


@pytest.mark.parametrize(
    ("slope", "offset", "stored_type", "expected"),
    [
        (1.0, -1024.0, np.int16, np.int16),
        (1.0, -1024.0, np.uint16, np.int16),
        (2.0, 0.0, np.uint8, np.int16),
        (2.0, 0.0, np.int16, np.int16),
        (1000.0, 7.0, np.int16, np.int32),
        (0.5, 0.0, np.int16, np.float32),
        (1.0, 0.25, np.uint8, np.float32),
    ],
)
def test_scaled_integers_stay_integers_where_they_are_whole(
    tmp_path: Path, slope: float, offset: float, stored_type: type, expected: type
) -> None:
    stored = np.array([0, 3, 200, 250], stored_type).reshape(1, 2, 2)
    path = tmp_path / "scaled.nii"
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<ff", slope, offset)  # scl_slope, scl_inter
    path.write_bytes(content)
    read = read_volume(path).voxels_kji
    assert read.dtype == expected
    np.testing.assert_array_equal(read, (stored * slope + offset).T)
    write_volume(Volume(read, np.eye(4)), tmp_path / "again.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "again.nii").voxels_kji, read)
