"""Whether packed data hold as many bytes as a header promises, found out without keeping them.

Readers take the memory that a header asks for, or unpack all there is, before they compare.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError

_CHUNK = 1 << 16  # small, because what is behind the end of a gzip member is copied
_UNPACKED_CHUNK = 1 << 20


def check_unpacked_size(
    path: Path, offset: int, num_bytes: int, num_packed: int | None = None
) -> None:
    """Raises VolumeError unless at least so many bytes come out of the file's packed part.

    offset: where the packed part begins; zlib or gzip, whichever it is, to the end of its stream,
    where the checksum is. num_packed: how many bytes the packed part has, None for all behind the
    offset. Memory: some megabytes, whatever the file unpacks to.
    """
    try:
        found = _unpacked_size(path, offset, num_packed)
    except (OSError, EOFError, zlib.error) as error:
        raise VolumeError(
            f"{path} cannot be read: {error}. Expected complete compressed data. The file "
            "is damaged or truncated; copy or export it again."
        ) from error
    if found < num_bytes:
        raise VolumeError(
            f"{path} is truncated or damaged: its header promises {num_bytes} bytes, but "
            f"it contains only {found}. Copy or export it again."
        )


def _unpacked_size(path: Path, offset: int, num_packed: int | None) -> int:
    size, packed = 0, b""
    rest = path.stat().st_size if num_packed is None else num_packed
    with open(path, "rb") as file:
        file.seek(offset)

        def more() -> bytes:
            nonlocal rest
            chunk = file.read(min(_CHUNK, rest))
            rest -= len(chunk)
            return chunk

        while True:
            decoder = zlib.decompressobj(wbits=47)  # zlib or gzip
            while not decoder.eof:
                packed = packed or more()
                if not packed:
                    raise EOFError("the data ends too early")
                size += len(decoder.decompress(packed, _UNPACKED_CHUNK))
                packed = decoder.unconsumed_tail
            # gzip may hold several members, one after the other
            packed = decoder.unused_data or more()
            if not packed.startswith(b"\x1f\x8b"):
                return size
