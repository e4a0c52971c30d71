"""Pictures of edits, comparisons, histograms, records and errors; for take_screenshots.py."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk
from slicer_host.user import choose, wait
from window_pictures import (
    CENTER_RAS_MM,
    only,
    save,
    show,
    show_segments,
)

EDITED_SEGMENT = "Left-Lateral-Ventricle"
STROKE_RADIUS_MM = 10.0


def take_view_pictures(panel, segmentation, scan) -> None:
    """The panel already holds the sample's segments and its scan."""
    take_live_and_edit(panel, segmentation, scan)
    take_comparison(panel, segmentation, scan)
    take_error(panel, segmentation, scan)


def take_live_and_edit(panel, segmentation, scan) -> None:
    ui = panel.ui
    only(panel, "inputsCollapsibleButton", "segmentEditorCollapsibleButton")
    ui.editedScanSelector.setCurrentNode(scan)
    ui.rememberButton.click()
    ui.liveCheckBox.click()
    wait(lambda: panel.live.state.value == "up to date", 900)
    show_segments(segmentation)
    show(scan, panel._parameterNode.outputVolume, scan)
    paint_ball(segmentation, scan)
    wait(lambda: panel.live.state.value == "running")
    wait(lambda: panel.live.state.value == "up to date", 900)
    save("AnatoMaskGAN-live")
    ui.liveCheckBox.click()
    wait(lambda: ui.editScanButton.enabled)

    only(panel, "inputsCollapsibleButton", "editCollapsibleButton")
    ui.editScanButton.click()
    ui.editSideBySideButton.click()
    save("AnatoMaskGAN-edit")
    panel.views.hide()


def paint_ball(segmentation, scan) -> None:
    """A stroke of a sphere brush where the planes of the views cross; it overwrites all others."""
    segments = segmentation.GetSegmentation()
    ball = ball_in(scan)
    for segment_id in segments.GetSegmentIDs():
        before = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, scan) > 0
        is_painted = segments.GetSegment(segment_id).GetName() == EDITED_SEGMENT
        after = before | ball if is_painted else before & ~ball
        if (before != after).any():
            slicer.util.updateSegmentBinaryLabelmapFromArray(
                after.astype(np.uint8), segmentation, segment_id, scan
            )


def ball_in(scan) -> np.ndarray:
    """True in the voxels [K,J,I] of the stroke."""
    matrix = vtk.vtkMatrix4x4()
    scan.GetIJKToRASMatrix(matrix)
    ijk_to_ras = slicer.util.arrayFromVTKMatrix(matrix)
    shape_kji = slicer.util.arrayFromVolume(scan).shape
    ijk = np.indices(shape_kji)[::-1].reshape(3, -1)
    ras = ijk_to_ras[:3, :3] @ ijk + ijk_to_ras[:3, 3:]
    distances_mm = np.linalg.norm(ras - np.array(CENTER_RAS_MM)[:, None], axis=0)
    return (distances_mm <= STROKE_RADIUS_MM).reshape(shape_kji)


def take_comparison(panel, segmentation, scan) -> None:
    """The comparison with the scan, of the segments as they were before the edit."""
    ui = panel.ui
    ui.inputSelector.setCurrentNode(panel._parameterNode.segmentationBefore)
    ui.outputSelector.setCurrentNode(None)
    wait(lambda: ui.synthesizeButton.enabled)
    ui.synthesizeButton.click()
    segmentation.GetDisplayNode().SetVisibility(False)

    only(panel, "compareCollapsibleButton")
    ui.realSelector.setCurrentNode(scan)
    wait(lambda: ui.compareButton.enabled)
    ui.compareButton.click()
    save("AnatoMaskGAN-compare")

    choose(ui.histogramComboBox, "Left-Cerebral-White-Matter")
    ui.plotButton.click()
    save("AnatoMaskGAN-histogram")
    panel.views.hide()

    only(panel, "advancedCollapsibleButton", "provenanceCollapsibleButton")
    show_segments(segmentation)
    show(scan, panel._parameterNode.outputVolume, scan)
    save("AnatoMaskGAN-record")


def take_error(panel, segmentation, scan) -> None:
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
    show_segments(segmentation)
    show(scan, None, scan)
    save("AnatoMaskGAN-error")
    panel.ui.referenceSelector.setCurrentNode(scan)
