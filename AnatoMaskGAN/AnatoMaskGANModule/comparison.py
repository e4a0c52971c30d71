"""A synthetic volume against the real scan of the same anatomy."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import slicer

from .volume_source import VolumeSource


@dataclass(frozen=True)
class Comparison:
    """What a comparison gives: figures, and the nodes that show it."""

    figures: Mapping[str, float]
    """By their keys in the core's `evaluation/figures.py`."""
    differenceVolume: Any
    """Synthetic minus real, on the synthetic volume's grid."""
    tableNode: Any
    """A row for each segment: voxels, means and deviations of both, their distance."""
    isResampled: bool
    """Whether the real scan had to be put on the synthetic volume's grid."""


def compareVolumes(syntheticNode, realNode, source: VolumeSource, card) -> Comparison:
    """The comparison by the model's window; `card` is the core's `ModelCard`.

    The figures are counted in a thread, so that the window works on meanwhile. Raises VolumeError
    or ValueError for what cannot be compared.
    """
    from AnatoMaskGANLib.evaluation.case_figures import paired_figures, to_grid_case
    from AnatoMaskGANLib.mrml import update_difference, update_table, user_table, volume_of_node
    from AnatoMaskGANLib.volumes import (
        LabelTable,
        Volume,
        apply_matches,
        match_labels,
        same_grid,
        to_grid_of,
    )

    export = source.labelMapExport()
    labelMap = export.label_map
    synthetic, real = volume_of_node(syntheticNode), volume_of_node(realNode)
    if not same_grid(synthetic, labelMap):
        raise ValueError(
            f"{syntheticNode.GetName()!r} does not lie on the grid of its segmentation any more. "
            "Synthesize it again, then compare."
        )
    isResampled = not same_grid(real, labelMap)
    if isResampled:
        real = to_grid_of(real, labelMap)
    table = LabelTable.from_dict(card.label_table)
    matches = match_labels(labelMap, table, user_table(export.entries, source.labels))
    matched = apply_matches(labelMap, matches, "background")

    def count() -> tuple[dict[str, float], dict[int, Any]]:
        return paired_figures(to_grid_case(real, synthetic, matched, card.window))

    figures, statistics = resultOfThread(count)
    voxels = synthetic.voxels_kji - real.voxels_kji.astype("float32")
    difference = Volume(voxels, labelMap.ijk_to_ras, card.window, card.unit)
    differenceVolume = update_difference(
        syntheticNode, difference, export.grid, source.segmentationNode
    )
    tableNode = update_table(syntheticNode, segmentColumns(statistics, table.labels, card.window))
    return Comparison(figures, differenceVolume, tableNode, isResampled)


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
        "Real deviation": [width * row.real_deviation for row in rows],
        "Synthetic deviation": [width * row.synthetic_deviation for row in rows],
        "Wasserstein distance": [width * row.wasserstein for row in rows],
    }


def resultOfThread(function: Callable[[], Any]) -> Any:
    """What the function gives back or raises, run in a thread; it must not touch Qt or MRML."""
    outcome = {}

    def run() -> None:
        try:
            outcome["result"] = function()
        except Exception as error:  # raised again where the caller waits
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        slicer.app.processEvents()
        time.sleep(0.01)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]
