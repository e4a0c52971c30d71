"""One affine movement for image, labels and guidance, in the world's millimeters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from AnatoMaskGANLib.config import SettingsError
from AnatoMaskGANLib.training.affine import Affine, draw_affine
from AnatoMaskGANLib.training.settings import DataSettings

CROP = (41, 41)


def moving(matrix: list[list[float]], shift: tuple[float, float], spacing=(1.0, 1.0)) -> Affine:
    """The movement that brings the anatomy forward by matrix, then shift."""
    return Affine(np.linalg.inv(np.array(matrix)), np.array(shift), spacing)


def turn(degrees: float) -> list[list[float]]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [[cosine, -sine], [sine, cosine]]


def part_around(crop: torch.Tensor, affine: Affine) -> torch.Tensor:
    """The crop with zeros around it, as wide as the movement reaches."""
    rows, columns = affine.reach(crop.shape[-2:])
    return torch.nn.functional.pad(crop, (columns, columns, rows, rows))


def smooth_image(height: int, width: int) -> torch.Tensor:
    j, i = np.mgrid[:height, :width]
    return torch.from_numpy(np.sin(i / 5.0) * np.cos(j / 7.0))[None].float()


def test_no_movement_gives_the_crop_back() -> None:
    affine = moving([[1, 0], [0, 1]], (0, 0))
    image = smooth_image(*CROP)
    assert torch.allclose(affine.bicubic(part_around(image, affine), CROP), image, atol=1e-5)


def test_a_shift_moves_by_its_millimeters_along_each_axis() -> None:
    affine = moving([[1, 0], [0, 1]], (4.0, -6.0), spacing=(2.0, 1.0))
    labels = torch.zeros(1, *CROP, dtype=torch.int64)
    labels[0, 20, 20] = 7
    moved = affine.nearest(part_around(labels, affine), CROP)
    assert moved.dtype == torch.int64
    assert moved.nonzero().tolist() == [[0, 14, 22]]  # 4 mm are two pixels of 2 mm


def test_a_quarter_turn_of_anisotropic_pixels_keeps_millimeters() -> None:
    affine = moving(turn(90), (0, 0), spacing=(1.0, 2.0))
    labels = torch.zeros(1, *CROP, dtype=torch.int64)
    labels[0, 20, 30] = 1  # 10 mm along +i from the center
    moved = affine.nearest(part_around(labels, affine), CROP)
    # 10 mm along +j, which is five pixels of 2 mm; its 2 mm along j are up to three pixels of i now
    assert moved.nonzero()[:, 1].unique().tolist() == [25]
    assert moved.nonzero()[:, 2].float().mean() == 20


def test_a_zoom_of_two_doubles_distances() -> None:
    affine = moving([[2, 0], [0, 2]], (0, 0))
    labels = torch.zeros(1, *CROP, dtype=torch.int64)
    labels[0, 20, 24] = 1
    moved = affine.nearest(part_around(labels, affine), CROP)
    assert [0, 20, 28] in moved.nonzero().tolist()


def test_turning_there_and_back_gives_the_image_again() -> None:
    there, back = moving(turn(12), (3.0, -2.0)), None
    back = Affine(np.array(turn(12)), -np.array(turn(-12)) @ np.array([3.0, -2.0]), (1.0, 1.0))
    image = smooth_image(*CROP)
    wide = smooth_image(*CROP)
    once = there.bicubic(part_around(wide, there), CROP)
    twice = back.bicubic(part_around(once, back), CROP)
    middle = (slice(None), slice(14, 27), slice(14, 27))
    assert torch.allclose(twice[middle], image[middle], atol=0.02)


def test_the_reach_covers_every_position_that_is_read() -> None:
    affine = moving(turn(45), (5.0, 0.0))
    rows, columns = affine.reach(CROP)
    full = torch.ones(1, CROP[0] + 2 * rows, CROP[1] + 2 * columns)
    assert torch.allclose(affine.bicubic(full, CROP), torch.ones(1, *CROP), atol=1e-5)


def test_image_and_labels_stay_aligned_under_every_kind_of_movement() -> None:
    settings = DataSettings(
        "store",
        affine_share=1.0,
        rotation_degrees=30,
        shift_mm=8,
        shear_degrees=15,
        zoom=1.3,
    )
    spacing = (1.0, 1.7, 3.0)
    j, i = np.mgrid[:161, :161]
    labels = torch.from_numpy(((i // 20) + 7 * (j // 20)).astype(np.int64) % 9)[None]
    gray = torch.linspace(0, 1, 9)
    image = gray[labels]
    crop = (61, 61)
    for seed in range(8):
        affine = draw_affine(settings, spacing, np.random.default_rng(seed))
        rows, columns = affine.reach(crop)
        middle = (slice(None), slice(50 - rows, 111 + rows), slice(50 - columns, 111 + columns))
        moved_labels = affine.nearest(labels[middle], crop)
        moved_image = affine.bicubic(image[middle], crop)
        expected = gray[moved_labels]
        # away from the edges between labels, where interpolation mixes two, both are the same
        pooled = torch.nn.functional.max_pool2d(moved_labels.float(), 7, 1, 3)
        lowest = -torch.nn.functional.max_pool2d(-moved_labels.float(), 7, 1, 3)
        inside = pooled == lowest
        inside[:, [*range(3), *range(-3, 0)]] = False  # what lies beside the crop is not seen
        inside[:, :, [*range(3), *range(-3, 0)]] = False
        assert 0.2 < inside.float().mean() < 1
        assert torch.allclose(moved_image[inside], expected[inside], atol=1e-4)
        assert (moved_image - expected).abs().mean() < 0.08


def test_a_share_of_zero_moves_nothing() -> None:
    generator = np.random.default_rng(0)
    settings = DataSettings("store", affine_share=0.0)
    assert draw_affine(settings, (1.0, 1.0, 1.0), generator) is None


def test_the_drawn_movement_stays_within_the_limits() -> None:
    settings = DataSettings(
        "store", affine_share=1.0, rotation_degrees=10, shift_mm=5, shear_degrees=0, zoom=1.2
    )
    for seed in range(50):
        affine = draw_affine(settings, (1.0, 1.0, 1.0), np.random.default_rng(seed))
        forward = np.linalg.inv(affine.matrix_ij)
        scale = math.sqrt(np.linalg.det(forward))
        angle = math.degrees(math.atan2(forward[1, 0], forward[0, 0]))
        assert 1 / 1.2 <= scale <= 1.2
        assert abs(angle) <= 10
        assert np.abs(affine.shift_ij_mm).max() <= 5


@pytest.mark.parametrize(
    "wrong", [{"zoom": 0.5}, {"shear_degrees": 80}, {"affine_share": 1.5}, {"shift_mm": -1}]
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        DataSettings("store", **wrong)
