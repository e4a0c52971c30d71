"""Precision, recall and memorization on points whose answer is plain."""

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.metrics.neighbors import memorization, precision_and_recall


def test_precision_and_recall_agree_with_plain_loops() -> None:
    generator = np.random.default_rng(0)
    real, synthetic = generator.normal(0, 1, (40, 3)), generator.normal(0.7, 0.6, (30, 3))

    def covered(base: np.ndarray, queries: np.ndarray, k: int) -> float:
        hits = 0
        for query in queries:
            hits += any(
                np.linalg.norm(query - point)
                <= sorted(np.linalg.norm(base - point, axis=1))[k] + 1e-12
                for point in base
            )
        return hits / len(queries)

    figures = precision_and_recall(real, synthetic, num_neighbors=5)
    assert figures["precision"] == pytest.approx(covered(real, synthetic, 5))
    assert figures["recall"] == pytest.approx(covered(synthetic, real, 5))


def test_a_generator_that_always_makes_one_real_image_is_precise_and_recalls_little() -> None:
    real = np.random.default_rng(0).normal(0, 1, (50, 2))
    figures = precision_and_recall(real, np.repeat(real[:1], 20, axis=0))
    assert figures == {"precision": 1.0, "recall": 1 / 50}


def test_too_small_sets_for_k_neighbors_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        precision_and_recall(np.zeros((5, 2)), np.zeros((9, 2)))


def _sets() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    training = generator.normal(0, 1, (60, 8))
    return training, np.repeat(np.arange(6), 10), generator.normal(0, 1, (40, 8))


def test_copies_of_training_images_are_found() -> None:
    training, subjects, held_out = _sets()
    figures = memorization(training, subjects, training[::7], held_out)
    assert figures["neighbor_distance_ratio"] == pytest.approx(0, abs=1e-6)
    assert figures["copy_share"] == 1.0
    assert figures["neighbor_distance_ratio_real"] > 0.7


def test_new_images_are_no_copies() -> None:
    training, subjects, held_out = _sets()
    new = np.random.default_rng(9).normal(0, 1, (40, 8))
    figures = memorization(training, subjects, new, held_out)
    ratio, ratio_real = figures["neighbor_distance_ratio"], figures["neighbor_distance_ratio_real"]
    assert ratio == pytest.approx(ratio_real, abs=0.1)
    assert figures["copy_share"] < 0.15


def test_neighboring_slices_of_one_training_subject_do_not_hide_a_copy() -> None:
    """The second nearest must be another person: two near slices of one would give a ratio of 1."""
    training = np.array([[0.0, 0.0], [0.0, 1.0], [10.0, 0.0]])
    figures = memorization(
        training, np.array(["a", "a", "b"]), np.array([[0.0, 0.5]]), np.array([[5.0, 0.0]])
    )
    assert figures["neighbor_distance_ratio"] == pytest.approx(0.5 / np.hypot(10, 0.5))


def test_one_training_subject_is_not_enough() -> None:
    with pytest.raises(ValueError, match="at least two"):
        memorization(np.zeros((3, 2)), np.array(["a"] * 3), np.zeros((1, 2)), np.zeros((1, 2)))
