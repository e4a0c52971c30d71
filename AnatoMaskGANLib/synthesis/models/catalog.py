"""A catalog: a JSON file that names models to download, with their size, license and SHA-256.

    {"format": "anatomaskgan-model-catalog", "version": 1, "models": [
      {"name": "ct-abdomen", "description": "...", "licence": "CC BY 4.0",
       "training_data": "...", "not_for": "...",
       "url": "https://example.org/ct-abdomen.zip", "sha256": "...", "size_bytes": 21000000}]}

The archive is one that `anatomaskgan models export --archive` wrote. A catalog downloads nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.synthesis.errors import CheckpointError
from AnatoMaskGANLib.synthesis.models.archive import LARGEST_BYTES, check_model_name

FORMAT = "anatomaskgan-model-catalog"
VERSION = 1
# The sum of what an archive may hold, and its own directory.
LARGEST_ARCHIVE = sum(LARGEST_BYTES.values()) + 2**20
_LARGEST_CATALOG = 2**22
_OWN_MACHINE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class CatalogEntry:
    """A model that can be downloaded."""

    name: str
    description: str
    licence: str
    """License of the weights."""
    url: str
    """Address of the archive; https, or this machine."""
    sha256: str
    """SHA-256 of the archive, 64 hexadecimal digits."""
    size_bytes: int
    """Size of the archive in bytes."""
    training_data: str = ""
    not_for: str = ""

    @property
    def place(self) -> str:
        """The address in the form that may be shown."""
        return shown_url(self.url)

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), int if field.name == "size_bytes" else str
            if not isinstance(value, kind) or isinstance(value, bool):
                raise CheckpointError(
                    f"{field.name} is {value!r}; expected {'a number' if kind is int else 'a text'}"
                )
        check_model_name(self.name)
        check_url(self.url)
        if not re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256):
            raise CheckpointError(f"sha256 is {self.sha256!r}; expected 64 hexadecimal digits")
        if not 0 < self.size_bytes <= LARGEST_ARCHIVE:
            raise CheckpointError(
                f"size_bytes is {self.size_bytes}; allowed are 1 to {LARGEST_ARCHIVE}"
            )


def check_url(url: str) -> str:
    """The address, if it may be downloaded from: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        is_allowed = (
            bool(parts.hostname)
            and parts.username is None
            and (
                parts.scheme == "https"
                or (parts.scheme == "http" and parts.hostname in _OWN_MACHINE)
            )
        )
    except ValueError:
        is_allowed = False
    if not is_allowed:
        raise CheckpointError(
            f"the address {shown_url(url)!r} is not allowed; expected https:// without a name or "
            "password in it, or http:// on this machine"
        )
    return url


def shown_url(url: str) -> str:
    """An address without what may be secret in it: names, passwords, tokens behind the path."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"[:200]
    except ValueError:
        return "that is not an address"


def read_catalog(path: Path) -> tuple[CatalogEntry, ...]:
    """The models that a catalog file names. Raises CheckpointError with the entry that is wrong."""
    try:
        if path.stat().st_size > _LARGEST_CATALOG:
            raise CheckpointError(f"{path} is too large for a catalog; give another file")
        content = parse_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"The catalog {path} cannot be read: {error.strerror}. Give a catalog file."
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} is not a JSON file ({error!s:.200}); give a catalog"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a catalog: its format is not {FORMAT!r}")
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} is a catalog of version {content.get('version')!r}, but this program "
            f"reads version {VERSION}. Use a matching version of AnatoMaskGAN."
        )
    models = content.get("models")
    if not isinstance(models, list):
        raise CheckpointError(f"{path} has no list of models; expected one under 'models'")
    entries = tuple(_entry(path, number, values) for number, values in enumerate(models))
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CheckpointError(f"{path} lists {twice[0]!r} twice; expected each model once")
    return entries


def find_entry(path: Path, name: str) -> CatalogEntry:
    """The entry of a model; CheckpointError with the names that there are."""
    entries = read_catalog(path)
    for entry in entries:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in entries) or "none"
    raise CheckpointError(f"{path} does not list a model {name!r}; it lists {known}")


def _entry(path: Path, number: int, values: Any) -> CatalogEntry:
    try:
        return CatalogEntry(**values)
    except (CheckpointError, TypeError) as error:
        name = values.get("name") if isinstance(values, dict) else None
        raise CheckpointError(
            f"{path}: model {number + 1} ({name!r:.80}) is not usable: {error}"
        ) from error
