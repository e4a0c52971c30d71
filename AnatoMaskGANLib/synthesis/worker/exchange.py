"""Passes label maps and volumes between a synthesis process and its client.

A message is one line of JSON. Arrays go through .npy files in a folder of the client's, which the
line names; who reads a file removes it. Nothing is ever unpickled, and no file outside the folder
is opened.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.volumes import LabelMap, Volume

LONGEST_LINE = 4 * 2**20
"""Bytes of a message; a label map with thousands of named labels stays far below."""


class MessageError(ValueError):
    """A message that is not what was agreed on."""


def encoded(message: dict[str, Any]) -> bytes:
    """A message as one line."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def decoded(line: bytes) -> dict[str, Any]:
    """The message of a line; raises MessageError for anything but a JSON object."""
    if len(line) > LONGEST_LINE:
        raise MessageError(f"A message is longer than {LONGEST_LINE} bytes")
    try:
        message = parse_json(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"A message is not JSON ({error}): {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise MessageError(f"A message is a {type(message).__name__}; expected a JSON object")
    return message


class ExchangeFolder:
    """The folder through which arrays go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write_array(self, array: np.ndarray) -> str:
        """Writes an array and returns the file's name."""
        name = f"{secrets.token_hex(8)}.npy"
        np.save(self.folder / name, np.ascontiguousarray(array), allow_pickle=False)
        return name

    def take_array(self, name: object) -> np.ndarray:
        """The array of a file, which is removed."""
        if not isinstance(name, str) or not name.endswith(".npy") or Path(name).name != name:
            raise MessageError(f"{name!r} is not the name of a .npy file in the exchange folder")
        path = self.folder / name
        if path.is_symlink():
            raise MessageError(f"{name} is a link; expected a file")
        try:
            return np.load(path, allow_pickle=False)
        # NumPy reads the header of an array as Python's tokens, and lets their errors through
        except (OSError, ValueError, EOFError, SyntaxError, TokenError, OverflowError) as error:
            raise MessageError(f"The array {name} cannot be read: {error}") from error
        finally:
            path.unlink(missing_ok=True)

    def label_map_message(self, label_map: LabelMap) -> dict[str, Any]:
        """A label map as part of a message."""
        return {
            "array": self.write_array(label_map.labels_kji),
            "ijk_to_ras": label_map.ijk_to_ras.tolist(),
            "names": {str(value): name for value, name in label_map.names.items()},
            "codes": {str(value): code for value, code in label_map.codes.items()},
        }

    def take_label_map(self, message: object) -> LabelMap:
        """The label map of such a part."""
        if not isinstance(message, dict):
            raise MessageError(f"A label map came as {type(message).__name__}; expected an object")
        labels = self.take_array(message.get("array"))
        try:
            names = {int(value): str(name) for value, name in message.get("names", {}).items()}
            codes = {int(value): str(code) for value, code in message.get("codes", {}).items()}
            return LabelMap(labels, np.array(message["ijk_to_ras"], dtype=float), names, codes)
        except (KeyError, TypeError, AttributeError) as error:
            raise MessageError(f"The message of a label map is damaged: {error!r}") from error

    def volume_message(self, volume: Volume) -> dict[str, Any]:
        """A volume as part of a message."""
        return {
            "array": self.write_array(volume.voxels_kji),
            "ijk_to_ras": volume.ijk_to_ras.tolist(),
            "window": None if volume.window is None else list(volume.window),
            "unit": volume.unit,
            "provenance": dict(volume.provenance),
        }

    def take_volume(self, message: dict[str, Any]) -> Volume:
        """The volume of such a part."""
        window = message["window"]
        return Volume(
            self.take_array(message["array"]),
            np.array(message["ijk_to_ras"], dtype=float),
            None if window is None else (window[0], window[1]),
            message["unit"],
            message["provenance"],
        )
