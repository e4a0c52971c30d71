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
# Accents above and below letters; lower classes make other letters, such as Japanese voiced ones.
_FIRST_ACCENT_CLASS = 200


def normalized_name(name: str) -> str:
    """Lower-case words of any script with one space between them and the side in front.

    "Left-Thalamus-Proper*", "thalamus proper (L)" and "lh.ThalamusProper" are all
    "left thalamus proper".
    """
    plain = unicodedata.normalize("NFKD", _CAMEL_CASE.sub(" ", name)).casefold()
    letters = [c for c in plain if unicodedata.combining(c) < _FIRST_ACCENT_CLASS]
    words = "".join(c if _is_of_word(c) else " " for c in letters).split()
    sides = [_SIDES[word] for word in words if word in _SIDES]
    others = [word for word in words if word not in _SIDES]
    return " ".join(sides + others)


def side_of(name: str) -> str:
    """ "left" or "right" if the name says one of them, else ""."""
    first = normalized_name(name).partition(" ")[0]
    return first if first in ("left", "right") else ""


def _is_of_word(character: str) -> bool:
    """Whether it is a letter or digit of any script, or a mark that belongs to one."""
    return character.isalnum() or unicodedata.category(character).startswith("M")
