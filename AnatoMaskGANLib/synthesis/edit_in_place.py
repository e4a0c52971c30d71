"""Edits in a real scan: only voxels with changed labels are synthetic, and no seam is visible.

The synthetic volume of the new labels is brought to the scan's intensities in two steps: by a line,
fitted to tissue that both volumes show, and by a smooth field that carries the difference at the
seam into the edit. It replaces the scan where labels changed and fades out over a margin around
that. Outside the margin every voxel of the scan stays as it is, bit for bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from AnatoMaskGANLib.synthesis.options import SynthesisOptions
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelMatch,
    Volume,
    VolumeError,
    apply_matches,
    same_grid,
)

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis.models.folder import ModelCard
    from AnatoMaskGANLib.synthesis.options import Progress, UserTable

DEFAULT_MARGIN_MM = 4.0
SEAMS = ("smooth", "scaled", "none")
"""How an edit is adapted to the scan's intensities: by a line and a smooth field, by the line
alone, or not at all."""
SURROUNDINGS_MM = 12.0
"""Intensities are compared up to this distance beyond the margin."""

_FEWEST_VOXELS = 50  # a line is only fitted through at least this many voxels
_GAINS = (0.25, 4.0)  # a fitted gain outside this range means that there is no relation


class VolumeMaker(Protocol):
    """Makes volumes of label maps, as a `Synthesizer` does."""

    @property
    def card(self) -> ModelCard:
        """Gives the card of the model."""

    def match(
        self, label_map: LabelMap, user_table: UserTable | None = None
    ) -> tuple[LabelMatch, ...]:
        """Does the same as `Synthesizer.match`."""

    def synthesize(
        self,
        label_map: LabelMap,
        options: SynthesisOptions | None = None,
        progress: Progress | None = None,
    ) -> Volume:
        """Does the same as `Synthesizer.synthesize`."""


def edit_in_place(
    synthesizer: VolumeMaker,
    scan: Volume,
    old_map: LabelMap,
    new_map: LabelMap,
    margin_mm: float = DEFAULT_MARGIN_MM,
    options: SynthesisOptions | None = None,
    progress: Progress | None = None,
) -> Volume:
    """Puts the anatomy of the new map into the scan where the two maps differ. Keeps the scan's
    type.

    Labels are compared after they were matched to the model's classes. Raises VolumeError if scan
    and maps are not on one grid, ValueError for an invalid margin, and what
    `Synthesizer.synthesize` raises.
    """
    check_margin(margin_mm)
    options = options or SynthesisOptions()
    for label_map, which in ((old_map, "old"), (new_map, "new")):
        if not same_grid(scan, label_map):
            raise VolumeError(
                f"The {which} label map ({label_map.shape_kji} voxels) is not on the grid "
                f"of the scan ({scan.shape_kji} voxels); expected the same grid. Use the "
                "scan as the reference geometry of the segmentation."
            )
    old, new = (
        apply_matches(
            label_map, synthesizer.match(label_map, options.user_table), options.unmatched
        ).labels_kji
        for label_map in (old_map, new_map)
    )
    synthetic = synthesizer.synthesize(new_map, options, progress)
    return blend_edit(scan, synthetic, old != new, new != 0, margin_mm)


def blend_edit(
    scan: Volume,
    synthetic: Volume,
    is_changed_kji: np.ndarray,
    is_labeled_kji: np.ndarray,
    margin_mm: float = DEFAULT_MARGIN_MM,
    seam: str = "smooth",
) -> Volume:
    """Puts the synthetic volume into the scan where labels changed, faded out over the margin.

    All arrays are on one grid. is_labeled_kji marks where the new map has labels. Elsewhere the
    model knows nothing of the tissue, so the margin stops there and intensities are not compared.
    seam is one of `SEAMS`. Voxels of the scan that are not numbers are not compared either, and
    they stay as they are unless their label changed.
    """
    check_margin(margin_mm)
    if seam not in SEAMS:
        raise ValueError(f"The seam is {seam!r}; expected one of {', '.join(SEAMS)}")
    voxels = scan.voxels_kji.copy()
    if is_changed_kji.any():
        spacing = scan.spacing_ijk_mm
        part = box_around(is_changed_kji, spacing, margin_mm + SURROUNDINGS_MM)
        is_changed, is_labeled = is_changed_kji[part], is_labeled_kji[part]
        distance = distance_mm_to(is_changed, spacing)
        # Fraction of the synthetic volume: 1 where labels changed, 0 from the margin on.
        fraction = np.where(is_labeled, _fade(distance, margin_mm), 0.0)
        fraction[is_changed] = 1.0
        real = voxels[part].astype(np.float64)
        is_number = np.isfinite(real)
        real[~is_number] = 0.0
        is_known = is_number & ~is_changed & is_labeled & (distance < margin_mm + SURROUNDINGS_MM)
        made = in_intensities_of(
            synthetic.voxels_kji[part], real, is_known, spacing, margin_mm, seam
        )
        blended = as_type(real + fraction * (made - real), voxels.dtype)
        voxels[part] = np.where((fraction > 0) & (is_number | is_changed), blended, voxels[part])
    provenance = {
        **synthetic.provenance,
        "EditedInPlace": "YES",
        "EditedVoxels": str(int(np.count_nonzero(is_changed_kji))),
        "EditMarginMm": f"{margin_mm:g}",
        "EditSeam": seam,
    }
    window = scan.window or synthetic.window
    return Volume(voxels, scan.ijk_to_ras, window, scan.unit or synthetic.unit, provenance)


def check_margin(margin_mm: float) -> None:
    """Raises ValueError for a margin that is not 0 to 100 mm."""
    if not (math.isfinite(margin_mm) and 0 <= margin_mm <= 100):
        raise ValueError(f"The margin is {margin_mm} mm; expected 0 to 100 mm")


def in_intensities_of(
    synthetic: np.ndarray,
    real: np.ndarray,
    is_known: np.ndarray,
    spacing_ijk_mm: tuple[float, float, float],
    margin_mm: float,
    seam: str = "smooth",
) -> np.ndarray:
    """Brings synthetic voxels [K,J,I] to the scan's intensities by a line and a smooth field.

    real are the scan's voxels. is_known marks where the two may be compared.
    """
    made = synthetic.astype(np.float64)
    if seam == "none" or not is_known.any():
        return made
    gain = _gain(made[is_known], real[is_known])
    made = gain * made
    if seam == "scaled":
        return made + (real[is_known] - made[is_known]).mean()
    difference = np.where(is_known, real - made, 0.0)
    weight = is_known.astype(np.float64)
    field = np.full(made.shape, difference.sum() / weight.sum())
    # The field goes from coarse to fine: near the seam it follows the difference there, far inside
    # the difference of the wider surroundings.
    sigma = max(margin_mm, 2.0)
    for factor in (4.0, 2.0, 1.0):
        smooth = [
            _smoothed(array, spacing_ijk_mm, factor * sigma) for array in (difference, weight)
        ]
        trust = 1e-2
        field = (smooth[0] + trust * field) / (np.maximum(smooth[1], 0) + trust)
    return made + field


def _gain(made: np.ndarray, real: np.ndarray) -> float:
    """Gives the slope of the line from synthetic to real intensities, or 1 if there is no
    relation."""
    is_flat = min(made.std(), real.std()) < 1e-6 * max(1.0, np.abs(made).max())
    if made.size < _FEWEST_VOXELS or is_flat:
        return 1.0
    # This is a ratio of standard deviations. Noise in `made` would make a regression slope too
    # small.
    correlation = np.corrcoef(made, real)[0, 1]
    gain = float(real.std() / made.std())
    return gain if correlation > 0.3 and _GAINS[0] < gain < _GAINS[1] else 1.0


def _fade(distance_mm: np.ndarray, margin_mm: float) -> np.ndarray:
    """Gives 1 at distance 0, 0 from the margin on, and a smooth slope between."""
    if margin_mm == 0:
        return np.zeros_like(distance_mm)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(distance_mm / margin_mm, 0, 1))


def box_around(
    is_changed: np.ndarray, spacing_ijk_mm: tuple[float, float, float], reach_mm: float
) -> tuple[slice, ...]:
    """Gives the box of the changed voxels, grown by a length."""
    part = []
    for axis, spacing in enumerate(reversed(spacing_ijk_mm)):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(is_changed.any(axis=others))
        reach = math.ceil(reach_mm / spacing)
        part.append(slice(max(0, int(places[0]) - reach), int(places[-1]) + 1 + reach))
    return tuple(part)


def distance_mm_to(
    is_changed: np.ndarray, spacing_ijk_mm: tuple[float, float, float]
) -> np.ndarray:
    """Gives the distance in mm of every voxel's center to that of the nearest changed voxel."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(is_changed.astype(np.uint8))
    image.SetSpacing(spacing_ijk_mm)
    distance = SimpleITK.DanielssonDistanceMap(
        image, inputIsBinary=True, squaredDistance=False, useImageSpacing=True
    )
    return SimpleITK.GetArrayFromImage(distance).astype(np.float64)


def _smoothed(
    array: np.ndarray, spacing_ijk_mm: tuple[float, float, float], sigma_mm: float
) -> np.ndarray:
    """Applies a Gaussian along every axis that is long enough for it."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing_ijk_mm)
    for axis, size in enumerate(reversed(array.shape)):
        if size >= 4:  # the recursive filter needs this many voxels
            image = SimpleITK.RecursiveGaussian(image, sigma_mm, False, 0, axis)
    return SimpleITK.GetArrayFromImage(image)


def as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Converts values to a type. For a type of whole numbers they are rounded and kept in its
    range."""
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
