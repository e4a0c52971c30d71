"""A real scan follows an edit of its segmentation: any scan, any labels, no model.

One call, from the scan, its segmentation, and the edited segmentation:

    settings = EditSettings(
        looks={90: look_from_text("fluid;rim 2 contrast-enhanced", scan, names)},
        fills={1: AROUND},
    )
    edited = edit_scan(scan, before, after, settings)
    edited.volume       # the scan's grid and type; beyond the reach the scan's very bits
    edited.num_moved, edited.num_filled, edited.num_painted, edited.warnings
    edited.volume.provenance    # method, hashes of scan and maps, settings

What has to be asked: `questions(scan, before, after)`. While a user paints:

    session = ScanEditSession(scan, before)
    changed = session.update(after, settings, is_quick=True)   # a first picture; None: no change
    changed = session.update(after, settings)                  # changed.slices, changed.voxels_kji
    session.edited()                                            # as of edit_scan, with the record

Label maps for those who do not paint: `operations.py`, such as `operations.grow(before, 2, 5.0)`,
and `series.py`, such as `series.sizes(before, 2, [50, 75, 100, 150])`.

To make the same voxels again: `EditSettings.from_record(json.loads(record["EditSettings"]))` with
the scan and the maps whose hashes stand in the record. `edited.how_made()` tells which voxels were
MOVED, and which are FILLED or PAINTED, where nothing real can be had and a model may do better:
`synthesis.blend_edit` takes a synthetic volume and that mask.
"""

from typing import TYPE_CHECKING

from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.editing.looks import (
    AROUND,
    KEEP,
    MODALITIES,
    TISSUES,
    Look,
    look_from_text,
    tissue_look,
)
from AnatoMaskGANLib.lazy_names import lazy_names

if TYPE_CHECKING:
    from AnatoMaskGANLib.editing.region_cut import FILLED, KEPT, MOVED, PAINTED
    from AnatoMaskGANLib.editing.scan_edit import Question, edit_scan, questions
    from AnatoMaskGANLib.editing.session import ChangedBox, EditedScan, ScanEditSession
    from AnatoMaskGANLib.editing.settings import EditSettings
    from AnatoMaskGANLib.editing.words import EditWords

# The files that import PyTorch and SimpleITK, and the settings, which name their default.
__getattr__ = lazy_names(
    __name__,
    {
        "FILLED": "region_cut",
        "KEPT": "region_cut",
        "MOVED": "region_cut",
        "PAINTED": "region_cut",
        "ChangedBox": "session",
        "EditSettings": "settings",
        "EditWords": "words",
        "EditedScan": "session",
        "Question": "scan_edit",
        "ScanEditSession": "session",
        "edit_scan": "scan_edit",
        "questions": "scan_edit",
    },
)

__all__ = [
    "AROUND",
    "FILLED",
    "KEEP",
    "KEPT",
    "MODALITIES",
    "MOVED",
    "PAINTED",
    "TISSUES",
    "ChangedBox",
    "EditError",
    "EditSettings",
    "EditWords",
    "EditedScan",
    "Look",
    "Question",
    "ScanEditSession",
    "edit_scan",
    "look_from_text",
    "questions",
    "tissue_look",
]
