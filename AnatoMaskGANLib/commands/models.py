"""`anatomaskgan models`: which models there are, and what their cards say."""

from __future__ import annotations

from dataclasses import dataclass

from AnatoMaskGANLib.commands.options import positional


@dataclass(frozen=True)
class ListModelsOptions:
    """List the models of this installation, one a line."""


@dataclass(frozen=True)
class ShowModelOptions:
    """Show a model's card: data, license, what it must not be used for, figures."""

    model: str = positional()
    """Name of a model, as the list gives it, or path of a model folder."""


def list_models(options: ListModelsOptions) -> int:
    """Always 0; prints name and description of every model."""
    from AnatoMaskGANLib.synthesis import list_models as find_models

    cards = find_models()
    width = max((len(card.name) for card in cards), default=0)
    for card in cards:
        print(f"{card.name:{width}}  {card.description}")
    return 0


def show_model(options: ShowModelOptions) -> int:
    """0; prints the card. Raises CheckpointError for what is no model."""
    from AnatoMaskGANLib.synthesis.model_folder import card_text, find_model, read_card

    print(card_text(read_card(find_model(options.model))))
    return 0
