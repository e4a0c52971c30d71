"""Pictures of the stand-in's window, with what its views show; for take_screenshots.py."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import slicer
import slicer.util
from PIL import Image

SCREENSHOTS = Path(__file__).resolve().parents[1] / "Resources" / "Screenshots"
COLUMNS = ("Labels", "Synthetic", "Real")
ORIENTATIONS = ("Axial", "Coronal", "Sagittal")
# Where the planes of all views cross: in the left lateral ventricle, which is edited.
CENTER_RAS_MM = (-20.0, -38.0, 6.0)
VIEWS = tuple(
    (f"{column} {orientation}", orientation, row, number)
    for number, column in enumerate(COLUMNS)
    for row, orientation in enumerate(ORIENTATIONS)
)
WIDTH, LOWEST = 1480, 860


def work(seconds: float = 0.4) -> None:
    """Let the window draw what has changed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        slicer.app.processEvents()


def save(name: str) -> None:
    """Write a picture of the window, as high as the panel is, with the head filling the views."""
    fit_height()
    center_views()
    manager = slicer.app.layoutManager()
    for widget in (*manager.sliceWidgets().values(), *manager.plotWidgets().values()):
        widget.draw()  # the views do not follow an edit of the segments by themselves
    work()
    path = SCREENSHOTS / f"{name}.png"
    slicer.app.mainWindow().grab().save(str(path))
    Image.open(path).convert("RGB").save(path, optimize=True)
    print(f"wrote {path}")


def fit_height() -> None:
    """Make the window as high as the panel's content: nothing has to be scrolled."""
    main_window = slicer.app.mainWindow()
    main_window.resize(WIDTH, LOWEST)
    for _ in range(2):  # labels of several lines settle after the first time
        work()
        missing = main_window.scroll.verticalScrollBar().maximum
        main_window.resize(WIDTH, main_window.height + missing)
    work()


def center_views() -> None:
    """All views of an orientation show the same slice, a little enlarged."""
    views = [widget.view for widget in slicer.app.layoutManager().sliceWidgets().values()]
    for view in views:
        view.fit()  # linked views follow the last one
    for view in views:
        field = view.node.GetFieldOfView()
        view.node.SetFieldOfView(0.85 * field[0], 0.85 * field[1], field[2])
        view.node.JumpSliceByOffsetting(*CENTER_RAS_MM)


def only(panel, *names: str) -> None:
    """Unfold these sections and fold all others."""
    for name, widget in vars(panel.ui).items():
        if name.endswith("CollapsibleButton"):
            widget.collapsed = name not in names
    slicer.app.processEvents()


def widgets_of(column: str) -> list:
    slice_widgets = slicer.app.layoutManager().sliceWidgets()
    return [widget for name, widget in slice_widgets.items() if name.startswith(column)]


def show(labels, synthetic, real) -> None:
    """Show a volume in each of the first layout's columns; None for none."""
    for column, volume in zip(COLUMNS, (labels, synthetic, real), strict=True):
        for widget in widgets_of(column):
            composite = widget.view.logic.GetSliceCompositeNode()
            composite.SetBackgroundVolumeID(volume.GetID() if volume is not None else None)


def show_segments(segmentation) -> None:
    """Show the segments in the column of labels only."""
    display = segmentation.GetDisplayNode()
    display.SetViewNodeIDs([widget.view.node.GetID() for widget in widgets_of("Labels")])
    display.SetVisibility(True)
    display.SetOpacity2DFill(0.9)


def write_halves(path: Path, size: int) -> None:
    """A square picture: the labels on the left, the synthetic volume on the right."""
    pictures = [widgets_of(column)[0].view.picture(size, size) for column in COLUMNS[:2]]
    half = size // 2
    Image.fromarray(np.hstack([pictures[0][:, :half], pictures[1][:, half:]])).save(path)
    print(f"wrote {path}")
