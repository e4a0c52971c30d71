"""Models from files: packing into an archive, installing from one, verifying and removing.

An archive comes from anywhere, so nothing in it is believed: only the two files of a model are
taken, by content and never by path, within a size that is counted while unpacking; and only what
reads as a whole model takes its place.
"""

from __future__ import annotations

import logging
import lzma
import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from AnatoMaskGANLib.synthesis.errors import CheckpointError
from AnatoMaskGANLib.synthesis.models.folder import (
    WEIGHTS_FILE,
    ModelCard,
    bundled_models_folder,
    card_text,
    find_model,
    model_folders,
    read_card,
    read_model,
    read_model_file,
    user_models_folder,
)
from AnatoMaskGANLib.volumes.abandoned_files import remove_abandoned
from AnatoMaskGANLib.volumes.atomic_writing import replacing
from AnatoMaskGANLib.volumes.folder_lock import FolderLockedError, hold_lock

CARD_FILE = "card.md"
LARGEST_BYTES = {WEIGHTS_FILE: 4 * 2**30, CARD_FILE: 2**20}
_MOST_ENTRIES = 8
LOCK = ".install.lock"
_WORKPLACE = ".installing-"
# A place before the file's beginning is an OSError of `seek`, an empty name an IndexError.
_DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, LookupError)
_BLOCK = 2**20
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_MODELS = f"*/{WEIGHTS_FILE}"

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_model_name(name: str) -> str:
    """The name, if it can be a folder's on every system; CheckpointError if not."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise CheckpointError(
            f"{name!r} cannot be the name of a model; use at most 64 letters, digits, "
            "dots, dashes and underscores, and begin with a letter or digit"
        )
    return name


def refuse_bundled_name(name: str, folder: Path) -> None:
    """Raises CheckpointError for a model that would lie among the user's and never be found: a
    bundled one of its name is."""
    if folder.resolve() not in [users.resolve() for users in model_folders()[1:]]:
        return
    bundled = {weights.parent.name.lower() for weights in bundled_models_folder().glob(_MODELS)}
    if name.lower() in bundled:
        raise CheckpointError(f"{name} is the name of a bundled model; give the model another name")


def refuse_taken_place(place: Path, replace: bool) -> None:
    """Raises CheckpointError where a model lies that is not to be replaced."""
    if (place / WEIGHTS_FILE).exists() and not replace:
        raise CheckpointError(
            f"a model {place.name!r} is installed already ({place}); remove it first, or "
            "replace it with --replace"
        )


def pack_model(name_or_path: str | Path, archive: Path) -> Path:
    """Writes a model as a zip archive, whole or not at all; returns its path."""
    card, _, content = read_model_file(name_or_path)
    name = check_model_name(card.name)
    with (
        replacing(archive, ".zip") as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file,
    ):
        for entry_name, entry in ((WEIGHTS_FILE, content), (CARD_FILE, card_text(card).encode())):
            file.writestr(_entry_of(f"{name}/{entry_name}"), entry)
    return archive


def _entry_of(name: str) -> zipfile.ZipInfo:
    """An entry of one date: zip has none before 1980, and one model gives one archive."""
    entry = zipfile.ZipInfo(name, _ZIP_DATE)
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


def install_model(
    source: Path, sha256: str | None = None, replace: bool = False, target: Path | None = None
) -> ModelCard:
    """Installs a model from a zip archive, a model folder or its weights' file.

    sha256: hash that the weights' file must have (its first digits suffice, eight or more). Raises
    CheckpointError for anything else than one whole model, for one whose name is taken unless
    `replace`, and for the name of a bundled one. The returned card says where the model lies.
    """
    folder = target or user_models_folder()
    with (
        _one_installation(folder),
        tempfile.TemporaryDirectory(prefix=_WORKPLACE, dir=folder) as workplace,
    ):
        unpacked = Path(workplace) / "model"
        unpacked.mkdir()
        weights = unpacked / WEIGHTS_FILE
        if source.is_file() and zipfile.is_zipfile(source):
            _unpack(source, weights)
        elif source.is_file() or source.is_dir():
            shutil.copyfile(find_model(source) / WEIGHTS_FILE, weights)
        else:
            raise CheckpointError(
                f"{source} does not exist; expected the archive or folder of a model"
            )
        card = verify_model(unpacked, sha256)
        place = folder / check_model_name(card.name)
        refuse_bundled_name(card.name, folder)
        refuse_taken_place(place, replace)
        (unpacked / CARD_FILE).write_text(card_text(card), encoding="utf-8")
        if place.exists():
            # The weights' file is the whole model: one step, and never a moment without a model.
            # The card for people goes first, so that an interruption leaves none of another model.
            (place / CARD_FILE).unlink(missing_ok=True)
            os.replace(weights, place / WEIGHTS_FILE)
            os.replace(unpacked / CARD_FILE, place / CARD_FILE)
        else:
            unpacked.rename(place)
    return read_card(place)


@contextmanager
def _one_installation(folder: Path) -> Iterator[None]:
    """Holds the lock of a models folder, in which what a killed installation left is removed.

    Raises CheckpointError if another process holds it, or if the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(folder / LOCK))
            for left in folder.glob(f"{_WORKPLACE}*"):
                shutil.rmtree(left, ignore_errors=True)
        except FolderLockedError as error:
            raise CheckpointError(
                f"another program is installing or removing a model in {folder}; wait "
                "until it has finished and try again"
            ) from error
        except OSError as error:
            raise CheckpointError(
                f"the models folder {folder} cannot be written: {error.strerror}; change its "
                "permissions, or name another one in ANATOMASKGAN_MODELS"
            ) from error
        yield


