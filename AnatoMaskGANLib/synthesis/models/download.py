"""Downloading a model that a catalog names; only ever on the user's wish.

Nothing that comes is believed before its SHA-256 is that of the catalog: then the archive is
installed as one from a file is. Whatever ends a download, no part of it stays.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from AnatoMaskGANLib.synthesis.errors import CheckpointError, SynthesisCancelledError
from AnatoMaskGANLib.synthesis.models.archive import install_model, refuse_bundled_name
from AnatoMaskGANLib.synthesis.models.catalog import CatalogEntry, check_url
from AnatoMaskGANLib.synthesis.models.folder import ModelCard, user_models_folder
from AnatoMaskGANLib.volumes.folder_lock import hold_lock, is_locked

_BLOCK = 2**18
_TIMEOUT_SECONDS = 20.0
_WORKPLACE, _LOCK = ".downloading-", "lock"
_ERRORS_OF_DISKS = (errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

OnProgress = Callable[[float, str], None]


class _AllowedRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect goes no further than a catalog's address may."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request for the new address; CheckpointError where it is not allowed."""
        check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download_model(
    entry: CatalogEntry,
    on_progress: OnProgress | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    replace: bool = False,
    target: Path | None = None,
) -> ModelCard:
    """Downloads a model, checks its SHA-256 and installs it; returns its card.

    Raises CheckpointError for a server that does not give exactly what the catalog says, and for
    whatever `install_model` refuses; SynthesisCancelledError when is_cancelled says so.
    """
    report = on_progress or (lambda fraction, text: None)
    folder = target or user_models_folder()
    refuse_bundled_name(entry.name, folder)
    if (folder / entry.name).exists() and not replace:
        raise CheckpointError(
            f"a model {entry.name!r} is installed already ({folder / entry.name}); remove it first"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with (
            tempfile.TemporaryDirectory(prefix=_WORKPLACE, dir=folder) as workplace,
            hold_lock(Path(workplace) / _LOCK),
        ):
            archive = Path(workplace) / "archive.zip"
            _fetch(entry, archive, report, is_cancelled or (lambda: False))
            report(1.0, "installing")
            unpacked = install_model(archive, None, replace, Path(workplace) / "models")
            if unpacked.name != entry.name:
                raise CheckpointError(
                    f"the archive of {entry.name!r} holds a model named "
                    f"{unpacked.name!r}; the catalog is wrong; tell the person who made it"
                )
            return install_model(Path(unpacked.path), None, replace, folder)
    except OSError as error:  # a full or closed disk, or one without locks
        raise CheckpointError(
            f"{folder} cannot be written: {error.strerror}. Free some space, change its "
            "permissions, or name another folder in ANATOMASKGAN_MODELS."
        ) from error


def _remove_abandoned(folder: Path) -> None:
    """Removes what downloads left that were killed; those that go on hold their lock."""
    for left in folder.glob(f"{_WORKPLACE}*"):
        if (left / _LOCK).is_file() and not is_locked(left / _LOCK):
            shutil.rmtree(left, ignore_errors=True)


def _fetch(
    entry: CatalogEntry, archive: Path, report: OnProgress, is_cancelled: Callable[[], bool]
) -> None:
    """Writes the archive, whole and as the catalog says, or raises."""
    request = urllib.request.Request(entry.url, headers={"User-Agent": "AnatoMaskGAN"})
    opener = urllib.request.build_opener(_AllowedRedirects)
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer, open(archive, "wb") as file:
            found = _copy(entry, answer, file, report, is_cancelled)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, OSError) as error:
        if getattr(error, "errno", None) in _ERRORS_OF_DISKS:
            raise
        reason = getattr(error, "reason", None) or error
        raise CheckpointError(
            f"{entry.place} could not be downloaded: {reason}. Check the network and try "
            "again; nothing was changed."
        ) from error
    if found != entry.sha256.lower():
        raise CheckpointError(
            f"{entry.place} has SHA-256 {found}, the catalog says {entry.sha256.lower()}; "
            "it is another file, or it was changed, and was deleted"
        )


def _copy(
    entry: CatalogEntry,
    answer: Any,
    file: IO[bytes],
    report: OnProgress,
    is_cancelled: Callable[[], bool],
) -> str:
    """The SHA-256 of what came; stops at the first byte beyond the size that the catalog says."""
    digest, size = hashlib.sha256(), 0
    report(0.0, "downloading")
    while block := answer.read1(_BLOCK):
        if is_cancelled():
            raise SynthesisCancelledError("The download was cancelled; nothing was changed.")
        size += len(block)
        if size > entry.size_bytes:
            raise CheckpointError(
                f"{entry.place} has more than the {entry.size_bytes} bytes that the "
                "catalog says; it is another file and was deleted"
            )
        digest.update(block)
        file.write(block)
        report(size / entry.size_bytes, f"{size / 2**20:.1f} of {entry.size_bytes / 2**20:.1f} MB")
    if size < entry.size_bytes:
        raise CheckpointError(
            f"{entry.place} ended after {size} of {entry.size_bytes} bytes; try again"
        )
    return digest.hexdigest()
