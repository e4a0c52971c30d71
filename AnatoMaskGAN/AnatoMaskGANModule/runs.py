"""The panel's buttons whose work takes time: begun, cancelled, and told how they end."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from slicer.i18n import tr as _

from AnatoMaskGANModule.compare.panel import ComparePanel
from AnatoMaskGANModule.edit.panel import EditPanel
from AnatoMaskGANModule.host.status import RunDisplay
from AnatoMaskGANModule.host.views import SideBySide
from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.packages.job import Purpose
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode, OutputMode
from AnatoMaskGANModule.sections import WorkPanels
from AnatoMaskGANModule.synthesis.result import OutputStyle


class PanelRuns:
    """One run after the other: a synthesis, the same once more, an edit, a comparison.

    onBegun and onEnded are called with no argument, so that the panel shows what can be pressed.
    """

    def __init__(
        self,
        ui,
        logic: AnatoMaskGANLogic,
        display: RunDisplay,
        views: SideBySide,
        editPanel: EditPanel,
        comparePanel: ComparePanel,
        workPanels: WorkPanels,
        onBegun: Callable[[], None],
        onEnded: Callable[[], None],
    ) -> None:
        self._ui, self._logic, self._display, self._views = ui, logic, display, views
        self._editPanel, self._comparePanel = editPanel, comparePanel
        self._workPanels = workPanels
        self._onBegun, self._onEnded = onBegun, onEnded
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self.isRunning = False
        ui.synthesizeButton.clicked.connect(self.synthesize)
        ui.makeAgainButton.clicked.connect(self.makeAgain)
        ui.editScanButton.clicked.connect(self.editInPlace)
        ui.compareButton.clicked.connect(self.compare)
        ui.cancelButton.clicked.connect(self.cancel)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """The next run takes its settings from this parameter node."""
        self._parameterNode = parameterNode

    def synthesize(self) -> None:
        self._run(self._synthesized)

    def makeAgain(self) -> None:
        """The selected synthetic volume once more, beside it, by its record."""
        self._run(self._madeAgain)

    def editInPlace(self) -> None:
        self._run(lambda note: self._editPanel.edit(self._display.report))

    def compare(self) -> None:
        if not self._workPanels.packages.ensure(Purpose.COMPARISON):
            return
        with self._running(_("The comparison failed."), isMeasured=False):
            self._display.tell(_("Comparing..."))
            self._comparePanel.compare(self._parameterNode)
            text = _("Compared in {seconds:.1f} s.")
            self._display.tell(text.format(seconds=self._display.seconds))

    def cancel(self) -> None:
        self._display.tell(_("Cancelling..."))
        self._logic.cancel()

    def _run(self, run: Callable[[Callable[[str], None]], Any]) -> None:
        """Run something that gives back a synthetic volume; it is given what takes its notes."""
        notes: list[str] = []
        with self._running(_("The synthesis failed.")):
            self._showDone(run(notes.append), notes)

    @contextlib.contextmanager
    def _running(self, failure: str, isMeasured: bool = True) -> Iterator[None]:
        """The panel while something runs; isMeasured: it tells how far it is."""
        from AnatoMaskGANLib.synthesis import SynthesisCancelledError

        self.isRunning = True
        self._display.begin(isMeasured)
        self._onBegun()
        try:
            with self._display.errorsShown(failure):
                try:
                    yield
                except SynthesisCancelledError:
                    self._display.tell(_("Cancelled; nothing was changed."))
        finally:
            self.isRunning = False
            told = self._display.told
            self._display.end()
            self._onEnded()
            self._display.tell(*told)  # what became of the run, not what the next one lacks

    def _synthesized(self, note: Callable[[str], None]) -> Any:
        parameters = self._parameterNode
        toFill = self._logic.volumeToFill(parameters)
        isNew = parameters.outputMode is OutputMode.NEW or toFill is None
        source = self._logic.sourceOf(parameters)
        output = self._logic.synthesize(
            source.segmentationNode,
            outputVolume=None if isNew else toFill,
            referenceVolume=source.referenceVolume,
            model=parameters.model,
            seed=parameters.seed,
            samples=parameters.samples,
            noiseStrength=parameters.noiseStrength,
            device=parameters.device.value,
            unmatched=source.unmatched,
            labels=source.labels,
            segmentIDs=source.segmentIDs,
            progressCallback=self._display.report,
            logCallback=note,
            noiseLengthScale=parameters.noiseLengthScale,
            manySamples=parameters.manySamples,
            style=OutputStyle(parameters.intensities, parameters.displayPreset),
        )
        parameters.outputVolume = output
        self._views.showVolume(output, isFitted=isNew)
        if isNew:  # or the segments would hide what was just made of them
            self._ui.showSegmentsCheckBox.setChecked(False)
        return output

    def _madeAgain(self, note: Callable[[str], None]) -> Any:
        parameters = self._parameterNode
        return self._logic.makeAgain(
            parameters.outputVolume,
            device=parameters.device.value,
            progressCallback=self._display.report,
            logCallback=note,
        )

    def _showDone(self, output, notes: Sequence[str]) -> None:
        text = _("Made '{name}' in {seconds:.1f} s.")
        text = text.format(name=output.GetName(), seconds=self._display.seconds)
        self._display.tell(" ".join([text, *notes]))
        for line in (text, *notes):
            self._workPanels.log.add(_("synthesis"), line)
