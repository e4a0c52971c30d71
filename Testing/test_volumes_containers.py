"""LabelMap and Volume: what they hold, refuse and say of themselves."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from grids import OBLIQUE

from AnatoMaskGANLib.volumes import LabelMap, Volume, VolumeError
from AnatoMaskGANLib.volumes.label_map import in_smallest_type


def test_values_are_those_of_voxels_without_background() -> None:
    labels = LabelMap(np.array([[[0, 7, 3], [3, 0, 7]]]), np.eye(4), {3: "a", 9: "absent"})
    assert labels.values == (3, 7)
    assert labels.shape_kji == (1, 2, 3)


def test_values_may_be_as_large_as_those_of_the_allen_atlas() -> None:
    assert LabelMap(np.array([[[614454277, 0, 997]]]), np.eye(4)).values == (997, 614454277)


@pytest.mark.parametrize(
    ("largest", "dtype"), [(255, np.uint8), (256, np.int16), (32768, np.int32), (2**31, np.int64)]
)
def test_labels_get_the_smallest_type_that_holds_them(largest: int, dtype: type) -> None:
    assert in_smallest_type(np.array([0, largest])).dtype == dtype


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((2, 2), np.uint8), "three axes"),
        (np.zeros((2, 2, 2, 2), np.uint8), "three axes"),
        (np.zeros((2, 0, 2), np.uint8), "at least one voxel"),
        (np.zeros((2, 2, 2), np.float32), "type float32; expected integers"),
        (np.full((2, 2, 2), -1024, np.int16), "negative values .*-1024.*CT"),
    ],
)
def test_what_is_no_label_map_is_refused(labels: np.ndarray, words: str) -> None:
    with pytest.raises(VolumeError, match=words):
        LabelMap(labels, np.eye(4))


@pytest.mark.parametrize(
    ("voxels", "window", "words"),
    [
        (np.zeros((2, 2)), None, "three axes"),
        (np.zeros((2, 2, 2), complex), None, "complex128"),
        (np.zeros((2, 2, 2)), (3.0, 3.0), "window"),
        (np.zeros((2, 2, 2)), (0.0, np.nan), "window"),
    ],
)
def test_what_is_no_volume_is_refused(
    voxels: np.ndarray, window: tuple[float, float] | None, words: str
) -> None:
    with pytest.raises(VolumeError, match=words):
        Volume(voxels, np.eye(4), window)


def test_a_volume_keeps_integers_and_makes_other_numbers_float32() -> None:
    assert Volume(np.zeros((1, 1, 1), np.int16), np.eye(4)).voxels_kji.dtype == np.int16
    assert Volume(np.zeros((1, 1, 1), np.float64), np.eye(4)).voxels_kji.dtype == np.float32


def test_the_hash_tells_painting_and_place_and_not_type_or_names() -> None:
    labels = np.arange(24).reshape(2, 3, 4)
    labels_map = LabelMap(labels.astype(np.uint8), OBLIQUE)
    same = LabelMap(labels.astype(np.int32), OBLIQUE.astype(np.float32), {1: "a"})
    assert same.sha256() == labels_map.sha256()
    painted = labels.copy()
    painted[0, 0, 0] = 5
    moved = OBLIQUE.copy()
    moved[0, 3] += 0.01
    others = [
        LabelMap(painted, OBLIQUE),
        LabelMap(labels, moved),
        LabelMap(labels.reshape(2, 4, 3), OBLIQUE),
    ]
    assert len({other.sha256() for other in [labels_map, *others]}) == 4


def test_containers_can_be_sent_to_another_process() -> None:
    labels = LabelMap(np.ones((2, 2, 2), np.uint8), OBLIQUE, {1: "a"}, {1: "SCT:10200004"})
    copy = pickle.loads(pickle.dumps(labels))
    assert copy.names == {1: "a"}
    assert np.array_equal(copy.ijk_to_ras, OBLIQUE)
