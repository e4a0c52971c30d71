"""The other end of the synthesis process: starts it, sends requests, hands out its answers.

For a program with a window: nothing here blocks, and `poll`, called from a timer, gives the
messages that came since the last call. A thread of its own reads the process's answers.

    client = WorkerClient()
    number = client.synthesize(label_map, "brain-t1", seeds=[0], live=True)
    ...
    for message in client.poll(): ...  # Progress, VolumeMade, VolumeChanged, Finished, Failed ...
    client.update(edited_label_map)
    client.close()
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.synthesis.worker.exchange import ExchangeFolder, MessageError, decoded, encoded
from AnatoMaskGANLib.synthesis.worker.process_tree import core_environment, end_tree, start_options
from AnatoMaskGANLib.volumes import ChangedRegion, LabelMap, Volume

_LOG_BYTES = 4000
# oneDNN keeps what it compiled for the last sizes of a convolution, 1024 unless told otherwise; in
# a process that lives for days that looks like a leak.
_BOUNDS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128"}


@dataclass(frozen=True)
class Progress:
    """The done share of a request in [0,1], and what is being done."""

    request: int
    share: float
    text: str


@dataclass(frozen=True)
class VolumeMade:
    """A whole volume of a request; one for every seed."""

    request: int
    seed: int
    volume: Volume


@dataclass(frozen=True)
class VolumeChanged:
    """What an update changed: voxels of the box `changed`, None where nothing did."""

    request: int
    changed: ChangedRegion | None
    voxels_kji: np.ndarray | None
    provenance: Mapping[str, str]


@dataclass(frozen=True)
class Finished:
    """A request that is done; its volumes came before."""

    request: int


@dataclass(frozen=True)
class Cancelled:
    """A request that `cancel` ended."""

    request: int


@dataclass(frozen=True)
class Superseded:
    """An update that a newer one replaced."""

    request: int


@dataclass(frozen=True)
class Failed:
    """A request that ended with an error; request is None for one of no request."""

    request: int | None
    error: str
    """Name of the error's type, such as "UnmatchedLabelsError"."""
    text: str


@dataclass(frozen=True)
class LogLine:
    """Something the process logged."""

    level: str
    text: str


Message = (
    Progress | VolumeMade | VolumeChanged | Finished | Cancelled | Superseded | Failed | LogLine
)
"""Finished, Cancelled, Superseded and Failed are the last message of a request."""


@dataclass
class _Request:
    """A request that has not ended, as it is sent again to a process that had to be restarted."""

    kind: str
    label_map: LabelMap
    options: dict[str, Any]


