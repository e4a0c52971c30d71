"""What all tests share: quiet plotting and, when it is there, a folder of real training data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Pictures go to files; a machine that runs tests may have no display.
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of data sets that ANATOMASKGAN_DATA names; tests that need it are skipped else."""
    value = os.environ.get("ANATOMASKGAN_DATA")
    if not value:
        pytest.skip("set ANATOMASKGAN_DATA to the folder that holds brain-t1 to run this test")
    return Path(value)
