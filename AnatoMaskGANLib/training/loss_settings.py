"""Weights and forms of the objective; a weight of 0 leaves its term out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from AnatoMaskGANLib.config import SettingsError


@dataclass(frozen=True)
class LossSettings:
    """The objective (paper, Eq. 5, and ours)."""

    adversarial: float = 1.0
    """Against the discriminator."""
    adversarial_kind: Literal["hinge", "ls", "original", "w"] = "hinge"
    """hinge (paper), ls (least squares), original (logistic, non-saturating) or w (Wasserstein);
    a segmentation discriminator has its own cross-entropy."""
    feature_matching: float = 10.0
    """lambda_feat of the paper; patch discriminator only."""
    label_mix: float = 10.0
    """Consistency of a segmentation discriminator on mixed images (OASIS)."""
    r1: float = 0.0
    """Gradient penalty on real images: r1 / 2 |grad D|^2; 10 in Karras et al."""
    r1_every: int = 16
    """Steps between two R1 penalties; each is weighted by this number."""
    gray_texture: float = 10.0
    """lambda_G-TC of the paper: statistics of every class."""
    gray_texture_adversarial: float = 0.1
    """Adversarial part of G-TC, against the trained classifier; ours."""
    reconstruction: float = 50.0
    """Distance between the deterministic image (noise strength 0) and the real one."""
    reconstruction_kind: Literal["l1", "l2", "weighted_l1"] = "l1"
    """weighted_l1 weighs 1 inside the labels and falls as a Gaussian about their centroid."""
    squared_error: float = 0.0
    """Mean squared error between the same two; 600 weighs about as much as an L1 weight of 50."""
    noisy_reconstruction: float = 5.0
    """The same distance between the image with noise and the real one."""
    perceptual: float = 0.0
    """Distance of VGG19 or LPIPS features; 5 in the paper. Needs perceptual_weights."""
    perceptual_network: Literal["none", "vgg19", "lpips"] = "none"
    """Whose features."""
    perceptual_weights: str | None = None
    """Local safetensors file of the backbone's weights; nothing is downloaded."""
    perceptual_sha256: str | None = None
    """Of that file; not needed where its name ends in it, as in vgg19-0123abcd.safetensors."""
    body_mask: float = 0.0
    """Shape consistency: soft body mask of the image against the labels' foreground."""
    body_threshold: float = 0.05
    """Intensity in [0,1] above which a pixel belongs to the body."""
    flip_consistency: float = 0.0
    """L1 between the image of flipped labels and the flipped image, without noise."""
    label_keeping: float = 1.0
    """unpaired: cross-entropy of a segmentation network that reads the labels from the image."""
    labels: float = 10.0
    """image+labels and image2mask: cross-entropy and Dice of the label map."""
    pseudo_labels: float = 0.5
    """semi: the same on pseudo labels, weighted by the discriminator's confidence (SemiCS2)."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, float) and not 0 <= value < float("inf"):
                raise SettingsError(f"{name} is {value}; allowed: 0 or more")
        if self.r1_every < 1:
            raise SettingsError(f"r1_every is {self.r1_every}; allowed: 1 or more")
        if self.perceptual and self.perceptual_network == "none":
            raise SettingsError(
                "perceptual is above 0 but perceptual_network is none; choose vgg19 or "
                "lpips and give perceptual_weights, or set perceptual to 0"
            )
        if self.perceptual and self.perceptual_weights is None:
            raise SettingsError(
                "perceptual_weights is missing: the perceptual loss needs a local file of "
                f"{self.perceptual_network} weights; nothing is downloaded. Give the file, or set "
                "perceptual to 0"
            )
