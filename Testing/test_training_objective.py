"""The objectives: which losses each method has, and that every network moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import tiny_run, write_tiny_store

from AnatoMaskGANLib.config import DiscriminatorSettings
from AnatoMaskGANLib.networks.discriminators.segmentation import SegmentationUNet
from AnatoMaskGANLib.training.discriminator_losses import (
    LabeledImages,
    losses_for_discriminator,
    losses_for_generator,
)
from AnatoMaskGANLib.training.processes import Processes
from AnatoMaskGANLib.training.settings import LossSettings
from AnatoMaskGANLib.training.trainer import Trainer
from AnatoMaskGANLib.volumes.case_store import open_store

SEGMENTATION = {
    "discriminator": {"kind": "segmentation"},
    "losses": {"feature_matching": 0.0},
}
WAVELET = {
    "discriminator": {"kind": "wavelet", "spectral_norm": False},
    "losses": {"feature_matching": 0.0, "adversarial_kind": "original", "r1": 10.0, "r1_every": 2},
}
UNPAIRED = {
    "data": {"supervision": "unpaired"},
    "discriminator": {"kind": "patch", "conditional": False},
    "losses": dict.fromkeys(
        (
            "reconstruction",
            "noisy_reconstruction",
            "gray_texture",
            "gray_texture_adversarial",
            "feature_matching",
        ),
        0.0,
    ),
}
SEMI = {
    "data": {"supervision": "semi", "guidance": "superpixels", "batch_size": 4},
    "direction": "image+labels",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "store"
    return write_tiny_store(folder, has_guidance=True, unlabeled=(2,))


def trainer_of(store: Path, **changes: Any) -> Trainer:
    values = {"optimizer": {"steps": 100}, **changes}
    settings = tiny_run(store, store.parent / "run", **values)
    return Trainer(settings, open_store(store), Processes(torch.device("cpu")))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {"discriminator", "classifier", "reconstruction", "feature_matching"}),
        (SEGMENTATION, {"discriminator", "label_mix", "adversarial"}),
        (WAVELET, {"discriminator", "r1", "adversarial"}),
        (UNPAIRED, {"discriminator", "label_reader", "label_keeping", "adversarial"}),
        (SEMI, {"discriminator", "labels", "pseudo_labels", "adversarial"}),
        ({"losses": {"reconstruction_kind": "weighted_l1"}}, {"reconstruction"}),
        ({"losses": {"body_mask": 1.0, "flip_consistency": 1.0}}, {"body_mask"}),
        ({"data": {"guidance": "both"}}, {"gray_texture"}),
        ({"generator": {"kind": "oasis", "spectral_norm": True}}, {"reconstruction"}),
        ({"generator": {"kind": "unet"}}, {"reconstruction"}),
        ({"losses": {"adversarial_kind": "ls"}}, {"adversarial"}),
        ({"losses": {"adversarial_kind": "w"}}, {"adversarial"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_method_has_its_losses_and_every_network_moves(
    store: Path, changes: dict[str, Any], names: set[str]
) -> None:
    trainer = trainer_of(store, **changes)
    before = {
        name: [p.detach().clone() for p in network.parameters()]
        for name, network in trainer.networks.named().items()
    }
    found = trainer.train_step()
    assert names <= found.keys()
    trainer.train_step()
    for name, network in trainer.networks.named().items():
        pairs = zip(before[name], network.parameters(), strict=True)
        assert any(not torch.equal(a, b.detach()) for a, b in pairs), f"{name} stands still"


def test_flip_consistency_is_zero_without_neighborhoods_that_know_sides(store: Path) -> None:
    """A generator whose weights are equal for both sides and symmetric gives it no loss."""
    trainer = trainer_of(store, losses={"flip_consistency": 1.0}, generator={"kind": "spade"})
    with torch.no_grad():
        for parameter in trainer.networks.generator.parameters():
            parameter.zero_()
    made = trainer.objective.forward(trainer.sampler.batch(0))
    assert float(trainer.objective.generator_losses(made, 0)["flip_consistency"].detach()) < 1e-6


def test_judges_rest_until_the_adversarial_start(store: Path) -> None:
    trainer = trainer_of(store, optimizer={"steps": 10, "adversarial_start": 1})
    assert not {"discriminator", "adversarial"} & trainer.train_step().keys()
    assert {"discriminator", "adversarial"} <= trainer.train_step().keys()


def test_r1_comes_every_so_many_steps(store: Path) -> None:
    trainer = trainer_of(store, losses={"r1": 1.0, "r1_every": 3})
    assert ["r1" in trainer.train_step() for _ in range(4)] == [True, False, False, True]


def test_two_batches_accumulated_are_one_of_twice_the_size(store: Path) -> None:
    """The same stacks, so the same losses at the first step."""
    plain = trainer_of(store, generator={"norm": "group"})
    twice = trainer_of(store, generator={"norm": "group"}, optimizer={"accumulate": 2})
    first, second = plain.sampler.batch(0), plain.sampler.batch(1)
    found = twice.train_step()
    losses = [
        plain.objective.generator_losses(plain.objective.forward(batch), 0)["reconstruction"]
        for batch in (first, second)
    ]
    assert found["reconstruction"] == pytest.approx(float(sum(losses).detach()) / 2, rel=1e-5)


class _Oracle(SegmentationUNet):
    """Gives the logits it is told, whatever it sees."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__(DiscriminatorSettings(kind="segmentation", channels=4, num_layers=1), 3)
        self.answer = logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.answer[: images.shape[0] * images.shape[1]]


