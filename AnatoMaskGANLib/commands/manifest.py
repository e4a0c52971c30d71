"""The list of a batch's results: a file of JSON lines next to them, which shows what is done.

Every process of a batch appends to a file of its own and reads those of all, so that no two write
to one file. A line that a crash cut off is left out when it is read.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.commands.shards import Shard
from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.volumes.file_hash import result_sha256

MANIFEST_PATTERN = "manifest*.jsonl"

_log = logging.getLogger(__name__)


class Manifest:
    """The manifest of an output folder; None as folder keeps none."""

    def __init__(self, folder: Path | None, shard: Shard) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._records: dict[str, dict[str, Any]] = {}
        if folder is None:
            return
        name = "manifest" if shard.is_whole else f"manifest-{shard.number}-of-{shard.count}"
        self._path = folder / f"{name}.jsonl"
        for path in sorted(folder.glob(MANIFEST_PATTERN)):
            for record in read_records(path):
                self._records[str(record.get("target"))] = record

    def is_done(self, target: Path, recipe: Mapping[str, Any], beside: Sequence[Path] = ()) -> bool:
        """Whether the target was made by this recipe and has not changed since.

        beside: files in the target's folder that were made with it; they are checked as well.
        """
        record = self._records.get(self._name(target))
        if record is None or record.get("status") != "done":
            return False
        if any(record.get(key) != value for key, value in recipe.items()):
            return False
        noted = record.get("beside_sha256")
        sha256s = {target: record.get("target_sha256")} | {
            file: noted.get(file.name) if isinstance(noted, dict) else None for file in beside
        }
        return all(file.exists() and result_sha256(file) == sha256s[file] for file in sha256s)

    def add_done(
        self,
        target: Path,
        recipe: Mapping[str, Any],
        written_sha256: Mapping[Path, str],
        **more: Any,
    ) -> None:
        """Notes that the target was made, with the files next to it that were made with it.

        written_sha256: the SHA-256 of the target and of those files, as they were written. By now,
        another process may have put files there that were made by another recipe.
        """
        if self._path is not None:
            beside = {file.name: sha for file, sha in written_sha256.items() if file != target}
            if beside:
                more["beside_sha256"] = beside
            values = {**recipe, **more, "target_sha256": written_sha256[target]}
            self._add(self._path, target, values, "done")

    def add_failed(self, target: Path, recipe: Mapping[str, Any], error: str) -> None:
        """Notes that the target could not be made."""
        if self._path is not None:
            self._add(self._path, target, {**recipe, "error": error}, "failed")

    def _add(self, path: Path, target: Path, values: Mapping[str, Any], status: str) -> None:
        record = {"target": self._name(target), "status": status, **values}
        self._records[record["target"]] = record
        line = json.dumps(record).encode() + b"\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as file:
            # A crash may have left half a line; the next one starts on its own.
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _name(self, target: Path) -> str:
        folder = Path("." if self._folder is None else self._folder)
        return Path(os.path.relpath(target, folder)).as_posix()


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a manifest; lines that are none are left out with a log line."""
    records = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = parse_json(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                records.append(record)
            else:
                _log.warning("%s: line %d is not a valid entry and is ignored", path, number)
    return records
