"""Takes the pictures of Resources/Screenshots: the panel in each state, beside labels and scans.

    python Testing/take_screenshots.py
    python Testing/take_screenshots.py work    # only models, batch, training and packages
    python Testing/take_screenshots.py views   # all but these

It runs the module on the bundled sample in the stand-in host, which is not the application.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import slicer
import slicer.util
from PIL import Image
from slicer_host import window

REPOSITORY = Path(__file__).resolve().parents[1]
SCREENSHOTS = REPOSITORY / "Resources" / "Screenshots"
THUMBNAIL = REPOSITORY / "Resources" / "Icons" / "AnatoMaskGANBrainT1.png"
THUMBNAIL_SIZE = 192
COLUMNS = ("Labels", "Synthetic", "Real")
VIEWS = tuple(
    (f"{column} {orientation}", orientation, row, number)
    for number, column in enumerate(COLUMNS)
    for row, orientation in enumerate(("Axial", "Coronal"))
)
WINDOW_SIZE = (1560, 900)
# Structures that lie in the middle of the two planes.
SLICE_OFFSETS_MM = {"Axial": 6.0, "Coronal": -8.0}


def wait(until: Callable[[], bool] | None = None) -> None:
    """Let the window work until something is so, 5 minutes at most, or half a second."""
    end = time.monotonic() + (0.5 if until is None else 300)
    while time.monotonic() < end and not (until is not None and until()):
        slicer.app.processEvents()


def save(name: str) -> None:
    for widget in slicer.app.layoutManager().sliceWidgets().values():
        widget.draw()  # the views do not follow an edit of the segments by themselves
    wait()
    path = SCREENSHOTS / f"{name}.png"
    slicer.app.mainWindow().grab().save(str(path))
    Image.open(path).convert("RGB").save(path, optimize=True)
    print(f"wrote {path}")


def widgets_of(column: str) -> list:
    slice_widgets = slicer.app.layoutManager().sliceWidgets()
    return [widget for name, widget in slice_widgets.items() if name.startswith(column)]


def show(column: str, volume) -> None:
    for widget in widgets_of(column):
        composite = widget.view.logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(volume.GetID() if volume is not None else None)


def show_segments_in(segmentation, column: str) -> None:
    display = segmentation.GetDisplayNode()
    display.SetViewNodeIDs([widget.view.node.GetID() for widget in widgets_of(column)])
    display.SetVisibility(True)
    display.SetOpacity2DFill(0.9)


def center_views() -> None:
    for widget in slicer.app.layoutManager().sliceWidgets().values():
        widget.view.fit()
        field = widget.view.node.GetFieldOfView()
        widget.view.node.SetFieldOfView(0.8 * field[0], 0.8 * field[1], field[2])


def rename(segmentation, number: int, name: str) -> str:
    segment = segmentation.GetSegmentation().GetNthSegment(number)
    old_name = segment.GetName()
    segment.SetName(name)
    segment.SetTerminology("")
    return old_name


def only(panel, *names: str) -> None:
    """Unfold these sections and fold all others."""
    for name, widget in vars(panel.ui).items():
        if name.endswith("CollapsibleButton"):
            widget.collapsed = name not in names
    slicer.app.processEvents()


def set_same_window(*volumes) -> None:
    """Gray values that can be compared: all as the first volume is shown."""
    first = volumes[0].GetScalarVolumeDisplayNode()
    for volume in volumes[1:]:
        display = volume.GetScalarVolumeDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevel(first.GetWindow(), first.GetLevel())


def grow_ventricle(segmentation, scan) -> None:
    """An edit that is seen at a glance: the left ventricle grows by 5 voxels to all sides."""
    segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName("Left-Lateral-Ventricle")
    grown = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, scan) > 0
    for _ in range(5):
        neighbors = [np.roll(grown, step, axis) for axis in range(3) for step in (-1, 1)]
        grown = np.any([grown, *neighbors], axis=0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        grown.astype(np.uint8), segmentation, segment_id, scan
    )


def write_thumbnail() -> None:
    """The sample's labels on the left, its synthetic volume on the right."""
    pictures = []
    for column in ("Labels", "Synthetic"):
        pictures.append(widgets_of(column)[0].view.picture(THUMBNAIL_SIZE, THUMBNAIL_SIZE))
    half = THUMBNAIL_SIZE // 2
    Image.fromarray(np.hstack([pictures[0][:, :half], pictures[1][:, half:]])).save(THUMBNAIL)
    print(f"wrote {THUMBNAIL}")


def main() -> None:
    app = window.start_window(VIEWS)
    panel = window.show_module(window.load_module(REPOSITORY / "AnatoMaskGAN/AnatoMaskGAN.py"))
    # these find the core now that the module is loaded
    from view_screenshots import take_view_pictures
    from work_screenshots import take_work_pictures

    app.window.resize(*WINDOW_SIZE)
    app.window.show()
    if sys.argv[1:] != ["work"]:
        wait()
        save("AnatoMaskGAN-fresh")
    panel.ui.sampleDataButton.click()
    segmentation, scan = (
        panel._parameterNode.inputSegmentation,
        panel._parameterNode.referenceVolume,
    )
    show_segments_in(segmentation, "Labels")
    for column, volume in zip(COLUMNS, (scan, None, scan), strict=True):
        show(column, volume)
    center_views()
    if sys.argv[1:] == ["work"]:
        take_work_pictures(panel, save)
        return

    names = [rename(segmentation, 6, "Tumor"), rename(segmentation, 9, "Edema")]
    wait(lambda: panel.ui.labelTable.rowCount > 0)
    panel.ui.labelTable.scrollToItem(panel.ui.labelTable.item(4, 0))
    save("AnatoMaskGAN-unmatched")
    for number, name in zip((6, 9), names, strict=True):
        rename(segmentation, number, name)
    wait(lambda: panel.ui.synthesizeButton.enabled)
    save("AnatoMaskGAN-matched")

    is_taken = []

    def take_running(value: int) -> None:
        if value >= 40 and not is_taken:
            is_taken.append(value)
            save("AnatoMaskGAN-running")

    panel.ui.progressBar.valueChanged.connect(take_running)
    panel.ui.synthesizeButton.click()
    show_segments_in(segmentation, "Labels")
    output = panel._parameterNode.outputVolume
    for column, volume in zip(COLUMNS, (scan, output, scan), strict=True):
        show(column, volume)
    center_views()
    set_same_window(output, scan)
    panel.updateFromScene()
    save("AnatoMaskGAN")
    write_thumbnail()

    take_view_pictures(panel, segmentation, scan, save)
    if sys.argv[1:] != ["views"]:
        take_work_pictures(panel, save)


if __name__ == "__main__":
    main()
