"""Writing: the target is the old file or the whole new one, and nothing is left beside it."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    VolumeError,
    read_volume,
    write_label_map,
    write_volume,
)
from AnatoMaskGANLib.volumes.atomic_writing import replacing
from AnatoMaskGANLib.volumes.files import WRITABLE_SUFFIXES

OLD = Volume(np.full((4, 5, 6), 3.0), np.eye(4))


@contextmanager
def _disk_with_room_for(num_bytes: int) -> Iterator[None]:
    """No file can grow beyond this: writing fails in the middle, as on a full disk."""
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, old_limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
        signal.signal(signal.SIGXFSZ, old_handler)


@pytest.fixture(params=["nibabel", "SimpleITK only"])
def nifti_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test once with nibabel and once as in Slicer, which has none."""
    if request.param != "nibabel":
        monkeypatch.setitem(sys.modules, "nibabel", None)
    return request.param


@pytest.mark.usefixtures("nifti_library")
@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
@pytest.mark.parametrize("has_old", [True, False])
def test_a_disk_that_fills_while_writing_leaves_the_old_file(
    tmp_path: Path, suffix: str, has_old: bool
) -> None:
    path = tmp_path / f"volume{suffix}"
    if has_old:
        write_volume(OLD, path)
        before = path.read_bytes()
    noise = np.random.default_rng(0).random((40, 40, 40), dtype=np.float32)
    with (
        _disk_with_room_for(50_000),
        pytest.raises(VolumeError, match=f"volume{suffix} could not be written"),
    ):
        write_volume(Volume(noise, np.eye(4)), path)
    assert [file.name for file in tmp_path.iterdir()] == ([path.name] if has_old else [])
    if has_old:
        assert path.read_bytes() == before
        assert np.array_equal(read_volume(path).voxels_kji, OLD.voxels_kji)


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
def test_a_new_file_takes_the_place_of_the_old_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"volume{suffix}"
    write_volume(OLD, path)
    write_volume(Volume(np.full((2, 2, 2), 9.0), np.eye(4)), path)
    assert read_volume(path).shape_kji == (2, 2, 2)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_interrupt_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path, ".txt") as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    write_volume(OLD, tmp_path / "store" / "real.nii")
    (tmp_path / "link.nii").symlink_to(tmp_path / "store" / "real.nii")
    write_volume(Volume(np.zeros((2, 2, 2)), np.eye(4)), tmp_path / "link.nii")
    assert (tmp_path / "link.nii").is_symlink()
    assert read_volume(tmp_path / "store" / "real.nii").shape_kji == (2, 2, 2)


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_the_file_gets_the_permissions_of_the_old_one_or_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    write_volume(OLD, tmp_path / "new.nii")
    assert (tmp_path / "new.nii").stat().st_mode == (tmp_path / "any").stat().st_mode
    (tmp_path / "new.nii").chmod(0o640)
    write_volume(OLD, tmp_path / "new.nii")
    assert stat.S_IMODE((tmp_path / "new.nii").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/volume.nii.gz", "its folder does not exist"),
        ("folder.nrrd", "is a folder"),
        ("volume.png", "expected a name that ends with one of .nii.gz"),
        ("volume.mhd", "expected a name that ends with one of .nii.gz"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.nrrd").mkdir()
    with pytest.raises(VolumeError, match=words):
        write_volume(OLD, tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.nrrd"]


@pytest.mark.parametrize("is_of_folder", [True, False])
def test_a_path_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_of_folder: bool
) -> None:
    path = tmp_path / "map.nii.gz"
    path.write_text("old")
    locked = tmp_path if is_of_folder else path
    monkeypatch.setattr(
        "AnatoMaskGANLib.volumes.atomic_writing.os.access",
        lambda asked, _mode: asked != locked.resolve(),
    )
    with pytest.raises(VolumeError, match="no permission"):
        write_label_map(LabelMap(np.ones((2, 2, 2), np.uint8), np.eye(4)), path)
    assert path.read_text() == "old"


def test_names_of_many_letters_and_spaces_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'Großhirn mit Lücke ' * 9}.nii.gz"
    write_volume(OLD, path)
    assert read_volume(path).shape_kji == OLD.shape_kji


@pytest.mark.usefixtures("nifti_library")
@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
def test_every_writer_keeps_the_file_that_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """A writer that puts another file there would leave it without the lock."""
    replaced: list[tuple[int, int]] = []

    def replace(source: Path, target: Path) -> None:
        (taken,) = made
        replaced.append((os.stat(source).st_ino, taken))
        os.rename(source, target)

    made: list[int] = []
    monkeypatch.setattr(
        "AnatoMaskGANLib.volumes.abandoned_files.take_lock",
        lambda file: made.append(os.fstat(file.fileno()).st_ino),
    )
    monkeypatch.setattr("AnatoMaskGANLib.volumes.atomic_writing.os.replace", replace)
    write_volume(OLD, tmp_path / f"volume{suffix}")
    assert len(replaced) == 1 and replaced[0][0] == replaced[0][1]


def test_a_writer_that_writes_nothing_is_told_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(VolumeError, match="its writer wrote nothing"), replacing(path, ".csv"):
        pass
    assert path.read_text() == "old"
