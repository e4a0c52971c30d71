"""The short run of `python -m Testing.fuzz`."""

from __future__ import annotations

import sys
from random import Random

import pytest

from Testing.fuzz.__main__ import fuzz
from Testing.fuzz.mutations import changed_bytes, changed_value


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_some_hundreds_of_changed_inputs_are_read_or_refused_with_the_documented_errors() -> None:
    tallies = fuzz(390, seed=7)
    assert sum(tally.inputs for tally in tallies.values()) == 390
    assert {name: tally.findings for name, tally in tallies.items() if tally.findings} == {}
    assert all(tally.accepted for tally in tallies.values()), "not even the whole inputs are read"


def test_the_same_seed_makes_the_same_inputs() -> None:
    content = bytes(range(200))
    first, second = (changed_bytes(Random("x"), content) for _ in range(2))
    assert first == second != content
    value = {"a": [1, {"b": 2}]}
    assert repr(changed_value(Random("x"), value)) == repr(changed_value(Random("x"), value))
    assert value == {"a": [1, {"b": 2}]}
