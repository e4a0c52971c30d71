from __future__ import annotations

from pathlib import Path

import pytest

from AnatoMaskGANLib.volumes.folder_walk import all_files, all_folders


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with a case, a link to a case elsewhere, a link back up and hidden folders."""
    for place in ("archive/b/deep", "archive/.git/x", "archive/b/.cache", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "seg.nii").touch()
    archive = tmp_path / "archive"
    (archive / ".seg.nii").touch()
    (archive / "a").symlink_to(tmp_path / "elsewhere")
    (archive / "b" / "up").symlink_to(archive)
    (archive / "b" / "gone").symlink_to(archive / "nothing")
    return archive


def test_folders_are_found_through_links_but_not_hidden_ones(archive: Path) -> None:
    found = [folder.relative_to(archive).as_posix() for folder in all_folders(archive)]
    assert found == [".", "a", "b", "b/deep"]


def test_files_are_found_through_links_but_not_hidden_ones(archive: Path) -> None:
    found = [file.relative_to(archive).as_posix() for file in all_files(archive)]
    assert found == ["a/seg.nii", "b/deep/seg.nii"]


def test_the_folder_that_is_asked_for_may_be_hidden(archive: Path) -> None:
    assert all_files(archive / ".git") == [archive / ".git" / "x" / "seg.nii"]
