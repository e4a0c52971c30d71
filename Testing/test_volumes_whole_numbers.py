"""Which numbers of a file are labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.volumes import VolumeError
from AnatoMaskGANLib.volumes.whole_numbers import labels_of

PATH = Path("case.nii")


def _array(*values: float) -> np.ndarray:
    return np.array([[values]])


def test_rounding_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    labels = labels_of(PATH, _array(0, 1.00001, 12.99999))
    assert labels.tolist() == [[[0, 1, 13]]]
    assert labels.dtype == np.uint8
    assert not caplog.text


def test_labels_that_arithmetic_moved_a_little_are_told(caplog: pytest.LogCaptureFixture) -> None:
    labels = labels_of(PATH, _array(0, 0.98, 13.03, 12.97))
    assert labels.tolist() == [[[0, 1, 13, 13]]]
    assert "3 values lie up to 0.03 beside whole numbers" in caplog.text


def test_a_scaling_may_move_labels_further_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    moved = _array(0, 1.8, 2.2, 100.1)
    assert labels_of(PATH, moved[..., [0, 1, 3]], "0.4 * value + 0").tolist() == [[[0, 2, 100]]]
    assert "scaling in its header (0.4 * value + 0)" in caplog.text
    with pytest.raises(VolumeError, match="the header scales them: 0.4"):
        labels_of(PATH, moved, "0.4 * value + 0")
    with pytest.raises(VolumeError, match="this is an intensity image"):
        labels_of(PATH, moved[..., [0, 1, 3]])


def test_nan_beside_whole_numbers_is_background(caplog: pytest.LogCaptureFixture) -> None:
    assert labels_of(PATH, _array(np.nan, 13, np.nan)).tolist() == [[[0, 13, 0]]]
    assert "2 of 3 values are NaN" in caplog.text


@pytest.mark.parametrize("value", [np.inf, 0.5, 1.3])
def test_an_intensity_image_stays_refused(value: float) -> None:
    with pytest.raises(VolumeError, match="fractional or not finite .such as"):
        labels_of(PATH, _array(np.nan, 13, value))


def test_fractions_that_all_round_to_background_are_no_labels() -> None:
    with pytest.raises(VolumeError, match="this is an intensity image"):
        labels_of(PATH, _array(0.01, 0.02))


def test_more_values_than_any_atlas_has_are_an_image() -> None:
    with pytest.raises(VolumeError, match="1001 different values"):
        labels_of(PATH, np.arange(1001).reshape(1, 7, 143))
    with pytest.raises(VolumeError, match="this is an intensity image"):
        labels_of(PATH, np.arange(1200).reshape(1, 10, 120) + 0.01)


def test_numbers_beyond_every_label_are_refused() -> None:
    with pytest.raises(VolumeError, match="Values reach 1e"):
        labels_of(PATH, _array(1e30))
