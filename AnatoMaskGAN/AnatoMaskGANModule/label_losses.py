"""What of the segments does not reach the volume, told to the user."""

from slicer.i18n import tr as _

from .parameter_node import UnmatchedSegments
from .synthesis_request import SynthesisRequest


def labelLosses(export, request: SynthesisRequest, labelTable) -> list[str]:
    """A sentence for each kind of loss: empty, cut, overlapping and dropped segments.

    export: the core's `SegmentationExport` that the request was made of; labelTable: the model's.
    """
    from AnatoMaskGANLib.volumes import match_labels

    told = []
    if export.empty_segments:
        names = ", ".join(export.empty_segments)
        told.append(_("Segments without any voxel on this grid: {names}.").format(names=names))
    for name, count in export.voxels_left_out.items():
        text = _("{count} voxels of {name} are outside the grid and are left out.")
        told.append(text.format(count=count, name=name))
    if export.num_overlapping_voxels:
        text = _(
            "Segments overlap in {count} voxels; the segment that is last in the list is used "
            "there."
        )
        told.append(text.format(count=export.num_overlapping_voxels))
    matches = match_labels(request.labelMap, labelTable, request.userTable)
    dropped = [match.name for match in matches if match.rule == "unmatched"]
    if dropped and request.unmatched == UnmatchedSegments.BACKGROUND.value:
        told.append(_("Treated as background: {names}.").format(names=", ".join(dropped)))
    return told
