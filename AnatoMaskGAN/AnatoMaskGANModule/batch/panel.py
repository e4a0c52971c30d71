"""The section that makes volumes of a folder of segmentations."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Protocol

import qt
from slicer.i18n import tr as _

from AnatoMaskGANModule.batch.job import BatchCase, BatchJob, BatchRequest, CaseState
from AnatoMaskGANModule.host.status import WARNING_COLOR, LogPane, showText
from AnatoMaskGANModule.packages.panel import PackagesPanel, Purpose, chooseFolder
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic


class BatchWidgets(Protocol):
    """The widgets of the panel that `BatchPanel` owns."""

    batchCancelButton: qt.QPushButton
    batchInputButton: qt.QToolButton
    batchInputEdit: qt.QLineEdit
    batchOutputButton: qt.QToolButton
    batchOutputEdit: qt.QLineEdit
    batchProgressBar: qt.QProgressBar
    batchSettingsLabel: qt.QLabel
    batchStartButton: qt.QPushButton
    batchStateLabel: qt.QLabel
    batchTable: qt.QTableWidget


class BatchPanel:
    """Starts the batch, shows each case, and cancels it; the window stays free meanwhile."""

    POLL_MS = 200
    COLUMN_CASE, COLUMN_STATE = range(2)

    def __init__(
        self,
        ui: BatchWidgets,
        logic: AnatoMaskGANLogic,
        log: LogPane,
        packagesPanel: PackagesPanel,
    ) -> None:
        self._ui, self._logic, self._log, self._packagesPanel = ui, logic, log, packagesPanel
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self.job: BatchJob | None = None
        header = ui.batchTable.horizontalHeader()
        header.setSectionResizeMode(self.COLUMN_CASE, qt.QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(self.COLUMN_STATE, qt.QHeaderView.ResizeMode.Stretch)
        ui.batchProgressBar.setVisible(False)
        ui.batchTable.setVisible(False)
        ui.batchInputButton.clicked.connect(self._chooseInput)
        ui.batchOutputButton.clicked.connect(self._chooseOutput)
        ui.batchStartButton.clicked.connect(self.start)
        ui.batchCancelButton.clicked.connect(self.cancel)
        self._timer = qt.QTimer()
        self._timer.setInterval(self.POLL_MS)
        self._timer.timeout.connect(self.poll)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """Show with which settings a batch would run."""
        self._parameterNode = parameterNode
        isRunning = self.job is not None and self.job.isRunning
        self._ui.batchStartButton.setEnabled(parameterNode is not None and not isRunning)
        self._ui.batchCancelButton.setEnabled(isRunning)
        if parameterNode is None:
            return
        text = _(
            "With the settings above: model {model}, seed {seed}, {samples} sample(s), "
            "noise {noise:g}. Segments that the model does not know: {unmatched}."
        )
        self._ui.batchSettingsLabel.setText(
            text.format(
                model=parameterNode.model,
                seed=parameterNode.seed,
                samples=parameterNode.samples,
                noise=parameterNode.noiseStrength,
                unmatched=parameterNode.unmatched.label().lower(),
            )
        )

    def start(self) -> None:
        """Start the batch, or say why it cannot be."""
        parameters = self._parameterNode
        if parameters is None or (self.job is not None and self.job.isRunning):
            return
        request = BatchRequest(
            parameters.batchInput.strip(),
            parameters.batchOutput.strip(),
            parameters.model,
            parameters.seed,
            parameters.samples,
            parameters.noiseStrength,
            parameters.device.value,
            parameters.unmatched.value,
        )
        try:
            request.check()
            if not self._packagesPanel.ensure(Purpose.SYNTHESIS):
                raise ValueError(_("Install the packages for synthesis first."))
            if not self._packagesPanel.ensure(Purpose.BATCH):
                raise ValueError(_("Install the packages for batches first."))
            self.job = self._logic.startBatch(request, lambda line: self._log.add(_("batch"), line))
        except (ValueError, OSError) as error:
            self._showState(str(error), isWarning=True)
            return
        self._ui.batchTable.setRowCount(0)
        self._ui.batchProgressBar.setValue(0)
        self._ui.batchProgressBar.setVisible(True)
        self._timer.start()
        self._show(self.job)

    def cancel(self) -> None:
        if self.job is not None:
            self.job.cancel()
            self._show(self.job)

    def poll(self) -> None:
        """Follow the process; called by a timer."""
        job = self.job
        if job is None:
            return
        isOver = not job.isRunning
        job.poll()
        if isOver:
            self._timer.stop()
            self._ui.batchProgressBar.setVisible(False)
        self._show(job)

    def close(self) -> None:
        """End the process; the module is being closed."""
        self._timer.stop()
        if self.job is not None:
            self.job.close()

    def _show(self, job: BatchJob) -> None:
        table = self._ui.batchTable
        self._ui.batchProgressBar.setValue(round(100 * job.share))
        self._showState(job.summary(), job.hasFailed)
        firstNew = table.rowCount
        table.setRowCount(len(job.cases))
        for row, case in enumerate(job.cases):
            if row >= firstNew:
                table.setItem(row, self.COLUMN_CASE, qt.QTableWidgetItem(self._nameOf(case, job)))
                table.setItem(row, self.COLUMN_STATE, qt.QTableWidgetItem(""))
                table.item(row, self.COLUMN_CASE).setToolTip(case.name)
            text, item = self._stateText(case, job), table.item(row, self.COLUMN_STATE)
            if item.text() != text:
                item.setText(text)
                item.setToolTip(case.text or text)
                if case.state is CaseState.FAILED:
                    item.setForeground(qt.QBrush(qt.QColor(WARNING_COLOR)))
                table.scrollToItem(item)
        table.setVisible(bool(job.cases))
        self.update(self._parameterNode)

    def _nameOf(self, case: BatchCase, job: BatchJob) -> str:
        """The file's place in the folder of the batch."""
        try:
            folder = pathlib.Path(job.request.inputFolder).resolve()
            return str(pathlib.Path(case.name).relative_to(folder))
        except ValueError:
            return case.name

    def _stateText(self, case: BatchCase, job: BatchJob) -> str:
        if case.state is CaseState.RUNNING:
            if not job.isRunning:
                return _("not finished")
            return f"{100 * case.share:.0f} % {case.text}"
        if case.state is CaseState.DONE:
            return _("done")
        reason = case.text.replace(case.name, pathlib.Path(case.name).name)
        return _("failed: {reason}").format(reason=reason)

    def _showState(self, text: str, isWarning: bool = False) -> None:
        showText(self._ui.batchStateLabel, text, isWarning)

    def _chooseInput(self) -> None:
        chooseFolder(self._ui.batchInputEdit, _("Folder of segmentations"))

    def _chooseOutput(self) -> None:
        chooseFolder(self._ui.batchOutputEdit, _("Folder for the volumes"))
