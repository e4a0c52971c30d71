"""What holds for every label map, whatever its place, spacing, slices, labels and integer type."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from AnatoMaskGANLib.synthesis import Synthesizer
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    VolumeError,
    read_label_map,
    same_grid,
    to_grid_of,
    to_model_grid,
    volume_to_model_grid,
    write_label_map,
)
from AnatoMaskGANLib.volumes.geometry import axes_closest_to_ras
from Testing.tiny_models import NUM_CLASSES, tiny_settings, tiny_synthesizer

INTEGER_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")


@cache
def synthesizer() -> Synthesizer:
    """Made once; it keeps nothing of a label map."""
    return tiny_synthesizer()


@cache
def synthesizer_of_many() -> Synthesizer:
    """One that knows two hundred labels."""
    return tiny_synthesizer(tiny_settings(num_classes=201))


@st.composite
def geometries(draw: st.DrawFn) -> np.ndarray:
    """Any right- or left-handed orientation, oblique or along the axes, 0.1 to 10 mm, anywhere."""
    spacing = [draw(st.floats(0.1, 10)) for _ in range(3)]
    axes = np.eye(3)[list(draw(st.permutations(range(3))))]
    axes = axes * [draw(st.sampled_from((-1, 1))) for _ in range(3)]
    for first, second in ((0, 1), (1, 2)):
        angle = draw(st.sampled_from((0.0, 0.1, 0.7, 3.0)))
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        axes = turn @ axes
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = axes * spacing
    ijk_to_ras[:3, 3] = [draw(st.floats(-1000, 1000)) for _ in range(3)]
    return ijk_to_ras


@st.composite
def label_maps(draw: st.DrawFn) -> LabelMap:
    """1 to 40 slices of few voxels; label values with gaps, as large as the type holds."""
    dtype = np.dtype(draw(st.sampled_from(INTEGER_TYPES)))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    largest = min(np.iinfo(dtype).max, 2**40)
    chosen = st.lists(st.integers(1, largest), min_size=1, max_size=NUM_CLASSES - 1, unique=True)
    values = draw(chosen)
    draws = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = np.array([0, *values], dtype=dtype)[draws.integers(0, len(values) + 1, shape)]
    # names decide which class a label becomes; their order is not that of the values
    parts = draw(st.permutations(range(1, NUM_CLASSES)))
    names = {value: f"part {part}" for value, part in zip(values, parts, strict=False)}
    return LabelMap(labels, draw(geometries()), names)


@settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(label_maps(), st.integers(0, 2**31), st.floats(0, 2))
def test_any_label_map_gives_a_finite_volume_on_its_own_grid_and_the_same_again(
    label_map: LabelMap, seed: int, strength: float
) -> None:
    before, names = label_map.labels_kji.copy(), dict(label_map.names)
    first = synthesizer().synthesize(label_map, seed=seed, noise_strength=strength)
    assert same_grid(first, label_map, tolerance_mm=1e-9)
    assert first.voxels_kji.dtype == np.float32 and np.isfinite(first.voxels_kji).all()
    second = synthesizer().synthesize(label_map, seed=seed, noise_strength=strength)
    np.testing.assert_array_equal(first.voxels_kji, second.voxels_kji)
    assert first.provenance == second.provenance
    np.testing.assert_array_equal(label_map.labels_kji, before)
    assert label_map.names == names
    told = {match.value: match.name for match in synthesizer().match(label_map)}
    assert told == {value: names[value] for value in label_map.values}


@settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(label_maps(), st.sampled_from(INTEGER_TYPES))
def test_values_and_integer_types_do_not_change_the_volume_where_names_are_equal(
    label_map: LabelMap, dtype: str
) -> None:
    """Renumbered labels of the same names are the same anatomy."""
    values = label_map.values
    renumbered = np.zeros(label_map.shape_kji, dtype=dtype)
    for new_value, value in enumerate(reversed(values), start=1):
        renumbered[label_map.labels_kji == value] = new_value
    names = {new: label_map.names[old] for new, old in enumerate(reversed(values), start=1)}
    other = LabelMap(renumbered, label_map.ijk_to_ras, names)
    np.testing.assert_array_equal(
        synthesizer().synthesize(label_map, seed=5).voxels_kji,
        synthesizer().synthesize(other, seed=5).voxels_kji,
    )


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(2, 40), st.integers(0, 99), st.integers(1, 20))
def test_the_slabs_that_a_volume_is_cut_into_do_not_change_it(
    num_slices: int, seed: int, slab_size: int
) -> None:
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, NUM_CLASSES, (num_slices, 9, 9)).astype(np.uint8)
    names = {value: f"part {value}" for value in range(1, NUM_CLASSES)}
    label_map = LabelMap(labels, np.diag([1.0, 1.0, 2.0, 1.0]), names)
    whole = synthesizer().synthesize(label_map, seed=seed)
    with patch(
        "AnatoMaskGANLib.synthesis.engine.volume_pass.slab_size_within", return_value=slab_size
    ) as asked:
        parts = synthesizer().synthesize(label_map, seed=seed)
    assert asked.call_count == 1
    np.testing.assert_allclose(parts.voxels_kji, whole.voxels_kji, rtol=0, atol=1e-3)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(1, 200), st.sampled_from(INTEGER_TYPES[2:]), st.integers(0, 2**31))
def test_two_hundred_labels_are_each_a_class_of_their_own(
    num_labels: int, dtype: str, seed: int
) -> None:
    """A class that took another one's place would give the same volume without it."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, num_labels + 1, (6, 12, 12)).astype(dtype)
    labels[0, 0, 0] = num_labels
    names = {value: f"part {value}" for value in range(1, num_labels + 1)}
    label_map = LabelMap(labels, np.diag([1.0, 1.0, 2.0, 1.0]), names)
    volume = synthesizer_of_many().synthesize(label_map, seed=seed)
    assert same_grid(volume, label_map, tolerance_mm=1e-9)
    again = synthesizer_of_many().synthesize(label_map, seed=seed)
    np.testing.assert_array_equal(volume.voxels_kji, again.voxels_kji)
    without = labels.copy()
    without[labels == num_labels] = 0
    if without.any():
        other = LabelMap(without, label_map.ijk_to_ras, names)
        made = synthesizer_of_many().synthesize(other, seed=seed)
        assert np.abs(made.voxels_kji - volume.voxels_kji).max() > 1e-3


