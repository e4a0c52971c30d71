"""A window around the scene: the panel of one module on the left, slice views on the right."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from pathlib import Path

import slicer
import vtk

from slicer_host import scene
from slicer_host.views import SliceView

# Drawn in memory, whatever display there is; QT_QPA_PLATFORM=xcb shows the window.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
if sys.platform.startswith("linux"):
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer_host.widgets  # noqa: E402, F401
from slicer_host.pythonqt import qt  # noqa: E402

# Name, orientation, row and column of each view.
FOUR_UP = (
    ("Red", "Axial", 0, 0),
    ("Green", "Coronal", 0, 1),
    ("Yellow", "Sagittal", 1, 0),
)
# As Slicer colors the bars of its views.
BAR_COLORS = {"Axial": "#f34a33", "Coronal": "#6eb04b", "Sagittal": "#edd54c"}
NOTICE = "slicer_host: a stand-in for tests, not the 3D Slicer application"


class SliceWidget(qt.QWidget):
    """A slice view with its bar, drawn again shortly after anything in it changed."""

    def __init__(self, app, name, orientation):
        super().__init__()
        self.view = SliceView(app, name, orientation)
        self.bar = qt.QLabel("  " + (name if orientation in name else f"{name}: {orientation}"))
        self.bar.setStyleSheet(f"background:{BAR_COLORS[orientation]}; color:black;")
        self.bar.setFixedHeight(20)
        self.canvas = qt.QLabel()
        self.canvas.setMinimumSize(120, 120)
        ignored = qt.QSizePolicy.Policy.Ignored
        self.canvas.setSizePolicy(ignored, ignored)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.bar)
        layout.addWidget(self.canvas, 1)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(60)
        self._timer.timeout.connect(self.draw)
        self.view.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._timer.start())

    def draw(self):
        pixels = self.view.picture(max(self.canvas.width, 64), max(self.canvas.height, 64))
        height, width, _ = pixels.shape
        kind = qt.QImage.Format.Format_RGB888
        image = qt.QImage(pixels.data, width, height, 3 * width, kind)
        self.canvas.setPixmap(qt.QPixmap.fromImage(image))

    def resizeEvent(self, event):
        self._timer.start()


class LayoutManager:
    """The part of `slicer.app.layoutManager()` that `slicer.util` calls."""

    def __init__(self, window):
        self._window = window

    def sliceViewNames(self):
        return list(self._window.sliceWidgets)

    def sliceWidget(self, name):
        view = self._window.sliceWidgets[name].view
        return types.SimpleNamespace(sliceLogic=lambda: view.logic, mrmlSliceNode=lambda: view.node)

    def mrmlSliceLogics(self):
        return slicer.app.applicationLogic().GetSliceLogics()

    def resetSliceViews(self):
        for widget in self._window.sliceWidgets.values():
            widget.view.fit()


class MainWindow(qt.QMainWindow):
    PANEL_WIDTH = 460

    def __init__(self, app, views):
        super().__init__()
        self.name = "qSlicerMainWindow"  # by which slicer.util finds it
        self.windowTitle = NOTICE
        self.statusBar().showMessage(NOTICE)
        self.layoutManager = LayoutManager(self)
        self.panel = slicer.qMRMLWidget()
        qt.QVBoxLayout(self.panel)
        scroll = qt.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.panel)
        scroll.setFixedWidth(self.PANEL_WIDTH)
        grid_widget = qt.QWidget()
        grid = qt.QGridLayout(grid_widget)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        self.sliceWidgets = {}
        for name, orientation, row, column in views:
            self.sliceWidgets[name] = SliceWidget(app, name, orientation)
            grid.addWidget(self.sliceWidgets[name], row, column)
        central = qt.QWidget()
        layout = qt.QHBoxLayout(central)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(scroll)
        layout.addWidget(grid_widget, 1)
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
        item = layout.takeAt(0)
        if item.widget() is not None:
            item.widget().setParent(None)
    module.widget = None
