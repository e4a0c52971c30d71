"""A disk without locks is written with a warning; a lock that is held is respected."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from AnatoMaskGANLib.volumes.folder_lock import FolderLockedError, hold_lock, is_locked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="flock is of POSIX systems")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_written_with_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    import fcntl

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with hold_lock(tmp_path / "lock"), hold_lock(tmp_path / "lock"):
        assert (tmp_path / "lock").is_file()
    assert "has no file locks" in caplog.text
    assert not is_locked(tmp_path / "lock")


def test_other_faults_of_a_disk_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def flock(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"), hold_lock(tmp_path / "lock"):
        pass


def test_a_lock_that_is_held_is_respected(tmp_path: Path) -> None:
    with hold_lock(tmp_path / "lock"):
        assert is_locked(tmp_path / "lock")
        with pytest.raises(FolderLockedError), hold_lock(tmp_path / "lock"):
            pass
    assert not is_locked(tmp_path / "lock")
