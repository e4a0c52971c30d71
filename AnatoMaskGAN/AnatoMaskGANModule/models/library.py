"""The models of this computer and of a catalog: listed, checked, downloaded and removed."""

from __future__ import annotations

import html
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from AnatoMaskGANModule.host.process import CommandProcess

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis import ModelCard
    from AnatoMaskGANLib.synthesis.models.catalog import CatalogEntry
    from AnatoMaskGANLib.volumes import LabelTable


class KnownModels:
    """The cards of the bundled and the installed models, read once."""

    def __init__(self) -> None:
        self._cards: dict[str, ModelCard] = {}

    def cards(self, isReadAgain: bool = False) -> dict[str, ModelCard]:
        """Name to card."""
        from AnatoMaskGANLib.synthesis import list_models

        if isReadAgain or not self._cards:
            self._cards = {card.name: card for card in list_models()}
        return self._cards

    def forget(self) -> None:
        """Read the cards again when they are wanted next."""
        self._cards = {}

    def labelTable(self, model: str) -> LabelTable:
        """The label table of a model; ValueError when there is no such model."""
        from AnatoMaskGANLib.volumes import label_table_of_model

        if model not in self.cards() and model not in self.cards(isReadAgain=True):
            raise ValueError(f"There is no model {model!r}. Known: {', '.join(self.cards())}.")
        return label_table_of_model(self.cards()[model].label_table)

    def isInstalled(self, model: str) -> bool:
        """Whether the user installed the model, and so may remove it."""
        from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE, model_folders

        return any((folder / model / WEIGHTS_FILE).is_file() for folder in model_folders()[1:])

    def verify(self, model: str) -> ModelCard:
        """The card of a model whose weights were all read and fit; CheckpointError if not."""
        from AnatoMaskGANLib.synthesis.models.archive import verify_model

        return verify_model(model)

    def install(self, path: str, isReplaced: bool = False) -> ModelCard:
        """The card of a model installed from its archive, folder or weights' file.

        Raises CheckpointError for anything else, and for a name that is taken unless isReplaced.
        """
        from AnatoMaskGANLib.synthesis.models.archive import install_model

        return install_model(pathlib.Path(path), replace=isReplaced)

    def remove(self, model: str) -> None:
        """Remove a model that the user installed; CheckpointError for a bundled one."""
        from AnatoMaskGANLib.synthesis.models.archive import remove_model

        remove_model(model)


@dataclass(frozen=True)
class ListedModel:
    """A line of the list."""

    name: str
    where: str
    """Bundled, installed, or the size of a download."""
    licence: str
    card: ModelCard | None = None
    """The model's card; None for a model that is not on this computer."""
    offer: CatalogEntry | None = None
    """The model's entry in the catalog; a listed model has a card, an offer, or both."""

    @property
    def isHere(self) -> bool:
        return self.card is not None

    @property
    def _known(self) -> ModelCard | CatalogEntry:
        known = self.card or self.offer
        assert known is not None  # listed models have one
        return known

    def matches(self, search: str) -> bool:
        """Whether every word is found in what the card or the catalog says."""
        known = self._known
        texts = [self.name, self.licence, known.description, known.training_data, known.not_for]
        if self.card is not None:
            texts += self.card.label_table["labels"].values()
        whole = " ".join(texts).lower()
        return all(word in whole for word in search.lower().split())

    def details(self) -> str:
        """The card, or what the catalog says, as HTML."""
        known = self._known
        lines = {
            _("Makes"): known.description,
            _("Not for"): known.not_for,
            _("Trained on"): known.training_data,
            _("License"): known.licence,
        }
        if self.card is not None:
            spacing = " x ".join(f"{side:g}" for side in self.card.spacing_ijk_mm)
            lines |= {
                _("Voxels"): f"{spacing} mm",
                _("Labels"): str(len(self.card.label_table["labels"])),
                "SHA-256": self.card.sha256[:16] + "...",
            }
        elif self.offer is not None:
            lines |= {
                _("Comes from"): self.offer.place,
                "SHA-256": self.offer.sha256[:16] + "...",
            }
        rows = (f"<b>{key}:</b> {html.escape(value)}" for key, value in lines.items() if value)
        return "<br>".join(rows)


def listedModels(
    cards: dict[str, ModelCard], installed: Sequence[str], offers: Sequence[CatalogEntry]
) -> list[ListedModel]:
    """The models on this computer first, then those that can be downloaded."""
    byName = {offer.name: offer for offer in offers}
    here = [
        ListedModel(
            card.name,
            _("installed") if card.name in installed else _("bundled"),
            card.licence,
            card,
            byName.get(card.name),
        )
        for card in cards.values()
    ]
    away = [
        ListedModel(offer.name, downloadText(offer.size_bytes), offer.licence, None, offer)
        for offer in offers
        if offer.name not in cards
    ]
    return here + away


def downloadText(sizeBytes: int) -> str:
    return _("download, {size:.1f} MB").format(size=sizeBytes / 2**20)


class ModelDownload:
    """One download, `anatomaskgan models download`; `poll` brings it up to date."""

    def __init__(self, catalog: str, name: str, onLog: Callable[[str], None] | None = None) -> None:
        self.name = name
        self.share, self.text = 0.0, ""
        self._process = CommandProcess(["models", "download", catalog, name], onLog)

    @property
    def isRunning(self) -> bool:
        return self._process.isRunning

    @property
    def isDone(self) -> bool:
        """Whether the model is installed."""
        return self._process.exitCode == 0

    @property
    def isCancelled(self) -> bool:
        return self._process.isStopping and not self.isDone

    @property
    def problem(self) -> str:
        """Why it failed, in words for the user."""
        return self._process.lastWords

    def poll(self) -> None:
        for event in self._process.poll():
            if event["event"] == "share":
                self.share, self.text = event["share"], event["text"]

    def cancel(self) -> None:
        """End it; what came so far is deleted."""
        self._process.stop()

    def close(self) -> None:
        """End it with its process."""
        self._process.close()
