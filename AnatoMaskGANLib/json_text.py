"""JSON whose meaning is one: a key that comes twice in an object is refused.

Python's reader keeps the last of the two and says nothing, so that a table with "3" twice names
another structure than its writer saw. A byte order mark, as Windows' editors write one, is skipped.
"""

from __future__ import annotations

import json
from typing import Any

_BYTE_ORDER_MARK = "\ufeff"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, bytes as UTF-8.

    Raises ValueError for what is no JSON or has a key twice, RecursionError for too deep nesting.
    """
    decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    return json.loads(decoded.removeprefix(_BYTE_ORDER_MARK), object_pairs_hook=_object_of)


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in values if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r:.99} comes twice; remove one of the two")
    return values
