"""The evaluation of methods on cases with all further measurements, and the sets of slices."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from AnatoMaskGANLib.evaluation.baselines import TrainingCase, nearest_training_image
from AnatoMaskGANLib.evaluation.metrics.features import thumbnail_features
from AnatoMaskGANLib.evaluation.metrics.slice_sets import REAL, TRAINING, SliceSets, set_metrics
from AnatoMaskGANLib.evaluation.suite import EvaluationCase, Measurements, evaluate_cases
from AnatoMaskGANLib.volumes import LabelMap, Volume

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
WINDOW = (0.0, 100.0)


def _case(name: str, seed: int, shift: int = 0, subject: str = "") -> EvaluationCase:
    labels = np.zeros((12, 24, 24), dtype=np.uint8)
    labels[2:10, 4 + shift : 18 + shift, 5:17] = 1
    labels[4:8, 8 + shift : 12 + shift, 8:12] = 2
    noise = np.random.default_rng(seed).normal(0, 5, labels.shape)
    real = np.clip(labels * 40.0 + noise, 0, 100).astype(np.float32) * (labels > 0)
    label_map = LabelMap(labels, AFFINE, {1: "outer", 2: "inner"})
    return EvaluationCase(name, Volume(real.astype(np.float32), AFFINE), label_map, subject)


def _noisy(case: EvaluationCase, seed: int) -> Volume:
    noise = np.random.default_rng(seed + 50).normal(0, 5, case.real.voxels_kji.shape)
    return Volume((case.real.voxels_kji + noise).astype(np.float32), AFFINE)


def test_a_method_is_measured_by_everything_that_was_asked_for() -> None:
    measurements = Measurements(
        perceptual=lambda first, second: float(np.abs(first - second).mean()),
        segmenter=lambda volume: LabelMap(
            (volume.voxels_kji > 20).astype(np.uint8), volume.ijk_to_ras, {1: "outer"}
        ),
        feature_maps=lambda slices: [np.stack([slices, 1 - slices], axis=1)],
        samplers={"noisy": _noisy},
        num_samples=2,
    )
    table = evaluate_cases(
        [_case("a", 0), _case("b", 1)],
        {"noisy": lambda case: _noisy(case, 0), "real": lambda case: case.real},
        WINDOW,
        measurements=measurements,
    )
    assert table.mean("noisy", "lpips") > table.mean("real", "lpips") == 0
    assert table.mean("noisy", "feature_distance") > table.mean("real", "feature_distance") == 0
    assert table.mean("real", "dice_ratio") == 1
    assert 0.5 < table.mean("noisy", "samples_dice") <= 1
    assert table.mean("noisy", "diversity") > 0
    assert math.isnan(table.mean("real", "diversity"))


def test_a_volume_is_segmented_once_however_often_it_is_needed() -> None:
    seen = []

    def segment(volume: Volume) -> LabelMap:
        seen.append(volume)
        return LabelMap((volume.voxels_kji > 20).astype(np.uint8), AFFINE, {1: "outer"})

    case = _case("a", 0)
    made = [_noisy(case, seed) for seed in (0, 1)]
    evaluate_cases(
        [case],
        {"one": lambda _: made[0], "two": lambda _: made[1]},
        WINDOW,
        measurements=Measurements(
            segmenter=segment, samplers={"one": lambda _, seed: made[seed]}, num_samples=2
        ),
    )
    assert seen == [case.real, *made]


def test_sets_hold_each_real_slice_once_however_many_methods_there_are() -> None:
    sets = SliceSets(step=2)
    evaluate_cases(
        [_case("a-1", 0, subject="a"), _case("a-2", 1, subject="a")],
        {"one": lambda case: case.real, "two": lambda case: _noisy(case, 0)},
        WINDOW,
        slice_sets=sets,
    )
    assert sets.array("one").shape == (8, 224, 224)
    assert len(sets.slices[REAL]) == len(sets.slices["two"]) == 8
    assert sets.subjects["two"] == ["a"] * 8
    assert sets.methods == ("one", "two")


def test_figures_of_sets_are_perfect_for_the_real_slices_and_training_is_the_level() -> None:
    sets = SliceSets(step=1)
    evaluate_cases(
        [_case("a", 0), _case("b", 1)],
        {"real": lambda case: case.real, "noisy": lambda case: _noisy(case, 0)},
        WINDOW,
        slice_sets=sets,
    )
    for seed in (7, 8):
        training = _case(f"t{seed}", seed)
        image, labels = training.real.voxels_kji / 100, training.label_map.labels_kji
        sets.add_training(training.name, image, labels)
    figures = set_metrics(sets, {"thumbnail": thumbnail_features}, resolutions=(64,))
    assert set(figures) == {"real", "noisy", TRAINING}
    assert figures["real"]["fid (thumbnail)"] == pytest.approx(0, abs=1e-9)
    assert figures["real"]["precision (thumbnail)"] == 1
    assert figures["noisy"]["fid (thumbnail)"] > figures[TRAINING]["fid (thumbnail)"] > 0
    assert figures["real"]["mm_fid"] == pytest.approx(0, abs=1e-9)
    assert figures["real"]["copy_share"] < 0.1
    assert "copy_share" not in figures[TRAINING]


def test_a_copied_training_volume_is_found_whichever_slices_are_sampled() -> None:
    generator = np.random.default_rng(0)

    def image() -> np.ndarray:
        return gaussian_filter(generator.random((12, 24, 24)), (0, 2, 2)).astype(np.float32)

    labels = np.ones((12, 24, 24), dtype=np.uint8)
    training = [image(), image()]
    held_out = EvaluationCase("new", Volume(image(), AFFINE), LabelMap(labels, AFFINE, {1: "a"}))
    sets = SliceSets(step=4)
    copy = Volume(np.roll(training[0], 1, axis=0), AFFINE)
    evaluate_cases([held_out], {"copy": lambda _: copy}, (0.0, 1.0), slice_sets=sets)
    for number, voxels in enumerate(training):
        sets.add_training(f"t{number}", voxels, labels)
    figures = set_metrics(sets, {})["copy"]
    assert figures["copy_share"] == 1
    assert figures["neighbor_distance_ratio"] == pytest.approx(0, abs=1e-6)


def test_the_nearest_training_image_is_that_of_the_most_similar_anatomy() -> None:
    case = _case("new", 0)
    far = EvaluationCase(
        "far",
        case.real,
        LabelMap((case.label_map.labels_kji == 2).astype(np.uint8) * 2, AFFINE, {2: "inner"}),
    )
    near = _case("near", 5, shift=4)
    training = [TrainingCase(c.name, c.name, c.label_map, lambda c=c: c.real) for c in (far, near)]
    image = nearest_training_image(case.label_map, training)
    expected = np.roll(near.real.voxels_kji, -4, axis=1)
    assert np.allclose(image.voxels_kji, expected, atol=1e-3)
    assert "near" in image.provenance["maker"]


def test_the_nearest_training_image_needs_training_cases() -> None:
    with pytest.raises(ValueError, match="none was given"):
        nearest_training_image(_case("new", 0).label_map, [])
