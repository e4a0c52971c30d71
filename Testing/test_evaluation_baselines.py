"""The images that need no learning."""

import json

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.baselines import (
    LabelMeans,
    label_gaussian_image,
    label_mean_image,
)
from AnatoMaskGANLib.volumes import LabelMap

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def _label_map(labels: list[int]) -> LabelMap:
    array = np.array(labels, dtype=np.uint8).reshape(1, 1, -1)
    return LabelMap(array, AFFINE, {value: f"label {value}" for value in set(labels) - {0}})


def test_label_means_survive_the_way_through_a_models_card() -> None:
    means = LabelMeans({0: (0.0, 0.01), 17: (0.5123456, 0.1)})
    read = LabelMeans.from_json(json.loads(json.dumps(means.to_json())))
    assert read.by_value[17] == pytest.approx(means.by_value[17], abs=1e-6)


@pytest.mark.parametrize("content", [{"1": 0.5}, {"one": [0.5, 0.1]}, [1, 2], {"1": [0.5, -0.1]}])
def test_damaged_label_means_are_refused(content: object) -> None:
    with pytest.raises(ValueError, match="label means"):
        LabelMeans.from_json(content)


def test_every_voxel_of_the_label_mean_image_is_the_mean_of_its_label_in_units() -> None:
    means = LabelMeans({0: (0.0, 0.0), 1: (0.25, 0.1), 9: (1.0, 0.0)})
    image = label_mean_image(_label_map([0, 9, 1, 0]), means, (-100.0, 100.0), unit="HU")
    assert image.voxels_kji.ravel().tolist() == [-100.0, 100.0, -50.0, -100.0]
    assert image.voxels_kji.dtype == np.float32
    assert np.array_equal(image.ijk_to_ras, AFFINE)
    assert (image.unit, image.window) == ("HU", (-100.0, 100.0))


def test_a_label_without_a_training_mean_is_refused_by_its_value() -> None:
    with pytest.raises(ValueError, match=r"values \[4\]"):
        label_mean_image(_label_map([0, 4]), LabelMeans({0: (0.0, 0.0)}), (0.0, 1.0))


def test_the_gaussian_image_has_the_mean_and_deviation_of_each_label() -> None:
    labels = LabelMap(np.repeat([1, 2], 50_000).reshape(10, 100, 100), AFFINE, {1: "a", 2: "b"})
    means = LabelMeans({1: (0.3, 0.05), 2: (0.6, 0.1)})
    image = label_gaussian_image(labels, means, (0.0, 10.0), seed=3).voxels_kji
    assert image[labels.labels_kji == 1].mean() == pytest.approx(3, abs=0.01)
    assert image[labels.labels_kji == 2].std() == pytest.approx(1, abs=0.01)


def test_the_gaussian_image_is_the_same_for_the_same_seed_only() -> None:
    labels, means = _label_map([1] * 50), LabelMeans({1: (0.5, 0.1)})
    first, again, other = (
        label_gaussian_image(labels, means, (0.0, 1.0), seed=seed).voxels_kji for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_gaussian_image_leaves_the_background_smooth() -> None:
    means = LabelMeans({0: (0.1, 0.5), 1: (0.5, 0.1)})
    image = label_gaussian_image(_label_map([0, 1, 0, 1]), means, (0.0, 1.0)).voxels_kji.ravel()
    assert image[[0, 2]] == pytest.approx(0.1)
    assert image[1] != image[3]


def test_a_label_without_training_mean_takes_the_mean_of_the_other_labels() -> None:
    means = LabelMeans({0: (0.0, 0.0), 1: (0.2, 0.1), 2: (0.6, 0.3)})
    labels = np.array([[[0, 1, 7]]], dtype=np.uint8)
    label_map = LabelMap(labels, np.eye(4), {1: "a", 7: "never seen"})
    assert means.missing_from(label_map) == (7,)
    image = label_mean_image(label_map, means.covering(label_map), (0.0, 100.0))
    assert image.voxels_kji.ravel().tolist() == pytest.approx([0, 20, 40])
    known = LabelMap(labels[..., :2], np.eye(4), {1: "a"})
    assert means.covering(known) is means


def test_labels_cannot_borrow_a_mean_where_there_is_none() -> None:
    label_map = LabelMap(np.full((1, 1, 2), 7, dtype=np.uint8), np.eye(4), {7: "never seen"})
    with pytest.raises(ValueError, match="No label has a training mean"):
        LabelMeans({0: (0.0, 0.0)}).covering(label_map)
