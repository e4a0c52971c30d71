"""Runs the model in this process, or in a separate one so that the window stays free."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.process import pythonExecutable
from AnatoMaskGANModule.synthesis.request import SynthesisRequest

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis import Progress, Synthesizer
    from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
    from AnatoMaskGANLib.synthesis.worker.edit_messages import EditRequest, ScanEdited
    from AnatoMaskGANLib.synthesis.worker.edit_service import EditSteps
    from AnatoMaskGANLib.volumes import LabelMap, Volume

POLL_SECONDS = 0.02


class DirectBackend:
    """Runs the model in this process and keeps it loaded; for scripts, which wait anyway."""

    def __init__(self) -> None:
        self._synthesizer: Synthesizer | None = None
        self._loaded: tuple[str, str] | None = None
        self._edits: EditSteps | None = None

    def synthesize(
        self,
        request: SynthesisRequest,
        report: Callable[[float, str], None],
        isCancelled: Callable[[], bool],
    ) -> list[Volume]:
        """The volumes of the request; SynthesisCancelledError when isCancelled says so."""
        from AnatoMaskGANLib.synthesis import Progress, Synthesizer

        if self._synthesizer is None or self._loaded != (request.model, request.device):
            self._synthesizer = Synthesizer.from_checkpoint(request.model, request.device)
            self._loaded = (request.model, request.device)
        progress = Progress(report, isCancelled)
        volumes = self._synthesizer.synthesize_samples(request.labelMap, request.options, progress)
        return list(volumes)

    def startEdit(self, scan: Volume, before: LabelMap) -> None:
        """The scan that `runEdit` is about, and the label map that fits it; neither may change."""
        from AnatoMaskGANLib.synthesis.worker.edit_service import EditSteps

        self._edits = EditSteps(scan, before)

    def runEdit(self, after: LabelMap, request: EditRequest, progress: Progress) -> ScanEdited:
        """The scan after an edit; RuntimeError before `startEdit`."""
        if self._edits is None:
            raise RuntimeError("There is no scan to edit; call startEdit first.")
        return self._edits.made(after, request, progress)

    def close(self) -> None:
        """Forget the model and the scan."""
        self._synthesizer, self._loaded, self._edits = None, None, None


@dataclass(eq=False)
class Asked:
    """A request to the process, and the client's messages that it was answered with."""

    number: int
    messages: list[Any] = field(default_factory=list)


