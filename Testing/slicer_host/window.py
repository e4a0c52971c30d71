"""A window around the scene: the panel of one module on the left, slice views on the right."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from pathlib import Path

import slicer

from slicer_host import scene

# Drawn in memory, whatever display there is; QT_QPA_PLATFORM=xcb shows the window.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
if sys.platform.startswith("linux"):
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer_host.segment_editor
import slicer_host.widgets
from slicer_host.layouts import LayoutManager
from slicer_host.pythonqt import qt

# Name, orientation, row and column of each view.
FOUR_UP = (
    ("Red", "Axial", 0, 0),
    ("Green", "Coronal", 0, 1),
    ("Yellow", "Sagittal", 1, 0),
)
NOTICE = "slicer_host: a stand-in for tests, not the 3D Slicer application"


class MainWindow(qt.QMainWindow):
    PANEL_WIDTH = 560

    def __init__(self, app, views):
        super().__init__()
        self.name = "qSlicerMainWindow"  # by which slicer.util finds it
        self.windowTitle = NOTICE
        self.statusBar().showMessage(NOTICE)
        self.panel = slicer.qMRMLWidget()
        qt.QVBoxLayout(self.panel)
        self.scroll = qt.QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll.setWidget(self.panel)
        self.scroll.setFixedWidth(self.PANEL_WIDTH)
        self.layoutManager = LayoutManager(app, views)
        central = qt.QWidget()
        layout = qt.QHBoxLayout(central)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.scroll)
        layout.addWidget(self.layoutManager.widget, 1)
        self.setCentralWidget(central)


def start() -> scene.Application:
    """The one application of this process, with Qt as `Slicer --no-main-window` has it."""
    if qt.QApplication.instance() is None:
        slicer.hostQtApplication = qt.QApplication([scene.Application.applicationName])
        # the application's own settings, which end with this process
        qt.QCoreApplication.setOrganizationName(scene.Application.applicationName)
        qt.QSettings.setDefaultFormat(qt.QSettings.Format.IniFormat)
        qt.QSettings.setPath(
            qt.QSettings.Format.IniFormat,
            qt.QSettings.Scope.UserScope,
            scene.start().temporaryPath,
        )
    return scene.start()


def start_window(views=None) -> scene.Application:
    """The one application of this process, with its one window."""
    app = start()
    if app.window is None:
        app.window = MainWindow(app, views or FOUR_UP)
    return app


def load_module(path: str | Path) -> scene.Module:
    """The module as the application loads it at start-up: the file is run, no widget is made."""
    app, path = start(), Path(path).resolve()
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    python_module = importlib.util.module_from_spec(spec)
    sys.modules[name] = python_module
    spec.loader.exec_module(python_module)
    module = scene.Module(name, path=str(path))
    setattr(app.modules, name.lower(), module)
    parent = types.SimpleNamespace(path=str(path), name=name, icon=None)
    setattr(app.modules, f"{name}Instance", getattr(python_module, name)(parent))
    module.title = parent.title
    return module


def help_section(parent: types.SimpleNamespace) -> qt.QWidget:
    """The folded section that the application puts above every module's panel."""
    section = slicer_host.widgets.ctk.ctkCollapsibleButton()
    section.text = "Help && Acknowledgement"
    text = qt.QLabel(f"{parent.helpText}<p>{parent.acknowledgementText}</p>")
    text.setWordWrap(True)
    qt.QVBoxLayout(section).addWidget(text)
    section.collapsed = True
    return section


def show_module(module: scene.Module):
    """The module's widget, set up and entered, in the window's panel when there is a window."""
    app = scene.start()
    if app.window is not None:
        panel = app.window.panel
    else:
        panel = slicer.qMRMLWidget()
        qt.QVBoxLayout(panel)
    panel.setMRMLScene(app.scene)
    panel.layout().addWidget(help_section(getattr(app.modules, f"{module.name}Instance").parent))
    widget = getattr(sys.modules[module.name], f"{module.name}Widget")(panel)
    module.widget = widget
    setattr(app.modules, f"{module.name}Widget", widget)
    widget.setup()
    widget.layout.addStretch(1)
    widget.enter()
    return widget


def close_module(module: scene.Module) -> None:
    """What the application does with a module's widget when the module is unloaded or reloaded."""
    scene.start().announceUnload(module.name)
    layout = module.widget.layout
    while layout.count():
        content = layout.takeAt(0).widget()
        if content is None:
            continue
        if isinstance(content, slicer.qMRMLWidget):
            content.setMRMLScene(None)  # or its selectors would follow the scene for ever
        content.setParent(None)
        content.deleteLater()
    module.widget = None
