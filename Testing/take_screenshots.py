"""Takes the pictures of Resources/Screenshots: the panel in each state, beside labels and scans.

    python Testing/take_screenshots.py
    python Testing/take_screenshots.py work    # only models, batch, training and packages
    python Testing/take_screenshots.py views   # all but these

It runs the module on the bundled sample in the stand-in host, which is not the application.
"""

from __future__ import annotations

import sys
from pathlib import Path

from slicer_host import window
from slicer_host.user import choose, wait, when_bar_reaches
from window_pictures import (
    VIEWS,
    only,
    save,
    show,
    show_segments,
    write_halves,
)

REPOSITORY = Path(__file__).resolve().parents[1]
THUMBNAIL = REPOSITORY / "Resources" / "Icons" / "AnatoMaskGANBrainT1.png"
THUMBNAIL_SIZE = 192


def main() -> None:
    parts = sys.argv[1:] or ["views", "work"]
    app = window.start_window(VIEWS)
    panel = window.show_module(window.load_module(REPOSITORY / "AnatoMaskGAN/AnatoMaskGAN.py"))
    # these find the core now that the module is loaded
    from view_screenshots import take_view_pictures
    from work_screenshots import take_work_pictures

    app.window.show()
    if "views" in parts:
        save("AnatoMaskGAN-fresh")
    panel.ui.sampleDataButton.click()
    parameters = panel._parameterNode
    segmentation, scan = parameters.inputSegmentation, parameters.referenceVolume
    show_segments(segmentation)
    show(scan, None, scan)
    scan.GetScalarVolumeDisplayNode().AutoWindowLevelOff()
    scan.GetScalarVolumeDisplayNode().SetWindowLevelMinMax(*panel.modelChooser.card.window)
    wait(lambda: panel.ui.synthesizeButton.enabled)
    if "views" in parts:
        take_matching(panel, segmentation)
        when_bar_reaches(40, panel.ui.progressBar, lambda: save("AnatoMaskGAN-running"))
    synthesize(panel, segmentation, scan)
    if "views" in parts:
        save("AnatoMaskGAN")
        write_halves(THUMBNAIL, THUMBNAIL_SIZE)
    if "work" in parts:
        take_work_pictures(panel)
    if "views" in parts:
        take_samples(panel, segmentation, scan)
        take_view_pictures(panel, segmentation, scan)


def take_matching(panel, segmentation) -> None:
    """The table with two segments that the model does not know, and with all of them known."""
    names = [rename(segmentation, 6, "Tumor"), rename(segmentation, 9, "Edema")]
    wait(lambda: len(panel.labelPanel.unmatchedNames) == 2)
    panel.ui.labelTable.scrollToItem(panel.ui.labelTable.item(4, 0))
    save("AnatoMaskGAN-unmatched")
    for number, name in zip((6, 9), names, strict=True):
        rename(segmentation, number, name)
    wait(lambda: panel.ui.synthesizeButton.enabled)
    save("AnatoMaskGAN-matched")


def rename(segmentation, number: int, name: str) -> str:
    """The old name of a segment, which gets another one and loses its terminology."""
    segment = segmentation.GetSegmentation().GetNthSegment(number)
    old_name = segment.GetName()
    segment.SetName(name)
    segment.SetTerminology("")
    return old_name


def synthesize(panel, segmentation, scan) -> None:
    """Click on Synthesize, and show the volume between labels and scan."""
    panel.ui.synthesizeButton.click()
    output = panel._parameterNode.outputVolume
    show_segments(segmentation)
    show(scan, output, scan)
    panel.updateFromScene()


def take_samples(panel, segmentation, scan) -> None:
    """Done: two samples, the second one shown."""
    only(
        panel,
        "inputsCollapsibleButton",
        "samplingCollapsibleButton",
        "outputCollapsibleButton",
    )
    panel.ui.outputSelector.setCurrentNode(None)
    panel.ui.samplesSpinBox.value = 2
    wait(lambda: panel.ui.synthesizeButton.enabled)
    synthesize(panel, segmentation, scan)
    choose(panel.ui.sampleComboBox, "1")
    panel.updateFromScene()
    save("AnatoMaskGAN-done")
    panel.ui.samplesSpinBox.value = 1
    panel.ui.outputSelector.setCurrentNode(None)


if __name__ == "__main__":
    main()
