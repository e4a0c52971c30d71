"""What holds for every label map, whatever its place, spacing, slices, labels and integer type."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from AnatoMaskGANLib.synthesis import Synthesizer
from AnatoMaskGANLib.volumes import LabelMap, same_grid
from Testing.tiny_models import NUM_CLASSES, tiny_synthesizer

INTEGER_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")


@cache
def synthesizer() -> Synthesizer:
    """Made once; it keeps nothing of a label map."""
    return tiny_synthesizer()


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
    """1 to 40 slices of boxes; label values with gaps, as large as the type holds."""
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


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(2, 40), st.integers(0, 99), st.integers(1, 4000))
def test_the_memory_limit_that_cuts_slabs_does_not_change_the_volume(
    num_slices: int, seed: int, limit_mb: int
) -> None:
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, NUM_CLASSES, (num_slices, 9, 9)).astype(np.uint8)
    names = {value: f"part {value}" for value in range(1, NUM_CLASSES)}
    label_map = LabelMap(labels, np.diag([1.0, 1.0, 2.0, 1.0]), names)
    whole = synthesizer().synthesize(label_map, seed=seed)
    limited = tiny_synthesizer()
    limited.memory_limit_bytes = 2**30 + limit_mb * 2**20
    parts = limited.synthesize(label_map, seed=seed)
    np.testing.assert_allclose(parts.voxels_kji, whole.voxels_kji, rtol=0, atol=1e-3)
