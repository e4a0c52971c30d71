from __future__ import annotations

import stat
from pathlib import Path

import pytest

from AnatoMaskGANLib.whole_files import whole_file, write_whole_text


def test_a_written_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "figures.csv"
    target.write_text("old")
    write_whole_text(target, "new, ±\n")
    assert target.read_bytes() == "new, ±\n".encode()
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "volume.nii.gz"
    target.write_text("old")

    def fill_the_disk() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fill_the_disk()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_keeps_the_ending_by_which_writers_choose_the_format(
    tmp_path: Path,
) -> None:
    with whole_file(tmp_path / "volume.nii.gz") as temporary:
        assert temporary.name.endswith("volume.nii.gz")
        assert temporary.parent == tmp_path
        temporary.touch()


def test_the_file_gets_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    write_whole_text(tmp_path / "whole", "text")
    assert stat.S_IMODE((tmp_path / "whole").stat().st_mode) == stat.S_IMODE(
        ordinary.stat().st_mode
    )
