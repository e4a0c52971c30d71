"""Makes volumes of a folder of segmentations, in a process separate from the application."""

import enum
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from AnatoMaskGANModule.host.process import CommandProcess
from AnatoMaskGANModule.parameters import DEFAULT_MODEL

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class BatchRequest:
    """The settings of a batch; the fields are those of `AnatoMaskGANLogic.synthesize`."""

    inputFolder: str
    outputFolder: str
    model: str = DEFAULT_MODEL
    seed: int = 0
    samples: int = 1
    noiseStrength: float = 1.0
    device: str = "auto"
    unmatched: str = "stop"

    def check(self) -> None:
        """Raises ValueError for what can be refused before anything starts."""
        if not self.inputFolder.strip():
            raise ValueError(_("Choose the folder of segmentations."))
        if not pathlib.Path(self.inputFolder).is_dir():
            text = _("There is no folder {path}. Choose the folder of segmentations.")
            raise ValueError(text.format(path=self.inputFolder))
        if not self.outputFolder.strip():
            raise ValueError(_("Choose the folder for the volumes."))
        inputFolder = pathlib.Path(self.inputFolder).resolve()
        outputFolder = pathlib.Path(self.outputFolder).resolve()
        if inputFolder in (outputFolder, *outputFolder.parents):  # the next run would read them
            raise ValueError(
                _("Choose a folder for the volumes outside the folder of segmentations.")
            )

    def arguments(self) -> list[str]:
        """The command line."""
        return [
            "synthesize",
            str(pathlib.Path(self.inputFolder).resolve()),
            "--output",
            str(pathlib.Path(self.outputFolder).resolve()),
            *("--model", self.model, "--device", self.device, "--unmatched", self.unmatched),
            *("--seed", str(self.seed), "--samples", str(self.samples)),
            *("--noise-strength", str(self.noiseStrength)),
        ]


class CaseState(enum.Enum):
    """The state of a case."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass
class BatchCase:
    """A segmentation of the batch."""

    name: str
    state: CaseState = CaseState.RUNNING
    share: float = 0.0
    """Fraction that is done, in [0, 1]."""
    text: str = ""
    """The step that is running, or the reason why the case failed."""


class BatchJob:
    """One run of the batch; `poll` brings it up to date."""

    def __init__(self, request: BatchRequest, onLog: Callable[[str], None] | None = None) -> None:
        request.check()
        pathlib.Path(request.outputFolder).mkdir(parents=True, exist_ok=True)
        self.request = request
        self.numCases: int | None = None
        """Number of cases; None until the process has found them."""
        self.cases: list[BatchCase] = []
        self._process = CommandProcess(request.arguments(), onLog)

    @property
    def isRunning(self) -> bool:
        return self._process.isRunning

    @property
    def share(self) -> float:
        """Done of the whole batch, in [0, 1]."""
        if not self.numCases:
            return 0.0
        done = sum(1.0 if c.state is not CaseState.RUNNING else c.share for c in self.cases)
        return min(1.0, done / self.numCases)

    def poll(self) -> bool:
        """Whether anything changed since the last call."""
        wasRunning = self._process.exitCode is None
        events = self._process.poll()
        for event in events:
            self._take(event)
        return bool(events) or not wasRunning

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "batch":
            self.numCases = event["cases"]
        elif kind == "case":
            self.cases.append(BatchCase(event["name"]))
        elif kind == "share":
            self.cases[event["number"]].share = event["share"]
            self.cases[event["number"]].text = event["text"]
        elif kind == "done":
            self.cases[event["number"]].state = CaseState.DONE
        elif kind == "failed":
            case = self.cases[event["number"]]
            case.state, case.text = CaseState.FAILED, event["error"]

    def wait(self) -> str:
        """Wait until the batch has ended and return the summary; for scripts."""
        while self.isRunning:
            self.poll()
            time.sleep(POLL_SECONDS)
        self.poll()
        return self.summary()

    def cancel(self) -> None:
        """End it; the volumes that are done stay."""
        self._process.stop()

    def close(self) -> None:
        """End it with its process, whatever that is doing."""
        self._process.close()

    def summary(self) -> str:
        """The state or the result of the batch, in words for the user."""
        numFailed = sum(case.state is CaseState.FAILED for case in self.cases)
        numDone = sum(case.state is CaseState.DONE for case in self.cases)
        counts = _("{done} of {all} done").format(done=numDone, all=self.numCases or "?")
        if numFailed:
            counts += _(", {failed} failed").format(failed=numFailed)
        if self.isRunning:
            if self._process.isStopping:
                return _("Cancelling: {counts}").format(counts=counts)
            if self.numCases is None:
                return _("Loading the model...")
            return counts
        if self._process.isStopping:
            return _("Cancelled: {counts}. The next batch continues after them.").format(
                counts=counts
            )
        if self._process.exitCode != 0 and not self.cases:
            return _("Nothing was synthesized: {reason}").format(reason=self._process.lastWords)
        if self._process.exitCode not in (0, 1):
            text = _("The process ended unexpectedly (exit code {code}): {counts}. {words}")
            return text.format(
                code=self._process.exitCode, counts=counts, words=self._process.lastWords
            )
        folder = self.request.outputFolder
        return _("{counts}. Volumes and manifest: {folder}").format(counts=counts, folder=folder)

    @property
    def hasFailed(self) -> bool:
        """Whether the whole batch, or a case of it, failed."""
        code = self._process.exitCode
        return code not in (None, 0) and not self._process.isStopping
