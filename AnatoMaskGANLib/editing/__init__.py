"""A real scan follows an edit of its segmentation: any scan, any labels, no model.

One call, from the scan, its segmentation, and the edited segmentation:

    settings = EditSettings(
        looks={90: look_from_text("fluid;rim 2 contrast-enhanced", scan, names)},
        fills={1: AROUND},
    )
    edited = edit_scan(scan, before, after, settings)
    edited.volume       # the scan's grid and type; voxels beyond the reach stay bit for bit
    edited.num_moved, edited.num_filled, edited.num_painted, edited.warnings
    edited.volume.provenance    # method, hashes of scan and maps, settings

`questions(scan, before, after)` lists what the user has to be asked. While a user paints:

    session = ScanEditSession(scan, before)
    changed = session.update(after, settings, is_quick=True)   # a first picture; None: no change
    changed = session.update(after, settings)                  # changed.slices, changed.voxels_kji
    session.edited()                                           # like edit_scan, with provenance

`operations.py` edits label maps without painting, such as `operations.grow(before, 2, 5.0)`, and
`series.py` makes series of them, such as `series.sizes(before, 2, [50, 75, 100, 150])`.

The same voxels are made again with
`EditSettings.from_dict(json.loads(provenance["EditSettings"]))`, the scan, and the maps whose
hashes stand in the provenance. `edited.how_made()` gives how each voxel was made: MOVED voxels are
real, FILLED and PAINTED ones are not. A model may make these better: `synthesis.blend_edit` takes a
synthetic volume and a mask of them.
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

# Names that are loaded at first use: those of files that import PyTorch and SimpleITK, and the
# settings, because they name the default of such a file.
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
