"""Names that a package offers without importing their files before they are used.

PyTorch takes more than a second to import, SimpleITK and Matplotlib some tenths. A package whose
files need them lists those files' names here, so that `anatomaskgan --help` and the panel in Slicer
open at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, files: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562), which imports a name's file when it is asked for.

    files: name -> the file of the package that defines it, without `.py`. Type checkers read the
    same names below `if TYPE_CHECKING`; Testing/test_light_imports.py compares the two. Every other
    name is an AttributeError.
    """

    def get(name: str) -> Any:
        if name not in files:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{files[name]}"), name)

    return get
