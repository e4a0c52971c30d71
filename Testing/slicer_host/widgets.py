"""The `ctk` and `qMRML` widgets of our .ui file, on the real MRML scene; stand-ins for Slicer's."""

from __future__ import annotations

import sys
import types

import slicer
from PySide6.QtCore import Property, Signal

from slicer_host.pythonqt import UiLoader, qt

ctk = sys.modules.setdefault("ctk", types.ModuleType("ctk", "Stand-ins, for tests only"))


def stand_in(module):
    """Put the class where scripts look for it, and make it known to the loader of .ui files."""

    def register(cls):
        setattr(module, cls.__name__, cls)
        UiLoader.customWidgets[cls.__name__] = cls
        return cls

    return register


@stand_in(ctk)
class ctkCollapsibleButton(qt.QWidget):
    """A header button above a content that it hides and shows."""

    contentsCollapsed = Signal(bool)
    HEADER_HEIGHT = 26

    def __init__(self, parent=None):
        super().__init__(parent)
        self._isFolding, self._header = False, None
        self._header = qt.QToolButton(self)
        self._header.setCheckable(True)
        self._header.setChecked(True)
        self._header.setToolButtonStyle(qt.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._header.setArrowType(qt.Qt.ArrowType.DownArrow)
        self._header.toggled.connect(self._onToggled)
        self.setContentsMargins(0, self.HEADER_HEIGHT, 0, 0)

    def resizeEvent(self, event):
        self._header.setGeometry(0, 0, self.width, self.HEADER_HEIGHT - 2)

    def childEvent(self, event):
        if event.added() and event.child().isWidgetType():
            event.child().installEventFilter(self)

    def eventFilter(self, child, event):
        """Remember what a module hides itself: like the application's, a section that is unfolded
        shows only what was not hidden."""
        kinds = (qt.QEvent.Type.ShowToParent, qt.QEvent.Type.HideToParent)
        if event.type() in kinds and not self._isFolding and child is not self._header:
            child.setProperty("isHidden", event.type() == kinds[1])
            self._show(child)
        return False

    def _show(self, child):
        self._isFolding = True
        child.setVisible(self._header.checked and not child.property("isHidden"))
        self._isFolding = False

    def _onToggled(self, expanded):
        arrow = qt.Qt.ArrowType.DownArrow if expanded else qt.Qt.ArrowType.RightArrow
        self._header.setArrowType(arrow)
        for child in self.children():
            if isinstance(child, qt.QWidget) and child is not self._header:
                self._show(child)
        self.setMaximumHeight(16777215 if expanded else self.HEADER_HEIGHT)
        self.contentsCollapsed.emit(not expanded)

    def _setText(self, text):
        self._header.setText(text)

    def _setCollapsed(self, collapsed):
        self._header.setChecked(not collapsed)

    text = Property(str, lambda self: self._header.text, _setText)
    collapsed = Property(bool, lambda self: not self._header.checked, _setCollapsed)


@stand_in(ctk)
class ctkSliderWidget(qt.QWidget):
    """A slider and a spin box that show one number."""

    valueChanged = Signal(float)
    STEPS = 1000

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider, self._box = qt.QSlider(qt.Qt.Orientation.Horizontal), qt.QDoubleSpinBox()
        self._slider.setRange(0, self.STEPS)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._box)
        self._box.valueChanged.connect(self._onBoxChanged)
        self._slider.sliderMoved.connect(self._onSliderMoved)

    def _onBoxChanged(self, value):
        self._moveSlider()
        self.valueChanged.emit(value)

    def _moveSlider(self):
        width = (self._box.maximum - self._box.minimum) or 1
        self._slider.setValue(round(self.STEPS * (self._box.value - self._box.minimum) / width))

    def _onSliderMoved(self, position):
        width, step = self._box.maximum - self._box.minimum, self._box.singleStep
        steps = round(width * position / self.STEPS / step)
        self._box.setValue(self._box.minimum + steps * step)

    def setValue(self, value):
        self._box.setValue(value)

    def setRange(self, minimum, maximum):
        self._box.setRange(minimum, maximum)
        self._moveSlider()

    def _setMinimum(self, minimum):
        self.setRange(minimum, self._box.maximum)

    def _setMaximum(self, maximum):
        self.setRange(self._box.minimum, maximum)

    def _setSingleStep(self, step):
        self._box.setSingleStep(step)

    def _setDecimals(self, decimals):
        self._box.setDecimals(decimals)

    value = Property(float, lambda self: self._box.value, setValue)
    minimum = Property(float, lambda self: self._box.minimum, _setMinimum)
    maximum = Property(float, lambda self: self._box.maximum, _setMaximum)
    singleStep = Property(float, lambda self: self._box.singleStep, _setSingleStep)
    decimals = Property(int, lambda self: self._box.decimals, _setDecimals)


