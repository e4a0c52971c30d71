"""Who runs the model: this process, or one beside it so that the window stays free."""

import pathlib
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from .synthesis_request import SynthesisRequest

POLL_SECONDS = 0.02


class DirectRunner:
    """Runs the model in this process and keeps it loaded; for scripts, which wait anyway."""

    def __init__(self) -> None:
        self._synthesizer = None
        self._loaded = None

    def run(
        self,
        request: SynthesisRequest,
        report: Callable[[float, str], None],
        isCancelled: Callable[[], bool],
    ) -> list[Any]:
        """The volumes of the request; SynthesisCancelledError when isCancelled says so."""
        from AnatoMaskGANLib.synthesis import Synthesizer

        settings = request.settings
        if self._loaded != (settings.model, settings.device):
            self._synthesizer = Synthesizer.from_checkpoint(settings.model, settings.device)
            self._loaded = (settings.model, settings.device)
        volumes = self._synthesizer.synthesize_samples(
            request.labelMap,
            settings.seeds,
            settings.noiseStrength,
            report,
            isCancelled,
            request.unmatched,
            request.userTable,
            settings.noiseLengthScale,
        )
        return list(volumes)

    def close(self) -> None:
        """Forget the model."""
        self._synthesizer, self._loaded = None, None


class ProcessRunner:
    """Runs the model in a process beside the application, whose window works on meanwhile."""

    def __init__(self) -> None:
        self._client = None
        self.onLog: Callable[[str], None] = lambda line: None
        """Called with what the process logs."""

    @property
    def client(self):
        """The core's `WorkerClient`; its process starts with the first request."""
        from AnatoMaskGANLib.synthesis.worker_client import WorkerClient

        if self._client is None:
            self._client = WorkerClient(pythonExecutable())
        return self._client

    def run(
        self,
        request: SynthesisRequest,
        report: Callable[[float, str], None],
        isCancelled: Callable[[], bool],
    ) -> list[Any]:
        """The volumes of the request; cancelling ends the process with all that it started.

        Raises RuntimeError with the words of any error that the process had.
        """
        from AnatoMaskGANLib.synthesis import SynthesisCancelledError
        from AnatoMaskGANLib.synthesis import worker_client as messages

        report(0.0, _("Starting the synthesis process"))
        number = sendRequest(self.client, request)
        volumes = {}  # by seed: a process that was started again makes each once more
        while True:
            for message in self.client.poll():
                if getattr(message, "request", None) not in (number, None):
                    continue  # of a live synthesis that was stopped
                if isinstance(message, messages.Progress):
                    report(message.share, message.text)
                elif isinstance(message, messages.VolumeMade):
                    volumes[message.seed] = message.volume
                elif isinstance(message, messages.Failed):
                    self.onLog(f"{message.error}: {message.text}")
                    raise RuntimeError(message.text)
                elif isinstance(message, messages.LogLine):
                    self.onLog(f"{message.level.lower()}: {message.text}")
                elif isinstance(message, messages.Finished):
                    return [volumes[seed] for seed in request.settings.seeds]
            slicer.app.processEvents()
            if isCancelled():
                self.close()
                raise SynthesisCancelledError("The synthesis was cancelled.")
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """End the process and all that it started."""
        if self._client is not None:
            self._client.close()
            self._client = None


def sendRequest(client, request: SynthesisRequest, isLive: bool = False) -> int:
    """The number under which the client's messages tell of the request."""
    settings = request.settings
    return client.synthesize(
        request.labelMap,
        settings.model,
        settings.device,
        settings.seeds,
        settings.noiseStrength,
        request.unmatched,
        request.userTable,
        live=isLive,
        noise_length_scale=settings.noiseLengthScale,
    )


def pythonExecutable() -> str:
    """A Python that sees Slicer's packages: PythonSlicer, or outside Slicer this Python."""
    return shutil.which("PythonSlicer") or str(pathlib.Path(sys.executable))
