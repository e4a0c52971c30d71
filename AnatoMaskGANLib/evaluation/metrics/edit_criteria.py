"""The five criteria by which edits of medical images are judged, and the distance from a truth.

Composition (an edit that changes nothing), reversibility (an edit and its inverse), minimality
(what changes beyond the reach), effectiveness (whether the edit is there) and realism (whether it
looks like the scan). Arrays are [K,J,I]. Intensities are in [0,1] after the window, unless bits are
compared. The criteria are ours. They follow the axioms of counterfactual images (Monteiro et al.,
2023), in numbers that need no trained network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

AROUND_VOXELS = 2
"""Voxels this near to the changed ones count as part of the edit."""
BOX_ROOM_VOXELS = 12
"""The box of an edit reaches this many voxels beyond the changed ones."""
REACH_VOXELS = 12.0
"""An edit should change nothing from this distance on, in shortest edges of a voxel."""
_FEWEST_VOXELS = 60  # a label needs this many voxels for its standard deviation to be compared
_BEST_DB = 120.0  # the PSNR that equal images get


@dataclass(frozen=True, eq=False)
class EditPlaces:
    """The places of an edit, from the label maps before and after it."""

    before: np.ndarray
    after: np.ndarray
    spacing_kji_mm: tuple[float, float, float]

    @cached_property
    def is_changed(self) -> np.ndarray:
        """Marks voxels with another label than before, as [K,J,I] bool."""
        return self.before != self.after

    @cached_property
    def box(self) -> tuple[slice, ...]:
        """Gives the box of the changed voxels with room around it. Raises ValueError if no voxel
        changed."""
        from scipy import ndimage

        found = ndimage.find_objects(self.is_changed.astype(np.int8))
        if not found:
            raise ValueError(
                "The label maps before and after the edit are the same; expected a change."
            )
        return tuple(
            slice(max(0, side.start - BOX_ROOM_VOXELS), side.stop + BOX_ROOM_VOXELS)
            for side in found[0]
        )

    @cached_property
    def is_edit(self) -> np.ndarray:
        """Marks the changed voxels and those up to two voxels around, as [K,J,I] bool in the
        box."""
        from scipy import ndimage

        return ndimage.binary_dilation(self.is_changed[self.box], iterations=AROUND_VOXELS)

    @cached_property
    def is_labeled_edit(self) -> np.ndarray:
        """Marks the changed voxels and their neighbors that have a label, as [K,J,I] bool in the
        box."""
        from scipy import ndimage

        return ndimage.binary_dilation(self.is_changed[self.box]) & (self.after[self.box] > 0)

    @cached_property
    def is_beyond(self) -> np.ndarray:
        """Marks voxels that are farther from every changed one than an edit reaches, as [K,J,I]
        bool."""
        from scipy import ndimage

        reach = REACH_VOXELS * min(self.spacing_kji_mm)
        # the box already contains this many voxels around the changed ones
        near = tuple(
            slice(max(0, side.start - math.ceil(reach / mm)), side.stop + math.ceil(reach / mm))
            for side, mm in zip(self.box, self.spacing_kji_mm, strict=True)
        )
        is_beyond = np.ones(self.before.shape, dtype=bool)
        distance = ndimage.distance_transform_edt(
            ~self.is_changed[near], sampling=self.spacing_kji_mm
        )
        is_beyond[near] = distance > reach
        return is_beyond


def share_of_changed_bits(scan: np.ndarray, made: np.ndarray) -> float:
    """Composition: gives the fraction of the voxels that differ although nothing was edited."""
    return float(np.count_nonzero(scan != made) / scan.size)


def minimality(scan: np.ndarray, made: np.ndarray, places: EditPlaces) -> dict[str, float]:
    """Gives the fraction of the voxels beyond the reach that differ, and the number of voxels that
    differ divided by the number whose label changed."""
    differs = scan != made
    beyond = int(np.count_nonzero(places.is_beyond))
    num_changed = int(np.count_nonzero(places.is_changed))
    return {
        "edit_outside": np.count_nonzero(differs & places.is_beyond) / beyond if beyond else 0.0,
        "edit_spread": np.count_nonzero(differs) / num_changed,
    }


def truth_distance(true: np.ndarray, made: np.ndarray, places: EditPlaces) -> dict[str, float]:
    """Gives the PSNR in dB over the labeled voxels of the edit, and over its box."""
    true, made = true[places.box], made[places.box]
    everywhere = np.ones(true.shape, dtype=bool)
    return {
        "psnr_lab": psnr(true, made, places.is_labeled_edit),
        "psnr_box": psnr(true, made, everywhere),
    }


def reversibility(scan: np.ndarray, back: np.ndarray, places: EditPlaces) -> dict[str, float]:
    """Gives the PSNR in dB, over the edit, of the scan after the edit and its inverse, compared
    with the scan before."""
    return {"edit_undone": psnr(scan[places.box], back[places.box], places.is_edit)}


def psnr(true: np.ndarray, made: np.ndarray, where: np.ndarray) -> float:
    """Gives the PSNR in dB for intensities in [0,1]; at most 120."""
    if not where.any():
        return math.nan
    error = np.square((true - made)[where], dtype=np.float64).mean()
    return min(float(-10 * np.log10(max(error, 1e-30))), _BEST_DB)


def effectiveness(scan: np.ndarray, made: np.ndarray, places: EditPlaces) -> dict[str, float]:
    """Gives the fraction of the changed voxels that are nearer to the mean of their new label in
    the scan than to that of their old one. If both labels have nearly the same mean, about half of
    their voxels count by chance."""
    scan, made = scan[places.box], made[places.box]
    before, after = places.before[places.box], places.after[places.box]
    is_changed = places.is_changed[places.box]
    means = {label: _mean_of(scan, before, label) for label in np.unique(before)}
    found = counted = 0
    for new in np.unique(after[is_changed]):
        for old in np.unique(before[is_changed & (after == new)]):
            if new not in means:
                continue
            values = made[is_changed & (after == new) & (before == old)]
            to_new, to_old = np.abs(values - means[new]), np.abs(values - means[old])
            found += np.count_nonzero(to_new < to_old)
            counted += values.size
    return {"edit_found": found / counted if counted else math.nan}


def _mean_of(scan: np.ndarray, labels: np.ndarray, label: int) -> float:
    return float(scan[labels == label].mean(dtype=np.float64))


def realism(
    made: np.ndarray, reference: np.ndarray, reference_labels: np.ndarray, places: EditPlaces
) -> dict[str, float]:
    """Compares the edit with a reference: standard deviation in labels, steps, steps at the seam,
    and texture. Gives ratios; 1 is right.

    reference is the truth with the labels after the edit. If there is no truth, it is the scan with
    its own labels.
    """
    box, is_edit = places.box, places.is_edit
    made, reference, labels = made[box], reference[box], reference_labels[box]
    deviations = []
    for label in np.unique(places.after[box][is_edit]):
        own, theirs = is_edit & (places.after[box] == label), is_edit & (labels == label)
        if min(np.count_nonzero(own), np.count_nonzero(theirs)) > _FEWEST_VOXELS:
            spread = float(reference[theirs].std(dtype=np.float64))
            if spread > 0:
                deviations.append(float(made[own].std(dtype=np.float64)) / spread)
    return {
        "edit_deviation_ratio": float(np.mean(deviations)) if deviations else math.nan,
        "edit_step_ratio": _ratio(_mean_step(made, is_edit), _mean_step(reference, is_edit)),
        "edit_seam_ratio": _ratio(
            _mean_step(made, is_edit, at_border=True),
            _mean_step(reference, is_edit, at_border=True),
        ),
        "edit_texture_ratio": _ratio(_texture(made, is_edit), _texture(reference, is_edit)),
    }


def _mean_step(image: np.ndarray, mask: np.ndarray, at_border: bool = False) -> float:
    """Gives the mean absolute step between neighbors that are both in a mask, or that lie on both
    sides of its border."""
    total = count = 0.0
    for axis in range(3):
        if image.shape[axis] < 2:
            continue
        first, second = _pair(mask, axis)
        chosen = first ^ second if at_border else first & second
        left, right = _pair(image, axis)
        total += float(np.abs(right[chosen] - left[chosen]).sum(dtype=np.float64))
        count += np.count_nonzero(chosen)
    return total / count if count else math.nan


def _pair(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Gives all voxels but the last along an axis, and the next voxel of each."""
    whole = [slice(None)] * 3
    left, right = whole.copy(), whole.copy()
    left[axis], right[axis] = slice(None, -1), slice(1, None)
    return array[tuple(left)], array[tuple(right)]


def _texture(image: np.ndarray, mask: np.ndarray) -> float:
    """Gives the standard deviation of what a Gaussian over one voxel takes away."""
    from scipy import ndimage

    fine = image - ndimage.gaussian_filter(image, 1.0)
    return float(fine[mask].std(dtype=np.float64))


def _ratio(value: float, reference: float) -> float:
    return value / reference if reference > 0 else math.nan
