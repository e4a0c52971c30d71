"""The choice of the model: what it is for, in which unit it works, and where it would run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import qt
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.status import showText
from AnatoMaskGANModule.models.memory_advice import memoryAdvice
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode

if TYPE_CHECKING:
    import ctk

    from AnatoMaskGANLib.synthesis import ModelCard
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic


class ModelWidgets(Protocol):
    """The widgets of the panel that `ModelChooser` owns."""

    deviceAdviceLabel: qt.QLabel
    modelComboBox: qt.QComboBox
    modelInfoLabel: qt.QLabel
    noiseLengthSlider: ctk.ctkSliderWidget
    unitLabel: qt.QLabel


class ModelChooser:
    """Lists the models that are here, and describes the selected one before it runs."""

    def __init__(self, ui: ModelWidgets, logic: AnatoMaskGANLogic) -> None:
        self._ui, self._logic = ui, logic
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        ui.modelComboBox.currentIndexChanged.connect(self._onSelected)

    @property
    def card(self) -> ModelCard | None:
        """The selected model's card; None when there is no such model, or no package."""
        if self._parameterNode is None or self._logic.missingPackages():
            return None
        return self._logic.models().get(self._parameterNode.model)

    def problem(self) -> str | None:
        """Why no model can be run, in words for the user."""
        if self._logic.missingPackages():
            return _("Install the missing packages first.")
        if not self._logic.models():
            return _("There is no model: install or download one in the section Models.")
        return _("Select a model.") if self.card is None else None

    def listModels(self) -> None:
        """Offer the models as they lie on the disk now."""
        names = [] if self._logic.missingPackages() else list(self._logic.models(isReadAgain=True))
        comboBox = self._ui.modelComboBox
        if [comboBox.itemText(index) for index in range(comboBox.count)] != names:
            wasBlocked = comboBox.blockSignals(True)
            comboBox.clear()
            comboBox.addItems(names)
            comboBox.blockSignals(wasBlocked)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """Show the model of the parameter node."""
        self._parameterNode = parameterNode
        card, comboBox = self.card, self._ui.modelComboBox
        wasBlocked = comboBox.blockSignals(True)
        comboBox.setCurrentIndex(comboBox.findText(card.name) if card is not None else -1)
        comboBox.blockSignals(wasBlocked)
        for label in (self._ui.modelInfoLabel, self._ui.deviceAdviceLabel):
            label.setVisible(card is not None)
        self._ui.unitLabel.setText("")
        self._ui.noiseLengthSlider.setEnabled(card is None or card.generator.use_noise3d)
        if card is not None and parameterNode is not None:
            self._showCard(card)
            self._showAdvice(card, parameterNode)

    def _showCard(self, card: ModelCard) -> None:
        self._ui.modelInfoLabel.setText(f"{card.description} {card.licence}.")
        toolTip = f"<p>{card.training_data}</p><p><b>Not for:</b> {card.not_for}</p>"
        self._ui.modelInfoLabel.setToolTip(toolTip)
        unit = _("Hounsfield units") if card.unit == "HU" else card.unit or _("arbitrary units")
        low, high = card.window
        text = _("The model's intensities: {low:g} to {high:g}, {unit}")
        self._ui.unitLabel.setText(text.format(low=low, high=high, unit=unit))

    def _showAdvice(self, card: ModelCard, parameters: AnatoMaskGANParameterNode) -> None:
        advice = memoryAdvice(
            parameters.inputSegmentation, parameters.referenceVolume, card, parameters.device.value
        )
        showText(self._ui.deviceAdviceLabel, advice.text, advice.isWarning, color="gray")

    def _onSelected(self) -> None:
        if self._parameterNode is not None and self._ui.modelComboBox.currentIndex >= 0:
            self._parameterNode.model = self._ui.modelComboBox.currentText
