"""Perceptual distance: features of VGG19 (Johnson 2016, as in pix2pixHD) or LPIPS (Zhang 2018).

The weights are a local file that is checked by its hash; nothing is downloaded, and no random
network ever stands in for a trained one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.evaluation.metrics.perceptual import load_lpips_module
from AnatoMaskGANLib.evaluation.weights import WeightsError, read_weights
from AnatoMaskGANLib.training.losses import total
from AnatoMaskGANLib.training.settings import LossSettings

PerceptualLoss = Callable[[Tensor, Tensor], Tensor]
"""Mean distance of images [N,1,H,W] in [0,1], synthetic and real."""

# Simonyan 2015, configuration E up to the first convolution of its fifth block: features of a 3x3
# convolution, or None for pooling. Positions are those of torchvision's `features`.
_VGG19 = (64, 64, None, 128, 128, None, *[256] * 4, None, *[512] * 4, None, 512)
_TAPS = (1, 6, 11, 20, 29)  # the rectifier after the first convolution of every block
_TAP_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)  # deeper features weigh more
# Mean and standard deviation of ImageNet's colors.
_MEAN, _STANDARD_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_perceptual(settings: LossSettings, device: torch.device) -> PerceptualLoss | None:
    """The loss that the settings ask for, None for none.

    Raises WeightsError for a file that is missing, another, or of another network.
    """
    if not settings.perceptual or settings.perceptual_weights is None:
        return None
    path, sha256 = Path(settings.perceptual_weights), settings.perceptual_sha256
    if settings.perceptual_network == "vgg19":
        return VGG19Distance(path, sha256).to(device)
    return load_lpips_loss(path, sha256, device)


class VGG19Distance(nn.Module):
    """Weighted L1 distance of five feature maps; its weights never change."""

    def __init__(self, weights: Path, sha256: str | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        num_inputs = 3
        for entry in _VGG19:
            if entry is None:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(num_inputs, entry, 3, padding=1), nn.ReLU()]
            num_inputs = entry
        self.features = nn.Sequential(*layers)
        self._fill(weights, sha256)
        self.mean: Tensor
        self.standard_deviation: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        spread = torch.tensor(_STANDARD_DEVIATION).view(1, 3, 1, 1)
        self.register_buffer("standard_deviation", spread)
        self.requires_grad_(False).eval()

    def forward(self, synthetic: Tensor, real: Tensor) -> Tensor:
        with torch.no_grad():
            targets = self._taps(real)
        pairs = zip(_TAP_WEIGHTS, self._taps(synthetic), targets, strict=True)
        return total(weight * functional.l1_loss(a, b) for weight, a, b in pairs)

    def _taps(self, images: Tensor) -> list[Tensor]:
        """The feature maps that are compared, from fine to coarse."""
        state = (images.expand(-1, 3, -1, -1) - self.mean) / self.standard_deviation
        taps = []
        for number, layer in enumerate(self.features):
            state = layer(state)
            if number in _TAPS:
                taps.append(state)
        return taps

    def _fill(self, path: Path, sha256: str | None) -> None:
        """Takes torchvision's `features.N.weight` and `.bias`."""
        state = read_weights(path, sha256)
        wanted = self.features.state_dict()
        wrong = [
            key
            for key, value in wanted.items()
            if f"features.{key}" not in state or state[f"features.{key}"].shape != value.shape
        ]
        if wrong:
            raise WeightsError(
                f"{path} has no tensor 'features.{wrong[0]}' of the shape of VGG19's; expected "
                "torchvision's VGG19 weights (those of vgg19-dcbb9e9d.pth)."
            )
        self.features.load_state_dict({key: state[f"features.{key}"] for key in wanted})


def load_lpips_loss(path: Path, sha256: str | None, device: torch.device) -> PerceptualLoss:
    """LPIPS as a loss; the file's name says which backbone it is: vgg if it contains that."""
    network = "vgg" if "vgg" in path.name.lower() else "alex"
    model = load_lpips_module(path, sha256, network).eval().requires_grad_(False).to(device)

    def distance(synthetic: Tensor, real: Tensor) -> Tensor:
        pair = (images.expand(-1, 3, -1, -1) for images in (synthetic, real))
        return model(*pair, normalize=True).mean()

    return distance
