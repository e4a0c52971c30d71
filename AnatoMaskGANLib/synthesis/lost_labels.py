"""Labels that no voxel of the model grid has: too small for the model's spacing."""

from __future__ import annotations

from collections.abc import Sequence

from AnatoMaskGANLib.volumes import LabelMap, LabelMatch, VolumeError

NONE_LOST = "none"


def lost_labels(matches: Sequence[LabelMatch], model_map: LabelMap) -> tuple[LabelMatch, ...]:
    """The matches whose class the map on the model grid does not have."""
    return tuple(
        match
        for match in matches
        if match.model_value is not None
        and not {match.model_value, *match.nearest} & set(model_map.values)
    )


def named(lost: Sequence[LabelMatch]) -> str:
    """Values and names in the label map, as the record says them; `NONE_LOST` if there are none."""
    texts = (f"{match.value} {match.name or match.model_name}".strip() for match in lost)
    return "; ".join(texts) or NONE_LOST


def warning_of(lost: Sequence[LabelMatch], spacing_ijk_mm: Sequence[float]) -> str:
    """What a person is told."""
    grid = " x ".join(f"{spacing:g}" for spacing in spacing_ijk_mm)
    return (
        f"too small for the model's grid of {grid} mm and therefore not in the image: "
        f"{named(lost)}; paint them larger, or use a model with a finer grid"
    )


def refuse_empty_grid(matches: Sequence[LabelMatch], model_map: LabelMap) -> None:
    """Raises VolumeError where no label at all is left on the model grid."""
    if model_map.values:
        return
    grid = " x ".join(f"{spacing:g}" for spacing in model_map.spacing_ijk_mm)
    lost = named(lost_labels(matches, model_map))
    raise VolumeError(
        f"No label is left on the model's grid of {grid} mm: {lost} fell between its "
        "voxels. Paint the labels larger, check that the spacing of the label map is in "
        "millimeters, or use a model with a finer grid."
    )
