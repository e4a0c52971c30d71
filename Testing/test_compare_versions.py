"""The comparison of two PyTorch versions fails when it should."""

from __future__ import annotations

import sys
from pathlib import Path

import compare_versions
import numpy as np
import pytest


@pytest.mark.parametrize(("difference", "code"), [(0.0, 0), (0.1, 0), (0.2, 1), (np.nan, 1)])
def test_voxels_that_differ_by_a_thousandth_of_the_window_fail(
    monkeypatch: pytest.MonkeyPatch, difference: float, code: int
) -> None:
    other = Path("other-python")
    made = {Path(sys.executable): np.zeros((2, 3, 4)), other: np.zeros((2, 3, 4))}
    made[other][1, 2, 3] = difference  # of a window of 160
    monkeypatch.setattr(compare_versions, "synthesize", lambda python, output: made[python])
    monkeypatch.setattr(compare_versions, "versions", str)
    monkeypatch.setattr(sys, "argv", ["compare_versions.py", str(other)])
    assert compare_versions.main() == code
