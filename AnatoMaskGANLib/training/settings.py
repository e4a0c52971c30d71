"""Settings of a training run; each has one home, here or in `AnatoMaskGANLib.config`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from AnatoMaskGANLib.config import DiscriminatorSettings, SettingsError
from AnatoMaskGANLib.training.combinations import check_combination
from AnatoMaskGANLib.training.loss_settings import LossSettings


@dataclass(frozen=True)
class DataSettings:
    """What a training step sees."""

    store: str
    """Folder of the case store (anatomaskgan prepare)."""
    stack_size: int = 16
    """Number of neighboring slices in a stack; 16 in the paper."""
    crop: tuple[int, int] = (224, 224)
    """Rows and columns of a stack; 224x224 in the paper."""
    batch_size: int = 1
    """Number of stacks in a step."""
    flip: bool = True
    """Flip image and labels left to right, in half of the stacks at random; left and right
    labels are exchanged."""
    rotation_degrees: float = 10.0
    """Largest in-plane rotation of image (bicubic) and labels (nearest), in either direction."""
    shift_mm: float = 0.0
    """Largest in-plane shift along each axis, in either direction."""
    shear_degrees: float = 0.0
    """Largest angle by which an in-plane axis is sheared, in either direction."""
    zoom: float = 1.0
    """Largest in-plane enlargement; the smallest is 1 / zoom."""
    affine_share: float = 0.3
    """Fraction of the stacks that are rotated, shifted, sheared and zoomed. Interpolation
    removes texture, so not all stacks should be."""
    guidance: Literal["labels", "superpixels", "both"] = "labels"
    """What describes the anatomy: labels, the superpixels of the store, or both. A batch has a
    guidance channel unless this is labels."""
    supervision: Literal["paired", "unpaired", "semi"] = "paired"
    """paired: labels and image of one case; unpaired: labels of one case, image of another
    subject's; semi: some stacks come from cases without labels."""
    labeled_share: float = 0.5
    """semi: fraction of the stacks that have labels."""
    num_labeled_subjects: int | None = None
    """semi: number of subjects whose labels are used; the other subjects count as unlabeled.
    None uses all labels."""

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
class OptimizerSettings:
    """How the weights move."""

    steps: int = 100_000
    """Number of updates of the generator."""
    lr_generator: float = 2e-4
    """Learning rate of the generator; paper."""
    lr_discriminator: float = 2e-4
    """Learning rate of the discriminator and the gray-texture classifier."""
    betas: tuple[float, float] = (0.1, 0.9)
    """Coefficients of Adam; paper."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """How the learning rates fall to final_lr_share; linear begins to fall at half of the steps."""
    final_lr_share: float = 1.0
    """Learning rate at the last step relative to that at the first step; with 1 it stays the
    same."""
    warmup_steps: int = 0
    """Steps over which the learning rates rise from 0."""
    adversarial_start: int = 0
    """Step at which the adversarial losses begin; before it, only reconstruction and G-TC train
    the generator."""
    freeze_statistics_from: float = 0.6
    """Fraction of the steps after which the normalization statistics stay fixed."""
    ema_decay: float = 0.999
    """Decay of the exponential moving average of the weights; the averaged weights become the
    model."""
    gradient_clip: float = 10.0
    """Largest norm of the generator's gradient; with 0 it is not limited."""
    accumulate: int = 1
    """Number of batches whose gradients are averaged in one step."""

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        for name in ("lr_generator", "lr_discriminator"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; allowed: above 0, below 1")
        for name in ("final_lr_share", "freeze_statistics_from", "ema_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; allowed: 0 to 1")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise SettingsError(f"betas is {self.betas}; allowed: two numbers from 0 to below 1")


@dataclass(frozen=True)
class ValidationSettings:
    """How the run is measured on subjects that it does not see (DESIGN, section 8)."""

    every: int = 1000
    """Number of steps from one validation to the next; 0 for none."""
    cases: int = 4
    """Number of cases of the validation split that are measured, the first ones by name."""
    slices: int = 24
    """Number of slices from the middle of each case; the metrics are means over these slices."""
    select_by: Literal["psnr", "ssim", "dz_ratio", "dice", "fid", "kid", "lpips"] = "psnr"
    """Metric that selects `best.safetensors`. dz_ratio is best at 1; fid, kid and lpips are best
    at their lowest value."""
    extractor: str | None = None
    """Local TorchScript file that maps [N,3,H,W] in [0,1] to features [N,D]; adds FID and KID.
    Nothing is downloaded."""
    extractor_sha256: str | None = None
    """SHA-256 of that file; not needed if the file name ends with it, as PyTorch's own file
    names do."""
    lpips_weights: str | None = None
    """Local safetensors file with torchvision's backbone weights; adds LPIPS (needs the packages
    lpips and torchvision). Nothing is downloaded."""
    lpips_sha256: str | None = None
    """SHA-256 of that file; not needed if the file name ends with it."""
    lpips_network: Literal["alex", "vgg"] = "alex"
    """Backbone of LPIPS."""

    def __post_init__(self) -> None:
        if self.every < 0 or self.cases < 1 or self.slices < 1:
            raise SettingsError(
                f"validation has every {self.every}, cases {self.cases}, slices {self.slices}; "
                "allowed: every 0 or more, cases and slices 1 or more"
            )
        needed = {"fid": "extractor", "kid": "extractor", "lpips": "lpips_weights"}
        setting = needed.get(self.select_by)
        if setting is not None and getattr(self, setting) is None:
            raise SettingsError(
                f"select_by is {self.select_by}, which is measured only with a local file "
                f"in validation.{setting}; give it, or select by another metric"
            )


@dataclass(frozen=True)
class CardSettings:
    """What the card of the exported model says."""

    description: str = ""
    """What the model makes, in one sentence."""
    training_data: str = ""
    """The training data, where they come from, and their terms of use."""
    licence: str = ""
    """License of the weights."""
    not_for: str = ""
    """What the model must not be used for; if empty, a standard text is used."""


@dataclass(frozen=True)
class TrainingSettings:
    """One run of `anatomaskgan train`."""

    data: DataSettings
    output: str
    """Folder of the run: checkpoints, log, curves, pictures of samples."""
    direction: Literal["mask2image", "image2mask", "image+labels"] = "mask2image"
    """What is made from what: mask2image, image2mask, or image+labels, which makes both from
    superpixels with two heads."""
    preset: Literal["compact", "paper"] = "compact"
    """Size of the generator."""
    generator: dict = field(default_factory=dict)
    """Settings that override the preset, by the names of GeneratorSettings. The kind `spade`
    stands for anatomaskgan with its modules switched off."""
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    losses: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    validation: ValidationSettings = ValidationSettings()
    card: CardSettings = CardSettings()
    use_gray_texture: bool = True
    """G-TC, gray-texture classifier (paper, section III-C)."""
    label_dictionary: bool = True
    """Compute SPADE's label branches once for every distinct label neighborhood of a batch. If
    it is off, the one-hot map is convolved, which gives the same numbers and is slower."""
    seed: int = 0
    """Seed of the weights, the data order, the augmentation and the noise."""
    precision: Literal["32", "bf16", "16"] = "32"
    """Number type of the convolutions: 32 bits, bf16 or 16 bits. The weights stay in 32 bits.
    bf16 and 16 are only for hardware that supports them."""
    checkpoint_every: int = 500
    """Number of steps from one writing of `latest.safetensors` to the next."""
    keep_every: int = 0
    """Number of steps from one numbered checkpoint to the next; these are kept. 0 for none."""
    sheet_every: int = 500
    """Number of steps from one picture of samples (condition, synthetic, real) to the next; 0
    for none."""
    log_every: int = 20
    """Number of steps from one line of log.csv to the next."""
    tensorboard: bool = True
    """Write TensorBoard files if TensorBoard is installed."""
    wandb_project: str | None = None
    """Project of Weights & Biases to which the run reports; none by default."""

    def __post_init__(self) -> None:
        for name in ("checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        for name in ("keep_every", "sheet_every"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; allowed: 0 or more")
        check_combination(self)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output)
