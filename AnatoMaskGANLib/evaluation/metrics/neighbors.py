"""Metrics from nearest neighbors among feature vectors: precision, recall, memorization."""

from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.evaluation.packages import import_package

NUM_NEIGHBORS = 5
"""k of precision and recall."""


def precision_and_recall(
    real: np.ndarray, synthetic: np.ndarray, num_neighbors: int = NUM_NEIGHBORS
) -> dict[str, float]:
    """Improved precision and recall of two feature sets [N,D] and [M,D] (Kynkaanniemi 2019).

    Precision: fraction of synthetic vectors inside a ball around any real vector whose radius is
    the distance to that vector's k-th neighbor among the real ones. Recall: the same with the sets
    exchanged. Raises ValueError for sets of k vectors or fewer.
    """
    smallest = min(len(real), len(synthetic))
    if smallest <= num_neighbors:
        raise ValueError(
            f"A set has {smallest} feature vectors; precision and recall with k = {num_neighbors} "
            f"need at least {num_neighbors + 1}. Use more slices or a smaller k."
        )
    return {
        "precision": _fraction_covered(real, synthetic, num_neighbors),
        "recall": _fraction_covered(synthetic, real, num_neighbors),
    }


def _fraction_covered(base: np.ndarray, queries: np.ndarray, num_neighbors: int) -> float:
    pairwise = import_package("sklearn.metrics.pairwise", "Precision and recall")
    within = pairwise.euclidean_distances(base)
    # The nearest is the vector itself, at distance 0.
    radii = np.partition(within, num_neighbors, axis=1)[:, num_neighbors]
    return float((pairwise.euclidean_distances(queries, base) <= radii).any(axis=1).mean())


def memorization(
    training: np.ndarray,
    training_subjects: np.ndarray,
    synthetic: np.ndarray,
    held_out_real: np.ndarray,
) -> dict[str, float]:
    """Whether synthetic images repeat training images, from feature vectors [N,D] of each set.

    `neighbor_distance_ratio`: distance to the nearest training image over the distance to the
    nearest image of any other training subject, median over synthetic images. A copy gives 0, a
    new subject nearly 1; `..._real` is the same for real images that training never saw, the
    level to compare with. `copy_share`: fraction of synthetic images nearer to a training image
    than all but one in a hundred held-out real ones. `training_subjects` [N] names the person of
    each training vector. Raises ValueError for fewer than two training subjects.
    """
    if len(np.unique(training_subjects)) < 2:
        raise ValueError(
            "Memorization compares the two nearest training subjects; expected at least two "
            f"subjects, got {len(np.unique(training_subjects))}."
        )
    nearest, ratio = _nearest_and_ratio(training, training_subjects, synthetic)
    nearest_real, ratio_real = _nearest_and_ratio(training, training_subjects, held_out_real)
    return {
        "neighbor_distance_ratio": float(np.median(ratio)),
        "neighbor_distance_ratio_real": float(np.median(ratio_real)),
        "copy_share": float(np.mean(nearest < np.quantile(nearest_real, 0.01))),
    }


def _nearest_and_ratio(
    training: np.ndarray, subjects: np.ndarray, queries: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance [M] of each query to the nearest training subject, and its ratio to the second."""
    pairwise = import_package("sklearn.metrics.pairwise", "Memorization")
    distances = pairwise.euclidean_distances(queries, training)
    by_subject = np.stack(
        [distances[:, subjects == subject].min(axis=1) for subject in np.unique(subjects)], axis=1
    )
    first, second = np.partition(by_subject, 1, axis=1)[:, :2].T
    return first, np.divide(first, second, out=np.ones_like(first), where=second > 0)
