"""LPIPS, the learned perceptual distance, with backbone weights from a local file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.evaluation.packages import import_package
from AnatoMaskGANLib.evaluation.protocol import slice_pairs
from AnatoMaskGANLib.evaluation.weights import WeightsError, read_weights

PerceptualDistance = Callable[[np.ndarray, np.ndarray], float]
"""Distance of two slices [H,W] in [0,1]."""


def load_lpips(
    backbone_path: str | Path, sha256: str | None = None, network: str = "alex", device: str = "cpu"
) -> PerceptualDistance:
    """LPIPS with the backbone of torchvision's weights, as safetensors, checked by their hash.

    Never falls back to a random backbone, nor downloads one: raises WeightsError for an absent or
    other file and MissingPackageError where lpips or torchvision cannot be loaded.
    `network` is "alex" (of alexnet-owt-7be5be79.pth) or "vgg" (of vgg16-397923af.pth).
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
) -> Any:  # noqa: ANN401  lpips is not there when types are checked
    """The LPIPS network itself, through which gradients flow; arguments and errors as above."""
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


def _fill_backbone(backbone: object, state: dict, path: Path) -> None:
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
    if num_filled != sum(1 for _ in backbone.parameters()) or num_filled == 0:
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
