from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from tiny_models import write_tiny_model

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.synthesis import CheckpointError
from AnatoMaskGANLib.synthesis.models.archive import (
    LARGEST_BYTES,
    LOCK,
    install_model,
    pack_model,
    remove_model,
    verify_model,
)
from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE
from AnatoMaskGANLib.volumes.file_hash import file_sha256
from AnatoMaskGANLib.volumes.folder_lock import hold_lock


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "made")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder of the user's models."""
    folder = tmp_path / "installed"
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(folder))
    return folder


def archive_of(path: Path, entries: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            file.writestr(entry, content)
    return path


def test_a_packed_model_is_installed_with_the_same_bytes(
    model: Path, installed: Path, tmp_path: Path
) -> None:
    archive = pack_model(model, tmp_path / "model.zip")
    card = install_model(archive, sha256=file_sha256(model / WEIGHTS_FILE)[:12])
    assert Path(card.path) == installed / card.name
    assert (installed / card.name / WEIGHTS_FILE).read_bytes() == (
        model / WEIGHTS_FILE
    ).read_bytes()
    assert card.sha256 in (installed / card.name / "card.md").read_text()
    assert sorted(entry.name for entry in installed.iterdir()) == [LOCK, card.name]


def test_a_name_that_is_taken_is_refused_unless_replacing_is_asked_for(
    model: Path, installed: Path
) -> None:
    card = install_model(model)
    with pytest.raises(CheckpointError, match="installed already"):
        install_model(model)
    assert install_model(model, replace=True).sha256 == card.sha256


def test_a_model_of_another_hash_is_refused_and_nothing_is_left(
    model: Path, installed: Path
) -> None:
    with pytest.raises(CheckpointError, match="expected 00000000"):
        install_model(model, sha256="00000000")
    assert [entry.name for entry in installed.iterdir()] == [LOCK]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (f"../{WEIGHTS_FILE}", "outside itself"),
        (f"/{WEIGHTS_FILE}", "outside itself"),
        (f"..\\{WEIGHTS_FILE}", "outside itself"),
        (f"C:\\{WEIGHTS_FILE}", "outside itself"),
        ("model.pt", "only"),
        (f"a/b/{WEIGHTS_FILE}", "only"),
    ],
)
def test_an_archive_with_other_paths_is_refused(
    installed: Path, tmp_path: Path, name: str, told: str
) -> None:
    archive = archive_of(tmp_path / "bad.zip", {name: b"x"})
    with pytest.raises(CheckpointError, match=told):
        install_model(archive)
    assert [entry.name for entry in installed.iterdir()] == [LOCK]
    assert {entry.name for entry in tmp_path.iterdir()} == {"bad.zip", "installed"}


def test_a_link_in_an_archive_is_refused(installed: Path, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "bad.zip", {WEIGHTS_FILE: b"/etc/passwd"}, stat.S_IFLNK | 0o777)
    with pytest.raises(CheckpointError, match="link"):
        install_model(archive)


def test_an_archive_that_says_it_is_huge_is_refused(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LARGEST_BYTES, WEIGHTS_FILE, 1000)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(WEIGHTS_FILE, b"\0" * 100_000)
    with pytest.raises(CheckpointError, match="100000 bytes"):
        install_model(bomb)
    assert [entry.name for entry in installed.iterdir()] == [LOCK]


def test_two_weights_files_and_none_are_refused(installed: Path, tmp_path: Path) -> None:
    none = archive_of(tmp_path / "none.zip", {"card.md": b"# card"})
    two = archive_of(tmp_path / "two.zip", {WEIGHTS_FILE: b"a", f"b/{WEIGHTS_FILE}": b"b"})
    for archive, count in ((none, 0), (two, 2)):
        with pytest.raises(CheckpointError, match=f"holds {count} files"):
            install_model(archive)


def test_a_truncated_archive_and_a_pickle_are_refused(
    model: Path, installed: Path, tmp_path: Path
) -> None:
    whole = pack_model(model, tmp_path / "model.zip").read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    pickle = tmp_path / "model.pt"
    pickle.write_bytes(b"\x80\x04}.")
    for file in (cut, pickle, tmp_path / "absent.zip"):
        with pytest.raises(CheckpointError):
            install_model(file)
    assert [entry.name for entry in installed.iterdir()] == [LOCK]


