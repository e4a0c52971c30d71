"""Distances between sets of features, against SciPy, hand-worked values and plain loops."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from AnatoMaskGANLib.evaluation.metrics.distribution import (
    frechet_distance,
    kernel_distance,
    multi_scale_metrics,
)
from AnatoMaskGANLib.evaluation.metrics.features import (
    checked_features,
    thumbnail_features,
    torchscript_features,
    unit_rows,
)
from AnatoMaskGANLib.evaluation.weights import WeightsError


def _set(seed: int, count: int, features: int, shift: float = 0.0, scale: float = 1.0):
    generator = np.random.default_rng(seed)
    return shift + scale * generator.standard_normal((count, features))


def test_the_frechet_distance_agrees_with_the_matrix_root_where_that_is_well_conditioned() -> None:
    real, synthetic = _set(0, 400, 6), _set(1, 300, 6, 0.3, 1.4)
    real_covariance, synthetic_covariance = np.cov(real.T), np.cov(synthetic.T)
    expected = np.square(real.mean(axis=0) - synthetic.mean(axis=0)).sum() + np.trace(
        real_covariance + synthetic_covariance - 2 * sqrtm(real_covariance @ synthetic_covariance)
    )
    assert frechet_distance(real, synthetic) == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_of_one_feature_is_worked_out_by_hand() -> None:
    """Means 0 and 3, deviations 1 and 2: (0-3)^2 + (1-2)^2 = 10."""
    real = np.array([[-1.0], [1.0], [-1.0], [1.0]]) * np.sqrt(3 / 4)
    synthetic = 3 + 2 * real
    assert frechet_distance(real, synthetic) == pytest.approx(10)


def test_equal_sets_are_at_distance_zero_even_with_fewer_vectors_than_features() -> None:
    features = _set(0, 10, 64)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_of_singular_covariances_is_exact() -> None:
    """Sets on one line in 64 dimensions have the distance of the line's coordinates."""
    direction = unit_rows(_set(3, 1, 64))
    first, second = _set(0, 8, 1), _set(1, 9, 1, 0.5, 2.0)
    assert frechet_distance(first @ direction, second @ direction) == pytest.approx(
        frechet_distance(first, second), rel=1e-8
    )


def test_the_kernel_distance_agrees_with_plain_loops() -> None:
    real, synthetic = _set(0, 7, 3), _set(1, 5, 3, 0.5)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (float(x @ y) / 3 + 1) ** 3

    def within(items: np.ndarray) -> float:
        n = len(items)
        pairs = [kernel(items[a], items[b]) for a in range(n) for b in range(n) if a != b]
        return sum(pairs) / (n * (n - 1))

    across = np.mean([kernel(x, y) for x in real for y in synthetic])
    expected = within(real) + within(synthetic) - 2 * across
    assert kernel_distance(real, synthetic) == pytest.approx(expected)


def test_the_kernel_distance_of_two_samples_of_one_distribution_is_about_zero() -> None:
    distances = [kernel_distance(_set(n, 60, 4), _set(100 + n, 60, 4)) for n in range(40)]
    assert abs(np.mean(distances)) < 0.05


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_sets_of_different_extractors_and_single_images_are_refused(distance) -> None:
    with pytest.raises(ValueError, match="one extractor"):
        distance(_set(0, 5, 3), _set(0, 5, 4))
    with pytest.raises(ValueError, match="at least two"):
        distance(_set(0, 1, 3), _set(0, 5, 3))


def _mean_and_deviation(slices: np.ndarray) -> np.ndarray:
    return np.stack([slices.mean(axis=(1, 2)), slices.std(axis=(1, 2))], axis=1)


def test_mm_fid_is_zero_and_mm_std_equal_for_equal_sets() -> None:
    slices = np.random.default_rng(0).random((6, 32, 32), dtype=np.float32)
    figures = multi_scale_metrics(slices, slices, {"moments": _mean_and_deviation}, (16, 32))
    assert figures.frechet == pytest.approx(np.zeros((1, 2)), abs=1e-9)
    summary = figures.summary()
    assert summary["mm_std"] == summary["mm_std_real"] > 0


def test_mm_fid_is_the_mean_over_extractors_and_resolutions_of_row_normalized_features() -> None:
    generator = np.random.default_rng(0)
    real, synthetic = generator.random((2, 6, 32, 32), dtype=np.float32)
    synthetic = synthetic * 0.5
    extractors = {"moments": _mean_and_deviation, "thumbnail": thumbnail_features}
    figures = multi_scale_metrics(real, synthetic, extractors, (32,))
    by_hand = [
        frechet_distance(unit_rows(extract(real)), unit_rows(extract(synthetic)))
        for extract in extractors.values()
    ]
    assert figures.frechet[:, 0] == pytest.approx(by_hand, rel=1e-4)
    assert figures.summary()["mm_fid"] == pytest.approx(np.mean(by_hand), rel=1e-4)


def test_mm_fid_without_an_extractor_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one extractor"):
        multi_scale_metrics(np.zeros((2, 8, 8)), np.zeros((2, 8, 8)), {})


def test_an_extractor_that_returns_maps_instead_of_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="'maps'.*one finite feature vector"):
        checked_features(lambda slices: slices, np.zeros((2, 4, 4)), "maps")


def test_a_network_file_is_used_only_with_the_hash_that_was_stated(tmp_path) -> None:
    network = torch.jit.trace(torch.nn.Flatten(), torch.zeros(1, 3, 4, 4))
    path = tmp_path / "features.pt"
    network.save(str(path))
    import hashlib

    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    slices = np.random.default_rng(0).random((5, 4, 4), dtype=np.float32)
    features = torchscript_features(path, sha256)(slices)
    assert np.array_equal(features, np.tile(slices.reshape(5, 16), 3))
    with pytest.raises(WeightsError, match="another file"):
        torchscript_features(path, "0" * 64)
    with pytest.raises(WeightsError, match="have no hash"):
        torchscript_features(path)
    with pytest.raises(WeightsError, match="does not exist"):
        torchscript_features(tmp_path / "inception-2015-12-05-6726825d.pth")
