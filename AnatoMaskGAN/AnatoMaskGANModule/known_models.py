"""The models of this computer: listed, verified, installed and removed."""

import pathlib
from typing import Any


class KnownModels:
    """The cards (the core's `ModelCard`) of the bundled and the installed models, read once."""

    def __init__(self) -> None:
        self._cards: dict[str, Any] = {}

    def cards(self, isReadAgain: bool = False) -> dict[str, Any]:
        """Name to card."""
        from AnatoMaskGANLib.synthesis import list_models

        if isReadAgain or not self._cards:
            self._cards = {card.name: card for card in list_models()}
        return self._cards

    def forget(self) -> None:
        """Read the cards again when they are wanted next."""
        self._cards = {}

    def labelTable(self, model: str) -> Any:
        """The core's `LabelTable` of a model; ValueError when there is no such model."""
        from AnatoMaskGANLib.volumes import label_table_of_model

        if model not in self.cards() and model not in self.cards(isReadAgain=True):
            raise ValueError(f"There is no model {model!r}. Known: {', '.join(self.cards())}.")
        return label_table_of_model(self.cards()[model].label_table)

    def isInstalled(self, model: str) -> bool:
        """Whether the user installed the model, and so may remove it."""
        from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE, model_folders

        return any((folder / model / WEIGHTS_FILE).is_file() for folder in model_folders()[1:])

    def verify(self, model: str) -> Any:
        """The card of a model whose weights were all read and fit; CheckpointError if not."""
        from AnatoMaskGANLib.synthesis.models.archive import verify_model

        return verify_model(model)

    def install(self, path: str, isReplaced: bool = False) -> Any:
        """The card of a model installed from its archive, folder or weights' file.

        Raises CheckpointError for anything else, and for a name that is taken unless isReplaced.
        """
        from AnatoMaskGANLib.synthesis.models.archive import install_model

        return install_model(pathlib.Path(path), replace=isReplaced)

    def remove(self, model: str) -> None:
        """Remove a model that the user installed; CheckpointError for a bundled one."""
        from AnatoMaskGANLib.synthesis.models.archive import remove_model

        remove_model(model)
