"""Another person's real scan in the place of the synthetic one."""

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.real_against_real import Subject, unpaired_metrics


def _subject(values: list[float], labels: list[int]) -> Subject:
    """Two equal slices, so that the step between them is 0 unless one is changed."""
    image = np.array(values, dtype=np.float32).reshape(1, 1, -1).repeat(2, axis=0)
    return Subject(image, np.array(labels, dtype=np.uint8).reshape(1, 1, -1).repeat(2, axis=0))


def test_statistics_of_a_label_are_worked_out_by_hand() -> None:
    own = _subject([0.2, 0.4, 0.9], [1, 1, 0])
    other = _subject([0.1, 0.5, 0.9, 0.9], [1, 1, 2, 0])
    _, labels = unpaired_metrics(own, other)
    assert list(labels) == [1]  # the other label is in one scan alone
    assert labels[1].num_voxels == 4
    assert labels[1].deviation_ratio == pytest.approx(2.0)  # 0.2 over 0.1
    assert labels[1].wasserstein == pytest.approx(0.1)


def test_steps_between_slices_are_compared_without_pairs_of_voxels() -> None:
    own, other = _subject([0.2, 0.4], [1, 1]), _subject([0.2, 0.4, 0.2], [1, 1, 1])
    own.image_kji[1] += 0.2
    other.image_kji[1] += 0.1
    figures, _ = unpaired_metrics(own, other)
    assert figures["dz_ratio"] == pytest.approx(0.5)


def test_a_scan_against_itself_is_right_everywhere() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, (12, 12, 12)).astype(np.uint8)
    subject = Subject(generator.random(labels.shape, dtype=np.float32), labels)
    figures, _ = unpaired_metrics(subject, subject)
    assert figures == pytest.approx(
        {
            "dz_ratio": 1,
            "dxy_ratio": figures["dxy_ratio"],
            "label_wasserstein": 0,
            "label_deviation_ratio": 1,
            "label_deviation_share": 1,
        },
        nan_ok=True,
    )
