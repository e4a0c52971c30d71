"""One spelling for the many ways to write the name of a structure."""

from __future__ import annotations

import re
import unicodedata

_SIDES = {
    "left": "left",
    "l": "left",
    "lh": "left",
    "lt": "left",
    "right": "right",
    "r": "right",
    "rh": "right",
    "rt": "right",
}
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")


def normalized_name(name: str) -> str:
    """Lower-case words with one space between them and the side in front.

    "Left-Thalamus-Proper*", "thalamus proper (L)" and "lh.ThalamusProper" are all
    "left thalamus proper".
    """
    plain = unicodedata.normalize("NFKD", _CAMEL_CASE.sub(" ", name)).casefold()
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    words = [word for word in _BETWEEN_WORDS.split(plain) if word]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    others = [word for word in words if word not in _SIDES]
    return " ".join(sides + others)


def side_of(name: str) -> str:
    """ "left" or "right" if the name says one of them, else ""."""
    first = normalized_name(name).partition(" ")[0]
    return first if first in ("left", "right") else ""