class WorkerClient:
    """One synthesis process; it is started by the first request.

    executable: a Python that has PyTorch, in Slicer PythonSlicer. environment: variables beside
    those of this process. Not to be used by several threads.
    """

    def __init__(
        self,
        executable: str | Path = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [str(executable), "-m", "AnatoMaskGANLib.synthesis.worker.process"]
        self._environment = dict(environment or {})
        self._process: subprocess.Popen | None = None
        self._folder: Path | None = None
        self._answers: queue.Queue[tuple[subprocess.Popen, bytes | None]] = queue.Queue()
        self._outbox: queue.Queue[tuple[subprocess.Popen, bytes] | None] = queue.Queue()
        self._requests: dict[int, _Request] = {}
        self._live: _Request | None = None  # the live synthesis, with its newest label map
        self._is_live_in_process = False
        self._last_number = 0
        self._cancelled: set[int] = set()  # of the requests that have not ended
        self._num_deaths = 0  # since a request was last finished
        self._untold: list[Message] = []  # for the next `poll`

    @property
    def process_id(self) -> int | None:
        """Of the running process; None without one."""
        return None if self._process is None else self._process.pid

    @property
    def is_busy(self) -> bool:
        """Whether a request has not ended yet."""
        return bool(self._requests)

    @property
    def is_live(self) -> bool:
        """Whether there is a live synthesis that `update` can follow."""
        return self._live is not None

    def start(self) -> None:
        """Starts the process, so that the first request finds PyTorch loaded."""
        if self._process is None:
            self._start_process()

    def synthesize(
        self,
        label_map: LabelMap,
        model: str,
        device: str = "auto",
        seeds: Sequence[int] = (0,),
        noise_strength: float = 1.0,
        unmatched: str = "stop",
        user_table: Mapping[str, str | int | None] | None = None,
        live: bool = False,
        half_precision: bool = False,
        memory_limit_bytes: int | None = None,
        noise_length_scale: float = 1.0,
    ) -> int:
        """The number of a request for a volume a seed; requests are served one after the other.

        live: with one seed; the volume can be updated afterwards, until the next live synthesis.
        """
        options = {
            "model": model,
            "device": device,
            "seeds": [int(seed) for seed in seeds],
            "noise_strength": float(noise_strength),
            "noise_length_scale": float(noise_length_scale),
            "unmatched": unmatched,
            "user_table": None if user_table is None else dict(user_table),
            "live": live,
            "half_precision": half_precision,
            "memory_limit_bytes": memory_limit_bytes,
        }
        request = _Request("synthesize", label_map, options)
        if live:
            self._live = request
        return self._send(request)

    def update(self, label_map: LabelMap) -> int:
        """The number of a request to follow an edited label map; it supersedes older updates.

        It is answered by VolumeChanged; by VolumeMade where the process has to begin anew, as after
        another synthesis in between, which took the live one's memory.
        Raises RuntimeError when no live synthesis was asked for.
        """
        if self._live is None:
            raise RuntimeError("There is no live synthesis to update; synthesize with live=True.")
        self._live = _Request("synthesize", label_map, self._live.options)
        return self._send(_Request("update", label_map, {}))

    def cancel(self, number: int | None = None) -> None:
        """Asks a request, or all so far, to end; each ends with Cancelled, or as it just did."""
        wanted = set(self._requests) if number is None else {number} & self._requests.keys()
        self._cancelled |= wanted
        for cancelled in sorted(wanted):
            self._write({"kind": "cancel", "request": cancelled})

    def poll(self) -> list[Message]:
        """The messages since the last call; never waits.

        A process that died is started again once and gets its requests again. When it dies again
        before it has finished any, they end with Failed.
        """
        messages, self._untold = self._untold, []
        while True:
            try:
                process, line = self._answers.get_nowait()
            except queue.Empty:
                return messages
            if process is not self._process:
                continue  # of a process that is gone
            if line is None:
                messages += self._after_death()
                continue
            message = self._message_of(line)
            if message is not None:
                messages.append(message)

    def close(self) -> None:
        """Ends the process with all it started, and removes the exchange folder."""
        process, self._process = self._process, None
        self._requests.clear()
        self._cancelled.clear()
        self._untold.clear()
        self._live = None
        if process is not None:
            end_tree(process)
            self._outbox.put(None)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _send(self, request: _Request) -> int:
        if self._process is not None and not self._folder.is_dir():
            self._untold += self._after_loss_of_folder()
        self.start()
        number = self._last_number + 1
        self._write_request(number, request)
        self._requests[number] = request
        self._last_number = number
        return number

    def _write_request(self, number: int, request: _Request) -> None:
        if request.kind == "update" and not self._is_live_in_process:
            request = self._live or request  # a fresh process knows no session yet
        part = ExchangeFolder(self._folder).label_map_message(request.label_map)
        self._is_live_in_process = request.kind == "update" or request.options["live"]
        self._write({"kind": request.kind, "request": number, "label_map": part} | request.options)

    def _write(self, message: dict[str, Any]) -> None:
        if self._process is not None:
            self._outbox.put((self._process, encoded(message)))

    def _start_process(self) -> None:
        if self._folder is None or not self._folder.is_dir():
            self._folder = Path(tempfile.mkdtemp(prefix="anatomaskgan-"))
        with open(self._folder / "log.txt", "ab") as log:
            process = subprocess.Popen(
                [*self._command, str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=core_environment(_BOUNDS | os.environ | self._environment),
                cwd=self._folder,  # where no file can pass itself off as a package
                **start_options(),
            )
        self._process = process
        self._is_live_in_process = False
        self._outbox.put(None)
        self._outbox = queue.Queue()
        for target, arguments in (
            (_read_lines, (process, self._answers)),
            (_write_lines, (process, self._outbox)),
        ):
            threading.Thread(target=target, args=arguments, daemon=True).start()

    def _message_of(self, line: bytes) -> Message | None:
        """The message of an answer, None for one that tells nothing."""
        try:
            answer = decoded(line)
            kind, number = answer["kind"], answer.get("request")
            if kind in _LAST_MESSAGES:
                self._end(number, is_done=kind == "finished")
                if kind == "finished":
                    self._num_deaths = 0
                return _LAST_MESSAGES[kind](number)
            if kind == "failed":
                self._end(number, is_done=False)
                return Failed(number, answer["error"], answer["text"])
            if kind == "progress":
                return Progress(number, answer["share"], answer["text"])
            if kind == "log":
                return LogLine(answer["level"], answer["text"])
            exchange = ExchangeFolder(self._folder)
            if kind == "volume":
                volume = exchange.take_volume(answer["volume"])
                return VolumeMade(number, answer["seed"], volume)
            if kind == "changed":
                if answer["box"] is None:
                    return VolumeChanged(number, None, None, answer["provenance"])
                start, stop = answer["box"]
                box = ChangedRegion(tuple(start), tuple(stop))
                voxels = exchange.take_array(answer["array"])
                return VolumeChanged(number, box, voxels, answer["provenance"])
        except (MessageError, KeyError, TypeError, ValueError) as error:
            return Failed(None, type(error).__name__, f"An answer could not be read: {error}")
        return None

    def _end(self, number: int, is_done: bool) -> None:
        request = self._requests.pop(number, None)
        self._cancelled.discard(number)
        if request is not None and request.kind == "synthesize" and not is_done:
            self._is_live_in_process = False  # what was live in the process is gone by then

    def _after_death(self) -> list[Message]:
        process, self._process = self._process, None
        end_tree(process)
        messages = self._end_cancelled()
        if not self._requests:  # the next request starts another one
            return messages
        self._num_deaths += 1
        if self._num_deaths > 1:
            requests, self._requests = self._requests, {}
            self._num_deaths = 0
            text = (
                f"The synthesis process ended twice without an answer ({_how(process)}). "
                "Often there is too little memory: use a lower memory limit or a smaller "
                f"label map. Its last message: {self._last_words() or 'none'}"
            )
            return messages + [Failed(number, "WorkerDiedError", text) for number in requests]
        return messages + self._start_again(f"ended ({_how(process)})")

    def _after_loss_of_folder(self) -> list[Message]:
        """A process whose temporary files were cleaned away can neither read nor answer."""
        process, self._process = self._process, None
        end_tree(process)
        return self._end_cancelled() + self._start_again("lost its temporary files")

    def _end_cancelled(self) -> list[Message]:
        cancelled = sorted(self._cancelled)
        for number in cancelled:
            self._end(number, is_done=False)
        return [Cancelled(number) for number in cancelled]

    def _start_again(self, why: str) -> list[Message]:
        """Another process gets the requests that have not ended; of the updates only the newest."""
        self._start_process()
        messages: list[Message] = [
            LogLine("WARNING", f"The synthesis process {why}; started again")
        ]
        updates = [n for n, request in self._requests.items() if request.kind == "update"]
        for number in updates[:-1]:
            del self._requests[number]
            messages.append(Superseded(number))
        for number, request in self._requests.items():
            self._write_request(number, request)
        return messages

    def _last_words(self) -> str:
        path = self._folder / "log.txt"
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return " ".join(file.read().decode(errors="replace").split()[-60:])
        return ""


_LAST_MESSAGES = {"finished": Finished, "cancelled": Cancelled, "superseded": Superseded}


def _read_lines(process: subprocess.Popen, answers: queue.Queue) -> None:
    for line in process.stdout:
        answers.put((process, line))
    answers.put((process, None))


def _write_lines(process: subprocess.Popen, outbox: queue.Queue) -> None:
    """Writes what is in the outbox; a pipe can be full for as long as the process is busy."""
    while (entry := outbox.get()) is not None:
        owner, line = entry
        if owner is not process:
            continue
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except (OSError, ValueError):
            return  # it died, as the reading thread tells


def _how(process: subprocess.Popen) -> str:
    code = process.returncode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