class ProcessBackend:
    """Runs the model in a process separate from the application, whose window stays free.

    Several callers may send requests at once, such as a script while the volume follows its
    segments: the process serves them one after the other, and each caller gets its own answers.
    """

    def __init__(self) -> None:
        self._client: WorkerClient | None = None
        self._asked: dict[int, Asked] = {}  # the requests that are waited for, by their numbers
        self.onLog: Callable[[str], None] = lambda line: None
        """Called with what the process logs."""

    @property
    def client(self) -> WorkerClient:
        """Its process starts with the first request."""
        from AnatoMaskGANLib.synthesis.worker.client import WorkerClient

        if self._client is None:
            self._client = WorkerClient(pythonExecutable())
        return self._client

    @property
    def isLive(self) -> bool:
        """Whether there is a live synthesis that `update` can follow."""
        return self._client is not None and self._client.is_live

    def ask(self, request: SynthesisRequest, isLive: bool = False) -> Asked:
        """A request, which waits for its turn; isLive: for one volume, which `update` follows."""
        from AnatoMaskGANLib.synthesis.worker.messages import ModelChoice

        choice = ModelChoice(request.model, request.device)
        number = self.client.synthesize(request.labelMap, choice, request.options, isLive)
        return self._waitedFor(number)

    def update(self, labelMap: LabelMap) -> Asked:
        """A request to let the live synthesis follow an edited label map."""
        return self._waitedFor(self.client.update(labelMap))

    @property
    def isEditing(self) -> bool:
        """Whether there is a scan that `edit` can let follow its segments."""
        return self._client is not None and self._client.is_editing

    def startEdit(self, scan: Volume, before: LabelMap) -> None:
        """The scan that `edit` is about, and the label map that fits it; neither may change."""
        self.client.start_edit(scan, before)

    def edit(self, after: LabelMap, request: EditRequest) -> Asked:
        """A request to let the scan follow an edited label map."""
        return self._waitedFor(self.client.edit(after, request))

    def runEdit(self, after: LabelMap, request: EditRequest, progress: Progress) -> ScanEdited:
        """The scan after an edit; the window works on meanwhile.

        Raises RuntimeError with the words of any error that the process had, and
        SynthesisCancelledError, after which the process no longer runs.
        """
        from AnatoMaskGANLib.synthesis.worker.edit_messages import ScanEdited

        messages = list(self._waitedAnswers(self.edit(after, request), progress))
        (made,) = [message for message in messages if isinstance(message, ScanEdited)]
        return made

    def endSoon(self, asked: Asked) -> None:
        """Ask this request to end; its answers, the last one too, still come."""
        if self._isWaitedFor(asked):
            self.client.cancel(asked.number)

    def _waitedFor(self, number: int) -> Asked:
        self._asked[number] = Asked(number)
        return self._asked[number]

    def answers(self, asked: Asked) -> list[Any]:
        """The client's messages for this request since the last call; never waits.

        The last is Finished, Failed, Superseded or Cancelled, also when the process was ended.
        """
        if self._isWaitedFor(asked):
            self._handOut()
        answers, asked.messages = asked.messages, []
        return answers

    def _isWaitedFor(self, asked: Asked) -> bool:
        return self._asked.get(asked.number) is asked

    def _handOut(self) -> None:
        from AnatoMaskGANLib.synthesis.worker.messages import LogLine

        for message in self.client.poll():
            if isinstance(message, LogLine):
                self.onLog(f"{message.level.lower()}: {message.text}")
            elif message.request is None:  # it concerns everyone who waits
                for asked in self._asked.values():
                    asked.messages.append(message)
            elif message.request in self._asked:
                self._asked[message.request].messages.append(message)

    def forget(self, asked: Asked) -> None:
        """Wait for the answers to this request no longer."""
        if self._isWaitedFor(asked):
            del self._asked[asked.number]

    def cancel(self, asked: Asked) -> None:
        """End this request and no other, and forget it."""
        if self._isWaitedFor(asked):
            self.client.cancel(asked.number)
            self.forget(asked)

    def synthesize(
        self,
        request: SynthesisRequest,
        report: Callable[[float, str], None],
        isCancelled: Callable[[], bool],
    ) -> list[Volume]:
        """The volumes of the request; cancelling ends the process with all that it started.

        Raises RuntimeError with the words of any error that the process had.
        """
        from AnatoMaskGANLib.synthesis import Progress
        from AnatoMaskGANLib.synthesis.worker.messages import VolumeMade

        report(0.0, _("Starting the synthesis process"))
        volumes: dict[
            int, Volume
        ] = {}  # by seed, because a process that is started again makes each once more
        for message in self._waitedAnswers(self.ask(request), Progress(report, isCancelled)):
            if isinstance(message, VolumeMade):
                volumes[message.seed] = message.volume
        return [volumes[seed] for seed in request.options.seeds]

    def _waitedAnswers(self, asked: Asked, progress: Progress) -> Iterator[Any]:
        """The messages for a request until it is finished; the window works on meanwhile.

        Raises RuntimeError with the words of any error that the process had. Cancelling ends the
        process with all that it started, and raises SynthesisCancelledError.
        """
        from AnatoMaskGANLib.synthesis import SynthesisCancelledError
        from AnatoMaskGANLib.synthesis.worker import messages

        try:
            while True:
                for message in self.answers(asked):
                    if isinstance(message, messages.ProgressMade):
                        progress.report(message.fraction, message.text)
                    elif isinstance(message, messages.Failed):
                        self.onLog(f"{message.error}: {message.text}")
                        raise RuntimeError(message.text)
                    elif isinstance(message, messages.Cancelled):
                        raise SynthesisCancelledError("The synthesis was cancelled.")
                    elif isinstance(message, messages.Finished):
                        return
                    else:
                        yield message
                slicer.app.processEvents()
                if progress.is_cancelled():
                    self.close()
                    raise SynthesisCancelledError("The synthesis was cancelled.")
                time.sleep(POLL_SECONDS)
        finally:
            self.forget(asked)

    def close(self) -> None:
        """End the process and all that it started; requests that are waited for are cancelled."""
        if self._client is None:
            return
        from AnatoMaskGANLib.synthesis.worker.messages import Cancelled

        self._client.close()
        self._client = None
        for asked in self._asked.values():
            asked.messages.append(Cancelled(asked.number))
        self._asked.clear()
