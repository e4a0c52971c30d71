"""The pages on errors and threats say what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.list_errors import WITHIN, Raised, cause_and_cure, raise_statements, raised_errors
from Testing.raised.__main__ import not_raised

REPOSITORY = Path(__file__).resolve().parents[1]
ERRORS = (REPOSITORY / "Documentation" / "errors.md").read_text(encoding="utf-8")


def test_every_kind_of_error_that_is_raised_stands_on_the_page() -> None:
    kinds = {WITHIN.get(raised.error, ("", raised.error))[1] for raised in raised_errors()}
    assert {"VolumeError", "CheckpointError", "StoreError", "SettingsError"} <= kinds
    assert [kind for kind in sorted(kinds) if kind not in ERRORS] == []


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


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ('raise ValueError("no folder; choose one")', "ValueError", "no folder; choose one"),
        ('raise ValueError(f"{path.name} is " "gone")', "ValueError", "{name} is gone"),
        ('raise ValueError(_("Choose one."))', "ValueError", "Choose one."),
        ('raise ValueError(_("Say {what}.").format(what=1))', "ValueError", "Say {what}."),
        ("raise OSError(words.format(x=1))", "OSError", "No {x}."),
        ("raise damaged(path)", "StoreError", "{path} is damaged"),
        ("raise self.damaged(path)", "StoreError", "{path} is damaged"),
        ('raise outcome["error"]', "outcome['error']", ""),
    ],
)
def test_the_text_of_an_error_is_found_however_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: str, text: str
) -> None:
    monkeypatch.setattr("Testing.list_errors.REPOSITORY", tmp_path)
    (tmp_path / "AnatoMaskGAN").mkdir()
    made = "def damaged(path):\n    return StoreError(f'{path} is damaged')\n\n"
    path = tmp_path / "AnatoMaskGAN" / "a.py"
    path.write_text(made + f"def act():\n    raise\n    words = _('No {{x!r}}.')\n    {code}\n")
    assert list(raise_statements()) == [Raised("AnatoMaskGAN/a.py", 7, error, text)]


def test_an_error_that_no_test_raises_is_told() -> None:
    first, second = (Raised("a.py", line, "ValueError", "no") for line in (3, 8))
    abstract = Raised("a.py", 12, "NotImplementedError", "")
    assert not_raised([second, abstract, first], {"a.py", "a.py:3"}) == [second]


def test_make_test_is_what_looks_for_errors_that_no_test_raises() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^test:\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    assert "-m Testing.raised" in recipe
