"""Many cases one after the other: a progress bar, and failures that do not stop the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from AnatoMaskGANLib.commands.errors import error_line
from AnatoMaskGANLib.commands.parent_process import report_event
from AnatoMaskGANLib.commands.printable_text import printable

Case = TypeVar("Case")
OnProgress = Callable[[float, str], None]
"""Called with the done fraction of the case in [0,1] and what is being done."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchResult:
    """The names of the cases that succeeded, and of those that failed."""

    succeeded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Name of the case -> its error in one line."""

    @property
    def exit_code(self) -> int:
        """The exit code of the program: 1 when any case failed."""
        return 1 if self.failed else 0

    def summary(self) -> str:
        """The number of cases that succeeded, and each failure again in a line of its own."""
        total = len(self.succeeded) + len(self.failed)
        lines = [f"{len(self.succeeded)} of {total} succeeded"]
        if self.failed:
            lines[0] += f", {len(self.failed)} failed:"
            lines += [f"  {name}: {error}" for name, error in self.failed.items()]
        return "\n".join(lines)


def run_batch(
    cases: Sequence[Case],
    name_of: Callable[[Case], str],
    run_case: Callable[[Case, OnProgress], None],
) -> BatchResult:
    """Runs every case; an error of one is logged and kept, and the next one starts.

    The bar counts cases and moves within a case; it is drawn only on a terminal. An interrupt
    (Ctrl-C) ends the batch. A program that started this one gets the event `batch` with the number
    of cases, and for each case the events `case`, `share` and then `done` or `failed`.
    """
    result = BatchResult()
    report_event("batch", cases=len(cases))
    with logging_redirect_tqdm([logging.getLogger("AnatoMaskGANLib")]), _bar(len(cases)) as bar:
        for number, case in enumerate(cases):

            def on_progress(fraction: float, text: str, number: int = number) -> None:
                bar.n = number + min(max(fraction, 0.0), 1.0)
                bar.set_postfix_str(printable(text))
                report_event("share", number=number, share=round(fraction, 3), text=text)

            name = name_of(case)
            report_event("case", number=number, name=name)
            bar.set_description_str(printable(name))
            try:
                run_case(case, on_progress)
            except BrokenPipeError:
                raise  # nobody reads the results any more
            except Exception as error:  # whatever it is, the other cases go on
                result.failed[name] = error_line(error)
                report_event("failed", number=number, name=name, error=error_line(error))
                _log.error("%s: %s", name, error_line(error))
                _log.debug("where it happened", exc_info=error)
            else:
                result.succeeded.append(name)
                report_event("done", number=number, name=name)
            bar.n = number + 1
            bar.refresh()
    return result


def _bar(total: int) -> tqdm:
    # A float count, as a case moves the bar by parts.
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]{postfix}"
    return tqdm(total=total, bar_format=layout, disable=None)
