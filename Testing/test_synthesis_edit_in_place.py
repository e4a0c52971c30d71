from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tiny_models import label_map_of, random_labels, tiny_synthesizer

from AnatoMaskGANLib.synthesis.edit_in_place import blend_edit, edit_in_place
from AnatoMaskGANLib.synthesis.options import SynthesisOptions
from AnatoMaskGANLib.volumes import Volume, VolumeError

SPACING_IJK_MM = (1.0, 1.5, 2.0)
IJK_TO_RAS = np.diag([*SPACING_IJK_MM, 1.0])
SHAPE_KJI = (20, 30, 40)


def volume(voxels: np.ndarray) -> Volume:
    return Volume(voxels, IJK_TO_RAS, (0.0, 100.0), "", {"Model": "tiny"})


def ball(radius_mm: float) -> np.ndarray:
    """A ball around the middle of the grid."""
    places = np.indices(SHAPE_KJI).T * SPACING_IJK_MM[::-1]
    middle = np.array(SHAPE_KJI) / 2 * SPACING_IJK_MM[::-1]
    return (np.linalg.norm(places - middle, axis=-1) <= radius_mm).T


def distance_to(is_changed: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(~is_changed, sampling=SPACING_IJK_MM[::-1])


def speckled(mean: float, deviation: float, seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed)
    return draws.normal(mean, deviation, SHAPE_KJI).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
@pytest.mark.parametrize("margin_mm", [0.0, 3.0, 7.0])
def test_outside_the_margin_every_voxel_of_the_scan_stays_bit_for_bit(
    dtype: type, margin_mm: float
) -> None:
    scan = volume(speckled(60, 20, 0).clip(0, 255).astype(dtype))
    is_changed = ball(5)
    edited = blend_edit(
        scan, volume(speckled(10, 3, 1)), is_changed, np.ones(SHAPE_KJI, bool), margin_mm
    )
    assert edited.voxels_kji.dtype == dtype
    outside = distance_to(is_changed) >= max(margin_mm, 1e-6)
    np.testing.assert_array_equal(edited.voxels_kji[outside], scan.voxels_kji[outside])
    assert (edited.voxels_kji != scan.voxels_kji)[is_changed].mean() > 0.5


def test_a_synthetic_volume_in_other_intensities_joins_the_scan_without_a_seam() -> None:
    """Same anatomy in both, the synthetic one at half the gain, shifted, with a sloping bias."""
    anatomy = ndimage.gaussian_filter(speckled(0, 300, 2), 3) + 50
    slope = np.linspace(0, 20, SHAPE_KJI[2], dtype=np.float32)
    scan = volume(anatomy)
    synthetic = volume(0.5 * anatomy + 17 + slope)
    is_changed = ball(6)
    edited = blend_edit(scan, synthetic, is_changed, np.ones(SHAPE_KJI, bool), 4.0)
    seam = (distance_to(is_changed) < 4) & ~is_changed
    error = np.abs(edited.voxels_kji - anatomy)
    plain = np.abs(synthetic.voxels_kji - anatomy)
    assert error[seam].mean() < 0.15 * plain[seam].mean()
    assert error[is_changed].mean() < 0.5 * plain[is_changed].mean()


def test_the_seam_can_be_scaled_alone_or_left_as_the_model_made_it() -> None:
    """Half the gain, shifted, and a slope that only the smooth field can follow."""
    anatomy = ndimage.gaussian_filter(speckled(0, 300, 2), 3) + 50
    slope = np.linspace(0, 20, SHAPE_KJI[2], dtype=np.float32)
    scan, synthetic = volume(anatomy), volume(0.5 * anatomy + 17 + slope)
    is_changed, labeled = ball(6), np.ones(SHAPE_KJI, bool)
    edited = {
        seam: blend_edit(scan, synthetic, is_changed, labeled, 4.0, seam)
        for seam in ("smooth", "scaled", "none")
    }
    near = (distance_to(is_changed) < 4) & ~is_changed
    errors = [np.abs(e.voxels_kji - anatomy)[near].mean() for e in edited.values()]
    assert errors[0] < errors[1] < errors[2]
    np.testing.assert_allclose(
        edited["none"].voxels_kji[is_changed], synthetic.voxels_kji[is_changed]
    )
    assert edited["scaled"].provenance["EditSeam"] == "scaled"
    with pytest.raises(ValueError, match="expected one of smooth, scaled, none"):
        blend_edit(scan, synthetic, is_changed, labeled, 4.0, "invisible")


def test_the_contrast_of_a_new_structure_is_kept() -> None:
    """A lesion 30 brighter than its surroundings in the synthetic volume is so in the scan."""
    is_changed = ball(7)
    synthetic = speckled(200, 2, 3) + 30 * is_changed
    edited = blend_edit(
        volume(speckled(80, 2, 4)), volume(synthetic), is_changed, np.ones(SHAPE_KJI, bool), 3.0
    )
    inside = edited.voxels_kji[ball(5)].mean()
    assert 80 + 30 - 4 < inside < 80 + 30 + 4


def test_the_margin_does_not_reach_into_what_has_no_label() -> None:
    is_labeled = np.ones(SHAPE_KJI, bool)
    is_labeled[:, :, 26:] = False
    scan, is_changed = volume(speckled(60, 20, 5)), ball(5)
    edited = blend_edit(scan, volume(speckled(10, 3, 6)), is_changed, is_labeled, 8.0)
    untouched = ~is_labeled & ~is_changed
    np.testing.assert_array_equal(edited.voxels_kji[untouched], scan.voxels_kji[untouched])


def test_whole_numbers_are_rounded_and_never_wrap_around() -> None:
    scan = volume(np.full(SHAPE_KJI, 250, dtype=np.uint8))
    is_changed = ball(5)
    synthetic = speckled(100, 1, 7) + 200 * is_changed
    edited = blend_edit(scan, volume(synthetic), is_changed, np.ones(SHAPE_KJI, bool), 0.0)
    assert edited.voxels_kji[ball(3)].min() > 240


@pytest.mark.parametrize("seam", ["smooth", "scaled", "none"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_no_number_spoils_no_other(seam: str, bad: float) -> None:
    is_changed, labeled = ball(5), np.ones(SHAPE_KJI, bool)
    voxels, synthetic = speckled(60, 5, 10), volume(speckled(10, 3, 11))
    clean = blend_edit(volume(voxels), synthetic, is_changed, labeled, 4.0, seam).voxels_kji
    spoiled = voxels.copy()
    inside, around = (10, 15, 20), (10, 15, 26)  # around: within the margin
    assert is_changed[inside] and 0 < distance_to(is_changed)[around] < 4
    spoiled[inside] = spoiled[around] = bad
    edited = blend_edit(volume(spoiled), synthetic, is_changed, labeled, 4.0, seam).voxels_kji
    assert edited[inside] == pytest.approx(clean[inside], abs=1)
    assert np.array_equal(edited[around], bad, equal_nan=True)
    others = np.ones(SHAPE_KJI, bool)
    others[around] = False
    np.testing.assert_allclose(edited[others], clean[others], atol=1)


def test_everything_changed_gives_the_synthetic_volume() -> None:
    synthetic = volume(speckled(30, 5, 8))
    everything = np.ones(SHAPE_KJI, bool)
    edited = blend_edit(volume(speckled(60, 5, 9)), synthetic, everything, everything, 4.0)
    np.testing.assert_allclose(edited.voxels_kji, synthetic.voxels_kji, rtol=1e-6)


def test_an_edit_follows_the_new_labels_and_tells_so() -> None:
    synthesizer = tiny_synthesizer()
    labels = random_labels((12, 24, 24))
    edited_labels = labels.copy()
    edited_labels[5:7, 8:14, 8:14] = 1 + edited_labels[5:7, 8:14, 8:14] % 5
    old_map, new_map = label_map_of(labels), label_map_of(edited_labels)
    scan = synthesizer.synthesize(old_map, seed=8)
    volume = edit_in_place(
        synthesizer, scan, old_map, new_map, margin_mm=3.0, options=SynthesisOptions(seeds=(1,))
    )
    is_changed = labels != edited_labels
    far = ndimage.distance_transform_edt(~is_changed, sampling=(2.0, 1.0, 1.0)) >= 3
    np.testing.assert_array_equal(volume.voxels_kji[far], scan.voxels_kji[far])
    assert (volume.voxels_kji != scan.voxels_kji)[is_changed].any()
    assert volume.provenance["EditedInPlace"] == "YES"
    assert volume.provenance["EditedVoxels"] == str(np.count_nonzero(is_changed))


def test_equal_maps_leave_the_scan_as_it_is() -> None:
    synthesizer = tiny_synthesizer()
    label_map = label_map_of(random_labels((4, 16, 16)))
    scan = synthesizer.synthesize(label_map)
    edited = edit_in_place(
        synthesizer, scan, label_map, label_map, options=SynthesisOptions(seeds=(9,))
    )
    np.testing.assert_array_equal(edited.voxels_kji, scan.voxels_kji)


def test_maps_on_another_grid_and_margins_that_are_none_are_refused() -> None:
    synthesizer = tiny_synthesizer()
    label_map = label_map_of(random_labels((4, 16, 16)))
    scan = synthesizer.synthesize(label_map)
    moved = label_map_of(label_map.labels_kji, (1.0, 1.0, 3.0))
    with pytest.raises(VolumeError, match="new label map .* not on the grid"):
        edit_in_place(synthesizer, scan, label_map, moved)
    for margin_mm in (-1.0, float("nan"), 1000.0):
        with pytest.raises(ValueError, match="margin"):
            edit_in_place(synthesizer, scan, label_map, label_map, margin_mm)
