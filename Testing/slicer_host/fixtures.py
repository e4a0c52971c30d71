"""What the module's tests share: an empty scene, the module, and a model that needs no training."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import slicer

from slicer_host import scene as host_scene
from slicer_host import window
from slicer_host.pythonqt import qt

MODULE_FILE = Path(__file__).resolve().parents[2] / "AnatoMaskGAN" / "AnatoMaskGAN.py"


@pytest.fixture
def scene() -> slicer.vtkMRMLScene:
    """The application's scene, empty."""
    slicer.mrmlScene.Clear(0)
    return slicer.mrmlScene


@pytest.fixture(scope="session")
def module() -> types.ModuleType:
    """The module file, loaded as the application loads it at start-up."""
    window.start_window()
    host_module = window.load_module(MODULE_FILE)
    host_scene.start().completeStartup()
    return sys.modules[host_module.name]


@pytest.fixture
def model(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an installed model that knows skin, bone and marrow."""
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tiny_model.parent))
    return tiny_model.name


@pytest.fixture
def without_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application as `Slicer --no-main-window` runs it."""
    monkeypatch.setattr(host_scene.start(), "window", None)


@pytest.fixture
def panel(
    scene: slicer.vtkMRMLScene,
    module: types.ModuleType,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator:
    """The module's widget in the window, with the tiny model, which runs in this process."""
    from AnatoMaskGANModule.synthesis.backends import DirectBackend

    monkeypatch.setattr(module.AnatoMaskGANWidget, "backendClass", DirectBackend)
    yield from shown_panel(model)


@pytest.fixture
def panel_with_process(
    scene: slicer.vtkMRMLScene, module: types.ModuleType, model: str
) -> Iterator:
    """The same as the application shows it: the model runs in a process beside it."""
    yield from shown_panel(model)


def shown_panel(model: str) -> Iterator:
    app = window.start_window()
    # what earlier panels left; the application's event loop deletes it when they are closed
    qt.QCoreApplication.sendPostedEvents(None, qt.QEvent.Type.DeferredDelete)
    app.window.show()
    widget = window.show_module(app.modules.anatomaskgan)
    widget._parameterNode.model = model
    widget.updateFromScene()
    yield widget
    window.close_module(app.modules.anatomaskgan)
