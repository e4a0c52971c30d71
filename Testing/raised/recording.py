"""Notes which files of the program are loaded and which of their `raise` statements are reached, in
this process and those it starts.

The program's files are compiled with a call before every `raise`; nothing else of them changes.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

REPOSITORY = Path(__file__).resolve().parents[2]
RECORD = "ANATOMASKGAN_RAISED"
"""Environment variable: the file to which FILE is added for each one loaded, and FILE:LINE for each
statement reached."""
_FOLDERS = tuple(str(REPOSITORY / name) + os.sep for name in ("AnatoMaskGANLib", "AnatoMaskGAN"))
_NAME = "__raised_statement__"


def install() -> None:
    """Records from now on, for what is imported later; nothing without the variable."""
    if RECORD in os.environ and not hasattr(builtins, _NAME):
        # Opened once, for what watches the files that are opened.
        file = os.open(os.environ[RECORD], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        setattr(builtins, _NAME, _Note(file))
        sys.meta_path.insert(0, _Finder)


class _Note:
    """Writes every place once, as soon as there is room: tests take the room on the disk away."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._seen: set[str] = set()
        self._unwritten: list[str] = []
        atexit.register(self.write)

    def __call__(self, place: str) -> None:
        if place not in self._seen:
            self._seen.add(place)
            self._unwritten.append(place)
        self.write()

    def write(self) -> None:
        # begins with the end of a line, as an earlier write may have ended within one
        text = "".join(f"\n{place}" for place in self._unwritten).encode() + b"\n"
        with contextlib.suppress(OSError):
            if self._unwritten and os.write(self._file, text) == len(text):
                self._unwritten.clear()


class _Finder:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and str(spec.origin).startswith(_FOLDERS):
            spec.loader = _Loader(spec.name, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Of the changed tree, never of a cache."""
        getattr(builtins, _NAME)(_name_of(self.path))
        tree = _Marker(_name_of(self.path)).visit(ast.parse(self.get_data(self.path)))
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


class _Marker(ast.NodeTransformer):
    def __init__(self, file: str) -> None:
        self._file = file

    def visit_Raise(self, node: ast.Raise) -> list[ast.stmt]:
        place = ast.Constant(f"{self._file}:{node.lineno}")
        call = ast.Call(ast.Name(_NAME, ast.Load()), [place], [])
        return [ast.copy_location(ast.Expr(call), node), node]


def _name_of(path: str) -> str:
    return Path(path).relative_to(REPOSITORY).as_posix()
