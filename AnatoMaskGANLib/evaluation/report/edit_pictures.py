"""Draws an edit: the scan before it, after it, and the known truth, in three planes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.evaluation.metrics.case_metrics import own_spacing_ras_mm
from AnatoMaskGANLib.evaluation.report.pictures import (
    ThreePlanes,
    busiest_position_kji,
    draw_three_planes,
)
from AnatoMaskGANLib.volumes import LabelMap, LabelTable, Volume, to_model_grid


@dataclass(frozen=True, eq=False)
class EditPicture:
    """What a picture of an edit shows. All volumes are on one grid."""

    before: LabelMap
    after: LabelMap
    scan: Volume
    edited: Volume
    truth: Volume | None
    """The scan as it should be; None if that is not known."""
    window: tuple[float, float]
    """The intensities that are drawn black and white."""
    title: str
    table: LabelTable | None = None
    """The names and left-right partners of the labels."""


def draw_edit(path: str | Path, picture: EditPicture) -> None:
    """Writes a PNG with the planes that cut most of the edit. Raises what `draw_three_planes`
    raises."""
    is_changed = (picture.before.labels_kji != picture.after.labels_kji).astype(np.uint8)
    changes = LabelMap(is_changed, picture.after.ijk_to_ras)
    on_grid = to_model_grid(changes, own_spacing_ras_mm(changes))
    volumes = {"Before": picture.scan, "Edited": picture.edited}
    if picture.truth is not None:
        volumes["Truth"] = picture.truth
    planes = ThreePlanes(
        picture.after,
        volumes,
        picture.window,
        picture.table,
        reference="Truth",
        compared="Edited",
        title=picture.title,
        position_kji=busiest_position_kji(on_grid.labels_kji),
    )
    draw_three_planes(path, planes)
