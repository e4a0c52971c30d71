"""The body in an image, without table, clothes and air."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK

from AnatoMaskGANLib.preparation.settings import PreparationError

# A sheet thinner than twice this is torn off the body: clothes, the top of a table.
_OPENING_MM = 3.0
# Gaps narrower than twice this belong to the body: skin folds, the cut edges of the opening.
_CLOSING_MM = 6.0
BODY_THRESHOLD_HU = -300.0
"""Lies between air or clothes and fat in CT."""
# A smaller fraction of the image is not a body.
_SMALLEST_FRACTION = 0.005


def body_mask(
    voxels_kji: np.ndarray, spacing_ijk_mm: Sequence[float], threshold: float | None = None
) -> np.ndarray:
    """[K,J,I] boolean, true in the largest connected bright thing and what it encloses.

    Voxels brighter than the threshold (the lower of Otsu's two if none is given) are opened by 3 mm
    in plane; the largest component in 3-D is closed by 6 mm in plane, and then filled with what it
    encloses in every axial slice (lungs, bowel). Raises PreparationError if nothing is left.
    """
    if threshold is None:
        image = SimpleITK.GetImageFromArray(voxels_kji.astype(np.float32, copy=False))
        # air, dark and bright tissue: two classes would take dark organs in MR for air
        bright = SimpleITK.OtsuMultipleThresholds(image, numberOfThresholds=2) > 0
    else:
        bright = SimpleITK.GetImageFromArray((voxels_kji > threshold).astype(np.uint8))
    opened = SimpleITK.BinaryMorphologicalOpening(bright, _radius(_OPENING_MM, spacing_ijk_mm))
    components = SimpleITK.RelabelComponent(
        SimpleITK.ConnectedComponent(opened), sortByObjectSize=True
    )
    largest = components == 1
    closing = _radius(_CLOSING_MM, spacing_ijk_mm)
    # Without a rim of background the closing would grow along the borders of the image.
    padded = SimpleITK.ConstantPad(largest, closing, closing, 0)
    padded = SimpleITK.BinaryMorphologicalClosing(padded, closing)
    closed = SimpleITK.Crop(padded, closing, closing)
    mask = SimpleITK.GetArrayFromImage(closed).astype(np.uint8)
    for k in range(mask.shape[0]):
        filled = SimpleITK.BinaryFillhole(SimpleITK.GetImageFromArray(mask[k]))
        mask[k] = SimpleITK.GetArrayViewFromImage(filled)
    if mask.mean() < _SMALLEST_FRACTION:
        raise PreparationError(
            f"The body fills {mask.mean():.2%} of the image; expected at least "
            f"{_SMALLEST_FRACTION:.1%}. Give --body-threshold (about -300 HU for CT), or leave out "
            "--remove-background."
        )
    return mask.astype(bool)


def _radius(length_mm: float, spacing_ijk_mm: Sequence[float]) -> list[int]:
    """The radius in voxels (i, j, k).

    It is 0 along k: sheets and gaps are thin within a slice, and the first and last slice have no
    neighbors to judge them by.
    """
    return [int(length_mm / spacing_ijk_mm[0]), int(length_mm / spacing_ijk_mm[1]), 0]
