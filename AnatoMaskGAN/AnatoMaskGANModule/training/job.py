"""A training in separate processes: cases are prepared, then checked or trained with."""

import enum
import time
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from AnatoMaskGANModule.host.process import CommandProcess, FoundProcess
from AnatoMaskGANModule.training.request import TrainingRequest

TRAIN = "train"


class TrainingState(enum.Enum):
    """The state of a training."""

    PREPARING = "preparing"
    CHECKING = "checking"
    TRAINING = "training"
    CHECKED = "checked"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def isRunning(self) -> bool:
        return self in (TrainingState.PREPARING, TrainingState.CHECKING, TrainingState.TRAINING)


class TrainingJob:
    """One training, or one check of it; `poll` brings it up to date and starts what comes next.

    goesOn: the training goes on when the application ends.
    """

    def __init__(
        self,
        request: TrainingRequest,
        isCheck: bool = False,
        goesOn: bool = False,
        onLog: Callable[[str], None] | None = None,
    ) -> None:
        request.check()
        self.request, self._isCheck, self._goesOn = request, isCheck, goesOn
        self._onLog = onLog or (lambda line: None)
        self.step, self.steps = 0, 0
        self.text = ""
        """The step that is running, or the result, in words for the user."""
        self._notes: list[str] = []
        self._firstStep: tuple[int, float] | None = None
        self.state = TrainingState.PREPARING
        self._process: CommandProcess | FoundProcess = CommandProcess(
            request.prepareArguments(), self._onLog, request.folder, "prepare"
        )
        self.text = _("Preparing the cases...")

    @staticmethod
    def found(
        request: TrainingRequest, onLog: Callable[[str], None] | None = None
    ) -> "TrainingJob | None":
        """The training that goes on in the request's folder, from an earlier session; None if
        there is none.
        """
        from AnatoMaskGANLib.training.one_training import training_process

        if training_process(request.run) is None:
            return None
        job = TrainingJob.__new__(TrainingJob)
        job.request, job._isCheck, job._goesOn = request, False, True
        job._onLog = onLog or (lambda line: None)
        job.step, job.steps, job._notes, job._firstStep = 0, 0, [], None
        job.state, job.text = TrainingState.TRAINING, _("A training is running in this folder.")
        job._process = FoundProcess(
            request.folder, TRAIN, lambda: training_process(request.run), job._onLog
        )
        return job

    @property
    def isRunning(self) -> bool:
        return self.state.isRunning

    @property
    def isStopping(self) -> bool:
        return self._process.isStopping

    def poll(self) -> None:
        """Follow the process, and begin what comes after it."""
        if not self.isRunning:
            return
        isOver = self._process.exitCode is not None
        for event in self._process.poll():
            self._take(event)
        if isOver:
            self._afterProcess()

    def stop(self) -> None:
        """End it after the step that it is at, which is kept."""
        if self.isRunning:
            self._process.stop()
            self.text = _("Stopping after this step...")

    def setGoesOn(self, goesOn: bool) -> None:
        """Whether the training goes on when the application ends."""
        self._goesOn = goesOn
        if self.state is TrainingState.TRAINING:
            self._process.setGoesOn(goesOn)

    def close(self) -> None:
        """The application ends: end the processes as well, or leave the training to itself."""
        if not self.isRunning:
            return
        if self._goesOn and self.state is TrainingState.TRAINING and not self.isStopping:
            self._process.leave()
        else:
            self._process.close()
            self.state = TrainingState.STOPPED

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "batch":
            self.steps = event["cases"]
        elif kind == "case":
            self.step = event["number"]
            text = _("Preparing case {number} of {count}...")
            self.text = text.format(number=self.step + 1, count=self.steps)
        elif kind == "failed":
            text = _("{case} was left out: {reason}")
            self._notes.append(text.format(case=event["name"], reason=event["error"]))
        elif kind == "start":
            self.step, self.steps, self._firstStep = event["step"], event["steps"], None
            self.text = _("Training: the first step...")
        elif kind == "step":
            self._takeStep(event["step"], event["steps"], event["seconds"])

    def _takeStep(self, step: int, steps: int, seconds: float) -> None:
        self.step, self.steps = step, steps
        self._firstStep = self._firstStep or (step, seconds)
        text = _("Step {step} of {steps}").format(step=step, steps=steps)
        numSteps, elapsed = step - self._firstStep[0], seconds - self._firstStep[1]
        if numSteps > 0:
            left = durationText(elapsed / numSteps * (steps - step))
            text += _(", about {left} left").format(left=left)
        if not self.isStopping:
            self.text = text

    def _afterProcess(self) -> None:
        code, words = self._process.exitCode, self._process.lastWords
        if self.isStopping and code != 0:
            self.state = TrainingState.STOPPED
            text = _("Stopped at step {step}, which is kept; Start training continues from there.")
            if self.step == 0 or not (self.request.run / "latest.safetensors").is_file():
                text = _("Stopped; no further step was trained.")
            self.text = text.format(step=self.step)
        elif self.state is TrainingState.PREPARING:
            self._afterPreparation(words)
        elif code == 0 and self.state is TrainingState.CHECKING:
            self.state = TrainingState.CHECKED
            self.text = "\n".join([*self._process.results, *self._notes])
        elif code == 0:
            self.state = TrainingState.DONE
            text = _("Trained {steps} steps.").format(steps=self.steps)
            self.text = "\n".join([text, *self._notes])
        else:
            self.state = TrainingState.FAILED
            self.text = howItFailed(code, words)

    def _afterPreparation(self, words: str) -> None:
        if not self._process.results:  # the store was not made
            self.state = TrainingState.FAILED
            self.text = "\n".join(
                [_("The training did not start: {reason}").format(reason=words), *self._notes]
            )
            return
        try:
            arguments = self.request.trainArguments(self._isCheck)
        except (ValueError, OSError) as error:
            self.state, self.text = TrainingState.FAILED, str(error)
            return
        self.step, self.steps = 0, 0
        self.state = TrainingState.CHECKING if self._isCheck else TrainingState.TRAINING
        self.text = _("Building the networks...")
        name = "check" if self._isCheck else TRAIN
        self._process = CommandProcess(arguments, self._onLog, self.request.folder, name)
        self.setGoesOn(self._goesOn)

    def wait(self) -> TrainingState:
        """Wait until the training has ended and return the state; for scripts."""
        while self.isRunning:
            self.poll()
            time.sleep(0.1)
        return self.state


def howItFailed(code: int | None, words: str) -> str:
    """The reason that the process gave, or what a sudden end means."""
    if code == 1:
        return words
    text = _(
        "The training process ended unexpectedly (exit code {code}); often because there "
        "is too little memory. Its last message: {words}. Start training continues from "
        "the last checkpoint."
    )
    return text.format(code=code, words=words or _("none"))


def durationText(seconds: float) -> str:
    """Such as "2 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if minutes:
        return _("{minutes} min {rest} s").format(minutes=minutes, rest=rest)
    return _("{rest} s").format(rest=rest)
