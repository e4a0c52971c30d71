"""Pictures of edits, comparisons, histograms, records and errors; for take_screenshots.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer
import slicer.util
from take_screenshots import (
    center_views,
    grow_ventricle,
    only,
    set_same_window,
    show,
    show_segments_in,
    wait,
)


def take_view_pictures(panel, segmentation, scan, save: Callable[[str], None]) -> None:
    """The panel already holds the sample's segments, its scan and a synthetic volume."""
    take_live_and_edit(panel, segmentation, scan, save)
    take_comparison(panel, segmentation, scan, save)
    take_error(panel, segmentation, scan, save)


def take_live_and_edit(panel, segmentation, scan, save: Callable[[str], None]) -> None:
    ui = panel.ui
    only(panel, "inputsCollapsibleButton", "segmentEditorCollapsibleButton")
    ui.editedScanSelector.setCurrentNode(scan)
    ui.rememberButton.click()
    ui.liveCheckBox.click()
    wait(lambda: panel.live.state.value == "up to date")
    grow_ventricle(segmentation, scan)
    wait(lambda: panel.live.state.value == "running")
    wait(lambda: panel.live.state.value == "up to date")
    save("AnatoMaskGAN-live")
    ui.liveCheckBox.click()
    wait(lambda: ui.editScanButton.enabled)

    only(panel, "inputsCollapsibleButton", "editCollapsibleButton")
    ui.editScanButton.click()
    ui.editSideBySideButton.click()
    look()
    save("AnatoMaskGAN-edit")
    panel.views.hide()


def take_comparison(panel, segmentation, scan, save: Callable[[str], None]) -> None:
    """The comparison with the scan, of the segments as they were before the edit."""
    ui = panel.ui
    ui.inputSelector.setCurrentNode(panel._parameterNode.segmentationBefore)
    ui.outputSelector.setCurrentNode(None)
    wait(lambda: ui.synthesizeButton.enabled)
    ui.synthesizeButton.click()
    set_same_window(panel._parameterNode.outputVolume, scan)
    segmentation.GetDisplayNode().SetVisibility(False)

    only(panel, "compareCollapsibleButton")
    ui.realSelector.setCurrentNode(scan)
    wait(lambda: ui.compareButton.enabled)
    ui.compareButton.click()
    look()
    save("AnatoMaskGAN-compare")

    ui.histogramComboBox.setCurrentIndex(
        ui.histogramComboBox.findText("Left-Cerebral-White-Matter")
    )
    ui.plotButton.click()
    look()
    for plot in slicer.app.layoutManager().plotWidgets().values():
        plot.draw()
    save("AnatoMaskGAN-histogram")

    only(panel, "advancedCollapsibleButton", "recordCollapsibleButton")
    save("AnatoMaskGAN-record")
    panel.views.hide()


def take_error(panel, segmentation, scan, save: Callable[[str], None]) -> None:
    """A reference volume that does not hold the segments."""
    grid = np.diag([1.0, 1, 1, 1])
    grid[:3, 3] = 900
    elsewhere = slicer.util.addVolumeFromArray(np.zeros((8, 8, 8), np.int16), grid, "Other patient")
    panel.ui.inputSelector.setCurrentNode(segmentation)
    panel.ui.referenceSelector.setCurrentNode(elsewhere)
    panel.ui.outputSelector.setCurrentNode(None)
    wait(lambda: panel.ui.synthesizeButton.enabled)
    only(panel, "inputsCollapsibleButton", "labelsCollapsibleButton")
    panel.ui.synthesizeButton.click()
    show_segments_in(segmentation, "Labels")
    for column, volume in (("Labels", scan), ("Synthetic", None), ("Real", scan)):
        show(column, volume)
    look()
    save("AnatoMaskGAN-error")


def look() -> None:
    """The head fills the views, which show the same slices."""
    center_views()
    wait()
