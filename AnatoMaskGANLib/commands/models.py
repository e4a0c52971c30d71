"""`anatomaskgan models`: which models there are, and what their cards say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from AnatoMaskGANLib.commands.options import positional


@dataclass(frozen=True)
class ListModelsOptions:
    """List the models of this installation, one a line."""


@dataclass(frozen=True)
class ShowModelOptions:
    """Show a model's card: data, license, what it must not be used for, figures."""

    name: str = positional()
    """Name of a model, as the list gives it."""


def list_models(options: ListModelsOptions) -> int:
    """Always 0; prints name and description of every model."""
    from AnatoMaskGANLib.synthesis import list_models as find_models

    cards = find_models()
    width = max((len(card["name"]) for card in cards), default=0)
    for card in cards:
        print(f"{card['name']:{width}}  {card['description']}")
    return 0


def show_model(options: ShowModelOptions) -> int:
    """0; prints the card's entries. Raises ValueError for a name that is not in the list."""
    from AnatoMaskGANLib.synthesis import list_models as find_models

    cards = {card["name"]: card for card in find_models()}
    if options.name not in cards:
        known = ", ".join(sorted(cards)) or "none is installed"
        raise ValueError(f"There is no model named {options.name!r}. Models: {known}.")
    print("\n".join(card_lines(cards[options.name])))
    return 0


def card_lines(card: Mapping) -> list[str]:
    """A line an entry, nested ones indented below their name."""
    lines = []
    for key, value in card.items():
        if isinstance(value, Mapping):
            lines.append(f"{key}:")
            lines += [f"  {line}" for line in card_lines(value)]
        elif isinstance(value, (list, tuple)):
            lines.append(f"{key}: {json.dumps(list(value), ensure_ascii=False)}")
        else:
            lines.append(f"{key}: {value}")
    return lines
