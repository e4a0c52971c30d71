"""The code is formatted, has no lint and its types fit, so that `make test` and CI check it too."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from set_up_environment import TORCH

REPOSITORY = Path(__file__).resolve().parents[1]


def output_of(*command: str) -> tuple[int, list[str]]:
    """Exit code and lines of a Python program that runs in the repository's folder."""
    answer = subprocess.run(
        [sys.executable, "-m", *command], cwd=REPOSITORY, capture_output=True, text=True
    )
    return answer.returncode, (answer.stdout + answer.stderr).splitlines()


@pytest.mark.parametrize("command", ["check .", "format --check ."])
def test_ruff_finds_nothing(command: str) -> None:
    pytest.importorskip("ruff")
    code, lines = output_of("ruff", *command.split())
    assert code == 0, "\n".join(lines)


def test_all_types_fit() -> None:
    pytest.importorskip("mypy")
    if importlib.metadata.version("torch").partition("+")[0] != TORCH.partition("==")[2]:
        pytest.skip(f"types are checked with {TORCH}: other versions declare other types")
    code, lines = output_of("mypy", "--no-color-output")
    assert code == 0, "\n".join(lines)
    assert lines[-1].startswith("Success: no issues found in "), lines[-1]