@stand_in(slicer)
class qMRMLWidget(qt.QWidget):
    """A widget that hands its scene to the widgets connected to `mrmlSceneChanged`."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene):
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self):
        return self._scene


def redrawn_property(kind, name, default):
    """A property of a node combo box that rebuilds its list when it is set."""

    def get(self):
        return self._options.get(name, default)

    def put(self, value):
        self._options[name] = value
        self._rebuild()

    return Property(kind, get, put)


@stand_in(slicer)
class qMRMLNodeComboBox(qt.QWidget):
    """The nodes of some classes in the scene, with "None" and "Create new" entries."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._observers, self._options = None, [], {}
        self._nodeIds, self._currentId = [], ""
        self._combo = qt.QComboBox()
        self._combo.setSizeAdjustPolicy(
            qt.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.activated.connect(self._onActivated)

    def setMRMLScene(self, scene):
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        self._scene, self._observers = scene, []
        if scene is not None:
            for event in (
                scene.NodeAddedEvent,
                scene.NodeRemovedEvent,
                scene.EndCloseEvent,
                scene.EndImportEvent,
            ):
                self._observers.append(scene.AddObserver(event, self._onSceneChanged))
        self._rebuild()

    def mrmlScene(self):
        return self._scene

    def _onSceneChanged(self, scene, event):
        if not scene.IsBatchProcessing():
            self._rebuild()

    def _isListed(self, node):
        if node.GetHideFromEditors():
            return False
        if self.showChildNodeTypes:
            return any(node.IsA(name) for name in self.nodeTypes)
        return node.GetClassName() in self.nodeTypes

    def _rebuild(self):
        nodes = []
        if self._scene is not None:
            nodes = [
                self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())
            ]
        nodes = [node for node in nodes if self._isListed(node)]
        self._combo.blockSignals(True)
        self._combo.clear()
        self._nodeIds = []
        if self.noneEnabled or not nodes:
            kind = (
                self.nodeTypes[0].replace("vtkMRML", "").replace("Node", "")
                if self.nodeTypes
                else ""
            )
            self._combo.addItem(self.noneDisplay if self.noneEnabled else f"Select a {kind}")
            self._nodeIds.append("")
        for node in nodes:
            self._combo.addItem(node.GetName())
            self._nodeIds.append(node.GetID())
        if self.addEnabled:
            self._combo.insertSeparator(self._combo.count)
            self._combo.addItem(f"Create new {self.baseName or 'node'}")
        wanted = self._currentId if self._currentId in self._nodeIds else self._nodeIds[0]
        self._combo.setCurrentIndex(self._nodeIds.index(wanted))
        self._combo.blockSignals(False)
        self._select(wanted)

    def _select(self, nodeId):
        if nodeId != self._currentId:
            self._currentId = nodeId
            self.currentNodeChanged.emit(self.currentNode())

    def _onActivated(self, index):
        if index < len(self._nodeIds):
            self._select(self._nodeIds[index])
        else:
            self.addNode()

    def addNode(self):
        name = self._scene.GenerateUniqueName(self.baseName or "node")
        node = self._scene.AddNewNodeByClass(self.nodeTypes[0], name)
        self.setCurrentNode(node)
        return node

    def currentNode(self):
        return self._scene.GetNodeByID(self._currentId) if self._currentId else None

    def setCurrentNode(self, node):
        nodeId = node.GetID() if node is not None else ""
        self._rebuild()
        if nodeId in self._nodeIds:
            self._combo.setCurrentIndex(self._nodeIds.index(nodeId))
            self._select(nodeId)
        elif not nodeId:
            self._combo.setCurrentIndex(-1)
            self._select("")

    nodeTypes = redrawn_property("QStringList", "nodeTypes", [])
    showChildNodeTypes = redrawn_property(bool, "showChildNodeTypes", True)
    noneEnabled = redrawn_property(bool, "noneEnabled", False)
    noneDisplay = redrawn_property(str, "noneDisplay", "None")
    addEnabled = redrawn_property(bool, "addEnabled", True)
    removeEnabled = redrawn_property(bool, "removeEnabled", True)
    renameEnabled = redrawn_property(bool, "renameEnabled", False)
    selectNodeUponCreation = redrawn_property(bool, "selectNodeUponCreation", True)
    baseName = redrawn_property(str, "baseName", "")
