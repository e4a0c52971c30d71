"""What a user of the window does and sees: waits, chooses, looks."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import slicer
import slicer.util


def wait(until: Callable[[], bool], seconds: float = 240) -> None:
    """Let the window work until something is so; AssertionError if it does not become so."""
    end = time.monotonic() + seconds
    slicer.app.processEvents()
    while not until() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.005)
    assert until(), f"waited {seconds} s in vain"


def choose(combo_box, text: str) -> None:
    """A click on the entry of a combo box."""
    index = combo_box.findText(text)
    assert index >= 0, [combo_box.itemText(number) for number in range(combo_box.count)]
    combo_box.setCurrentIndex(index)
    combo_box.activated.emit(index)


def table_rows(table) -> list[list[str]]:
    """The texts of a table."""
    columns = range(table.columnCount)
    return [[table.item(row, column).text() for column in columns] for row in range(table.rowCount)]


def when_bar_reaches(share: int, progress_bar, action: Callable[[], None]) -> list[int]:
    """Does something once, when the bar has come this far; gives back where it was then."""
    seen: list[int] = []

    def look(value: int) -> None:
        if value >= share and not seen:
            seen.append(value)
            action()

    progress_bar.valueChanged.connect(look)
    return seen


def shown_volumes(view_names: str) -> list[str]:
    """Names of the volumes in the slice views whose names begin so; "" for an empty view."""
    names = []
    for name, widget in slicer.app.layoutManager().sliceWidgets().items():
        if name.startswith(view_names):
            node_id = widget.mrmlSliceCompositeNode().GetBackgroundVolumeID()
            names.append(slicer.mrmlScene.GetNodeByID(node_id).GetName() if node_id else "")
    return names


def voxels(volume_node) -> np.ndarray:
    """A copy of a volume's voxels, [K,J,I]."""
    return slicer.util.arrayFromVolume(volume_node).copy()
