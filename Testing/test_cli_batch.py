from __future__ import annotations

import pytest

from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.errors import error_line


def test_a_bad_case_does_not_stop_the_others() -> None:
    def run_case(case: str, on_progress: OnProgress) -> None:
        on_progress(0.5, "working")
        if case == "bad":
            raise ValueError("empty file,\nexpected a label map")

    result = run_batch(["a", "bad", "b"], str, run_case)
    assert result.succeeded == ["a", "b"]
    assert result.failed == {"bad": "empty file, expected a label map"}
    assert result.exit_code == 1
    assert result.summary() == (
        "2 of 3 succeeded, 1 failed:\n  bad: empty file, expected a label map"
    )


def test_a_batch_without_failures_ends_with_exit_code_0() -> None:
    result = run_batch(["a"], str, lambda case, on_progress: None)
    assert result.exit_code == 0
    assert result.summary() == "1 of 1 succeeded"


def test_an_interrupt_ends_the_batch() -> None:
    seen: list[str] = []

    def interrupt(case: str, on_progress: OnProgress) -> None:
        seen.append(case)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(["a", "b"], str, interrupt)
    assert seen == ["a"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("what came\n  what to do"), "what came what to do"),
        (FileNotFoundError(2, "No such file", "a.nii"), "[Errno 2] No such file: 'a.nii'"),
        (KeyError("window"), "KeyError: 'window'"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("out of memory"), "RuntimeError: out of memory"),
    ],
)
def test_an_error_is_told_in_one_line(error: Exception, line: str) -> None:
    assert error_line(error) == line
