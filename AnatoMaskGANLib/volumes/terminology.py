"""Terminology codes of structures, in the one spelling that label maps and label tables use.

A code is "SCHEME:VALUE", with a modifier for the side where there is one:
"SCT:12738006" (brain), "SCT:64033007+SCT:7771000" (kidney, left).
"""

from __future__ import annotations

import re

_CODE = re.compile(r"[A-Za-z0-9_.\-]+:[^+~^|\s]+(\+[A-Za-z0-9_.\-]+:[^+~^|\s]+)?")

# The separators between the parts of an entry, and between the tags of a segment.
_SEPARATORS = re.compile(r"[~^|\s]+")

LEFT = "SCT:7771000"
RIGHT = "SCT:24028007"

TISSUE = "SCT:85756007"
"""The code of segments that nobody gave a code; alone it says nothing about the structure."""

_SIDES = {LEFT: "Left", RIGHT: "Right"}


def is_code(text: str) -> bool:
    """Whether the text is spelled as a code."""
    return _CODE.fullmatch(text) is not None


def code_of_terminology_entry(entry: str) -> str:
    """The code of the structure in Slicer's terminology entry; "" if it holds none.

    An entry (the segment tag "TerminologyEntry") reads "context~category~type~modifier~region
    context~region~region modifier", each of the middle ones "SCHEME^VALUE^MEANING". A region is
    the structure only where the type says no more than "tissue": a mass in the liver is no liver.
    """
    fields = entry.split("~")
    fields += [""] * (7 - len(fields))
    structure, side = _code_of_triple(fields[2]), _code_of_triple(fields[3])
    if structure in ("", TISSUE) and _code_of_triple(fields[5]):
        structure, side = _code_of_triple(fields[5]), _code_of_triple(fields[6])
    return f"{structure}+{side}" if structure and side else structure


def terminology_entry(code: str, meaning: str) -> str:
    """Slicer's terminology entry of a structure; meaning: its name in words."""
    structure, _, side = code.partition("+")
    category = "SCT^123037004^Anatomical Structure"
    modifier = _triple(side, _SIDES.get(side, "")) if side else "^^"
    meaning = _SEPARATORS.sub(" ", meaning)
    return f"AnatoMaskGAN~{category}~{_triple(structure, meaning)}~{modifier}~~^^~^^"


def without_modifier(code: str) -> str:
    """The code of the structure whichever side it is on."""
    return code.partition("+")[0]


def _triple(code: str, meaning: str) -> str:
    scheme, _, value = code.partition(":")
    return f"{scheme}^{value}^{meaning}"


def _code_of_triple(triple: str) -> str:
    scheme, _, rest = triple.partition("^")
    code = f"{scheme}:{rest.partition('^')[0]}"
    return code if is_code(code) else ""
