"""The module's own test, which Slicer runs too, on the bundled sample and the bundled model."""

from __future__ import annotations

import types

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
from slicer_host.fixtures import module, scene, without_window  # noqa: F401


@pytest.mark.usefixtures("scene", "without_window")
def test_the_modules_own_test_passes(module: types.ModuleType) -> None:
    slicer.selfTests["AnatoMaskGAN"]()