def verify_model(name_or_path: str | Path, sha256: str | None = None) -> ModelCard:
    """The card of a model whose weights were all read, fit, and make intensities or labels.

    A tiny pass goes through it. Raises CheckpointError for a model that is not whole.
    """
    from AnatoMaskGANLib.synthesis.models.trial_pass import try_model

    card, generator = read_model(name_or_path)
    if sha256 is not None:
        wanted = sha256.lower()
        if not re.fullmatch(r"[0-9a-f]{8,64}", wanted):
            raise CheckpointError(
                f"{sha256!r} is not a SHA-256; expected 8 to 64 hexadecimal digits"
            )
        if not card.sha256.startswith(wanted):
            raise CheckpointError(
                f"{WEIGHTS_FILE} has SHA-256 {card.sha256}, expected {wanted}; this is another "
                "file, or it was changed; get it again"
            )
    _check_card_text(card)
    try_model(card, generator)
    return card


def _check_card_text(card: ModelCard) -> None:
    """Raises CheckpointError where the card for people says other things than the weights' file."""
    path = Path(card.path) / CARD_FILE
    if not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Get the model again.") from error
    if text.split() != card_text(card).split():
        raise CheckpointError(
            f"{path} does not say what the card in {WEIGHTS_FILE} says; expected the text that "
            "anatomaskgan models show prints. Remove the file, or get the model again."
        )


def remove_model(name: str) -> Path:
    """Removes a model that the user installed; returns where it was.

    Files that are no model's stay, and the log names them. Raises CheckpointError for a model that
    is not installed, and while another process installs one.
    """
    folder = user_models_folder()
    _check_installed(name, folder)
    with _one_installation(folder):
        _check_installed(name, folder)  # it may have been removed meanwhile
        place = folder / name
        if place.is_symlink():
            place.unlink()
            return place
        for file in (WEIGHTS_FILE, CARD_FILE):
            (place / file).unlink(missing_ok=True)
        remove_abandoned(place)
        left = sorted(entry.name for entry in place.iterdir())
        if left:
            _log.warning(
                "%s does not belong to the model and is kept in %s", ", ".join(left), place
            )
        else:
            place.rmdir()
    return place


def _check_installed(name: str, folder: Path) -> None:
    if name in {weights.parent.name for weights in folder.glob(_MODELS)}:
        return
    check_model_name(name)
    raise CheckpointError(
        f"no model {name!r} is installed in {folder}; bundled models cannot be removed (see: "
        "anatomaskgan models list)"
    )


def _unpack(archive: Path, weights: Path) -> None:
    """Writes the archive's one weights' file; everything else in it must be harmless."""
    try:
        with zipfile.ZipFile(archive) as file:
            entry = _weights_entry(archive, file.infolist())
            _copy(file, entry, weights)
    except (*_DAMAGES, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{archive} is a damaged archive: {error}") from error


def _weights_entry(archive: Path, entries: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    files = [entry for entry in entries if not entry.is_dir()]
    if len(entries) > _MOST_ENTRIES:
        raise CheckpointError(
            f"{archive} has {len(entries)} entries; the archive of a model contains only "
            f"{WEIGHTS_FILE} and {CARD_FILE}"
        )
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        mode = entry.external_attr >> 16
        if path.is_absolute() or ".." in path.parts or ":" in entry.filename:
            raise CheckpointError(f"{archive} names a path outside itself ({entry.filename!r})")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise CheckpointError(f"{archive} contains a link or a device ({entry.filename!r})")
        if entry not in files:
            continue
        if path.name not in LARGEST_BYTES or len(path.parts) > 2:
            raise CheckpointError(
                f"{archive} holds {entry.filename!r}; the archive of a model contains "
                f"only {WEIGHTS_FILE} and {CARD_FILE}, at its top or in one folder"
            )
        if entry.file_size > LARGEST_BYTES[path.name]:
            raise CheckpointError(
                f"{entry.filename!r} in {archive} would have {entry.file_size} bytes; allowed are "
                f"{LARGEST_BYTES[path.name]}"
            )
    weights = [
        e for e in files if PurePosixPath(e.filename.replace("\\", "/")).name == WEIGHTS_FILE
    ]
    if len(weights) != 1:
        raise CheckpointError(f"{archive} holds {len(weights)} files {WEIGHTS_FILE}; expected one")
    return weights[0]


def _copy(file: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """Unpacks an entry; zipfile gives no byte more than the size that was checked, and then
    compares the check sum."""
    with file.open(entry) as source, open(target, "wb") as sink:
        shutil.copyfileobj(source, sink, _BLOCK)
