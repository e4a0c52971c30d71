"""The other end of the synthesis process: starts it, sends requests, hands out its answers.

For a program with a window: nothing here blocks, and `poll`, called from a timer, gives the
messages that came since the last call. A thread of its own reads the process's answers.

    client = WorkerClient()
    number = client.synthesize(label_map, ModelChoice("brain-t1"), live=True, seed=3)
    ...
    for message in client.poll(): ...  # ProgressMade, VolumeMade, VolumeChanged, Finished ...
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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.editing.boxes import changed_box
from AnatoMaskGANLib.synthesis.options import SynthesisOptions
from AnatoMaskGANLib.synthesis.worker.edit_messages import EditRequest
from AnatoMaskGANLib.synthesis.worker.exchange import ExchangeFolder, MessageError, decoded, encoded
from AnatoMaskGANLib.synthesis.worker.messages import (
    Cancelled,
    Failed,
    Finished,
    LogLine,
    Message,
    ModelChoice,
    Superseded,
    SynthesizeRequest,
    message_of,
)
from AnatoMaskGANLib.synthesis.worker.process_tree import core_environment, end_tree, start_options
from AnatoMaskGANLib.volumes import LabelMap, Volume

_LOG_BYTES = 4000
# oneDNN keeps the code that it compiled for the last sizes of a convolution, by default for 1024;
# in a process that lives for days that looks like a memory leak.
_BOUNDS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128"}


@dataclass
class _Request:
    """A request that has not ended, as it is sent again to a process that had to be restarted."""

    label_map: LabelMap
    synthesis: SynthesizeRequest | None
    """The request for volumes; None for an update of the live synthesis and for an edit."""
    edit: EditRequest | None = None

    @property
    def is_update(self) -> bool:
        """Whether it lets the live synthesis follow its label map."""
        return self.synthesis is None and self.edit is None

    @property
    def is_edit(self) -> bool:
        """Whether it lets a scan follow its label map."""
        return self.edit is not None

    def to_message(self) -> dict[str, Any]:
        """The message but for its number and label map."""
        if self.edit is not None:
            return {"kind": "edit"} | self.edit.to_message()
        if self.synthesis is None:
            return {"kind": "update"}
        return {"kind": "synthesize"} | self.synthesis.to_message()


@dataclass
class _EditedScan:
    """A scan that follows its label map, and what the process knows of it."""

    scan: Volume
    before: LabelMap
    sent_kji: np.ndarray | None = None
    """The newest labels that the process got; None: it does not know the scan."""

    def message(self, after: LabelMap, exchange: ExchangeFolder) -> dict[str, Any]:
        """The message with everything about the newest label map that the process does not know
        yet; it counts as known from then on."""
        message: dict[str, Any] = {"start": None, "box": None, "array": None}
        message["names"] = {str(value): name for value, name in after.names.items()}
        known = self.sent_kji
        if known is None:
            known = self.before.labels_kji
            message["start"] = {
                "scan": exchange.volume_message(self.scan),
                "before": exchange.label_map_message(self.before),
            }
        box = changed_box(known, after.labels_kji)
        if box is not None:
            message["box"] = [[side.start for side in box], [side.stop for side in box]]
            message["array"] = exchange.write_array(after.labels_kji[box])
        self.sent_kji = after.labels_kji
        return message


class WorkerClient:
    """One synthesis process; it is started by the first request.

    executable: a Python that has PyTorch, in Slicer PythonSlicer. environment: variables in
    addition to those of this process. Only one thread may use a client.
    """

    def __init__(
        self,
        executable: str | Path = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [str(executable), "-m", "AnatoMaskGANLib.synthesis.worker.process"]
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._answers: queue.Queue[tuple[subprocess.Popen[bytes], bytes | None]] = queue.Queue()
        self._outbox: queue.Queue[tuple[subprocess.Popen[bytes], bytes] | None] = queue.Queue()
        self._requests: dict[int, _Request] = {}
        self._live: _Request | None = None  # the live synthesis, with its newest label map
        self._is_live_in_process = False
        self._edited: _EditedScan | None = None
        self._last_number = 0
        self._cancelled: set[int] = set()  # requests that have not ended
        self._num_deaths = 0  # since a request was last finished
        self._unreported: list[Message] = []  # answers for the next `poll`

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
        choice: ModelChoice,
        options: SynthesisOptions | None = None,
        live: bool = False,
        **settings: Any,
    ) -> int:
        """Asks for one volume per seed; gives the request's number. Requests run in order.

        Settings are given as `SynthesisOptions` or by name, as for `Synthesizer`. live: with one
        seed; the volume can be updated afterwards, until the next live synthesis.
        """
        chosen = SynthesisOptions.of(options, settings)
        request = _Request(label_map, SynthesizeRequest(choice, chosen, live))
        if live:
            self._live = request
        return self._send(request)

    def update(self, label_map: LabelMap) -> int:
        """The number of a request to follow an edited label map; it supersedes older updates.

        The answer is VolumeChanged, or VolumeMade where the process has to begin again, as after
        another synthesis in between, which took the live one's memory.
        Raises RuntimeError when no live synthesis was asked for.
        """
        if self._live is None:
            raise RuntimeError(
                "There is no live synthesis to update; synthesize with live=True first."
            )
        self._live = _Request(label_map, self._live.synthesis)
        return self._send(_Request(label_map, None))

    @property
    def is_editing(self) -> bool:
        """Whether there is a scan that `edit` can let follow its label map."""
        return self._edited is not None

    def start_edit(self, scan: Volume, before: LabelMap) -> None:
        """The scan that `edit` is about from now on, and the label map that fits it.

        Both are sent with the first edit. Neither they nor a label map that is given to `edit` may
        be written to afterwards.
        """
        self._edited = _EditedScan(scan, before)

    def edit(self, after: LabelMap, request: EditRequest) -> int:
        """The number of a request to let the scan follow an edited label map on the grid of the one
        before; it supersedes older ones, and is answered by ScanEdited.

        Raises RuntimeError before `start_edit`, ValueError for a label map of another shape.
        """
        if self._edited is None:
            raise RuntimeError("There is no scan to edit; call start_edit first.")
        if after.shape_kji != self._edited.before.shape_kji:
            raise ValueError(
                f"The edited label map has {after.shape_kji} voxels (K, J, I), the one before "
                f"{self._edited.before.shape_kji}; expected the same. Export both on one grid."
            )
        return self._send(_Request(after, None, request))

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
        messages, self._unreported = self._unreported, []
        while True:
            try:
                process, line = self._answers.get_nowait()
            except queue.Empty:
                return messages
            if process is not self._process or self._folder is None:
                continue  # the answer of a process that is gone
            if line is None:
                messages += self._after_death(process)
                continue
            message = self._message_of(line, ExchangeFolder(self._folder))
            if message is not None:
                messages.append(message)

    def close(self) -> None:
        """Ends the process with all it started, and removes the exchange folder."""
        process, self._process = self._process, None
        self._requests.clear()
        self._cancelled.clear()
        self._unreported.clear()
        self._live = self._edited = None
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
        is_folder_there = self._folder is not None and self._folder.is_dir()
        if self._process is not None and not is_folder_there:
            self._unreported += self._after_loss_of_folder(self._process)
        number = self._last_number + 1
        self._write_request(number, request)
        self._requests[number] = request
        self._last_number = number
        return number

    def _write_request(self, number: int, request: _Request) -> None:
        if self._process is None or self._folder is None:
            self._folder = self._start_process()
        if request.is_update and not self._is_live_in_process:
            request = self._live or request  # a fresh process knows no session yet
        exchange = ExchangeFolder(self._folder)
        if request.is_edit and self._edited is not None:
            part = self._edited.message(request.label_map, exchange)
            self._write({"request": number} | part | request.to_message())
            return
        part = exchange.label_map_message(request.label_map)
        self._is_live_in_process = request.synthesis is None or request.synthesis.live
        self._write({"request": number, "label_map": part} | request.to_message())

    def _write(self, message: dict[str, Any]) -> None:
        if self._process is not None:
            self._outbox.put((self._process, encoded(message)))

    def _start_process(self) -> Path:
        """Starts the process; gives its exchange folder, which may be that of one before."""
        folder = self._folder
        if folder is None or not folder.is_dir():
            folder = self._folder = Path(tempfile.mkdtemp(prefix="anatomaskgan-"))
        with open(folder / "log.txt", "ab") as log:
            process = subprocess.Popen(
                [*self._command, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=core_environment(_BOUNDS | os.environ | self._environment),
                cwd=folder,  # no file there can be imported as a package
                **start_options(),
            )
        self._process = process
        self._is_live_in_process = False
        if self._edited is not None:
            self._edited.sent_kji = None
        self._outbox.put(None)
        self._outbox = queue.Queue()
        for target, arguments in (
            (_read_lines, (process, self._answers)),
            (_write_lines, (process, self._outbox)),
        ):
            threading.Thread(target=target, args=arguments, daemon=True).start()
        return folder

    def _message_of(self, line: bytes, exchange: ExchangeFolder) -> Message | None:
        """The message of an answer, None for one that says nothing."""
        try:
            message = message_of(decoded(line), exchange)
        except (MessageError, KeyError, TypeError, ValueError) as error:
            return Failed(None, type(error).__name__, f"An answer could not be read: {error}")
        if isinstance(message, Finished):
            self._num_deaths = 0
        if isinstance(message, (Finished, Cancelled, Superseded, Failed)):
            if message.request is not None:
                is_failed = isinstance(message, Failed)
                self._end(message.request, isinstance(message, Finished), is_failed)
        return message

    def _end(self, number: int, is_done: bool, is_failed: bool = False) -> None:
        request = self._requests.pop(number, None)
        self._cancelled.discard(number)
        if request is None:
            return
        if request.is_edit:
            if is_failed and self._edited is not None:
                self._edited.sent_kji = None  # nobody knows what the process has
        elif not request.is_update and not is_done:
            self._is_live_in_process = False  # the process has dropped its live synthesis

    def _after_death(self, process: subprocess.Popen[bytes]) -> list[Message]:
        self._process = None
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

    def _after_loss_of_folder(self, process: subprocess.Popen[bytes]) -> list[Message]:
        """A process whose temporary files were cleaned away can neither read nor answer."""
        self._process = None
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
        requests = self._requests.items()
        updates = [number for number, request in requests if request.is_update]
        edits = [number for number, request in requests if request.is_edit]
        for number in updates[:-1] + edits[:-1]:
            del self._requests[number]
            messages.append(Superseded(number))
        for number, request in self._requests.items():
            self._write_request(number, request)
        return messages

    def _last_words(self) -> str:
        if self._folder is None:
            return ""
        path = self._folder / "log.txt"
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return " ".join(file.read().decode(errors="replace").split()[-60:])
        return ""


def _read_lines(process: subprocess.Popen[bytes], answers: queue.Queue) -> None:
    for line in process.stdout or ():
        answers.put((process, line))
    answers.put((process, None))


def _write_lines(process: subprocess.Popen[bytes], outbox: queue.Queue) -> None:
    """Writes what is in the outbox; a pipe can be full for as long as the process is busy."""
    while (entry := outbox.get()) is not None:
        owner, line = entry
        if owner is not process or process.stdin is None:
            continue
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except (OSError, ValueError):
            return  # it died, which the reading thread reports


def _how(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
