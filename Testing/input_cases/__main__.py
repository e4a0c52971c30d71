"""Runs cases of files as people have them and prints a line for each.

    python -m Testing.input_cases [FOLDER] [NAME ...]

FOLDER holds case folders (make.py, cmd.txt, expect.txt and perhaps check.py); without it the
project's own cases run. A case without a check.py is checked by the project's case of its name; of
others what came and what is expected is printed. Ends with 1 when any is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

from Testing.input_cases.running import OWN_CASES, UNCHECKED, WRONG, cases_in, run_case


def main(words: list[str]) -> int:
    """0 when no case is wrong."""
    folder = Path(words[0]) if words and Path(words[0]).is_dir() else OWN_CASES
    names = [word for word in words if Path(word) != folder]
    cases = [
        case
        for case in cases_in(folder)
        if not names or any(case.name.startswith(n) for n in names)
    ]
    states = []
    for case in cases:
        verdict = run_case(case)
        states.append(verdict.state)
        print(verdict.line(), flush=True)
    unchecked = states.count(UNCHECKED)
    print(
        f"{len(states) - states.count(WRONG) - unchecked} of {len(states)} right"
        + (f", {unchecked} for a person to read" if unchecked else "")
    )
    return 1 if WRONG in states else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
