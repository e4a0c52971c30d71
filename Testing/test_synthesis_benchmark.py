from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).resolve().parent / "benchmarks" / "synthesis.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    specification = importlib.util.spec_from_file_location("synthesis_benchmark", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_ratios_and_shares_of_the_ceiling_are_those_of_the_rows(benchmark: ModuleType) -> None:
    time = {"wall": 2.5, "cpu": 2.0}
    rows = {
        "ceiling": {"gigaflop_per_second": 150.0, "gigaflop_per_cpu_second": 100.0},
        "paper naive": time | {"gigaflop": 120.0, "peak": 900.0},
        "paper words": {
            "wall": 0.5,
            "cpu": 0.4,
            "gigaflop": 16.0,
            "peak": 1500.0,
            "slices": 200,
            "further": {"wall": 0.3, "cpu": 0.25},
        },
    }
    lines = benchmark.table(rows, argparse.Namespace())
    cells = [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:5]]
    assert cells == [
        ["2.000", "2.500", "900", "", "60 %"],
        ["0.400", "0.500", "1500", "5.0x", "40 %"],
        ["0.250", "0.300", "", "8.0x", "64 %"],
    ]
    assert lines[-1].startswith("Ceiling: 150 GFLOP/s")


def test_the_labels_of_a_volume_run_there_and_back_and_hold_many_classes(
    benchmark: ModuleType,
) -> None:
    labels = benchmark.sample_labels(400)
    assert labels.shape == (400, benchmark.SIZE, benchmark.SIZE)
    assert labels.max() < benchmark.NUM_CLASSES and len(set(labels.ravel().tolist())) > 30
    middle = benchmark.sample_labels(3)
    assert all((part > 0).mean() > 0.1 for part in middle)
