"""The slices of a scan that a segmentation object leaves out, because they have no label."""

from __future__ import annotations

from pathlib import Path

from AnatoMaskGANLib.volumes.dicom.files import is_segmentation_file
from AnatoMaskGANLib.volumes.label_map import LabelMap
from AnatoMaskGANLib.volumes.resampling import is_part_of_grid, labels_on_grid_of
from AnatoMaskGANLib.volumes.volume import Volume


def with_all_slices(label_map: LabelMap, path: Path, scan: Volume) -> LabelMap:
    """The label map on the grid of its scan, if it was read from a segmentation object whose grid
    is a part of that one; any other label map as it is."""
    if not is_segmentation_file(path) or not is_part_of_grid(label_map, scan):
        return label_map
    return labels_on_grid_of(label_map, scan)
