"""Settings of a training run: one frozen dataclass for each part, and which go together.

Every setting has one home, here or in `AnatoMaskGANLib.config`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from AnatoMaskGANLib.config import (
    GENERATOR_PRESETS,
    DiscriminatorSettings,
    SettingsError,
    require,
)

TRAINED_KINDS = ("anatomaskgan", "spade", "oasis", "unet")
_NEEDS_PAIRS = "needs_pairs"


def _weight(default: float, *, needs_pairs: bool) -> Any:
    """A field for the weight of a loss.

    needs_pairs: whether the loss compares an image with the real one of the same labels, which
    unpaired training does not have. Every weight says so itself, so that none can be forgotten.
    """
    return field(default=default, metadata={_NEEDS_PAIRS: needs_pairs})


@dataclass(frozen=True)
class LossSettings:
    """Weights and forms of the losses (paper, Eq. 5, and ours); a weight of 0 leaves its loss out.

    To add a loss: its weight here, its function in `losses`, its use in `objective`.
    """

    adversarial: float = _weight(1.0, needs_pairs=False)
    """Weight of the adversarial loss against the discriminator."""
    adversarial_kind: Literal["hinge", "ls", "original", "w"] = "hinge"
    """Form of the adversarial loss: hinge (paper), ls (least squares), original (logistic,
    non-saturating) or w (Wasserstein). A segmentation discriminator always uses its
    cross-entropy."""
    feature_matching: float = _weight(10.0, needs_pairs=True)
    """Weight of feature matching, lambda_feat in the paper; patch discriminator only."""
    label_mix: float = _weight(10.0, needs_pairs=False)
    """Weight of the consistency of a segmentation discriminator on mixed images (LabelMix of
    OASIS)."""
    r1: float = _weight(0.0, needs_pairs=False)
    """Weight of the gradient penalty on real images, r1 / 2 |grad D|^2; 10 in Karras et al."""
    r1_every: int = 16
    """Number of steps from one R1 penalty to the next; each penalty is multiplied by this
    number."""
    gray_texture: float = _weight(10.0, needs_pairs=True)
    """Weight of G-TC, the statistics of every class; lambda_G-TC in the paper."""
    gray_texture_adversarial: float = _weight(0.1, needs_pairs=True)
    """Weight of the adversarial part of G-TC, against the trained classifier; ours."""
    reconstruction: float = _weight(50.0, needs_pairs=True)
    """Weight of the distance between the image without noise (noise strength 0) and the real
    image."""
    reconstruction_kind: Literal["l1", "l2", "weighted_l1"] = "l1"
    """Form of this distance. weighted_l1 has weight 1 inside the labels; outside, the weight
    falls like a Gaussian around their centroid."""
    squared_error: float = _weight(0.0, needs_pairs=True)
    """Weight of the mean squared error between the same two images; 600 counts about as much as
    an L1 weight of 50."""
    noisy_reconstruction: float = _weight(5.0, needs_pairs=True)
    """Weight of the same distance between the image with noise and the real image."""
    perceptual: float = _weight(0.0, needs_pairs=True)
    """Weight of the distance between VGG19 or LPIPS features; 5 in the paper. Needs
    perceptual_weights."""
    perceptual_network: Literal["none", "vgg19", "lpips"] = "none"
    """Network whose features are compared."""
    perceptual_weights: str | None = None
    """Local safetensors file with the weights of this network; nothing is downloaded."""
    perceptual_sha256: str | None = None
    """SHA-256 of that file; not needed if the file name ends with it, as in
    vgg19-0123abcd.safetensors."""
    body_mask: float = _weight(0.0, needs_pairs=False)
    """Weight of shape consistency: the soft body mask of the image against the foreground of the
    labels."""
    body_threshold: float = 0.05
    """Intensity in [0,1] above which a pixel belongs to the body."""
    flip_consistency: float = _weight(0.0, needs_pairs=False)
    """Weight of the L1 distance between the image of flipped labels and the flipped image,
    without noise."""
    label_keeping: float = _weight(1.0, needs_pairs=False)
    """unpaired: weight of the cross-entropy of a segmentation network that reads the labels from
    the image."""
    labels: float = _weight(10.0, needs_pairs=False)
    """image+labels and image2mask: weight of cross-entropy and Dice of the label map."""
    pseudo_labels: float = _weight(0.5, needs_pairs=False)
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

    def used_that_need_pairs(self) -> list[str]:
        """The losses in use that compare an image with the real one of the same labels."""
        return [
            weight.name
            for weight in fields(self)
            if weight.metadata.get(_NEEDS_PAIRS) and getattr(self, weight.name) > 0
        ]


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
    """How the run is measured on subjects that it does not see."""

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
    preset: str = "compact"
    """Size of the generator: compact or paper."""
    generator: dict[str, Any] = field(default_factory=dict)
    """Settings that override the preset, by the names of GeneratorSettings. The kind `spade`
    stands for anatomaskgan with its modules switched off."""
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    losses: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    validation: ValidationSettings = ValidationSettings()
    card: CardSettings = CardSettings()
    use_gray_texture: bool = True
    """Whether G-TC, the gray-texture classifier, is used (paper, section III-C)."""
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
    checkpoint_minutes: float = 10.0
    """Longest time in minutes from one writing of `latest.safetensors` to the next, where steps are
    slow; 0 for no such limit."""
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
        for name in ("keep_every", "sheet_every", "checkpoint_minutes"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; allowed: 0 or more")
        require(
            self.preset in GENERATOR_PRESETS, "preset", self.preset, ", ".join(GENERATOR_PRESETS)
        )
        check_combination(self)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output)


def check_combination(settings: TrainingSettings) -> None:
    """Raises SettingsError for settings that contradict each other."""
    for is_wrong, sentence in _rules(settings):
        if is_wrong:
            raise SettingsError(sentence)


def generator_kind(settings: TrainingSettings) -> str:
    """The generator by the name that the settings give it."""
    default = "segmenter" if settings.direction == "image2mask" else "anatomaskgan"
    return str(settings.generator.get("kind", default))


def _rules(settings: TrainingSettings) -> list[tuple[bool, str]]:
    """Pairs of whether a rule is broken, and what to say then."""
    kind, discriminator = generator_kind(settings), settings.discriminator.kind
    losses, direction = settings.losses, settings.direction
    comparing = losses.used_that_need_pairs()
    is_adversarial = losses.adversarial > 0
    makes_image = direction != "image2mask"
    known = TRAINED_KINDS if makes_image else ("segmenter",)
    return [
        (
            kind not in known,
            f"generator.kind is {kind!r}; allowed for the direction {direction}: "
            f"{', '.join(known)}",
        ),
        (
            direction == "image2mask" and settings.data.supervision != "paired",
            "the direction image2mask learns from pairs; supervision "
            f"{settings.data.supervision!r} goes with mask2image (unpaired) or image+labels (semi)",
        ),
        (
            direction == "image2mask" and settings.data.guidance != "labels",
            "the direction image2mask sees the image itself; guidance by superpixels has no use "
            "there, set data.guidance: labels",
        ),
        (
            direction == "image2mask" and settings.validation.select_by != "dice",
            "the direction image2mask makes no image, so psnr, ssim and dz_ratio cannot be "
            "measured; set validation.select_by: dice",
        ),
        (
            direction == "image2mask"
            and (
                settings.validation.extractor is not None
                or settings.validation.lpips_weights is not None
            ),
            "the direction image2mask makes no image, so FID, KID and LPIPS cannot be measured; "
            "leave validation.extractor and validation.lpips_weights out",
        ),
        (
            direction == "mask2image" and settings.validation.select_by == "dice",
            "the direction mask2image makes no label map, so dice cannot be measured; set "
            "validation.select_by to a metric of the image, such as psnr, ssim or dz_ratio",
        ),
        (
            direction == "image+labels" and kind not in ("anatomaskgan", "spade"),
            f"the generator {kind!r} has one head; image+labels needs anatomaskgan or spade",
        ),
        (
            direction == "image+labels" and settings.data.guidance != "superpixels",
            "image+labels makes the labels, so it cannot be given them; set data.guidance: "
            "superpixels",
        ),
        (
            settings.data.supervision == "semi" and direction != "image+labels",
            "semi gives pseudo labels to cases without labels, which needs a generator that makes "
            "labels; set direction: image+labels",
        ),
        (
            settings.data.supervision == "semi"
            and not (is_adversarial and discriminator == "patch"),
            "semi weighs pseudo labels by the confidence of a patch discriminator; set "
            "discriminator.kind: patch and losses.adversarial above 0",
        ),
        (
            settings.data.supervision == "semi" and not settings.discriminator.condition_features,
            "semi asks the discriminator whether image and labels belong together; set "
            "discriminator.conditional: true and label_features above 0",
        ),
        (
            settings.data.supervision == "unpaired" and not is_adversarial,
            "unpaired has no real image of the same labels, so only a discriminator can teach the "
            "generator; set losses.adversarial above 0",
        ),
        (
            settings.data.supervision == "unpaired"
            and is_adversarial
            and discriminator == "segmentation",
            "a segmentation discriminator needs the labels of its real images, which unpaired does "
            "not have; set discriminator.kind: wavelet, or patch with conditional: false",
        ),
        (
            settings.data.supervision == "unpaired"
            and discriminator == "patch"
            and settings.discriminator.condition_features > 0,
            "unpaired images do not fit the labels, so the patch discriminator must judge the "
            "image alone; set discriminator.conditional: false",
        ),
        (
            settings.data.supervision == "unpaired" and losses.label_keeping == 0,
            "unpaired without label_keeping lets the generator ignore its labels; set "
            "losses.label_keeping above 0",
        ),
        (
            settings.data.guidance == "superpixels" and settings.data.supervision == "unpaired",
            "superpixels of an image show that image, so unpaired has no meaning with them; set "
            "data.supervision: paired",
        ),
        (
            settings.data.supervision == "unpaired" and bool(comparing),
            "unpaired has no real image of the same labels to compare with; set these losses to 0: "
            f"{', '.join(comparing)}",
        ),
        (
            is_adversarial and discriminator != "patch" and losses.feature_matching > 0,
            f"feature_matching compares features of a patch discriminator; with discriminator.kind "
            f"{discriminator!r} set losses.feature_matching: 0",
        ),
        (
            direction == "image+labels" and discriminator != "patch" and is_adversarial,
            f"image+labels is judged as a pair, which a {discriminator} discriminator cannot do; "
            "set discriminator.kind: patch",
        ),
        (
            losses.r1 > 0 and is_adversarial and discriminator == "segmentation",
            "r1 is for patch and wavelet discriminators; a segmentation discriminator has "
            "label_mix instead: set losses.r1: 0",
        ),
        (
            losses.r1 > 0 and not is_adversarial,
            "r1 is a penalty on the discriminator, but losses.adversarial is 0, so there is none",
        ),
        (
            settings.precision == "16" and losses.r1 > 0,
            "r1 overflows in 16 bits; set precision: bf16 or 32",
        ),
    ]
