"""What a case's check.py asks of a run: its exit code, its words, its volumes.

A check runs in the folder of the run, where `running.py` leaves output.txt and exit-code.txt.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes import read_volume


def exits_with(code: int) -> None:
    """The last command of the case ended so."""
    found = int(Path("exit-code.txt").read_text(encoding="ascii"))
    assert found == code, f"exit code {found}; expected {code}"


def says(*texts: str) -> None:
    """The run printed all of these."""
    output = _output()
    for text in texts:
        assert text in output, f"not said: {text!r}"


def never_says(*texts: str) -> None:
    """The run printed none of these."""
    output = _output()
    for text in texts:
        assert text not in output, f"said: {text!r}"


def makes_nothing(folder: str = "out") -> None:
    """No volume was written."""
    found = [path.name for path in Path(folder).rglob("*.n*") if "manifest" not in path.name]
    assert not found, f"written: {found}"


def makes(*paths: str) -> None:
    """These volumes were written and no others."""
    found = {path.as_posix() for path in Path("out").rglob("*.n*") if path.is_file()}
    assert found == set(paths), f"written: {sorted(found)}; expected {sorted(paths)}"


def matches(path: str, text: str) -> None:
    """The record of a volume says that its labels became these labels of the model."""
    found = read_volume(path).provenance["LabelMatches"]
    assert found == text, f"{path} has {found!r}; expected {text!r}"


def mean_at(path: str, low_kji: tuple[int, int, int], high_kji: tuple[int, int, int]) -> float:
    """The mean intensity in a box of a volume."""
    box = tuple(slice(*ends) for ends in zip(low_kji, high_kji, strict=True))
    return float(np.mean(read_volume(path).voxels_kji[box]))


def _output() -> str:
    return Path("output.txt").read_text(encoding="utf-8", errors="replace")
