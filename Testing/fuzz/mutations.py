"""How an input is changed: bytes, numbers and lines of text, values and keys of JSON.

Everything follows from the random generator that comes in, so that an input can be made again.
"""

from __future__ import annotations

import copy
import json
import re
from random import Random
from typing import Any

# Where readers count, allocate or compare, these are the values that they did not think of.
NASTY_NUMBERS = (
    "0",
    "-1",
    "1e308",
    "NaN",
    "-inf",
    "2147483648",
    "18446744073709551616",
    "9" * 5000,
)
NASTY_BYTES = (b"\0", b"\xff" * 8, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\n\n", b"%s%n", b"../../x")
NASTY_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "\0",
    "\ud800",
    "../../outside",
    "/etc/passwd",
    "x" * 5000,
    "9" * 5000,
    "nan",
    [],
    {},
    [[]],
    [None],
    {"a": {"b": [1]}},
    [0] * 300,
)
_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")


def changed_bytes(draws: Random, content: bytes) -> bytes:
    """The content after one to four changes that know nothing of its format."""
    changed = bytearray(content)
    for _ in range(draws.randint(1, 4)):
        first = draws.randrange(len(changed) + 1)
        # headers decide what a reader does; they are short and lie at the front
        if draws.random() < 0.6:
            first = min(first, draws.randrange(600))
        last = min(len(changed), first + draws.choice((1, 1, 2, 4, 8, 64, 4096)))
        match draws.randrange(7):
            case 0 if first < len(changed):
                changed[first] ^= 1 << draws.randrange(8)
            case 1:
                changed[first:last] = draws.randbytes(last - first)
            case 2:
                del changed[first:last]
            case 3:
                changed[first:first] = changed[first:last]
            case 4:
                nasty = draws.choice(NASTY_BYTES)
                changed[first : first + len(nasty)] = nasty
            case 5:
                changed[first:first] = draws.choice(NASTY_BYTES)
            case 6:
                del changed[first:]
    return bytes(changed)


def changed_text(draws: Random, content: bytes) -> bytes:
    """Lines and numbers of a text changed, left out, doubled or put elsewhere."""
    if draws.random() < 0.2:
        return changed_bytes(draws, content)
    lines = content.split(b"\n")
    for _ in range(draws.randint(1, 3)):
        at = draws.randrange(len(lines))
        match draws.randrange(5):
            case 0:
                lines[at] = _with_other_number(draws, lines[at])
            case 1 if len(lines) > 1:
                del lines[at]
            case 2:
                lines.insert(draws.randrange(len(lines)), lines[at])
            case 3:
                lines[at] = changed_bytes(draws, lines[at])
            case 4:
                key, mark, _ = lines[at].partition(draws.choice((b":", b"=")))
                lines[at] = key + mark + b" " + draws.choice(NASTY_NUMBERS).encode()
    return b"\n".join(lines)


def changed_value(draws: Random, value: Any) -> Any:
    """A copy of a JSON value with one to three of its parts replaced, left out, renamed."""
    root = [copy.deepcopy(value)]
    for _ in range(draws.randint(1, 3)):
        places = list(_places(root))
        container, key = draws.choice(places)
        match draws.randrange(6):
            case 0 if isinstance(container, dict):
                del container[key]
            case 1 if isinstance(container, dict):
                container[draws.choice(("", "0", "-1", "9" * 5000, "a" * 99, "\ud800"))] = (
                    container.pop(key)
                )
            case 2:
                # somewhere else's value: the right type of the wrong thing
                other, place = draws.choice(places)
                container[key] = copy.deepcopy(other[place])
            case _:
                container[key] = copy.deepcopy(draws.choice(NASTY_VALUES))
    return root[0]


def changed_json(draws: Random, content: bytes) -> bytes:
    """A JSON text with changed values, or with changed bytes."""
    if draws.random() < 0.25:
        return changed_bytes(draws, content)
    return json.dumps(changed_value(draws, json.loads(content))).encode()


def _places(container: Any) -> list[tuple[Any, Any]]:
    found = []
    entries = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in entries:
        found.append((container, key))
        if isinstance(value, dict | list):
            found += _places(value)
    return found


def _with_other_number(draws: Random, line: bytes) -> bytes:
    numbers = list(_NUMBER.finditer(line))
    if not numbers:
        return line
    number = draws.choice(numbers)
    nasty = draws.choice(NASTY_NUMBERS).encode()
    return line[: number.start()] + nasty + line[number.end() :]
