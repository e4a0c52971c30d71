"""The models that the panel lists: bundled, installed, and those that a catalog offers."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _


@dataclass(frozen=True)
class ListedModel:
    """A line of the list."""

    name: str
    where: str
    """Bundled, installed, or the size of a download."""
    licence: str
    card: Any = None
    """The core's `ModelCard`; None for a model that is not on this computer."""
    offer: Any = None
    """The core's `CatalogEntry`, where the catalog names it."""

    @property
    def isHere(self) -> bool:
        return self.card is not None

    def matches(self, search: str) -> bool:
        """Whether every word is found in what the card or the catalog says."""
        known = self.card or self.offer
        texts = [self.name, self.licence, known.description, known.training_data, known.not_for]
        if self.card is not None:
            texts += self.card.label_table["labels"].values()
        whole = " ".join(texts).lower()
        return all(word in whole for word in search.lower().split())

    def details(self) -> str:
        """The card, or what the catalog says, as HTML."""
        known = self.card or self.offer
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
        else:
            lines |= {
                _("Comes from"): self.offer.place,
                "SHA-256": self.offer.sha256[:16] + "...",
            }
        rows = (f"<b>{key}:</b> {html.escape(value)}" for key, value in lines.items() if value)
        return "<br>".join(rows)


def listedModels(
    cards: dict[str, Any], installed: Sequence[str], offers: Sequence[Any]
) -> list[ListedModel]:
    """What is here first, then what can be downloaded."""
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