@st.composite
def many_labels(draw: st.DrawFn) -> LabelMap:
    """1 to 300 slices of one to nine voxels with 1 to 200 labels, their values far apart."""
    dtype = np.dtype(draw(st.sampled_from(INTEGER_TYPES)))
    num_labels = draw(st.integers(1, min(200, np.iinfo(dtype).max)))
    largest = min(np.iinfo(dtype).max, 2**31 - 1)
    draws = np.random.default_rng(draw(st.integers(0, 2**32)))
    gaps = draws.integers(1, max(2, largest // num_labels + 1), num_labels)
    values = np.cumsum(gaps)
    shape = (draw(st.integers(1, 300)), draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    labels = np.array([0, *values]).astype(dtype)[draws.integers(0, num_labels + 1, shape)]
    present = [int(value) for value in np.unique(labels) if value]
    if not present:
        labels[0, 0, 0], present = values[0], [int(values[0])]
    order = draws.permutation(len(present))  # segments stand in any order
    names = {present[n]: f"part {present[n]}, left" for n in order}
    return LabelMap(labels, draw(geometries()), names)


FILES = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
@FILES
@given(label_map=many_labels())
def test_files_keep_grid_labels_and_names(suffix: str, label_map: LabelMap) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        try:
            write_label_map(label_map, path)
        except VolumeError as error:
            assert "32-bit numbers" in str(error)  # NIfTI, told and not rounded in silence
            return
        found = read_label_map(path)
    assert same_grid(found, label_map, tolerance_mm=1e-3)
    np.testing.assert_array_equal(found.labels_kji, label_map.labels_kji)
    assert dict(found.names) == dict(label_map.names)


@FILES
@given(many_labels(), st.integers(0, 2**32))
def test_the_order_of_names_and_the_integer_type_do_not_change_a_label_map(
    label_map: LabelMap, seed: int
) -> None:
    values = list(label_map.names)
    shuffled = np.random.default_rng(seed).permutation(len(values))
    names = {values[n]: label_map.names[values[n]] for n in shuffled}
    wider = LabelMap(label_map.labels_kji.astype(np.int64), label_map.ijk_to_ras, names)
    assert wider.sha256() == label_map.sha256()
    assert wider.values == label_map.values


@FILES
@given(many_labels(), st.floats(0.2, 8.0))
def test_a_label_map_on_the_model_grid_has_no_other_labels_and_the_same_axes(
    label_map: LabelMap, spacing_mm: float
) -> None:
    """Nearest neighbors make no label; a grid as fine as the map's own loses none."""
    before = label_map.labels_kji.copy()
    made = to_model_grid(label_map, (spacing_mm, spacing_mm, spacing_mm))
    assert set(made.values) <= set(label_map.values)
    np.testing.assert_array_equal(label_map.labels_kji, before)
    own = spacing_of_ras_axes(label_map)
    same = to_model_grid(label_map, own)
    assert same.values == label_map.values
    assert sorted(same.shape_kji) == sorted(label_map.shape_kji)
    for value in label_map.values[:5]:
        count = np.count_nonzero(label_map.labels_kji == value)
        assert np.count_nonzero(same.labels_kji == value) == count


def spacing_of_ras_axes(label_map: LabelMap) -> tuple[float, float, float]:
    """The map's own spacing along the axes nearest to right, anterior and superior."""
    axes, _ = axes_closest_to_ras(label_map.ijk_to_ras)
    return tuple(label_map.spacing_ijk_mm[axis] for axis in axes)


@FILES
@given(many_labels(), st.integers(0, 99))
def test_an_image_comes_back_to_exactly_the_grid_of_its_label_map(
    label_map: LabelMap, seed: int
) -> None:
    """On a model grid of the map's own spacing the way there and back loses no voxel."""
    voxels = np.random.default_rng(seed).normal(size=label_map.shape_kji).astype(np.float32)
    volume = Volume(voxels, label_map.ijk_to_ras)
    model_map = to_model_grid(label_map, spacing_of_ras_axes(label_map))
    back = to_grid_of(volume_to_model_grid(volume, model_map), label_map)
    assert same_grid(back, label_map, tolerance_mm=1e-9)
    np.testing.assert_allclose(back.voxels_kji, voxels, rtol=0, atol=1e-4)


@settings(max_examples=2, deadline=None, derandomize=True)
@given(st.integers(100, 300), st.integers(0, 2**63 - 1))
def test_hundreds_of_slices_of_any_seed_are_the_same_again_and_of_another_seed_are_not(
    num_slices: int, seed: int
) -> None:
    labels = np.random.default_rng(1).integers(0, 3, (num_slices, 4, 4)).astype(np.int8)
    label_map = LabelMap(labels, np.diag([1.0, 1.0, 2.0, 1.0]), {1: "part 1", 2: "part 2"})
    first = synthesizer().synthesize(label_map, seed=seed).voxels_kji
    np.testing.assert_array_equal(first, synthesizer().synthesize(label_map, seed=seed).voxels_kji)
    other = synthesizer().synthesize(label_map, seed=seed ^ 1).voxels_kji
    assert np.abs(first - other).max() > 0


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=4))
def test_samples_made_together_are_those_made_one_by_one(seeds: list[int]) -> None:
    labels = np.random.default_rng(2).integers(0, 4, (7, 9, 9)).astype(np.uint16)
    names = {value: f"part {value}" for value in (1, 2, 3)}
    label_map = LabelMap(labels, np.diag([1.0, 1.0, 2.0, 1.0]), names)
    together = synthesizer().synthesize_samples(label_map, seeds=seeds)
    for seed, volume in zip(seeds, together, strict=True):
        alone = synthesizer().synthesize(label_map, seed=seed)
        np.testing.assert_array_equal(volume.voxels_kji, alone.voxels_kji)
        assert volume.provenance == alone.provenance
