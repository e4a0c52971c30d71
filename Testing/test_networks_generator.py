"""The generator: any number of slices, any size, every switch, every parameter in use."""

from __future__ import annotations

import pytest
import torch

from AnatoMaskGANLib.config import GeneratorSettings, preset_generator
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.networks.slice_batch import SliceBatch

SMALL = {"channels": (16, 16, 8, 8), "spade_hidden": 4}
NUM_CLASSES = 5


def small_generator(**changes) -> Generator:
    """A small generator with weights that leave no module idle."""
    torch.manual_seed(0)
    generator = Generator(preset_generator("compact", NUM_CLASSES, **(SMALL | changes)))
    for name, parameter in generator.named_parameters():
        if "fusion" in name or "refinement_scale" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return generator.eval()


def labels_of(num_slices: int, height: int = 16, width: int = 24, cases: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (cases, num_slices, -(-height // 4), -(-width // 4))
    coarse = torch.randint(0, NUM_CLASSES, shape, generator=generator)
    return coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, :height, :width]


def positions_of(num_slices: int, cases: int = 1) -> torch.Tensor:
    return torch.arange(float(num_slices)).expand(cases, -1)


def noise_of(num_slices: int, height: int = 16, width: int = 24, seed: int = 0) -> torch.Tensor:
    shape = (num_slices, height, width)
    sigmas_mm = preset_generator("compact", NUM_CLASSES).noise_sigmas_mm
    return noise_field(seed, (0, 0, 0), shape, (1.0, 1.0, 1.0), sigmas_mm)[None]


def image_of(generator: Generator, *batch: torch.Tensor, **options) -> torch.Tensor:
    """The image of a batch of labels, positions and noise."""
    return generator(SliceBatch(*batch, **options)).image


@pytest.mark.parametrize("num_slices", [1, 2, 7])
@pytest.mark.parametrize("size", [(16, 16), (15, 21), (4, 40)])
def test_any_number_of_slices_and_any_size_give_an_image_in_0_1(num_slices, size) -> None:
    image = image_of(small_generator(), labels_of(num_slices, *size), positions_of(num_slices))
    assert image.shape == (1, num_slices, 1, *size)
    assert 0 <= image.min() and image.max() <= 1


@pytest.mark.parametrize("use_gnn_fusion", [True, False])
@pytest.mark.parametrize("use_noise3d", [True, False])
@pytest.mark.parametrize("context_radius", [0, 2])
@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
def test_words_equal_the_plain_convolutions_for_every_switch(
    use_gnn_fusion: bool, use_noise3d: bool, context_radius: int, norm: str
) -> None:
    generator = small_generator(
        use_gnn_fusion=use_gnn_fusion,
        use_noise3d=use_noise3d,
        context_radius=context_radius,
        norm=norm,
    )
    arguments = (labels_of(5), positions_of(5), noise_of(5))
    dense = image_of(generator, *arguments, use_words=False)
    torch.testing.assert_close(image_of(generator, *arguments), dense, rtol=0, atol=1e-5)


def test_cases_of_a_batch_do_not_mix() -> None:
    generator = small_generator()
    labels = labels_of(4, cases=2)
    together = image_of(generator, labels, positions_of(4, cases=2))
    for case in range(2):
        alone = image_of(generator, labels[case : case + 1], positions_of(4))
        torch.testing.assert_close(together[case : case + 1], alone, rtol=0, atol=1e-5)


def changed_slices(generator: Generator, num_slices: int = 14, changed: int = 7) -> list[int]:
    labels = labels_of(num_slices)
    edited = labels.clone()
    edited[0, changed, 4:12, 4:12] = (edited[0, changed, 4:12, 4:12] + 1) % NUM_CLASSES
    with torch.no_grad():
        before, after = (image_of(generator, m, positions_of(num_slices)) for m in (labels, edited))
    difference = (after - before).abs().amax((0, 2, 3, 4))
    return (difference > 1e-6).nonzero().flatten().tolist()


def test_a_changed_slice_reaches_its_neighbors_through_fusion_and_context() -> None:
    assert changed_slices(small_generator(context_radius=0)) == list(range(3, 12))
    assert changed_slices(small_generator(use_gnn_fusion=False)) == list(range(5, 10))


def test_without_fusion_and_context_slices_do_not_know_each_other() -> None:
    assert changed_slices(small_generator(use_gnn_fusion=False, context_radius=0)) == [7]


def test_strength_scales_the_noise_and_zero_takes_it_away() -> None:
    generator = small_generator()
    labels, positions = labels_of(3), positions_of(3)
    still = image_of(generator, labels, positions)
    none = image_of(generator, labels, positions, noise_of(3), strength=0.0)
    torch.testing.assert_close(none, still)
    half, full = (
        image_of(generator, labels, positions, noise_of(3), strength=s) for s in (0.5, 1.0)
    )
    assert 0 < (half - still).abs().mean() < (full - still).abs().mean()


def test_same_seed_same_image_and_other_seed_another() -> None:
    generator = small_generator()
    first, again, other = (
        image_of(generator, labels_of(3), positions_of(3), noise_of(3, seed=s)) for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_outer_slices_are_seen_but_not_made() -> None:
    generator = small_generator(use_gnn_fusion=False)
    labels = labels_of(9)
    whole = image_of(generator, labels, positions_of(9))
    inner = image_of(generator, labels, positions_of(5), halo=2)
    torch.testing.assert_close(inner, whole[:, 2:7], rtol=0, atol=1e-6)


def test_neighbors_of_a_slice_lie_below_and_above_it() -> None:
    labels = torch.arange(1, 5).view(1, 4, 1, 1)
    neighbors = SliceBatch(labels, positions_of(4)).neighbor_labels(1)[0, :, :, 0, 0]
    assert neighbors.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]
    batch = SliceBatch(labels, positions_of(2), halo=1)
    with_halo = batch.neighbor_labels(1)[0, :, :, 0, 0]
    assert with_halo.tolist() == [[1, 2, 3], [2, 3, 4]]


def test_every_parameter_gets_a_gradient() -> None:
    generator = small_generator().train()
    image = image_of(generator, labels_of(6), positions_of(6), noise_of(6))
    (image * torch.randn_like(image)).sum().backward()
    idle = [
        name
        for name, parameter in generator.named_parameters()
        if parameter.grad is None or parameter.grad.abs().sum() == 0
    ]
    assert idle == []


def test_frozen_statistics_do_not_move_and_do_not_mix_slices() -> None:
    generator = small_generator(use_gnn_fusion=False, context_radius=0).train()
    norms = [m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.is_frozen = True
    before = [norm.running_mean.clone() for norm in norms]
    labels = labels_of(4)
    together = image_of(generator, labels, positions_of(4))
    assert all(torch.equal(n.running_mean, old) for n, old in zip(norms, before, strict=True))
    alone = image_of(generator, labels[:, 2:3], positions_of(1))
    torch.testing.assert_close(together[:, 2:3], alone, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_paper_preset_makes_a_224_image_with_28x28_fusion() -> None:
    generator = Generator(preset_generator("paper", 36)).eval()
    assert generator.fusion_stride * 28 == 224
    assert generator.settings.stride * 7 == 224
    with torch.no_grad():
        image = image_of(generator, torch.zeros(1, 1, 224, 224, dtype=torch.long), positions_of(1))
    assert image.shape == (1, 1, 1, 224, 224)


def test_the_compact_preset_stays_small() -> None:
    generator = Generator(preset_generator("compact", 36))
    num_bytes = sum(4 * value.numel() for value in generator.state_dict().values())
    assert num_bytes < 10 * 2**20
    assert generator.fusion_stride * 28 == 224


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="fusion_stage is 9; allowed: 0 to 4"):
        GeneratorSettings(num_classes=3, fusion_stage=9)
    with pytest.raises(ValueError, match="norm is 'layer'"):
        GeneratorSettings(num_classes=3, norm="layer")
