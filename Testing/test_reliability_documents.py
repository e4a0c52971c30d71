"""The pages on errors and threats say what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.list_errors import Raised, cause_and_cure, raised_errors

REPOSITORY = Path(__file__).resolve().parents[1]
ERRORS = (REPOSITORY / "Documentation" / "errors.md").read_text(encoding="utf-8")


def test_every_kind_of_error_that_is_raised_stands_on_the_page() -> None:
    kinds = {raised.error for raised in raised_errors()}
    assert {"VolumeError", "CheckpointError", "StoreError", "SettingsError"} <= kinds
    assert [kind for kind in sorted(kinds) if kind not in ERRORS] == []


@pytest.mark.slow  # the words of a message may change before the page is made again
def test_the_page_on_errors_is_the_one_that_the_program_gives() -> None:
    command = [sys.executable, "Testing/list_errors.py", "--check"]
    done = subprocess.run(command, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, "run: python Testing/list_errors.py"


def test_a_message_is_divided_into_cause_and_cure() -> None:
    raised = Raised("a.py", 1, "VolumeError", "{path} is empty; expected voxels. Export it again.")
    assert cause_and_cure(raised) == ("{path} is empty", "Expected voxels. Export it again.")


def test_what_the_threat_model_names_exists() -> None:
    text = (REPOSITORY / "Documentation" / "threat-model.md").read_text(encoding="utf-8")
    files = re.findall(r"`(Testing/[\w/]+\.py)`", text)
    assert len(files) >= 6
    assert [name for name in files if not (REPOSITORY / name).is_file()] == []
    for module in re.findall(r"`python -m Testing\.(\w+)`", text):
        assert (REPOSITORY / "Testing" / module / "__main__.py").is_file()
