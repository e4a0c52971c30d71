"""A process of its own that synthesizes: it reads requests and answers until its input ends.

    python -m AnatoMaskGANLib.synthesis.worker.process EXCHANGE_FOLDER

Requests and answers are JSON lines on standard input and output (`exchange.py`); it listens on no
port. A thread reads all requests as they come, so that `cancel` and newer updates reach the work
that is going on, and ends the process with its parent: when the input ends.

Requests: {"kind": "synthesize" | "update" | "edit" | "cancel", "request": NUMBER, ...}, numbers
growing. Answers: ready, progress, volume, changed, edited, finished, cancelled, superseded, failed,
log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from AnatoMaskGANLib.synthesis.engine.memory_plan import DEFAULT_LIMIT_BYTES
from AnatoMaskGANLib.synthesis.errors import SynthesisCancelledError
from AnatoMaskGANLib.synthesis.options import Progress
from AnatoMaskGANLib.synthesis.session import SynthesisSession
from AnatoMaskGANLib.synthesis.synthesizer import Synthesizer
from AnatoMaskGANLib.synthesis.worker.edit_service import EditService
from AnatoMaskGANLib.synthesis.worker.exchange import (
    LONGEST_LINE,
    ExchangeFolder,
    MessageError,
    decoded,
    encoded,
)
from AnatoMaskGANLib.synthesis.worker.messages import ModelChoice, SynthesizeRequest
from AnatoMaskGANLib.volumes import ChangedRegion, Volume

GPU_FAILED = 3
"""Exit code after an error of the GPU, with which PyTorch cannot go on in the same process."""

_PROGRESS_SECONDS = 0.05
_PARENT_LOOKS, _PARENT_SECONDS = 50, 0.01


class Worker:
    """Serves one request after the other; `read` belongs to a thread, `serve` to the main one."""

    def __init__(self, folder: Path, answer: Callable[[dict[str, Any]], None]) -> None:
        self._exchange = ExchangeFolder(folder)
        self._answer = answer
        self._requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[int] = set()  # written by `read`, asked by `serve`
        self._newest = {"update": -1, "edit": -1}  # request of each kind that follows edits
        self._edits = EditService(self._exchange)
        self._synthesizer: Synthesizer | None = None
        self._loaded: ModelChoice | None = None
        self._session: SynthesisSession | None = None

    def read(self, stream: IO[bytes]) -> None:
        """Takes in requests until the stream ends."""
        while line := stream.readline(LONGEST_LINE + 1):
            while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                rest = stream.readline(LONGEST_LINE)  # the end of a line that is too long
                line = line[: LONGEST_LINE + 1] + (b"\n" if rest.endswith(b"\n") else b"")
                if not rest:
                    break
            try:
                self._take_in(decoded(line))
            except MessageError as error:
                self._answer(_failure(None, error))
        self._requests.put(None)

    def serve(self) -> int:
        """Answers requests until there are no more; returns the exit code."""
        while (request := self._requests.get()) is not None:
            number = request["request"]
            try:
                kind = self._serve(request)
                self._answer({"kind": kind, "request": number})
            except SynthesisCancelledError:
                is_cancelled = number in self._cancelled
                self._cancelled.discard(number)
                kind = "cancelled" if is_cancelled else "superseded"
                self._answer({"kind": kind, "request": number})
            except Exception as error:  # whatever it is, the next request is served
                failure = _failure(number, error)
                logging.getLogger(__name__).debug("where it happened", exc_info=error)
                if _is_of_gpu(error):
                    failure["text"] += (
                        " The GPU has failed; the next request gets a new process. If it "
                        "fails again, restart the computer or choose the device cpu."
                    )
                    self._answer(failure)
                    return GPU_FAILED
                self._answer(failure)
        return 0

    def _take_in(self, message: dict[str, Any]) -> None:
        kind, number = message.get("kind"), message.get("request")
        if not isinstance(number, int) or isinstance(number, bool):
            raise MessageError(f"The request number is {number!r}; expected a whole number")
        if kind == "cancel":
            self._cancelled.add(number)
        elif kind in ("synthesize", "update", "edit"):
            if kind in self._newest:
                self._newest[kind] = max(self._newest[kind], number)
            self._requests.put(message)
        else:
            self._answer(_failure(number, MessageError(f"There is no request {kind!r}")))

    def _serve(self, request: dict[str, Any]) -> str:
        number, kind = request["request"], request["kind"]

        def is_cancelled() -> bool:
            return number < self._newest.get(kind, number) or number in self._cancelled

        progress = Progress(_ProgressAnswers(number, self._answer), is_cancelled)
        if kind == "edit":
            self._edits.take_in(request)
            progress.stop_if_cancelled()
            self._answer(self._edits.serve(request, progress))
            return "finished"
        label_map = self._exchange.take_label_map(request.get("label_map"))
        if is_cancelled():
            raise SynthesisCancelledError
        if kind == "update":
            if self._session is None:
                raise MessageError("There is no live synthesis to update; synthesize with live")
            volume, changed = self._session.update(label_map, progress)
            self._answer(self._change(number, volume, changed))
            return "finished"
        asked = SynthesizeRequest.from_message(
            {name: request[name] for name in request.keys() - {"kind", "request", "label_map"}}
        )
        synthesizer = self._load(asked.choice)
        self._session = None  # its memory is needed, and its map is not the newest any more
        if asked.live:
            self._session = synthesizer.session(label_map, asked.options, progress)
            volumes = iter([self._session.volume])
        else:
            volumes = synthesizer.synthesize_samples(label_map, asked.options, progress)
        for seed, volume in zip(asked.options.seeds, volumes, strict=True):
            part = self._exchange.volume_message(volume)
            self._answer({"kind": "volume", "request": number, "seed": seed, "volume": part})
        return "finished"

    def _load(self, choice: ModelChoice) -> Synthesizer:
        """The synthesizer that a request asks for, loaded when it is another than before."""
        if self._synthesizer is None or self._loaded != choice:
            self._synthesizer, self._loaded, self._session = None, None, None
            self._synthesizer = Synthesizer.from_checkpoint(
                str(choice.model),
                str(choice.device),
                bool(choice.half_precision),
                int(choice.memory_limit_bytes or DEFAULT_LIMIT_BYTES),
            )
            self._loaded = choice
        return self._synthesizer

    def _change(self, number: int, volume: Volume, changed: ChangedRegion | None) -> dict[str, Any]:
        answer: dict[str, Any] = {"kind": "changed", "request": number, "box": None, "array": None}
        if changed is not None:
            answer["box"] = [list(changed.start_kji), list(changed.stop_kji)]
            answer["array"] = self._exchange.write_array(volume.voxels_kji[changed.slices])
        answer["provenance"] = dict(volume.provenance)
        return answer


class _ProgressAnswers:
    """Reports progress, not more often than a window can show it."""

    def __init__(self, number: int, answer: Callable[[dict[str, Any]], None]) -> None:
        self._number = number
        self._answer = answer
        self._reported = 0.0

    def __call__(self, fraction: float, text: str) -> None:
        now = time.monotonic()
        if now - self._reported >= _PROGRESS_SECONDS or fraction >= 1:
            self._reported = now
            self._answer(
                {"kind": "progress", "request": self._number, "share": fraction, "text": text}
            )


class _LogAnswers(logging.Handler):
    """Sends the log of the core as answers."""

    def __init__(self, answer: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(logging.INFO)
        self._answer = answer

    def emit(self, record: logging.LogRecord) -> None:
        self._answer({"kind": "log", "level": record.levelname, "text": record.getMessage()})


def _failure(number: int | None, error: BaseException) -> dict[str, Any]:
    return {
        "kind": "failed",
        "request": number,
        "error": type(error).__name__,
        "text": str(error) or type(error).__name__,
    }


def _is_of_gpu(error: Exception) -> bool:
    is_device_error = type(error).__name__ in ("AcceleratorError", "CudaError")
    return is_device_error or (isinstance(error, RuntimeError) and "CUDA error" in str(error))


def _is_left_by(parent: int, folder: Path) -> bool:
    """Whether the process that started this one is gone; its files close a moment before."""
    for _ in range(_PARENT_LOOKS):
        if os.getppid() != parent:
            return True
        if not folder.exists():  # it closed in order, and took its folder along
            return False
        time.sleep(_PARENT_SECONDS)
    return False


def main() -> int:
    """Serves the requests of standard input."""
    folder = Path(sys.argv[1])
    # Text that a library prints must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def answer(message: dict[str, Any]) -> None:
        # A client that is gone: the reading thread sees it too, and ends the process.
        with lock, contextlib.suppress(BrokenPipeError):
            answers.write(encoded(message))
            answers.flush()

    logger = logging.getLogger("AnatoMaskGANLib")
    logger.addHandler(_LogAnswers(answer))
    logger.setLevel(logging.INFO)
    worker = Worker(folder, answer)
    parent = os.getppid()

    def read_to_the_end() -> None:
        worker.read(sys.stdin.buffer)
        if _is_left_by(parent, folder):
            shutil.rmtree(folder, ignore_errors=True)  # who made it was killed, and cannot
        os._exit(0)  # the parent is gone or wants no more: not even the running slice is needed

    answer({"kind": "ready", "process": os.getpid()})
    reader = threading.Thread(target=read_to_the_end, daemon=True)
    reader.start()
    code = worker.serve()
    if code == 0:
        reader.join()  # no more requests: the thread that saw the end ends the process
    return code


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
