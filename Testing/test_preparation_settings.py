"""Settings of a preparation that make no sense are refused with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from AnatoMaskGANLib.config import SettingsError
from AnatoMaskGANLib.preparation.settings import PreparationSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing_mm": (1.0, 0.0, 1.0)},
        {"window": (240.0, -160.0)},
        {"percentiles": (99.0, 1.0)},
        {"num_superpixels": 1},
        {"compactness": 0.0},
        {"superpixel_step": 0},
        {"split": (0.7, 0.2, 0.2)},
        {"split": (1.2, -0.1, -0.1)},
        {"grid_tolerance_mm": 0.0},
        {"images": "images/all.nii.gz"},
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))} is .*; allowed"):
        PreparationSettings("folder", Path("in"), Path("out"), **wrong)


def test_patterns_belong_to_the_layout_folder() -> None:
    with pytest.raises(SettingsError, match="layout is 'btcv'; allowed: folder"):
        PreparationSettings("btcv", Path("in"), Path("out"), images="{case}.nii")


def test_the_paper_splits_its_subjects_70_15_15() -> None:
    assert PreparationSettings("folder", Path("in"), Path("out")).split == (0.7, 0.15, 0.15)
