"""The module `qt` as Slicer's PythonQt shows it, made from PySide6.

In PythonQt a Qt property is an attribute (`button.enabled = True`, `button.text`; `button.text()`
fails), its setter stays a method (`button.setText("x")`), `name` is the object name, and writing an
attribute that does not exist raises. PySide6 has methods only, so every Qt class here gets its
properties as descriptors.
"""

from __future__ import annotations

import ctypes
import inspect
import sys
import types
import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

# Qt itself calls these accessors from C++ (they are virtual), or PythonQt leaves them methods.
LEFT_AS_METHODS = {"sizeHint", "minimumSizeHint", "singleShot"}
# What `object.__setattr__` calls, which itself refuses PySide6's classes.
plain_setattr = ctypes.pythonapi.PyObject_GenericSetAttr
plain_setattr.argtypes, plain_setattr.restype = [ctypes.py_object] * 3, ctypes.c_int


class QtProperty:
    """A Qt property: a value on an instance, the plain method on the class."""

    def __init__(self, name, read, write, method):
        self.name, self.read, self.write, self.method = name, read, write, method

    def __get__(self, instance, owner=None):
        return self.method if instance is None else self.read(instance)

    def __set__(self, instance, value):
        if self.write is None:
            raise AttributeError(f"{type(instance).__name__}.{self.name} is read-only")
        self.write(instance, value)


def accessor(cls, *names):
    """The first of the methods that the class has, or None."""
    for name in names:
        found = inspect.getattr_static(cls, name, None)
        if isinstance(found, QtProperty):
            found = found.method
        if found is not None and not isinstance(found, property) and hasattr(found, "__get__"):
            return found
    return None


def is_widget_of_application(cls) -> bool:
    """Whether the class is C++ in Slicer: Qt's own, or a stand-in of this package."""
    return cls.__module__.startswith(("PySide6.", "slicer_host.widgets"))


def set_only_existing(self, name, value):
    """PythonQt's rule: an attribute that does not exist cannot be made on a Qt object."""
    found = inspect.getattr_static(type(self), name, None)
    if isinstance(found, QtCore.Property):
        if found.fset is None:
            raise AttributeError(f"{type(self).__name__}.{name} is read-only")
        found.fset(self, value)
    elif found is None and not name.startswith("_") and is_widget_of_application(type(self)):
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r} (PythonQt's rule)")
    else:
        plain_setattr(self, name, value)


def speak_pythonqt(cls) -> None:
    """Give one C++ Qt class the attributes that PythonQt gives it."""
    meta = cls.staticMetaObject
    for index in range(meta.propertyCount()):
        qt_property = meta.property(index)
        name = qt_property.name()
        redeclared = callable(cls.__dict__.get(name))
        if name in LEFT_AS_METHODS or (index < meta.propertyOffset() and not redeclared):
            continue
        title = name[0].upper() + name[1:]
        getter = accessor(cls, "is" + title, name, "has" + title)
        setter = accessor(cls, "set" + title)

        def read(instance, getter=getter, name=name):
            if getter is None:
                return instance.property(name)
            return getter.__get__(instance, type(instance))()

        def write(instance, value, setter=setter, name=name):
            if setter is None:
                instance.setProperty(name, value)
            else:
                setter.__get__(instance, type(instance))(value)

        method = accessor(cls, name)
        writable = qt_property.isWritable()
        setattr(cls, name, QtProperty(name, read, write if writable else None, method))


class UiLoader(QtUiTools.QUiLoader):
    """`qt.QUiLoader` that knows our widgets and connects the file's signals to Python slots."""

    customWidgets: dict[str, type] = {}

    def __init__(self, parent=None):
        super().__init__(parent)
        for cls in self.customWidgets.values():
            self.registerCustomWidget(cls)

    def load(self, file, parent=None):
        path = file.fileName()
        root = ElementTree.parse(path).getroot()
        known = set(self.customWidgets) | set(dir(QtWidgets)) | {"Line"}
        missing = sorted({w.get("class") for w in root.iter("widget")} - known)
        if missing:
            raise RuntimeError(f"{path} uses {missing}, which this stand-in does not have")
        section = root.find("connections")
        connections = [
            [connection.find(tag).text for tag in ("sender", "signal", "receiver", "slot")]
            for connection in (list(section) if section is not None else [])
        ]
        if section is not None:
            root.remove(section)
        content = QtCore.QByteArray(ElementTree.tostring(root))  # the buffer does not keep it alive
        buffer = QtCore.QBuffer(content)
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is None:
            raise RuntimeError(f"{path}: {self.errorString()}")

        def find(name):
            return widget if widget.name == name else widget.findChild(QtCore.QObject, name)

        for sender, signal, receiver, slot in connections:
            getattr(find(sender), signal.split("(")[0]).connect(
                getattr(find(receiver), slot.split("(")[0])
            )
        return widget


def make_qt_module() -> types.ModuleType:
    """`qt`, with every class of QtCore, QtGui and QtWidgets in PythonQt's dialect."""
    qt = types.ModuleType("qt", "PySide6 in PythonQt's dialect; a stand-in, for tests only")
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):  # dir, not vars: PySide6 makes its classes when they are asked for
            if not name.startswith("_"):
                setattr(qt, name, getattr(module, name))
    classes = [
        cls
        for cls in set(vars(qt).values())
        if isinstance(cls, type)
        and issubclass(cls, QtCore.QObject)
        and hasattr(cls, "staticMetaObject")
        and cls.staticMetaObject.className() == cls.__name__
    ]
    object_name = (QtCore.QObject.objectName, QtCore.QObject.setObjectName)
    class_name = QtCore.QObject.metaObject
    for cls in sorted(classes, key=lambda cls: len(cls.__mro__)):
        speak_pythonqt(cls)
        cls.__setattr__ = set_only_existing
    QtCore.QObject.name = property(lambda o: object_name[0](o), lambda o, n: object_name[1](o, n))
    QtCore.QObject.className = lambda o: class_name(o).className()
    QtWidgets.QDialog.exec_ = QtWidgets.QDialog.exec
    qt.QUiLoader = UiLoader
    return qt


qt = sys.modules.setdefault("qt", make_qt_module())
