"""Files as people have them come out right, and the runner tells right from wrong."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from Testing.input_cases.__main__ import main
from Testing.input_cases.running import (
    OWN_CASES,
    RIGHT,
    UNCHECKED,
    WRONG,
    cases_in,
    check_of,
    run_case,
)

CASES = cases_in(OWN_CASES)
# They need Slicer's own libraries.
IN_SLICER = ("26-slicer-surface-models", "27-slicer-segments-of-one-name")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_file_as_people_have_it_comes_out_right(case: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("the commands are those of a POSIX shell")
    if case.name in IN_SLICER:
        pytest.importorskip("slicer")
    if case.name == "17-user-without-home" and not shutil.which("unshare"):
        pytest.skip("unshare makes the user without a home folder")
    verdict = run_case(case)
    assert verdict.state == RIGHT, verdict.line()


def test_every_case_says_what_is_right_and_checks_it() -> None:
    assert len(CASES) == 23
    for case in CASES:
        assert (case / "expect.txt").read_text(encoding="utf-8").strip()
        assert check_of(case) == case / "check.py"


def _case(folder: Path, command: str, check: str | None) -> Path:
    case = folder / "90-made-up"
    case.mkdir()
    (case / "cmd.txt").write_text(command)
    (case / "expect.txt").write_text("a file\n")
    (case / "make.py").write_text("open('made.txt', 'w').write('made')")
    if check is not None:
        (case / "check.py").write_text(check)
    return case


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a POSIX shell")
@pytest.mark.parametrize(
    ("check", "state", "text"),
    [
        ("assert open('output.txt').read() == 'made'", RIGHT, "made"),
        ("assert open('exit-code.txt').read() == '0', 'it ended'", WRONG, "it ended (made)"),
        (None, UNCHECKED, "exit code 3, made | expected: a file"),
    ],
)
def test_a_case_is_right_if_its_check_says_so(
    tmp_path: Path, check: str | None, state: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = run_case(_case(tmp_path, "cat made.txt; exit 3", check))
    assert (verdict.state, verdict.text) == (state, text)
    assert main([str(tmp_path), "90"]) == (state == WRONG)
    assert "90-made-up" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a POSIX shell")
def test_a_case_whose_input_cannot_be_made_is_wrong(tmp_path: Path) -> None:
    case = _case(tmp_path, "true", "")
    (case / "make.py").write_text("raise SystemExit('no disk')")
    assert run_case(case).line().startswith("WRONG    90-made-up: make.py failed: no disk")


def test_a_folder_without_cases_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no case"):
        cases_in(tmp_path)
