"""A folder with one mask a structure is one label map."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from AnatoMaskGANLib.volumes import VolumeError, read_label_map
from AnatoMaskGANLib.volumes.mask_folder import is_mask_folder, mask_files, read_mask_folder


def _mask(path: Path, start: int, value: int = 1, place: float = 0.0) -> None:
    mask = np.zeros((8, 6, 6), np.uint8)
    mask[start : start + 3, 1:5, 1:5] = value
    matrix = np.eye(4)
    matrix[0, 3] = place
    nibabel.save(nibabel.Nifti1Image(mask, matrix), path)


def test_masks_are_numbered_and_named_by_their_files(tmp_path: Path) -> None:
    _mask(tmp_path / "liver.nii.gz", 0)
    _mask(tmp_path / "kidney_left.nii.gz", 4, value=255)
    label_map = read_mask_folder(tmp_path)
    assert label_map.names == {1: "kidney_left", 2: "liver"}
    assert [np.count_nonzero(label_map.labels_kji == v) for v in (1, 2)] == [48, 48]
    assert label_map.labels_kji[2, 2].tolist() == [2, 2, 2, 0, 1, 1, 1, 0]


def test_a_rim_that_two_masks_share_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, low, high in (("a", 0, 101), ("b", 100, 200)):
        mask = np.zeros((200, 6, 6), np.uint8)
        mask[low:high] = 1
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / f"{name}.nii.gz")
    notes: list[str] = []
    read_mask_folder(tmp_path, notes)
    assert notes == ["36 voxels of b belong to a as well"]
    read_mask_folder(tmp_path)
    assert "36 voxels of b belong to a as well" in caplog.text


def test_what_is_no_folder_of_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="contains no mask file"):
        read_mask_folder(tmp_path)
    _mask(tmp_path / "liver.nii.gz", 0)
    _mask(tmp_path / "spleen.nii.gz", 1)
    with pytest.raises(VolumeError, match="overlap in 32 voxels"):
        read_mask_folder(tmp_path)
    _mask(tmp_path / "spleen.nii.gz", 4, place=5.0)
    with pytest.raises(VolumeError, match="has another grid than the masks before it"):
        read_mask_folder(tmp_path)
    labels = np.zeros((8, 6, 6), np.uint8)
    labels[0], labels[1] = 1, 2
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "aorta.nii.gz")
    with pytest.raises(VolumeError, match="has the labels 1, 2; expected a mask of one value"):
        read_mask_folder(tmp_path)


@pytest.mark.parametrize(
    ("names", "is_one"),
    [
        (("liver", "kidney_left", "my_tumor"), True),
        (("thalamus_left", "brainstem"), True),
        (("case1", "case2"), False),
        (("liver",), False),
        (("liver", "case1", "case2"), False),
    ],
)
def test_a_folder_of_masks_is_known_by_the_names_of_structures(
    tmp_path: Path, names: tuple[str, ...], is_one: bool
) -> None:
    for name in (*names, ".hidden"):
        (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "liver.img").touch()
    assert is_mask_folder(tmp_path) == is_one
    assert len(mask_files(tmp_path)) == len(names)
    assert not is_mask_folder(tmp_path / "nowhere")


def test_a_single_mask_is_named_by_its_file(tmp_path: Path) -> None:
    _mask(tmp_path / "thalamus_left.nii.gz", 0, value=1)
    assert read_label_map(tmp_path / "thalamus_left.nii.gz").names == {1: "thalamus_left"}
    _mask(tmp_path / "case7.nii.gz", 0, value=1)
    assert read_label_map(tmp_path / "case7.nii.gz").names == {}
