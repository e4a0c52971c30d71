"""Background removal on a made-up body that lies on a table, in clothes."""

from __future__ import annotations

import numpy as np
import pytest

from AnatoMaskGANLib.preparation.background import body_mask
from AnatoMaskGANLib.preparation.settings import PreparationError

SPACING = (2.0, 2.0, 4.0)  # i, j, k
SHAPE = (12, 90, 110)  # k, j, i


def scene() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Image in HU, true body (lungs included), and what is not body."""
    k, j, i = np.meshgrid(*[np.arange(size) for size in SHAPE], indexing="ij")
    radius = ((i - 55) / 40.0) ** 2 + ((j - 48) / 30.0) ** 2
    body = radius < 1
    lungs = (((i - 38) / 10.0) ** 2 + ((j - 48) / 14.0) ** 2 < 1) | (
        ((i - 72) / 10.0) ** 2 + ((j - 48) / 14.0) ** 2 < 1
    )
    # a thin table top that touches the back, with a thick frame below
    table = ((j >= 16) & (j <= 17) & (i > 5) & (i < 105)) | ((j >= 4) & (j <= 9) & (i > 20))
    table &= ~body
    clothes = (radius > 1.3) & (radius < 1.38) & (j > 50)
    image = np.full(SHAPE, -1000.0)
    image[body] = 40
    image[lungs] = -850
    image[table] = 100
    image[clothes] = -150
    image += np.random.default_rng(0).normal(0, 10, SHAPE)
    return image, body, {"table": table, "clothes": clothes}


@pytest.mark.parametrize("threshold", [-300.0, None])
def test_table_and_clothes_go_and_the_body_with_its_lungs_stays(threshold: float | None) -> None:
    image, body, others = scene()
    mask = body_mask(image, SPACING, threshold)
    assert np.mean(mask[body]) > 0.995
    # what stays of the table is the part that lies on the skin
    assert np.mean(mask[others["table"]]) < 0.05
    assert not mask[others["clothes"]].any()
    dice = 2 * np.count_nonzero(mask & body) / (mask.sum() + body.sum())
    assert dice > 0.99


def test_the_mask_is_three_dimensional() -> None:
    image, body, _ = scene()
    # in the last slice the table is larger than what is left of the body: a rule for each slice by
    # itself would keep the table
    image[11, 18:] = -1000
    image[11, 44:52, 50:60] = 40
    mask = body_mask(image, SPACING, -300.0)
    assert mask[11, 45:51, 51:59].all()
    assert not mask[11, :18].any()
    assert np.mean(mask[4][body[4]]) > 0.99


def test_the_body_reaches_the_border_of_the_image_without_growing_along_it() -> None:
    image = np.full((10, 40, 40), -1000.0)
    image[:, 10:30, :20] = 50  # cut off by the left border
    mask = body_mask(image, (1.0, 1.0, 1.0), -300.0)
    assert mask[:, 15:25, 0].all()
    assert not mask[:, :8].any() and not mask[:, 32:].any()


def test_dark_organs_of_an_mr_image_are_body_up_to_the_last_slice() -> None:
    _, body, _ = scene()
    k, j, i = np.meshgrid(*[np.arange(size) for size in SHAPE], indexing="ij")
    fat = body & (((i - 55) / 36.0) ** 2 + ((j - 48) / 26.0) ** 2 >= 1)
    image = np.where(body, 150.0, 5.0)
    image[fat] = 900
    image += np.random.default_rng(0).normal(0, 5, SHAPE)
    mask = body_mask(image, SPACING)
    assert np.mean(mask[body]) > 0.995 and np.mean(mask[~body]) < 0.01
    assert np.mean(mask[-1][body[-1]]) > 0.99


def test_an_image_without_a_body_is_refused() -> None:
    image = np.random.default_rng(0).normal(-1000, 5, (8, 40, 40))
    with pytest.raises(PreparationError, match="--body-threshold"):
        body_mask(image, (1.0, 1.0, 1.0), -300.0)
