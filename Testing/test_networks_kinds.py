from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from AnatoMaskGANLib.config import GeneratorSettings, SettingsError
from AnatoMaskGANLib.networks.generator import Generator, build_generator
from AnatoMaskGANLib.networks.slice_batch import SliceBatch

CLASSES = 5
SHAPE = (2, 3, 1, 19, 22)  # B,S,1,H,W: rows and columns that no stride divides


def settings_of(kind: str, **changes: object) -> GeneratorSettings:
    values = {"channels": (16, 16, 8, 8), "spade_hidden": 8, "fusion_stage": 0}
    values |= {"noise_sigmas_mm": (2.0, 6.0)}
    return GeneratorSettings(CLASSES, kind, **(values | changes))


def made(kind: str, seed: int = 0, strength: float = 1.0, **changes: object) -> torch.Tensor:
    torch.manual_seed(0)
    generator = build_generator(settings_of(kind, **changes)).eval()
    labels = torch.randint(CLASSES, (2, 5, 19, 22), generator=torch.Generator().manual_seed(1))
    noise = torch.randn(2, 2, 3, 19, 22, generator=torch.Generator().manual_seed(seed))
    positions = torch.arange(3.0).expand(2, -1)
    with torch.no_grad():
        return generator(SliceBatch(labels, positions, noise, strength, halo=1)).image


@pytest.mark.parametrize("kind", ["anatomaskgan", "oasis", "unet"])
def test_every_kind_makes_images_of_any_size(kind: str) -> None:
    image = made(kind)
    assert image.shape == SHAPE
    assert image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize("kind", ["oasis", "unet"])
def test_the_same_noise_gives_the_same_image_and_other_noise_another(kind: str) -> None:
    assert torch.equal(made(kind, 3), made(kind, 3))
    assert not torch.equal(made(kind, 3), made(kind, 4))


@pytest.mark.parametrize("kind", ["oasis", "unet"])
def test_strength_zero_makes_all_noise_the_same(kind: str) -> None:
    assert torch.equal(made(kind, 3, 0.0), made(kind, 4, 0.0))


@pytest.mark.parametrize("kind", ["oasis", "unet"])
def test_a_slice_is_made_by_itself(kind: str) -> None:
    """The halo and the other slices of the stack do not reach it."""
    torch.manual_seed(0)
    generator = build_generator(settings_of(kind)).eval()
    labels = torch.randint(CLASSES, (1, 5, 16, 16))
    changed = labels.clone()
    changed[:, [0, 2, 4]] = 0
    with torch.no_grad():
        a, b = (
            generator(SliceBatch(x, torch.arange(3.0)[None], halo=1)).image
            for x in (labels, changed)
        )
    assert torch.equal(a[:, [0, 2]], b[:, [0, 2]])
    assert not torch.equal(a[:, 1], b[:, 1])


@pytest.mark.parametrize("kind", ["anatomaskgan", "oasis", "unet"])
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    torch.manual_seed(0)
    generator = build_generator(settings_of(kind, norm="group", spectral_norm=kind != "unet"))
    with torch.no_grad():  # what starts at zero hides what lies behind it
        for parameter in generator.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    labels = torch.randint(CLASSES, (1, 8, 16, 16))
    noise = torch.randn(1, 2, 4, 16, 16)
    batch = SliceBatch(labels, torch.arange(4.0)[None], noise, halo=2)
    generator(batch).image.square().sum().backward()
    without = [
        name
        for name, parameter in generator.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert without == []


def test_spectral_norm_bounds_the_blocks_convolutions() -> None:
    torch.manual_seed(0)
    generator = build_generator(settings_of("oasis", spectral_norm=True))
    for module in generator.modules():
        if isinstance(module, nn.Conv2d) and hasattr(module, "parametrizations"):
            for _ in range(50):
                weight = module.weight  # a step of the power iteration
            norm = torch.linalg.matrix_norm(weight.detach().flatten(1), 2)
            assert norm == pytest.approx(1.0, abs=0.05)


def test_the_second_head_leaves_the_image_as_it_is() -> None:
    torch.manual_seed(0)
    plain = Generator(settings_of("anatomaskgan"))
    two = Generator(settings_of("anatomaskgan", label_outputs=4))
    missing = two.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing == ["label_logits.weight", "label_logits.bias"]
    batch = SliceBatch(torch.randint(CLASSES, (1, 3, 16, 16)), torch.arange(3.0)[None])
    with torch.no_grad():
        image, logits = two.eval()(batch)
        assert torch.equal(image, plain.eval()(batch).image)
    assert logits.shape == (1, 3, 4, 16, 16)
    with pytest.raises(SettingsError, match="second head"):
        settings_of("unet", label_outputs=4)


def test_a_segmenter_gives_a_logit_a_class_and_pixel() -> None:
    pytest.importorskip("monai")
    torch.manual_seed(0)
    segmenter = build_generator(settings_of("segmenter", norm="group"))
    images = torch.rand(SHAPE)
    logits = segmenter(images)
    assert logits.shape == (2, 3, CLASSES, 19, 22)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in segmenter.parameters())


def test_a_segmenter_without_monai_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(ImportError, match="needs MONAI, which is not installed: pip install monai"):
        build_generator(settings_of("segmenter"))
