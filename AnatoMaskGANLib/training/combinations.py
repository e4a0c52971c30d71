"""Which settings make sense together; every refusal is a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from AnatoMaskGANLib.config import SettingsError

if TYPE_CHECKING:
    from AnatoMaskGANLib.training.loss_settings import LossSettings
    from AnatoMaskGANLib.training.settings import TrainingSettings

TRAINED_KINDS = ("anatomaskgan", "spade", "oasis", "unet")


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
    kind, judge = generator_kind(settings), settings.discriminator.kind
    losses, direction = settings.losses, settings.direction
    is_judged = losses.adversarial > 0
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
            settings.data.supervision == "semi" and not (is_judged and judge == "patch"),
            "semi weighs pseudo labels by the confidence of a patch discriminator; set "
            "discriminator.kind: patch and losses.adversarial above 0",
        ),
        (
            settings.data.supervision == "semi" and not settings.discriminator.condition_features,
            "semi asks the discriminator whether image and labels belong together; set "
            "discriminator.conditional: true and label_features above 0",
        ),
        (
            settings.data.supervision == "unpaired" and not is_judged,
            "unpaired has no real image of the same labels, so only a discriminator can teach the "
            "generator; set losses.adversarial above 0",
        ),
        (
            settings.data.supervision == "unpaired" and is_judged and judge == "segmentation",
            "a segmentation discriminator needs the labels of its real images, which unpaired does "
            "not have; set discriminator.kind: wavelet, or patch with conditional: false",
        ),
        (
            settings.data.supervision == "unpaired"
            and judge == "patch"
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
            settings.data.supervision == "unpaired" and any(_needing_pairs(losses)),
            "unpaired has no real image of the same labels to compare with; set these losses to 0: "
            f"{', '.join(name for name in _needing_pairs(losses))}",
        ),
        (
            is_judged and judge != "patch" and losses.feature_matching > 0,
            f"feature_matching compares features of a patch discriminator; with discriminator.kind "
            f"{judge!r} set losses.feature_matching: 0",
        ),
        (
            direction == "image+labels" and judge != "patch" and is_judged,
            f"image+labels is judged as a pair, which a {judge} discriminator cannot do; set "
            "discriminator.kind: patch",
        ),
        (
            losses.r1 > 0 and is_judged and judge == "segmentation",
            "r1 is for patch and wavelet discriminators; a segmentation discriminator has "
            "label_mix instead: set losses.r1: 0",
        ),
        (
            losses.r1 > 0 and not is_judged,
            "r1 is a penalty on the discriminator, but losses.adversarial is 0, so there is none",
        ),
        (
            settings.precision == "16" and losses.r1 > 0,
            "r1 overflows in 16 bits; set precision: bf16 or 32",
        ),
    ]


def _needing_pairs(losses: LossSettings) -> list[str]:
    """The losses in use that compare an image with the real one of the same labels."""
    names = (
        "reconstruction",
        "squared_error",
        "noisy_reconstruction",
        "gray_texture",
        "gray_texture_adversarial",
        "feature_matching",
        "perceptual",
    )
    return [name for name in names if getattr(losses, name) > 0]
