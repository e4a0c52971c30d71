"""Models from a catalog, with a server on this machine."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_server import ModelServer

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.synthesis import CheckpointError, SynthesisCancelledError, list_models
from AnatoMaskGANLib.synthesis.models.archive import LOCK, pack_model
from AnatoMaskGANLib.synthesis.models.catalog import CatalogEntry, read_catalog
from AnatoMaskGANLib.synthesis.models.download import download_model


@pytest.fixture
def server(tiny_model: Path, tmp_path: Path) -> Iterator[ModelServer]:
    (tmp_path / "served").mkdir()
    archive = pack_model(tiny_model, tmp_path / "served" / "tiny.zip")
    with ModelServer(archive) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models are installed."""
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "models"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_downloaded_model_is_the_one_that_was_packed(
    server: ModelServer, folder: Path, tiny_model: Path
) -> None:
    told: list[tuple[float, str]] = []
    entry = CatalogEntry(**server.entry())
    card = download_model(entry, lambda share, text: told.append((share, text)))
    assert files_in(folder) == [LOCK, "card.md", "model.safetensors", "tiny"]
    packed = hashlib.sha256((tiny_model / "model.safetensors").read_bytes()).hexdigest()
    assert card.sha256 == packed
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


@pytest.mark.parametrize(
    ("way", "changes", "told"),
    [
        ("", {"sha256": "0" * 64}, "the catalog says 000"),
        ("", {"size_bytes": 1000}, "more than the 1000 bytes"),
        ("cut/", {}, "ended after 24576 of"),
        ("away/", {}, "'ftp://127.0.0.1/model.zip' is not allowed"),
        ("nowhere/", {}, "Not Found"),
        ("", {"name": "other"}, "holds a model named 'tiny'"),
    ],
)
def test_what_is_not_exactly_what_the_catalog_says_is_thrown_away(
    server: ModelServer, folder: Path, way: str, changes: dict, told: str
) -> None:
    with pytest.raises(CheckpointError, match=told):
        download_model(CatalogEntry(**server.entry(way, **changes)))
    assert files_in(folder) == []


def test_a_server_that_is_not_there_is_told_with_what_to_do(
    server: ModelServer, folder: Path
) -> None:
    entry = CatalogEntry(**server.entry(url="http://127.0.0.1:9/tiny.zip"))
    with pytest.raises(CheckpointError, match="could not be downloaded.*try again"):
        download_model(entry)


def test_a_cancelled_download_leaves_nothing(server: ModelServer, folder: Path) -> None:
    shares: list[float] = []
    with pytest.raises(SynthesisCancelledError):
        download_model(
            CatalogEntry(**server.entry()),
            lambda share, text: shares.append(share),
            lambda: bool(shares),
        )
    assert files_in(folder) == []


def test_an_installed_model_is_not_downloaded_again(server: ModelServer, folder: Path) -> None:
    entry = CatalogEntry(**server.entry())
    download_model(entry)
    with pytest.raises(CheckpointError, match="installed already"):
        download_model(entry)
    assert server.num_requests == 1
    assert download_model(entry, replace=True).name == "tiny"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "http://example.org/tiny.zip"}, "expected https"),
        ({"url": "file:///etc/passwd"}, "expected https"),
        ({"url": "http://127.0.0.1@example.org/tiny.zip"}, "expected https"),
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"size_bytes": "many"}, "expected a number"),
        ({"size_bytes": 2**40}, "size_bytes is"),
        ({"name": "../tiny"}, "cannot be the name of a model"),
        ({"licence": None}, "expected a text"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_entry_that_cannot_be_right_is_told_with_its_place(
    server: ModelServer, tmp_path: Path, changes: dict, told: str
) -> None:
    catalog = server.write_catalog(tmp_path / "catalog.json", server.entry(**changes))
    with pytest.raises(CheckpointError, match=f"model 1 .*{told}"):
        read_catalog(catalog)
    assert server.num_requests == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not a JSON"),
        ("[]", "is not a catalog"),
        ('{"format": "anatomaskgan-model-catalog", "version": 2}', "of version 2"),
        ('{"format": "anatomaskgan-model-catalog", "version": 1}', "no list of models"),
    ],
)
def test_a_file_that_is_no_catalog_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=told):
        read_catalog(path)


def test_a_model_named_twice_is_refused(server: ModelServer, tmp_path: Path) -> None:
    catalog = server.write_catalog(tmp_path / "catalog.json", server.entry(), server.entry())
    with pytest.raises(CheckpointError, match="lists 'tiny' twice"):
        read_catalog(catalog)


def test_the_command_downloads_by_name_and_tells_the_names_that_there_are(
    server: ModelServer, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = str(server.write_catalog(tmp_path / "catalog.json", server.entry()))
    assert main(["models", "download", catalog, "none"]) == 1
    assert "it lists tiny" in capsys.readouterr().err
    assert main(["models", "download", catalog, "tiny"]) == 0
    assert capsys.readouterr().out.strip() == f"tiny: {folder / 'tiny'}"
    assert "tiny" in {card.name for card in list_models()}
    assert json.loads(Path(catalog).read_text())["version"] == 1


def test_a_catalog_that_is_too_large_or_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    with pytest.raises(CheckpointError, match="cannot be read: No such file.*Give a catalog file"):
        read_catalog(path)
    path.write_bytes(b" " * 2**25)
    with pytest.raises(CheckpointError, match="too large for a catalog; give another"):
        read_catalog(path)


def test_a_models_folder_that_may_not_be_written_is_told(
    server: ModelServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CheckpointError, match="Permission denied. Free some space, change its"):
        download_model(CatalogEntry(**server.entry()))


def test_a_disk_that_fills_while_downloading_is_not_taken_for_the_network(
    server: ModelServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("AnatoMaskGANLib.synthesis.models.download._copy", refuse)
    with pytest.raises(CheckpointError, match="cannot be written: No space left.*Free some space"):
        download_model(CatalogEntry(**server.entry()))
    assert files_in(folder) == []


def test_a_model_of_a_bundled_ones_name_is_not_downloaded(
    server: ModelServer, folder: Path
) -> None:
    with pytest.raises(CheckpointError, match="is the name of a bundled model"):
        download_model(CatalogEntry(**server.entry(name="brain-t1")))
    assert server.num_requests == 0
