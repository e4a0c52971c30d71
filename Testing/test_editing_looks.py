"""Looks by words, and the noise that they are painted with."""

from __future__ import annotations

import numpy as np
import pytest

from AnatoMaskGANLib.editing import (
    AROUND,
    KEEP,
    TISSUES,
    EditError,
    EditSettings,
    Look,
    look_from_text,
    tissue_look,
)
from AnatoMaskGANLib.editing.grain import grain_of
from AnatoMaskGANLib.editing.membrane import membrane
from AnatoMaskGANLib.editing.painting import main_tissue
from AnatoMaskGANLib.volumes import Volume
from Testing.edit_phantoms import NAMES, phantom

CT, _ = phantom()
MR = Volume(np.abs(CT.voxels_kji).astype(np.uint16), np.eye(4))


@pytest.mark.parametrize(
    ("text", "look"),
    [
        ("like:2", Look("like", label=2)),
        ("like:Liver", Look("like", label=2)),
        ("120,15", Look("value", mean=120, standard_deviation=15)),
        ("-80.5", Look("value", mean=-80.5)),
        ("around", AROUND),
        ("keep", KEEP),
        ("fluid", Look("value", mean=8)),
        (
            "10,5; rim 2.5 like:3",
            Look("value", mean=10, standard_deviation=5, rim=Look("like", label=3), rim_mm=2.5),
        ),
    ],
)
def test_words_say_a_look(text: str, look: Look) -> None:
    assert look_from_text(text, CT, NAMES) == look


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bright", "expected like:LABEL, MEAN"),
        ("12,x", "expected like:LABEL"),
        ("like:spleen", "0 labels have the name 'spleen'.*body, kidney, liver"),
        ("fluid;rim fat", "expected rim, its thickness"),
        ("fluid;rim 0 fat", "expected more than 0"),
        ("1,-2", "standard deviation -2"),
        ("inf", "mean inf"),
    ],
)
def test_words_that_say_no_look_are_refused(text: str, says: str) -> None:
    with pytest.raises(EditError, match=says):
        look_from_text(text, CT, NAMES)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(EditError, match="kind 'shiny'; expected like, value, around, keep"):
        Look("shiny")
    with pytest.raises(EditError, match="look of label 9 is 'around'"):
        EditSettings(looks={9: AROUND})
    with pytest.raises(EditError, match="reach is -1 mm"):
        EditSettings(reach_mm=-1)


def test_tissues_of_a_ct_are_in_the_order_of_their_hounsfield_units() -> None:
    means = {tissue: tissue_look(tissue, CT).mean for tissue in TISSUES}
    assert sorted(means, key=means.get) == [
        "fat", "fluid", "soft-tissue", "contrast-enhanced", "calcification",
    ]  # fmt: skip
    assert -120 <= means["fat"] <= -80 and 0 <= means["fluid"] <= 15


def test_fluid_is_dark_in_t1_and_bright_in_t2() -> None:
    assert tissue_look("fluid", MR, "t1").mean < tissue_look("soft-tissue", MR, "t1").mean
    assert tissue_look("fluid", MR, "t2").mean > tissue_look("soft-tissue", MR, "t2").mean


def test_an_mr_scan_has_to_be_said_to_be_one() -> None:
    with pytest.raises(EditError, match="expected one of ct, t1, t2"):
        tissue_look("fat", MR)
    with pytest.raises(EditError, match="modality is 'pet'"):
        tissue_look("fat", MR, "pet")
    with pytest.raises(EditError, match="tissue is 'gold'"):
        tissue_look("gold", CT)
    with pytest.raises(EditError, match="same intensity everywhere"):
        tissue_look("fat", Volume(np.ones((8, 8, 8), np.uint8), np.eye(4)), "t1")


def test_grain_has_the_correlation_of_the_voxels_that_it_was_measured_in() -> None:
    white = np.random.default_rng(1).standard_normal((40, 60, 60))
    smooth = (white + np.roll(white, 1, axis=2)) / 2  # neighbors along I correlate by a half
    mask = np.zeros(smooth.shape, bool)
    mask[5:35, 10:50, 10:50] = True
    grain = grain_of(smooth, mask)
    tile = grain.tile
    assert abs(tile.mean()) < 1e-6 and abs(tile.std() - 1) < 1e-6
    assert abs(grain.standard_deviation - np.sqrt(0.5)) < 0.03
    along = [float((tile * np.roll(tile, 1, axis=axis)).mean()) for axis in range(3)]
    assert np.abs(np.array(along) - [0, 0, 0.5]).max() < 0.06
    assert abs(float((tile * np.roll(tile, 2, axis=2)).mean())) < 0.05


def test_grain_hangs_on_the_scan_and_not_on_the_box() -> None:
    grain = grain_of(np.random.default_rng(1).standard_normal((9, 9, 9)), np.ones((9, 9, 9), bool))
    wide = grain.inside((slice(60, 80), slice(90, 120), slice(0, 10)))
    part = grain.inside((slice(70, 75), slice(95, 99), slice(3, 9)))
    np.testing.assert_array_equal(part, wide[10:15, 5:9, 3:9])


def test_a_membrane_through_a_plane_is_the_plane() -> None:
    k, j, i = np.indices((20, 24, 28)).astype(np.float32)
    plane = 3 * k - 2 * j + i
    known = np.ones(plane.shape, bool)
    known[6:14, 6:16, 8:20] = False
    found = membrane(np.where(known, plane, -999), known)
    assert np.abs(found - plane).max() < 0.35  # of a range of 131
    np.testing.assert_array_equal(found[known], plane[known])


def test_a_membrane_of_one_value_is_that_value_everywhere() -> None:
    known = np.zeros((5, 1, 9), bool)
    known[2, 0, 3] = True
    np.testing.assert_allclose(membrane(np.full(known.shape, 7.0), known), 7.0)


def test_the_main_tissue_leaves_vessels_out() -> None:
    draws = np.random.default_rng(2)
    values = draws.normal(50, 5, 2000)
    values[:200] = draws.normal(200, 5, 200)
    voxels = values.reshape(10, 10, 20)
    found = main_tissue(voxels, np.ones(voxels.shape, bool))
    assert voxels[found].max() < 80
    assert abs(voxels[found].std() / 5 - 1) < 0.1
