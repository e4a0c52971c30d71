"""What killed writers leave is removed by the next one, and what a living one writes never is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from AnatoMaskGANLib.volumes import abandoned_files
from AnatoMaskGANLib.volumes.abandoned_files import locked_file, remove_abandoned
from AnatoMaskGANLib.volumes.atomic_writing import replacing, write_bytes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there files are not locked")

WRITER = """
import sys
from pathlib import Path
from AnatoMaskGANLib.volumes.atomic_writing import replacing
with replacing(Path(sys.argv[1]), ".csv") as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def writer_of(path: Path) -> Iterator[subprocess.Popen]:
    """Another process that has written half of the file, and ends it with a line."""
    command = [sys.executable, "-c", WRITER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


def hidden_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    with writer_of(tmp_path / "a.csv") as process:
        process.kill()
        process.wait()
    assert len(hidden_in(tmp_path)) == 1
    write_bytes(tmp_path / "b.csv", ".csv", lambda: b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


@pytest.mark.parametrize("years", [-10, 10])
def test_what_a_living_process_writes_stays_whatever_the_clock_says(
    tmp_path: Path, years: int
) -> None:
    with writer_of(tmp_path / "a.csv") as process:
        (name,) = hidden_in(tmp_path)
        seconds = os.stat(tmp_path / name).st_mtime + years * 365 * 86400
        os.utime(tmp_path / name, (seconds, seconds))
        write_bytes(tmp_path / "b.csv", ".csv", lambda: b"whole")
        assert hidden_in(tmp_path) == [name]
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait() == 0
    assert (tmp_path / "a.csv").read_text() == "half" and hidden_in(tmp_path) == []


def test_a_writer_of_this_process_is_not_disturbed_either(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.csv", ".csv") as temporary:
        temporary.write_text("first")
        write_bytes(tmp_path / "b.csv", ".csv", lambda: b"second")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_files_of_others_and_of_other_computers_and_links_and_folders_stay(tmp_path: Path) -> None:
    own = f".writing-{abandoned_files._COMPUTER}-{'0' * 12}"
    names = [".hidden.csv", ".writing-00000000-000000000000.csv", f"{own[:-1]}.csv"]
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / "kept").write_text("")
    (tmp_path / f"{own}.csv").symlink_to(tmp_path / "kept")
    (tmp_path / f"{own}.nii.gz").mkdir()
    before = sorted(os.listdir(tmp_path))
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_file_that_was_taken_for_abandoned_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_lock, seen = abandoned_files.take_lock, []

    def take(file: object) -> None:
        if not seen:
            seen.append(Path(file.name))
            remove_abandoned(tmp_path)  # as another process would: this calls `take` once more
        take_lock(file)

    monkeypatch.setattr(abandoned_files, "take_lock", take)
    with locked_file(tmp_path, ".csv") as path:
        assert path.exists() and path not in seen
    assert os.listdir(tmp_path) == []


def test_a_disk_without_locks_can_be_written_and_nothing_on_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(abandoned_files, "take_lock", refuse)
    left = tmp_path / f".writing-{abandoned_files._COMPUTER}-{'0' * 12}.csv"
    left.write_text("half")
    write_bytes(tmp_path / "b.csv", ".csv", lambda: b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [left.name, "b.csv"]


def test_a_folder_that_cannot_be_listed_is_left_alone(tmp_path: Path) -> None:
    remove_abandoned(tmp_path / "nowhere")
