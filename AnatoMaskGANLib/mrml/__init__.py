"""Slicer's nodes to label maps and volumes, and back.

The only part of the core that knows Slicer. It takes the scene from the nodes and calls the logics'
static methods, so that it runs the same in the application and under the tests' stand-in.
"""

from AnatoMaskGANLib.mrml.comparison_nodes import (
    compared_with,
    difference_of,
    metrics_of,
    update_difference,
    update_edit_difference,
    update_metrics,
    update_table,
    volume_of_node,
)
from AnatoMaskGANLib.mrml.edited_scan_nodes import (
    has_voxels,
    is_edited_scan,
    labels_on_scan,
    labels_while_painting,
    scan_of_node,
    update_edit_provenance,
    update_edited_scan,
    update_edited_series,
)
from AnatoMaskGANLib.mrml.histogram_nodes import (
    histogram_chart_of,
    histogram_labels,
    show_histogram,
    shown_label,
    update_histograms,
)
from AnatoMaskGANLib.mrml.label_map_export import (
    NodeGrid,
    SegmentationExport,
    label_map_from_segmentation,
)
from AnatoMaskGANLib.mrml.segments import (
    SegmentEntry,
    label_map_of_entries,
    name_segments,
    segment_entries,
    user_table,
)
from AnatoMaskGANLib.mrml.volume_nodes import (
    in_other_intensities,
    is_synthetic,
    place_beside,
    provenance_of,
    samples_browser,
    update_record,
    update_scalar_volume,
    update_volume_samples,
    volume_for_file,
)

__all__ = [
    "update_edited_series",
    "update_edited_scan",
    "update_edit_provenance",
    "scan_of_node",
    "labels_on_scan",
    "labels_while_painting",
    "is_edited_scan",
    "has_voxels",
    "NodeGrid",
    "SegmentEntry",
    "SegmentationExport",
    "compared_with",
    "difference_of",
    "histogram_chart_of",
    "histogram_labels",
    "in_other_intensities",
    "is_synthetic",
    "label_map_from_segmentation",
    "label_map_of_entries",
    "metrics_of",
    "name_segments",
    "place_beside",
    "provenance_of",
    "samples_browser",
    "segment_entries",
    "show_histogram",
    "shown_label",
    "update_difference",
    "update_edit_difference",
    "update_histograms",
    "update_metrics",
    "update_record",
    "update_scalar_volume",
    "update_table",
    "update_volume_samples",
    "user_table",
    "volume_for_file",
    "volume_of_node",
]
