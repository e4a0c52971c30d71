from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import tiny_run

from AnatoMaskGANLib.commands.train import TrainOptions, parse_assignments, run_settings
from AnatoMaskGANLib.config import PATCH_SIZES, DiscriminatorSettings, SettingsError
from AnatoMaskGANLib.networks.discriminators.patch import MultiScaleDiscriminator
from AnatoMaskGANLib.training.run_networks import generator_settings
from AnatoMaskGANLib.training.settings import LossSettings, OptimizerSettings
from AnatoMaskGANLib.training.trainer import has_frozen_statistics, learning_rate_factor

NO_PAIRS = dict.fromkeys(
    ("reconstruction", "noisy_reconstruction", "gray_texture", "gray_texture_adversarial"), 0.0
)
ALONE = {"conditional": False}
UNPAIRED = {"data": {"supervision": "unpaired"}, "discriminator": {"kind": "wavelet", **ALONE}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"generator": {"kind": "stylegan"}}, "allowed for the direction mask2image"),
        ({"direction": "image2mask"}, "select_by: dice"),
        ({"validation": {"select_by": "dice"}}, "mask2image makes no label map"),
        ({"direction": "image+labels"}, "set data.guidance: superpixels"),
        ({"data": {"supervision": "semi"}}, "set direction: image.labels"),
        (UNPAIRED, "set these losses to 0: feature_matching, .*, reconstruction"),
        (
            {**UNPAIRED, "discriminator": {"kind": "segmentation"}},
            "needs the labels of its real images",
        ),
        ({**UNPAIRED, "discriminator": {"kind": "patch"}}, "conditional: false"),
        (
            {**UNPAIRED, "losses": {**NO_PAIRS, "feature_matching": 0.0, "label_keeping": 0.0}},
            "lets the generator ignore its labels",
        ),
        ({"discriminator": {"kind": "wavelet"}}, "set losses.feature_matching: 0"),
        ({"losses": {"r1": 10.0, "adversarial": 0.0}}, "penalty on the discriminator"),
        (
            {
                "losses": {"r1": 10.0, "feature_matching": 0.0},
                "discriminator": {"kind": "segmentation"},
            },
            "label_mix",
        ),
        ({"precision": "16", "losses": {"r1": 10.0}}, "overflows in 16 bits"),
        ({"losses": {"perceptual": 5.0}}, "perceptual_network is none"),
        (
            {"losses": {"perceptual": 5.0, "perceptual_network": "vgg19"}},
            "nothing is downloaded",
        ),
        ({"losses": {"reconstruction": -1.0}}, "reconstruction is -1.0"),
        ({"discriminator": {"patch_size": 50}}, "10, 16, 34, 70, 142, 286"),
        ({"losses": {"recontruction": 1.0}}, "did you mean reconstruction"),
        ({"optimizer": {"steps": 0}}, "1 or more"),
        ({"optimizer": {"lr_generator": 0.0}}, "lr_generator is 0.0; allowed: above 0, below 1"),
        ({"optimizer": {"ema_decay": 1.5}}, "ema_decay is 1.5; allowed: 0 to 1"),
        ({"data": {"stack_size": 0}}, "stack_size is 0; allowed: 1 or more"),
        ({"data": {"batch_size": 0}}, "batch_size is 0; allowed: 1 or more"),
        ({"data": {"zoom": 9.0}}, "zoom is 9.0; allowed: 1 to 4"),
        ({"data": {"num_labeled_subjects": 0}}, "allowed: 1 or more, or null for all"),
        ({"losses": {"r1_every": 0}}, "r1_every is 0; allowed: 1 or more"),
        ({"validation": {"select_by": "fid"}}, "validation.extractor; give it, or select by"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0; allowed: 1 or more"),
        ({"direction": "x"}, "direction is 'x'; allowed: mask2image"),
        ({"keep_every": -1}, "keep_every is -1; allowed: 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_sentence(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        tiny_run(tmp_path / "store", tmp_path / "run", **changes)


def test_the_kind_spade_is_the_generator_with_its_modules_off(tmp_path: Path) -> None:
    plain = generator_settings(tiny_run(tmp_path, tmp_path, generator={"kind": "spade"}), 5)
    assert (plain.kind, plain.use_gnn_fusion, plain.use_noise3d) == ("anatomaskgan", False, False)
    assert plain.context_radius == 0
    full = generator_settings(tiny_run(tmp_path, tmp_path), 5)
    assert full.use_gnn_fusion and full.use_noise3d


@pytest.mark.parametrize("size", PATCH_SIZES)
def test_the_patch_size_is_the_receptive_field_of_a_logit(size: int) -> None:
    import torch

    settings = DiscriminatorSettings(
        channels=4,
        patch_size=size,
        num_scales=1,
        slices_seen=1,
        conditional=False,
        norm="none",
        detail_gain=0.0,
    )
    network = MultiScaleDiscriminator(settings, 3).eval()
    extent = size + 40
    image = torch.rand(1, 1, 1, extent, extent, requires_grad=True)
    logits = network(image, torch.zeros(1, 1, extent, extent, dtype=torch.long))[0][-1]
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    touched = image.grad[0, 0, 0].abs().sum(0).nonzero()
    assert int(touched.max() - touched.min()) + 1 == size


def test_learning_rates_fall_as_the_schedule_says() -> None:
    cosine = OptimizerSettings(steps=100, final_lr_share=0.2, warmup_steps=10)
    assert learning_rate_factor(cosine, 0) == pytest.approx(0.1, rel=1e-2)
    assert learning_rate_factor(cosine, 50) == pytest.approx(0.6)
    assert learning_rate_factor(cosine, 100) == pytest.approx(0.2)
    linear = OptimizerSettings(steps=100, final_lr_share=0.0, schedule="linear")
    assert [learning_rate_factor(linear, step) for step in (0, 50, 75, 100)] == [1, 1, 0.5, 0]
    constant = OptimizerSettings(steps=10, schedule="constant", final_lr_share=0)
    assert learning_rate_factor(constant, 9) == 1


def test_statistics_freeze_at_their_share_of_the_steps() -> None:
    settings = OptimizerSettings(steps=10, freeze_statistics_from=0.6)
    assert [has_frozen_statistics(settings, step) for step in (5, 6)] == [False, True]
    assert not has_frozen_statistics(OptimizerSettings(steps=10, freeze_statistics_from=1.0), 9)


def test_flags_replace_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: {store: here}\noutput: run\noptimizer: {steps: 5}\n")
    settings = run_settings(
        TrainOptions(
            config=path,
            store=Path("there"),
            steps=7,
            select_by="ssim",
            set=("losses.r1=10", "generator.channels=[16, 16, 8]", "use_gray_texture=false"),
        )
    )
    assert settings.data.store == "there"
    assert settings.optimizer.steps == 7
    assert settings.losses.r1 == 10.0
    assert settings.generator == {"channels": [16, 16, 8]}
    assert settings.validation.select_by == "ssim"
    assert settings.use_gray_texture is False


@pytest.mark.parametrize("text", ["32", "16", "'32'", "bf16"])
def test_a_precision_that_yaml_reads_as_a_number_is_understood(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: {store: here}\noutput: run\n")
    settings = run_settings(TrainOptions(config=path, set=(f"precision={text}",)))
    assert settings.precision == text.strip("'")


def test_a_flag_that_is_no_setting_is_told_with_the_closest_name(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: {store: here}\noutput: run\n")
    with pytest.raises(SettingsError, match="did you mean lr_generator"):
        run_settings(TrainOptions(config=path, set=("optimizer.lr_generato=1e-3",)))
    with pytest.raises(ValueError, match="expected NAME=VALUE"):
        parse_assignments(["losses.r1"])


def test_every_weight_of_a_loss_says_whether_it_needs_pairs() -> None:
    """A loss that does not say so could be left on where there are no pairs to compare."""
    no_weights = {"body_threshold"}
    for setting in fields(LossSettings):
        if isinstance(setting.default, float) and setting.name not in no_weights:
            assert isinstance(setting.metadata.get("needs_pairs"), bool), setting.name


def test_unpaired_training_refuses_every_loss_that_needs_pairs(tmp_path: Path) -> None:
    weights = [
        setting.name for setting in fields(LossSettings) if "needs_pairs" in setting.metadata
    ]
    off = dict.fromkeys(weights, 0.0) | {"adversarial": 1.0, "label_keeping": 1.0}
    comparing = ["feature_matching", "gray_texture", "gray_texture_adversarial", "reconstruction"]
    comparing += ["squared_error", "noisy_reconstruction"]
    changes: dict[str, Any] = {
        "data": {"supervision": "unpaired"},
        "discriminator": {"conditional": False},
    }
    tiny_run(tmp_path, tmp_path, **changes, losses=off)
    for name in comparing:
        with pytest.raises(SettingsError, match=f"set these losses to 0: {name}$"):
            tiny_run(tmp_path, tmp_path, **changes, losses=off | {name: 1.0})
