"""MM-FID and MM-STD: fidelity and variety over several extractors and resolutions (SemiCS2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from skimage.transform import resize

from AnatoMaskGANLib.evaluation.distribution import frechet_distance
from AnatoMaskGANLib.evaluation.features import Extractor, checked_features, unit_rows

RESOLUTIONS = (128, 256, 512, 1024)
"""Edge lengths in pixels to which the slices are brought (SemiCS2)."""
SLICES_AT_A_TIME = 16
"""A hundred slices of 1024x1024 would fill the memory for nothing."""


@dataclass(frozen=True, eq=False)
class MultiScaleMetrics:
    """Matrices [extractors, resolutions]."""

    extractors: tuple[str, ...]
    resolutions: tuple[int, ...]
    frechet: np.ndarray
    """Frechet distance of the row-normalized features; lower is better."""
    real_deviation: np.ndarray
    synthetic_deviation: np.ndarray
    """Mean over features of the deviation over images; as large as the real one is right."""

    def summary(self) -> dict[str, float]:
        """MM-FID and MM-STD: mean and deviation over the matrix."""
        return {
            "mm_fid": float(self.frechet.mean()),
            "mm_fid_deviation": float(self.frechet.std()),
            "mm_std": float(self.synthetic_deviation.mean()),
            "mm_std_deviation": float(self.synthetic_deviation.std()),
            "mm_std_real": float(self.real_deviation.mean()),
        }


def multi_scale_metrics(
    real_slices: np.ndarray,
    synthetic_slices: np.ndarray,
    extractors: Mapping[str, Extractor],
    resolutions: Sequence[int] = RESOLUTIONS,
) -> MultiScaleMetrics:
    """The figures of two sets of slices [N,H,W] and [M,H,W] in [0,1].

    Raises ValueError without an extractor or a resolution.
    """
    if not extractors or not resolutions:
        raise ValueError(
            "MM-FID needs at least one extractor and one resolution. Give a feature network, for "
            "example a trained segmenter's encoder."
        )
    shape = (len(extractors), len(resolutions))
    frechet, real_deviation, synthetic_deviation = np.empty((3, *shape))
    for row, (name, extractor) in enumerate(extractors.items()):
        for column, resolution in enumerate(resolutions):
            real = _features_at(resolution, real_slices, extractor, name)
            synthetic = _features_at(resolution, synthetic_slices, extractor, name)
            frechet[row, column] = frechet_distance(real, synthetic)
            real_deviation[row, column] = real.std(axis=0).mean()
            synthetic_deviation[row, column] = synthetic.std(axis=0).mean()
    return MultiScaleMetrics(
        tuple(extractors), tuple(resolutions), frechet, real_deviation, synthetic_deviation
    )


def _features_at(
    resolution: int, slices: np.ndarray, extractor: Extractor, name: str
) -> np.ndarray:
    """Row-normalized features [N,D] of the slices at that size, a few slices at a time."""
    shape = (resolution, resolution)
    features = []
    for start in range(0, len(slices), SLICES_AT_A_TIME):
        sized = [
            resize(image, shape, order=1, mode="edge", anti_aliasing=True)
            for image in slices[start : start + SLICES_AT_A_TIME]
        ]
        features.append(checked_features(extractor, np.stack(sized).astype(np.float32), name))
    return unit_rows(np.concatenate(features))
