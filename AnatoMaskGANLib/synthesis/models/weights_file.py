"""A model's one file, opened once: its header, its SHA-256 and its weights belong together.

Another program may put another model in its place at any moment. The opened file stays the old
one, and everything that is said about a model comes from that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.synthesis.errors import CheckpointError

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 16 * 2**20
_BLOCK_BYTES = 2**20
_PICKLES = "pickled checkpoints are never read, because reading them could run any program."


@dataclass(frozen=True)
class WeightsFile:
    """The content of one opened safetensors file."""

    metadata: Mapping[str, str]
    sha256: str
    content: bytes = b""
    """All bytes of the file; empty where only the header was asked for."""


def read_weights_file(path: Path, with_content: bool) -> WeightsFile:
    """The file, hashed from the same bytes that are returned.

    with_content: else the weights are hashed block by block and not kept. Raises CheckpointError
    for a file that is missing, truncated, or no safetensors file.
    """
    try:
        with open(path, "rb") as file:
            begin = _beginning(path, file)
            digest = hashlib.sha256(begin)
            blocks = [begin]
            size = len(begin)
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
                if with_content:
                    blocks.append(block)
    except OSError as error:
        raise _unreadable(path, error) from error
    metadata = _metadata_of(path, begin[_LENGTH_BYTES:], size - len(begin))
    return WeightsFile(metadata, digest.hexdigest(), b"".join(blocks) if with_content else b"")


def _beginning(path: Path, file: IO[bytes]) -> bytes:
    """The length of the header and the header."""
    first = file.read(_LENGTH_BYTES)
    length = int.from_bytes(first, "little")
    header = file.read(length) if 2 <= length <= _MAX_HEADER_BYTES else b""
    if len(first) < _LENGTH_BYTES or len(header) < 2 or len(header) < length:
        raise CheckpointError(
            f"{path} is not a complete safetensors file; get it again. P{_PICKLES[1:]}"
        )
    return first + header


def _metadata_of(path: Path, header: bytes, num_weight_bytes: int) -> Mapping[str, str]:
    """The entries of a header besides its tensors, whose lengths must add up to the file's rest."""
    try:
        entries = parse_json(header)
        metadata = entries.pop("__metadata__", {})
        ends = [int(entry["data_offsets"][1]) for entry in entries.values()]
    except (ValueError, RecursionError, TypeError, LookupError, AttributeError) as error:
        raise _unreadable(path, error) from error
    if max(ends, default=0) != num_weight_bytes:
        raise _unreadable(path, f"{num_weight_bytes} bytes of weights, expected {max(ends)}")
    is_text = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
    if not is_text:
        raise _unreadable(path, "its header has other values than texts")
    return metadata


def _unreadable(path: Path, why: Any) -> CheckpointError:
    return CheckpointError(
        f"{path} is not a readable safetensors file ({why!s:.300}). Get it again; {_PICKLES}"
    )
