"""Perceptual distances: LPIPS with weights from a local file, and its rule on any network.

The second needs no downloaded weights: it compares the feature maps of a segmenter's encoder.

Letters: N slices, C channels, H rows, W columns, h and w rows and columns of a level.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from AnatoMaskGANLib.evaluation.metrics.protocol import slice_pairs
from AnatoMaskGANLib.evaluation.packages import import_package
from AnatoMaskGANLib.evaluation.weights import WeightsError, read_weights

if TYPE_CHECKING:
    from torch import nn

PerceptualDistance = Callable[[np.ndarray, np.ndarray], float]
"""Distance of two slices [H,W] in [0,1]."""

FeatureMaps = Callable[[np.ndarray], list[np.ndarray]]
"""[N,H,W] float32 in [0,1], neighboring slices -> maps [N,C,h,w] of every level."""

SLICES_AT_A_TIME = 16


def load_lpips(
    backbone_path: str | Path, sha256: str | None = None, network: str = "alex", device: str = "cpu"
) -> PerceptualDistance:
    """LPIPS with torchvision's backbone weights from a safetensors file, checked by its hash.

    Never falls back to a random backbone, nor downloads one: raises WeightsError for a missing or
    wrong file and MissingPackageError if lpips or torchvision cannot be loaded.
    network: "alex" (weights of alexnet-owt-7be5be79.pth) or "vgg" (of vgg16-397923af.pth).
    """
    torch = import_package("torch", "LPIPS")
    model = load_lpips_module(backbone_path, sha256, network).eval().to(device)

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        with torch.inference_mode():
            pair = torch.from_numpy(np.stack([first, second]).astype(np.float32)).to(device)
            pair = pair[:, None].expand(-1, 3, -1, -1)
            return float(model(pair[:1], pair[1:], normalize=True))

    return distance


def load_lpips_module(
    backbone_path: str | Path, sha256: str | None = None, network: str = "alex"
) -> Any:
    """The LPIPS network itself, through which gradients flow; as `load_lpips` otherwise.

    Its type is Any because lpips need not be installed.
    """
    weights = read_weights(backbone_path, sha256)
    lpips = import_package(
        "lpips",
        "LPIPS",
        "Install lpips and the torchvision build of your torch (pip install lpips torchvision), "
        "or leave LPIPS out.",
    )
    # pnet_rand keeps lpips from downloading; its random backbone is replaced in the next lines.
    model = lpips.LPIPS(net=network, pretrained=True, pnet_rand=True, verbose=False)
    _fill_backbone(model.net, weights, Path(backbone_path))
    return model


def _fill_backbone(backbone: nn.Module, state: dict[str, Any], path: Path) -> None:
    """Copies torchvision's `features.N.*` into lpips' slices, whose children are named N."""
    num_filled = 0
    for child_name, child in (
        pair for part in backbone.children() for pair in part.named_children()
    ):
        for parameter_name, parameter in child.named_parameters():
            key = f"features.{child_name}.{parameter_name}"
            if key not in state or state[key].shape != parameter.shape:
                raise WeightsError(
                    f"{path} has no tensor '{key}' of shape {tuple(parameter.shape)}; expected "
                    "torchvision's weights of the chosen network."
                )
            parameter.data.copy_(state[key])
            num_filled += 1
    if num_filled != len(list(backbone.parameters())) or num_filled == 0:
        raise WeightsError(
            f"Only {num_filled} tensors of the LPIPS backbone could be filled from "
            f"{path}: this version of lpips differs from the expected one. Leave LPIPS "
            "out."
        )


def mean_perceptual_distance(
    distance: PerceptualDistance,
    real_kji: np.ndarray,
    synthetic_kji: np.ndarray,
    labels_kji: np.ndarray,
) -> float:
    """Mean distance over the slices of the paper's protocol; images in [0,1] on the model grid."""
    return float(
        np.mean(
            [
                distance(real, synthetic)
                for _, real, synthetic, _ in slice_pairs(real_kji, synthetic_kji, labels_kji)
            ]
        )
    )


def map_distance(real: list[np.ndarray], synthetic: list[np.ndarray]) -> np.ndarray:
    """[N] distances of the levels' maps, each [N,C,h,w]: 0 for equal maps, at most 4 a level.

    Every pixel's features are scaled to length 1; the squared difference is averaged over pixels
    and summed over levels (Zhang et al. 2018, Eq. 1, with all its learned weights 1: those exist
    for the networks of LPIPS alone).
    """
    distances = [
        np.square(_unit(first) - _unit(second)).sum(axis=1).mean(axis=(1, 2))
        for first, second in zip(real, synthetic, strict=True)
    ]
    return np.sum(distances, axis=0)


def _unit(maps: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(maps, axis=1, keepdims=True)
    return maps / np.maximum(lengths, 1e-10)


def mean_feature_distance(
    maps: FeatureMaps, real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> float:
    """Mean distance over the slices of the paper's protocol; images in [0,1] on the model grid."""
    pairs = [
        (real, synthetic)
        for _, real, synthetic, _ in slice_pairs(real_kji, synthetic_kji, labels_kji)
    ]
    found = []
    for start in range(0, len(pairs), SLICES_AT_A_TIME):
        real, synthetic = (
            np.stack(images)
            for images in zip(*pairs[start : start + SLICES_AT_A_TIME], strict=True)
        )
        found.append(map_distance(maps(real), maps(synthetic)))
    return float(np.concatenate(found).mean())
