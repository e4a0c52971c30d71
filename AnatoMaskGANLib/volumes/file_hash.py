"""The SHA-256 of a file, which identifies models, results and weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits; the file is never whole in memory."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def result_sha256(result: Path) -> str:
    """SHA-256 of a file, or of the names and contents of the files of a folder."""
    if not result.is_dir():
        return file_sha256(result)
    files = sorted(path for path in result.iterdir() if path.is_file())
    lines = "".join(f"{path.name} {file_sha256(path)}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()
