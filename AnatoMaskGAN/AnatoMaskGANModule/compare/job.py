"""A synthetic volume against the real scan of the same anatomy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.synthesis.request import VolumeSource

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis import ModelCard
from AnatoMaskGANModule.synthesis.result import modelVoxels


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison: metrics, and the nodes that show it."""

    metrics: Mapping[str, float]
    """Metrics by their keys in the core's `evaluation/metrics/definitions.py`."""
    differenceVolume: slicer.vtkMRMLScalarVolumeNode
    """Synthetic minus real, on the synthetic volume's grid."""
    tableNode: slicer.vtkMRMLTableNode
    """A row for each segment: voxels, means and standard deviations of both, their distance."""
    chart: slicer.vtkMRMLPlotChartNode
    """The plot's chart node: a histogram for each label, all labels together first."""
    isResampled: bool
    """Whether the real scan had to be put on the synthetic volume's grid."""

    @property
    def figures(self) -> Mapping[str, float]:
        """The metrics, by the name that scripts for earlier versions use."""
        return self.metrics


def compareVolumes(
    syntheticNode: slicer.vtkMRMLScalarVolumeNode,
    realNode: slicer.vtkMRMLScalarVolumeNode,
    source: VolumeSource,
    card: ModelCard,
    provenance: Mapping[str, str],
    isCancelled: Callable[[], bool],
) -> Comparison:
    """The comparison, in intensities of the window of the model with this card.

    provenance: how the synthetic volume was made. The metrics are computed in a thread, so that the
    window works on meanwhile. Raises VolumeError or ValueError for what cannot be compared,
    SynthesisCancelledError when isCancelled says so, RuntimeError when a node was removed
    meanwhile; the scene is then as it was.
    """
    from AnatoMaskGANLib.evaluation.metrics.case_metrics import paired_metrics, to_grid_case
    from AnatoMaskGANLib.evaluation.metrics.label_intensities import label_histograms
    from AnatoMaskGANLib.mrml import (
        update_difference,
        update_histograms,
        update_metrics,
        update_table,
        user_table,
        volume_of_node,
    )
    from AnatoMaskGANLib.synthesis import SynthesisCancelledError
    from AnatoMaskGANLib.volumes import (
        Volume,
        apply_matches,
        label_table_of_model,
        match_labels,
        same_grid,
        to_grid_of,
    )

    export = source.labelMapExport()
    labelMap = export.label_map
    synthetic, real = volume_of_node(syntheticNode), volume_of_node(realNode)
    synthetic = replace(
        synthetic, voxels_kji=modelVoxels(synthetic.voxels_kji, provenance, card.window)
    )
    if not same_grid(synthetic, labelMap):
        raise ValueError(
            f"{syntheticNode.GetName()!r} is no longer on the grid of its segmentation. "
            "Synthesize it again, then compare."
        )
    if labelMap.sha256() != provenance["LabelMapSHA256"]:
        raise ValueError(
            f"{syntheticNode.GetName()!r} cannot be compared label by label: the segments "
            f"of {source.segmentationNode.GetName()!r} have changed since it was made. "
            "Synthesize it again, or undo the edits."
        )
    isResampled = not same_grid(real, labelMap)
    if isResampled:
        real = to_grid_of(real, labelMap)
    table = label_table_of_model(card.label_table)
    matches = match_labels(labelMap, table, user_table(export.entries, source.labels))
    matched = apply_matches(labelMap, matches, "background")

    def stopIfCancelled() -> None:
        if isCancelled():
            raise SynthesisCancelledError("The comparison was cancelled.")

    def count() -> tuple[dict[str, float], dict[int, Any], dict[int, Any]]:
        case = to_grid_case(real, synthetic, matched, card.window)
        stopIfCancelled()
        histograms = label_histograms(
            case.real_in_units_kji, case.synthetic_in_units_kji, case.labels_kji
        )
        stopIfCancelled()
        return *paired_metrics(case), histograms

    metrics, statistics, histograms = resultOfThread(count, stopIfCancelled)
    for node in (syntheticNode, realNode, source.segmentationNode):
        if node.GetScene() is None:
            raise RuntimeError(
                f"{node.GetName()!r} was removed during the comparison. Nothing was "
                "changed; select the volumes again."
            )
    voxels = synthetic.voxels_kji - real.voxels_kji.astype("float32")
    difference = Volume(voxels, labelMap.ijk_to_ras, card.window, card.unit)
    differenceVolume = update_difference(
        syntheticNode, difference, export.grid, source.segmentationNode
    )
    tableNode = update_table(syntheticNode, segmentColumns(statistics, table.labels, card.window))
    update_metrics(syntheticNode, realNode, metrics)
    named = {
        _("All labels") if value == 0 else table.labels[value]: (
            histogram.centers,
            histogram.real_percent,
            histogram.synthetic_percent,
        )
        for value, histogram in histograms.items()
    }
    chart = update_histograms(syntheticNode, named, card.unit)
    return Comparison(metrics, differenceVolume, tableNode, chart, isResampled)


def segmentColumns(
    statistics: Mapping[int, Any], names: Mapping[int, str], window: tuple[float, float]
) -> dict[str, list[str | float]]:
    """The columns of the table; intensities in the unit of the scan."""
    low, width = window[0], window[1] - window[0]
    rows = list(statistics.values())
    return {
        "Label": [names[value] for value in statistics],
        "Voxels": [float(row.num_voxels) for row in rows],
        "Real mean": [low + width * row.real_mean for row in rows],
        "Synthetic mean": [low + width * row.synthetic_mean for row in rows],
        "Real standard deviation": [width * row.real_standard_deviation for row in rows],
        "Synthetic standard deviation": [width * row.synthetic_standard_deviation for row in rows],
        "Wasserstein distance": [width * row.wasserstein for row in rows],
    }


def resultOfThread(function: Callable[[], Any], stopIfCancelled: Callable[[], None]) -> Any:
    """Runs the function in a thread and returns its result; it must not touch Qt or MRML.

    Errors of the function are raised here. An error of stopIfCancelled is raised at once. Nothing
    can end the thread; it gives up when it calls stopIfCancelled itself, and its result is dropped.
    """
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["result"] = function()
        except Exception as error:  # raised again where the caller waits
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        slicer.app.processEvents()
        stopIfCancelled()
        time.sleep(0.01)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]
