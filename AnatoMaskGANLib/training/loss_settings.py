"""Weights and forms of the objective; a weight of 0 leaves its term out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from AnatoMaskGANLib.config import SettingsError


@dataclass(frozen=True)
class LossSettings:
    """The objective (paper, Eq. 5, and ours)."""

    adversarial: float = 1.0
    """Weight of the adversarial loss against the discriminator."""
    adversarial_kind: Literal["hinge", "ls", "original", "w"] = "hinge"
    """Form of the adversarial loss: hinge (paper), ls (least squares), original (logistic,
    non-saturating) or w (Wasserstein). A segmentation discriminator always uses its
    cross-entropy."""
    feature_matching: float = 10.0
    """Weight of feature matching, lambda_feat in the paper; patch discriminator only."""
    label_mix: float = 10.0
    """Weight of the consistency of a segmentation discriminator on mixed images (LabelMix of
    OASIS)."""
    r1: float = 0.0
    """Weight of the gradient penalty on real images, r1 / 2 |grad D|^2; 10 in Karras et al."""
    r1_every: int = 16
    """Number of steps from one R1 penalty to the next; each penalty is multiplied by this
    number."""
    gray_texture: float = 10.0
    """Weight of G-TC, the statistics of every class; lambda_G-TC in the paper."""
    gray_texture_adversarial: float = 0.1
    """Weight of the adversarial part of G-TC, against the trained classifier; ours."""
    reconstruction: float = 50.0
    """Weight of the distance between the image without noise (noise strength 0) and the real
    image."""
    reconstruction_kind: Literal["l1", "l2", "weighted_l1"] = "l1"
    """Form of this distance. weighted_l1 has weight 1 inside the labels; outside, the weight
    falls like a Gaussian around their centroid."""
    squared_error: float = 0.0
    """Weight of the mean squared error between the same two images; 600 counts about as much as
    an L1 weight of 50."""
    noisy_reconstruction: float = 5.0
    """Weight of the same distance between the image with noise and the real image."""
    perceptual: float = 0.0
    """Weight of the distance between VGG19 or LPIPS features; 5 in the paper. Needs
    perceptual_weights."""
    perceptual_network: Literal["none", "vgg19", "lpips"] = "none"
    """Network whose features are compared."""
    perceptual_weights: str | None = None
    """Local safetensors file with the weights of this network; nothing is downloaded."""
    perceptual_sha256: str | None = None
    """SHA-256 of that file; not needed if the file name ends with it, as in
    vgg19-0123abcd.safetensors."""
    body_mask: float = 0.0
    """Weight of shape consistency: the soft body mask of the image against the foreground of the
    labels."""
    body_threshold: float = 0.05
    """Intensity in [0,1] above which a pixel belongs to the body."""
    flip_consistency: float = 0.0
    """Weight of the L1 distance between the image of flipped labels and the flipped image,
    without noise."""
    label_keeping: float = 1.0
    """unpaired: weight of the cross-entropy of a segmentation network that reads the labels from
    the image."""
    labels: float = 10.0
    """image+labels and image2mask: weight of cross-entropy and Dice of the label map."""
    pseudo_labels: float = 0.5
    """semi: weight of the same loss on pseudo labels, which are also weighted by the
    discriminator's confidence (SemiCS2)."""

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
