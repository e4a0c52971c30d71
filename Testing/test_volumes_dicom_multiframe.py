"""One Enhanced object with all slices is a volume like a series with a file for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from AnatoMaskGANLib.volumes import VolumeError, read_volume, same_grid
from Testing.dicom_objects import ct_slices, enhanced_mr, item, ras_of, write_all

VOXELS = np.random.default_rng(0).integers(0, 100, (4, 6, 8)) * 60
# slice k is stored divided by k + 1, of which 60 is a multiple


def _read(tmp_path: Path, data_set):
    data_set.save_as(tmp_path / "scan.dcm", enforce_file_format=True)
    return read_volume(tmp_path / "scan.dcm")


def _refused(tmp_path: Path, data_set, match: str) -> None:
    with pytest.raises(VolumeError, match=match):
        _read(tmp_path, data_set)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_frames_in_any_order_with_their_own_slopes_are_a_volume_in_its_place(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    volume = _read(tmp_path, enhanced_mr(VOXELS, order))
    assert np.array_equal(volume.voxels_kji, VOXELS)
    assert volume.unit == ""
    for i, j, k in [(0, 0, 0), (7, 5, 3), (7, 0, 2)]:
        assert np.allclose((volume.ijk_to_ras @ (i, j, k, 1))[:3], ras_of(i, j, k), atol=1e-4)


def test_it_lies_where_simpleitk_reads_the_same_slices_as_a_series(tmp_path: Path) -> None:
    write_all(ct_slices(VOXELS - 1000), tmp_path / "series")
    write_all([enhanced_mr(VOXELS, (1, 3, 0, 2))], tmp_path / "one")
    series, one = read_volume(tmp_path / "series"), read_volume(tmp_path / "one")
    assert same_grid(series, one)
    assert np.array_equal(series.voxels_kji + 1000, one.voxels_kji)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "series"))
    image = SimpleITK.ReadImage(names)
    for index in [(0, 0, 0), (7, 5, 3)]:
        lps = image.TransformIndexToPhysicalPoint(index)
        ras = (one.ijk_to_ras @ (*index, 1))[:3]
        assert np.allclose(np.array(lps) * (-1, -1, 1), ras, atol=1e-3)


def test_a_ct_in_whole_units_is_in_hounsfield_units(tmp_path: Path) -> None:
    made = enhanced_mr(VOXELS, (0, 1, 2, 3))
    for k, frame in enumerate(made.PerFrameFunctionalGroupsSequence):
        scaling = item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
        frame.PixelValueTransformationSequence = [scaling]
        assert k < 4
    volume = _read(tmp_path, made)
    stored = np.stack([VOXELS[k] // (k + 1) for k in range(4)])
    assert volume.unit == "HU" and volume.voxels_kji.dtype.kind == "i"
    assert np.array_equal(volume.voxels_kji, stored - 1024)


def test_several_images_of_each_slice_are_refused(tmp_path: Path) -> None:
    made = enhanced_mr(VOXELS, (0, 1, 0, 1))
    _refused(tmp_path, made, "4 frames in 2 places .*; expected one for each slice. Split it")


def test_missing_slices_are_refused(tmp_path: Path) -> None:
    made = enhanced_mr(VOXELS, (0, 1, 3))
    _refused(tmp_path, made, "holds 3 frames of 4 evenly spaced slices.*Slices are missing")


def test_a_picture_in_colors_is_refused(tmp_path: Path) -> None:
    made = enhanced_mr(VOXELS, (0, 1, 2))
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, "RGB"
    made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelData = 7, bytes(3 * 3 * 6 * 8)
    _refused(tmp_path, made, "holds 3 values for each voxel; expected one")