def test_a_changed_weights_file_does_not_verify(model: Path) -> None:
    assert verify_model(model).sha256 == file_sha256(model / WEIGHTS_FILE)
    path = model / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError):
        verify_model(model)


def test_an_installed_model_is_removed_and_a_bundled_one_is_not(
    model: Path, installed: Path
) -> None:
    card = install_model(model)
    assert remove_model(card.name) == installed / card.name
    assert [entry.name for entry in installed.iterdir()] == [LOCK]
    with pytest.raises(CheckpointError, match="bundled models cannot be removed"):
        remove_model("brain-t1")
    with pytest.raises(CheckpointError, match="cannot be the name of a model"):
        remove_model("../installed")


def test_files_beside_a_removed_model_stay_and_are_named(
    model: Path, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Path(install_model(model).path)
    (place / "notes.txt").write_text("mine")
    assert main(["models", "remove", place.name]) == 0
    assert "notes.txt does not belong to the model and is kept" in capsys.readouterr().err
    assert [entry.name for entry in place.iterdir()] == ["notes.txt"]
    assert Path(install_model(model).path) == place
    assert (place / "notes.txt").read_text() == "mine"


def test_a_model_is_not_removed_while_another_process_installs(
    model: Path, installed: Path
) -> None:
    place = Path(install_model(model).path)
    with (
        hold_lock(installed / LOCK),
        pytest.raises(CheckpointError, match="is installing or removing a model in .*; wait"),
    ):
        remove_model(place.name)
    assert verify_model(place.name).path == str(place)


def test_a_linked_model_is_unlinked_and_a_copied_one_of_any_name_removed(
    model: Path, installed: Path
) -> None:
    place = Path(install_model(model).path)
    (installed / "link").symlink_to(model)
    shutil.copytree(place, installed / "a copy")
    remove_model("link")
    remove_model("a copy")
    assert sorted(entry.name for entry in installed.iterdir()) == [LOCK, place.name]
    assert (model / WEIGHTS_FILE).is_file()


def test_the_command_line_installs_verifies_and_removes(
    model: Path, installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = pack_model(model, tmp_path / "model.zip")
    assert main(["models", "install", str(archive)]) == 0
    name = capsys.readouterr().out.split(":")[0]
    assert main(["models", "verify", name]) == 0
    assert "is complete" in capsys.readouterr().out
    assert main(["models", "remove", name]) == 0
    assert [entry.name for entry in installed.iterdir()] == [LOCK]


def test_an_archive_of_many_files_is_refused(installed: Path, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "bad.zip", {f"{number}/": b"" for number in range(1000)})
    with pytest.raises(CheckpointError, match="has 1000 entries; the archive of a model contains"):
        install_model(archive)


def test_an_archive_that_unpacks_to_more_than_it_says_is_refused(
    model: Path, installed: Path, tmp_path: Path
) -> None:
    archive = pack_model(model, tmp_path / "model.zip")
    said = (model / WEIGHTS_FILE).stat().st_size.to_bytes(4, "little")
    content = archive.read_bytes()
    assert content.count(said) >= 2  # before the data, and in the list at the end
    archive.write_bytes(content.replace(said, (1000).to_bytes(4, "little")))
    with pytest.raises(CheckpointError, match="is a damaged archive: Bad CRC"):
        install_model(archive)
    assert [entry.name for entry in installed.iterdir()] == [LOCK]


@pytest.mark.parametrize("name", ["brain-t1", "Brain-T1"])
def test_the_name_of_a_bundled_model_is_refused_where_the_bundled_one_would_be_found(
    installed: Path, tmp_path: Path, name: str
) -> None:
    model = write_tiny_model(tmp_path / "made", name=name)
    for is_replaced in (False, True):
        with pytest.raises(CheckpointError, match=f"{name} is the name of a bundled model"):
            install_model(model, replace=is_replaced)
    assert [entry.name for entry in installed.iterdir()] == [LOCK]
    assert install_model(model, target=tmp_path / "elsewhere").name == name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# tiny\n\nFor diagnosis.\n", "does not say what the card in model.safetensors says"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_card_for_people_that_says_other_things_is_told(
    tmp_path: Path, content: bytes, message: str
) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    assert verify_model(folder).name == "tiny"
    (folder / "card.md").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        verify_model(folder)
    (folder / "card.md").unlink()
    assert verify_model(folder).name == "tiny"
