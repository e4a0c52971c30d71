"""A case is read and its image and labels are held against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_archives
from tiny_archives import write_nifti

from AnatoMaskGANLib.preparation.archives import CaseFiles
from AnatoMaskGANLib.preparation.case_folders import find_case_folders
from AnatoMaskGANLib.preparation.reading import (
    names_in,
    read_case,
    read_masks,
    sides_look_exchanged,
)
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.volumes import LabelMap, VolumeError
from Testing import dicom_objects

LABELS = tiny_archives.anatomy((1, 2, 3))
IMAGE = tiny_archives.image_of(LABELS, 0, 900)


def pair(folder: Path) -> CaseFiles:
    return CaseFiles("case", "case", folder / "image.nii.gz", folder / "seg.nii.gz")


def test_a_pair_on_one_grid_is_read(tmp_path: Path) -> None:
    write_nifti(tmp_path / "image.nii.gz", IMAGE)
    write_nifti(tmp_path / "seg.nii.gz", LABELS, dtype=np.uint8)
    case = read_case(pair(tmp_path), 0.01)
    assert case.label_map.values == (1, 2, 3)
    assert case.volume.shape_kji == case.label_map.shape_kji


def test_the_same_voxels_stored_in_another_order_are_one_grid(tmp_path: Path) -> None:
    write_nifti(tmp_path / "image.nii.gz", IMAGE, (1, 1.5, 2), "LPS")
    write_nifti(tmp_path / "seg.nii.gz", LABELS, (1, 1.5, 2), "SAR", np.uint8)
    case = read_case(pair(tmp_path), 0.01)
    assert case.volume.shape_kji != case.label_map.shape_kji


def test_different_grids_are_refused_with_both_sizes(tmp_path: Path) -> None:
    write_nifti(tmp_path / "image.nii.gz", IMAGE[:-2])
    write_nifti(tmp_path / "seg.nii.gz", LABELS)
    with pytest.raises(PreparationError, match="22 x 22 x 20 and 24 x 22 x 20.*Resample one"):
        read_case(pair(tmp_path), 0.01)


def test_a_different_affine_is_refused_with_the_distance(tmp_path: Path) -> None:
    write_nifti(tmp_path / "image.nii.gz", IMAGE, (1, 1, 1))
    write_nifti(tmp_path / "seg.nii.gz", LABELS, (1, 1, 1.1))
    with pytest.raises(PreparationError, match="up to 1.9 mm apart"):
        read_case(pair(tmp_path), 0.01)
    read_case(pair(tmp_path), 2.0)


def test_an_image_with_values_that_are_no_numbers_is_refused(tmp_path: Path) -> None:
    image = IMAGE.copy()
    image[3, 3, 3:6] = np.nan
    write_nifti(tmp_path / "image.nii.gz", image, dtype=np.float32)
    write_nifti(tmp_path / "seg.nii.gz", LABELS)
    with pytest.raises(VolumeError, match="3 of [0-9]+ voxels whose values are NaN or infinite"):
        read_case(pair(tmp_path), 0.01)


def test_an_empty_label_map_and_a_flat_image_are_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "image.nii.gz", IMAGE)
    write_nifti(tmp_path / "seg.nii.gz", LABELS * 0)
    with pytest.raises(PreparationError, match="contains no label, only background"):
        read_case(pair(tmp_path), 0.01)
    write_nifti(tmp_path / "image.nii.gz", IMAGE * 0 + 7)
    with pytest.raises(PreparationError, match="the value 7 in every voxel"):
        read_case(pair(tmp_path), 0.01)


def test_a_dicom_series_and_a_nifti_label_map_are_one_case(tmp_path: Path) -> None:
    tiny_archives.dicom_series(tmp_path / "series", IMAGE, (1, 1, 2))
    write_nifti(tmp_path / "seg.nii.gz", LABELS, (1, 1, 2), "LPS")
    case = read_case(CaseFiles("c", "c", tmp_path / "series", tmp_path / "seg.nii.gz"), 0.01)
    assert case.volume.unit == "HU"
    assert case.volume.shape_kji == case.label_map.shape_kji


def mask(*slices: slice) -> np.ndarray:
    array = np.zeros(tiny_archives.SHAPE_IJK, dtype=np.uint8)
    array[slices] = 1
    return array


def test_mask_files_become_one_label_map_named_by_the_files(tmp_path: Path) -> None:
    write_nifti(tmp_path / "liver.nii.gz", mask(slice(2, 6)))
    write_nifti(tmp_path / "aorta.nii.gz", mask(slice(10, 12)))
    write_nifti(tmp_path / "spleen.nii.gz", mask(slice(0, 0)))
    notes: list[str] = []
    label_map = read_masks(tmp_path, notes)
    assert label_map.names == {1: "aorta", 2: "liver", 3: "spleen"}
    assert label_map.labels_kji[0, 0, [0, 3, 10]].tolist() == [0, 2, 1]
    assert label_map.values == (1, 2) and notes == []
    assert names_in(CaseFiles("c", "c", None, tmp_path)) == label_map.names


def test_masks_that_overlap_are_noted_or_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii.gz", mask(slice(2, 12)))
    rim = mask(slice(12, 22))
    rim[11, :3, 0] = 1
    write_nifti(tmp_path / "b.nii.gz", rim)
    notes: list[str] = []
    label_map = read_masks(tmp_path, notes)
    assert notes == ["3 voxels of b belong to a as well"]
    assert label_map.labels_kji[0, 0, 11] == 1
    write_nifti(tmp_path / "b.nii.gz", mask(slice(8, 22)))
    with pytest.raises(PreparationError, match="masks a and b overlap in 1760 voxels"):
        read_masks(tmp_path, [])


def test_names_come_from_labels_json_or_stand_for_values(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a" / "seg.nii.gz", LABELS, dtype=np.uint8)
    files = CaseFiles("a", "a", None, tmp_path / "a" / "seg.nii.gz")
    assert names_in(files) == {1: "label 1", 2: "label 2", 3: "label 3"}
    (tmp_path / "labels.json").write_text('{"1": "liver"}')
    assert names_in(files) == {1: "liver"}


def test_a_mirrored_map_is_noticed_by_its_sides() -> None:
    labels = np.zeros((4, 4, 20), dtype=np.uint8)
    labels[:, :, 2:5], labels[:, :, 14:18] = 1, 2
    names = {1: "left lung", 2: "right lung"}
    right_way = LabelMap(labels, np.eye(4), names)
    mirrored = LabelMap(labels[:, :, ::-1], np.eye(4), names)
    swaps = {1: 2, 2: 1}
    assert not sides_look_exchanged(right_way, swaps)
    assert sides_look_exchanged(mirrored, swaps)
    assert not sides_look_exchanged(mirrored, {})


def test_a_folder_without_a_mask_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        PreparationError, match="contains no mask file; expected one for each label"
    ):
        read_masks(tmp_path, [])


def test_a_segmentation_object_beside_its_series_is_a_case_with_all_slices(tmp_path: Path) -> None:
    labels = np.zeros((5, 6, 8), dtype=np.uint8)
    labels[1:3, 1:4, 1:5], labels[3, 2:5, 4:8] = 1, 2
    frames = [(value, k, labels[k] == value) for value, k in ((1, 1), (1, 2), (2, 3))]
    image = np.random.default_rng(0).integers(-100, 100, labels.shape)
    dicom_objects.write_all(dicom_objects.ct_slices(image), tmp_path / "case" / "ct")
    data_set = dicom_objects.segmentation(frames)
    data_set.save_as(tmp_path / "case" / "seg.dcm", enforce_file_format=True)
    (files,) = find_case_folders(tmp_path)
    assert (files.image, files.labels) == (tmp_path / "case/ct", tmp_path / "case/seg.dcm")
    case = read_case(files, 0.01)
    assert case.volume is not None and case.label_map is not None
    assert np.array_equal(case.label_map.labels_kji, labels)
    assert np.array_equal(case.volume.voxels_kji, image)
    # one that lies elsewhere is not moved
    first = data_set.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    assert first.ImagePositionPatient[0] != 0
    for frame in data_set.PerFrameFunctionalGroupsSequence:
        frame.PlanePositionSequence[0].ImagePositionPatient[0] += 0.3
    data_set.save_as(files.labels, enforce_file_format=True)
    with pytest.raises(PreparationError, match="have different grids"):
        read_case(files, 0.01)
