from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from AnatoMaskGANLib.volumes.file_hash import file_sha256


@pytest.mark.parametrize(
    ("content", "sha256"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        # the example of FIPS 180-2
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_the_hash_is_the_standards(tmp_path: Path, content: bytes, sha256: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == sha256


def test_a_file_longer_than_a_block_is_hashed_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000  # 2.2 MiB
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
