"""Settings of a training run; each has one home, here or in `AnatoMaskGANLib.config`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from AnatoMaskGANLib.config import DiscriminatorSettings, SettingsError


@dataclass(frozen=True)
class DataSettings:
    """What a training step sees."""

    store: str
    """Folder of the case store (anatomaskgan prepare)."""
    stack_size: int = 16
    """Neighboring slices of one stack; 16 in the paper."""
    crop: tuple[int, int] = (224, 224)
    """Rows and columns of a stack; 224x224 in the paper."""
    batch_size: int = 1
    """Stacks of one step."""
    flip: bool = True
    """Left-right flip of image and labels; left and right labels change places."""
    rotation_degrees: float = 10.0
    """Largest in-plane rotation of image (bicubic) and labels (nearest), either way."""
    shift_mm: float = 0.0
    """Largest in-plane shift along each axis, either way."""
    shear_degrees: float = 0.0
    """Largest angle by which an in-plane axis leans, either way."""
    zoom: float = 1.0
    """Largest in-plane enlargement; the smallest is 1 / zoom."""
    affine_share: float = 0.3
    """Share of stacks that are rotated, shifted, sheared and zoomed; interpolation takes texture
    away, so not all of them."""
    guidance: Literal["labels", "superpixels", "both"] = "labels"
    """What stands for the anatomy: labels, the store's superpixels, or both. A batch has a guidance
    channel unless it is labels."""
    supervision: Literal["paired", "unpaired", "semi"] = "paired"
    """paired: labels and image of one case; unpaired: labels of one case, image of another
    subject's; semi: some stacks come from cases without labels."""
    labeled_share: float = 0.5
    """semi: share of the stacks that have labels."""
    num_labeled_subjects: int | None = None
    """semi: subjects whose labels are used, the others count as unlabeled; None uses all there
    are."""

    def __post_init__(self) -> None:
        if self.stack_size < 1:
            raise SettingsError(f"stack_size is {self.stack_size}; allowed: 1 or more")
        if self.batch_size < 1:
            raise SettingsError(f"batch_size is {self.batch_size}; allowed: 1 or more")
        if min(self.crop) < 16:
            raise SettingsError(f"crop is {self.crop}; allowed: 16 or more in each direction")
        ranges = {
            "rotation_degrees": (0, 180),
            "shift_mm": (0, math.inf),
            "shear_degrees": (0, 60),
            "zoom": (1, 4),
            "affine_share": (0, 1),
            "labeled_share": (0, 1),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(f"{name} is {value}; allowed: {low} to {high}")
        if self.num_labeled_subjects is not None and self.num_labeled_subjects < 1:
            raise SettingsError(
                f"num_labeled_subjects is {self.num_labeled_subjects}; allowed: 1 or more, or "
                "null for all"
            )


@dataclass(frozen=True)
class LossSettings:
    """Weights of the objective (paper, Eq. 5, and ours)."""

    adversarial: float = 1.0
    """Hinge loss against the discriminator."""
    feature_matching: float = 10.0
    """lambda_feat of the paper."""
    gray_texture: float = 10.0
    """lambda_G-TC of the paper: statistics of every class."""
    gray_texture_adversarial: float = 0.1
    """Adversarial part of G-TC, against the trained classifier; ours."""
    reconstruction: float = 50.0
    """L1 between the deterministic image (noise strength 0) and the real one."""
    squared_error: float = 0.0
    """Mean squared error between the same two; 600 weighs about as much as an L1 weight of 50."""
    noisy_reconstruction: float = 5.0
    """L1 between the image with noise and the real one."""


@dataclass(frozen=True)
class OptimizerSettings:
    """How the weights move."""

    steps: int = 100_000
    """Generator updates."""
    lr_generator: float = 2e-4
    """Learning rate; paper."""
    lr_discriminator: float = 2e-4
    """Learning rate of the discriminator and the gray-texture classifier."""
    betas: tuple[float, float] = (0.1, 0.9)
    """Adam; paper."""
    final_lr_share: float = 1.0
    """Learning rate at the last step over that of the first; below 1 it falls along a cosine."""
    adversarial_start: int = 0
    """Step before which only reconstruction and G-TC train the generator."""
    freeze_statistics_from: float = 0.6
    """Share of the steps after which normalization statistics stay fixed."""
    ema_decay: float = 0.999
    """Of the averaged weights that become the model."""
    gradient_clip: float = 10.0
    """Largest norm of the generator's gradient."""


@dataclass(frozen=True)
class TrainingSettings:
    """One run of `anatomaskgan train`."""

    data: DataSettings
    output: str
    """Folder of the run: checkpoints, log, sheets."""
    preset: Literal["compact", "paper"] = "compact"
    """Size of the generator."""
    generator: dict = field(default_factory=dict)
    """Changes to the preset, by the names of GeneratorSettings."""
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    losses: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    use_gray_texture: bool = True
    """G-TC, gray-texture classifier (paper, section III-C)."""
    seed: int = 0
    """Of weights, data order, augmentation and noise."""
    precision: Literal["32", "bf16"] = "32"
    """bf16 runs convolutions in bfloat16; only for hardware that has it."""
    checkpoint_every: int = 500
    """Steps between two checkpoints."""
    sheet_every: int = 500
    """Steps between two picture sheets (labels, synthetic, real)."""
    log_every: int = 20
    """Steps between two lines of log.csv."""

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output)
