"""`@parameterNodeWrapper` for the types and widgets that our module uses; stands in for Slicer's.

As in Slicer, values live as text and node references in a vtkMRMLScriptedModuleNode, a combo box is
filled from its `Choice` or `Enum`, and a bad value is refused when it is set.
"""

import enum
import json
import typing
from dataclasses import dataclass

import slicer
import vtk

__all__ = ["Choice", "Maximum", "Minimum", "WithinRange", "parameterNodeWrapper"]


@dataclass
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not in [{self.minimum}, {self.maximum}]")


@dataclass
class Minimum:
    minimum: float

    def validate(self, value):
        if value < self.minimum:
            raise ValueError(f"{value} < {self.minimum}")


@dataclass
class Maximum:
    maximum: float

    def validate(self, value):
        if value > self.maximum:
            raise ValueError(f"{value} > {self.maximum}")


class Choice:
    def __init__(self, choices):
        self.choices = list(choices)

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"{value} is not one of {self.choices}")


class Parameter:
    """One parameter of a wrapper: its type, its default, and how it is kept in the node."""

    def __init__(self, name, hint, default):
        self.name = name
        self.annotations = list(getattr(hint, "__metadata__", ()))
        plain = typing.get_args(hint)[0] if self.annotations else hint
        self.type = typing.get_origin(plain) or plain
        self.isNode = issubclass(self.type, slicer.vtkMRMLNode)
        if default is None and not self.isNode:
            default = next(iter(self.type)) if issubclass(self.type, enum.Enum) else self.type()
        self.default = default

    def annotation(self, kind):
        return next((a for a in self.annotations if isinstance(a, kind)), None)

    def read(self, node):
        if self.isNode:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.type is bool:
            return text == "True"
        if self.type in (dict, list):
            return json.loads(text)
        return self.type[text] if issubclass(self.type, enum.Enum) else self.type(text)

    def write(self, node, value):
        if self.isNode:
            if value is not None and not value.IsA(self.type.__name__):
                raise TypeError(f"{self.name} needs a {self.type.__name__}, not {value!r}")
            node.SetNodeReferenceID(self.name, value.GetID() if value else None)
            return
        accepted = (int, float) if self.type is float else self.type
        if not isinstance(value, accepted):
            raise TypeError(f"{self.name} needs {self.type.__name__}, not {value!r}")
        for annotation in self.annotations:
            annotation.validate(value)
        if isinstance(value, enum.Enum):
            text = value.name
        else:
            text = json.dumps(value) if self.type in (dict, list) else str(value)
        node.SetParameter(self.name, text)


class Connector:
    """One widget and the parameter it shows."""

    def __init__(self, widget, parameter):
        import qt

        self.widget, self.parameter = widget, parameter
        bounds = parameter.annotation(WithinRange)
        if bounds is not None:
            widget.setRange(bounds.minimum, bounds.maximum)
        if parameter.isNode:
            self.signal, self.read = widget.currentNodeChanged, widget.currentNode
            self.write = widget.setCurrentNode
        elif isinstance(widget, qt.QComboBox):
            self._connectComboBox()
        elif parameter.type is str and isinstance(widget, qt.QLineEdit):
            self.signal, self.read = widget.textChanged, lambda: widget.text
            self.write = self._writeText
        elif parameter.type is bool:
            self.signal, self.read = widget.toggled, lambda: widget.checked
            self.write = widget.setChecked
        elif parameter.type in (int, float):
            self.signal, self.read = widget.valueChanged, lambda: widget.value
            self.write = widget.setValue
        else:
            kind = type(widget).__name__
            raise RuntimeError(f"no connection between {kind} and {parameter.type.__name__}")

    def _writeText(self, text):
        if self.widget.text != text:  # or the cursor would jump to the end at each key
            self.widget.setText(text)

    def _connectComboBox(self):
        kind, choice = self.parameter.type, self.parameter.annotation(Choice)
        if choice is not None:
            values, labels = choice.choices, [str(value) for value in choice.choices]
        elif issubclass(kind, enum.Enum):
            values = list(kind)
            labels = [getattr(kind, "label", lambda value: value.name)(value) for value in values]
        else:
            raise RuntimeError(f"{self.parameter.name} needs a Choice to be shown in a QComboBox")
        self.widget.clear()
        self.widget.addItems(labels)
        self.signal, self.read = (
            self.widget.currentIndexChanged,
            lambda: values[self.widget.currentIndex],
        )
        self.write = lambda value: self.widget.setCurrentIndex(values.index(value))


def parameterNodeWrapper(cls):
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = {name: Parameter(name, h, cls.__dict__.get(name)) for name, h in hints.items()}

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._connections, self._nextTag, self._writingToGui = {}, 0, False
        for parameter in parameters.values():
            if not parameter.isNode and not parameterNode.HasParameter(parameter.name):
                parameter.write(parameterNode, parameter.default)

    def connectGui(self, gui):
        named = {w.property("SlicerParameterName"): w for w in vars(gui).values()}
        named.pop(None, None)
        connectors = [Connector(widget, parameters[name]) for name, widget in named.items()]

        def updateGui(caller=None, event=None):
            if self._writingToGui:
                return
            self._writingToGui = True
            try:
                for connector in connectors:
                    connector.write(connector.parameter.read(self.parameterNode))
            finally:
                self._writingToGui = False

        updateGui()
        slots = []
        for connector in connectors:

            def onChanged(*arguments, connector=connector):
                if not self._writingToGui:
                    connector.parameter.write(self.parameterNode, connector.read())

            connector.signal.connect(onChanged)
            slots.append((connector.signal, onChanged))
        tag, self._nextTag = self._nextTag, self._nextTag + 1
        observer = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, updateGui)
        self._connections[tag] = (slots, observer)
        return tag

    def disconnectGui(self, tag):
        slots, observer = self._connections.pop(tag, ((), None))
        for signal, slot in slots:
            signal.disconnect(slot)
        if observer is not None:
            self.parameterNode.RemoveObserver(observer)

    for name, parameter in parameters.items():

        def get(self, parameter=parameter):
            return parameter.read(self.parameterNode)

        def put(self, value, parameter=parameter):
            parameter.write(self.parameterNode, value)

        setattr(cls, name, property(get, put))
    cls.__init__, cls.connectGui, cls.disconnectGui = __init__, connectGui, disconnectGui
    cls.AddObserver = lambda self, *arguments: self.parameterNode.AddObserver(*arguments)
    cls.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    cls.StartModify = lambda self: self.parameterNode.StartModify()
    cls.EndModify = lambda self, wasModified: self.parameterNode.EndModify(wasModified)
    return cls
