"""Turns slices into feature vectors, with any extractor.

Letters: N slices, H rows, W columns, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from skimage.transform import resize

from AnatoMaskGANLib.evaluation.weights import checked_weights

Extractor = Callable[[np.ndarray], np.ndarray]
"""Maps slices [N,H,W] float32 in [0,1] to features [N,D]: an encoder of a network, or a rule."""

THUMBNAIL_SIZE = 32


def thumbnail_features(slices: np.ndarray) -> np.ndarray:
    """The slices at 32x32 as vectors [N,1024]: finds copies and needs no weights.

    They do not measure texture and are never reported as FID.
    """
    shape = (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    return np.stack([resize(image, shape, order=1, anti_aliasing=True).ravel() for image in slices])


def torchscript_features(
    path: str | Path, sha256: str | None = None, device: str = "cpu", channels: int = 3
) -> Extractor:
    """An extractor from a local TorchScript file that maps [N,channels,H,W] in [0,1] to [N,D].

    Checks the file by its hash before loading it; raises WeightsError.
    """
    import torch

    network = torch.jit.load(str(checked_weights(path, sha256)), map_location=device).eval()

    def extract(slices: np.ndarray) -> np.ndarray:
        batches = []
        with torch.inference_mode():
            for batch in np.array_split(slices, max(len(slices) // 16, 1)):
                images = torch.from_numpy(np.ascontiguousarray(batch))[:, None].to(device)
                batches.append(network(images.expand(-1, channels, -1, -1)).float().cpu().numpy())
        return np.concatenate(batches)

    return extract


def checked_features(extractor: Extractor, slices: np.ndarray, name: str) -> np.ndarray:
    """The features [N,D] float64 of the slices; ValueError for another shape or NaN."""
    features = np.asarray(extractor(slices), dtype=np.float64)
    if features.ndim != 2 or len(features) != len(slices) or not np.isfinite(features).all():
        raise ValueError(
            f"The extractor '{name}' returned an array of shape {features.shape} for "
            f"{len(slices)} slices; expected one finite feature vector for each slice. "
            "Pool its feature maps to vectors."
        )
    return features


def unit_rows(features: np.ndarray) -> np.ndarray:
    """The feature vectors scaled to length 1; zero vectors stay zero."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1.0)
