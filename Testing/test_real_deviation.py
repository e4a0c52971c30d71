"""How much people differ, worked out by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_runs import write_tiny_store

PROGRAM = Path(__file__).resolve().parent / "benchmarks" / "real_deviation.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    specification = importlib.util.spec_from_file_location("real_deviation", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    sys.modules["real_deviation"] = module
    specification.loader.exec_module(module)
    return module


def test_the_shares_are_worked_out_by_hand(program: ModuleType) -> None:
    # five people alike in the first label; in the second the last one has twice the deviation
    found = program.shares(np.array([[1.0, 1.0]] * 4 + [[1.0, 2.0]]))
    # 20 pairs of the first are good; of the second the 12 among the first four
    assert found.pairs == pytest.approx(32 / 40)
    # the mean of the others is 2 ** (1/4) = 1.19 for the four, 1/2 for the last
    assert found.by_others == pytest.approx(9 / 10)
    assert found.by_best_value == pytest.approx(9 / 10)
    assert (found.people_with_all_labels, found.num_people) == (4, 5)


def test_a_label_that_is_too_small_does_not_count(program: ModuleType) -> None:
    found = program.shares(np.array([[1.0, np.nan]] * 5))
    assert found.by_best_value == 1 and found.people_with_all_labels == 5


def test_a_store_gives_its_figures(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store", ("train",) * 5)
    assert program.main(["--store", str(store)]) == 0
    assert "5 people" in capsys.readouterr().out
