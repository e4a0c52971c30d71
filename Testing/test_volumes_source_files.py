"""Which files there are: all below a folder, and those that one file is read with."""

from __future__ import annotations

from pathlib import Path

import pytest

from AnatoMaskGANLib.volumes.source_files import all_files, all_folders, files_read_with


def _write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("image.nhdr", "NRRD0004\ndata file: pixels.raw\n"),
        ("IMAGE.NHDR", "NRRD0004\nData File: pixels.raw\n"),
        ("image.nrrd", "NRRD0004\ndatafile: pixels.raw\n"),
        ("image.mhd", "NDims = 3\nElementDataFile = pixels.raw\n"),
        ("Image.MHD", "NDims = 3\nElementDataFile = pixels.raw\n"),
    ],
)
def test_the_data_file_that_a_header_names_belongs_to_it(
    tmp_path: Path, name: str, header: str
) -> None:
    path = _write(tmp_path / name, header)
    pixels = _write(tmp_path / "pixels.raw", "x")
    assert files_read_with(path) == (path, pixels.resolve())


@pytest.mark.parametrize(
    "header",
    [
        "NDims = 3\nElementDataFile = LOCAL\n",
        "NDims = 3\nElementDataFile = ../pixels.raw\n",
        "NDims = 3\nElementDataFile = LIST\n",
        "NDims = 3\nElementDataFile = missing.raw\n",
        "NDims = 3\n",
        "\x00\x01",
    ],
)
def test_a_header_without_a_data_file_that_can_be_read_stands_alone(
    tmp_path: Path, header: str
) -> None:
    _write(tmp_path / "pixels.raw", "x")
    path = _write(tmp_path / "case" / "image.mha", header)
    assert files_read_with(path) == (path,)


def test_the_label_names_beside_a_map_belong_to_it(tmp_path: Path) -> None:
    path = _write(tmp_path / "case" / "seg.nii.gz")
    assert files_read_with(path) == (path,)
    names = _write(tmp_path / "labels.json", "{}")
    assert files_read_with(path) == (path, names.resolve())


def test_all_files_of_a_folder_belong_to_it(tmp_path: Path) -> None:
    liver = _write(tmp_path / "masks" / "liver.mhd", "ElementDataFile = data/liver.raw\n")
    data = _write(tmp_path / "masks" / "data" / "liver.raw", "x")
    spleen = _write(tmp_path / "masks" / "spleen.nii")
    assert files_read_with(tmp_path / "masks") == (data.resolve(), liver, spleen)


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