def test_a_segmentation_discriminator_that_is_right_pays_nothing() -> None:
    """Two classes and "synthetic": real slices show their class, synthetic ones the last."""
    classes = torch.zeros(1, 1, 4, 4, dtype=torch.long)
    classes[..., 2:] = 1
    right = torch.nn.functional.one_hot(classes[0], 3).movedim(-1, 1) * 50.0
    fake = torch.zeros_like(right)
    fake[:, 2] = 50.0
    judged = LabeledImages(torch.zeros(1, 1, 1, 4, 4), classes)
    # real, synthetic, and a mixed image (seed 0 takes whole classes) that cannot be consistent
    oracle = _Oracle(torch.cat([right, fake, right]))
    terms = losses_for_discriminator(
        oracle, judged, judged, (0,), LossSettings(feature_matching=0.0, label_mix=0.0), False
    )
    assert float(terms["discriminator"]) < 1e-6
    assert "label_mix" not in terms
    assert float(losses_for_generator(oracle, None, judged, LossSettings())["adversarial"]) < 1e-6


def test_label_mix_is_zero_where_the_mixed_image_is_judged_as_its_parts() -> None:
    classes = torch.zeros(1, 1, 4, 4, dtype=torch.long)
    logits = torch.randn(1, 3, 4, 4)
    judged = LabeledImages(torch.zeros(1, 1, 1, 4, 4), classes)
    oracle = _Oracle(logits.repeat(3, 1, 1, 1))
    terms = losses_for_discriminator(oracle, judged, judged, (0,), LossSettings(), False)
    assert float(terms["label_mix"]) == 0


def test_the_label_dictionary_gives_the_losses_of_the_plain_convolution(store: Path) -> None:
    on, off = (trainer_of(store, label_dictionary=value) for value in (True, False))
    for _ in range(2):
        found, expected = on.train_step(), off.train_step()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


def test_the_averaged_weights_follow_and_statistics_are_taken_over(store: Path) -> None:
    trainer = trainer_of(store, generator={"norm": "batch"}, optimizer={"ema_decay": 0.5})
    before = {name: value.clone() for name, value in trainer.ema.named_parameters()}
    trainer.train_step()
    trained = dict(trainer.networks.generator.named_parameters())
    for name, value in trainer.ema.named_parameters():  # the first step averages by a tenth
        torch.testing.assert_close(value, before[name].lerp(trained[name].detach(), 0.9))
    buffers = dict(trainer.networks.generator.named_buffers())
    for name, value in trainer.ema.named_buffers():
        assert torch.equal(value, buffers[name])
