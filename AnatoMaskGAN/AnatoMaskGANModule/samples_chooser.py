"""The choice of the sample that a volume of several samples shows."""

from .logic import AnatoMaskGANLogic


class SamplesChooser:
    """A list of seeds; it drives the sequence browser, as the browser's own toolbar does."""

    def __init__(self, ui, logic: AnatoMaskGANLogic) -> None:
        self._ui, self._logic = ui, logic
        self._browser = None
        self._seeds: list[str] = []
        ui.sampleComboBox.activated.connect(self.onChosen)

    def update(self, volumeNode) -> None:
        """Show the samples of the volume; nothing for a volume of one, or for None."""
        isKnown = volumeNode is not None and not self._logic.missingPackages()
        self._browser = self._logic.samplesBrowser(volumeNode) if isKnown else None
        sequence = self._browser.GetMasterSequenceNode() if self._browser is not None else None
        count = sequence.GetNumberOfDataNodes() if sequence is not None else 0
        seeds = [sequence.GetNthIndexValue(number) for number in range(count)]
        for widget in (self._ui.sampleLabel, self._ui.sampleComboBox):
            widget.setVisible(bool(seeds))
        if seeds != self._seeds:
            self._seeds = seeds
            self._ui.sampleComboBox.clear()
            self._ui.sampleComboBox.addItems(seeds)
        if seeds:
            self._ui.sampleComboBox.setCurrentIndex(self._browser.GetSelectedItemNumber())

    def onChosen(self) -> None:
        if self._browser is not None:
            self._browser.SetSelectedItemNumber(self._ui.sampleComboBox.currentIndex)
