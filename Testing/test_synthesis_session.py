from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import label_map_of, random_labels, tiny_settings, tiny_synthesizer

from AnatoMaskGANLib.synthesis import SynthesisCancelledError, Synthesizer
from AnatoMaskGANLib.synthesis.options import Progress
from AnatoMaskGANLib.volumes import LabelMap, VolumeError

SHAPE_KJI = (14, 22, 24)
SYNTHESIZERS = {
    "everything on": tiny_synthesizer(),
    "two rounds": tiny_synthesizer(tiny_settings(fusion_rounds=2, stack_radius=1)),
    "no fusion": tiny_synthesizer(tiny_settings(use_gnn_fusion=False, context_radius=2)),
    "group norm, no context": tiny_synthesizer(tiny_settings(norm="group", context_radius=0)),
}


def edits() -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Boxes (k, j, i, sizes, label) painted one after the other."""
    place = st.tuples(*(st.integers(0, size - 1) for size in SHAPE_KJI))
    size = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
    return st.lists(st.tuples(place, size, st.integers(0, 5)), min_size=1, max_size=4)


def painted(labels: np.ndarray, place: Any, size: Any, value: int) -> np.ndarray:
    changed = labels.copy()
    changed[
        tuple(slice(start, start + extent) for start, extent in zip(place, size, strict=True))
    ] = value
    return changed


def largest_difference(synthesizer: Synthesizer, label_map: LabelMap, made: np.ndarray) -> float:
    """Against a full synthesis, in units of the model's window."""
    whole = synthesizer.synthesize(label_map, seed=3)
    return float(np.abs(whole.voxels_kji - made).max()) / 100


@pytest.mark.parametrize("synthesizer", SYNTHESIZERS.values(), ids=SYNTHESIZERS.keys())
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 3), boxes=edits())
def test_an_update_equals_a_full_synthesis_of_the_new_map(
    synthesizer: Synthesizer, seed: int, boxes: list[tuple[Any, ...]]
) -> None:
    labels = random_labels(SHAPE_KJI, seed=seed)
    session = synthesizer.session(label_map_of(labels), seed=3)
    for place, size, value in boxes:
        labels = painted(labels, place, size, value)
        if not labels.any():
            continue
        before = session.volume.voxels_kji
        volume, changed = session.update(label_map_of(labels))
        assert largest_difference(synthesizer, label_map_of(labels), volume.voxels_kji) < 1e-5
        differs = volume.voxels_kji != before
        if changed is None:
            assert not differs.any()
        else:
            assert differs[changed.slices].any()
            differs[changed.slices] = False
            assert not differs.any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.0), (1.0, 1.0, 3.1), (0.7, 1.2, 1.99)])
def test_updates_are_exact_on_grids_other_than_the_model_grid(
    spacing: tuple[float, float, float],
) -> None:
    synthesizer = SYNTHESIZERS["everything on"]
    labels = random_labels(SHAPE_KJI)
    turned = np.diag([*spacing, 1.0])[:, [2, 0, 1, 3]] * (1, -1, 1, 1)
    names = {value: f"part {value}" for value in range(1, 6)}
    session = synthesizer.session(LabelMap(labels, turned, names), seed=3)
    labels = painted(labels, (5, 8, 10), (2, 6, 3), 4)
    label_map = LabelMap(labels, turned, names)
    volume, changed = session.update(label_map)
    assert largest_difference(synthesizer, label_map, volume.voxels_kji) < 1e-5
    assert changed is not None
    assert volume.provenance["LabelMapSHA256"] == label_map.sha256()


def test_an_edit_of_one_slice_makes_only_the_slices_that_it_reaches() -> None:
    labels = random_labels((40, 22, 24))
    session = tiny_synthesizer().session(label_map_of(labels))
    told: list[str] = []
    value = (int(labels[20, 10, 10]) + 1) % 6
    edited = painted(labels, (20, 10, 10), (1, 3, 3), value)
    volume, changed = session.update(
        label_map_of(edited), Progress(lambda share, text: told.append(text))
    )
    # two slices by edges whose weights change at both ends, and the stack node's radius
    assert changed.start_kji[0] >= 20 - 4 and changed.stop_kji[0] <= 20 + 5
    assert told[-3].endswith("of 9") or told[-3].endswith("of 7")


def test_the_same_map_again_changes_nothing() -> None:
    label_map = label_map_of(random_labels(SHAPE_KJI))
    session = tiny_synthesizer().session(label_map)
    before = session.volume
    volume, changed = session.update(label_map)
    assert changed is None
    np.testing.assert_array_equal(volume.voxels_kji, before.voxels_kji)


def test_a_label_beyond_the_slices_and_one_beyond_the_rows_are_followed() -> None:
    labels = np.zeros(SHAPE_KJI, dtype=np.uint8)
    labels[4:8, 8:14, 8:14] = 2
    synthesizer = tiny_synthesizer()
    session = synthesizer.session(label_map_of(labels), seed=3)
    for place, size, value in (
        ((10, 9, 9), (1, 2, 2), 3),
        ((0, 9, 9), (1, 2, 2), 1),
        ((5, 1, 1), (1, 3, 20), 1),
        ((0, 0, 0), (5, 22, 24), 0),
    ):
        labels = painted(labels, place, size, value)
        volume, _ = session.update(label_map_of(labels))
        assert largest_difference(synthesizer, label_map_of(labels), volume.voxels_kji) < 1e-5


def test_a_cancelled_update_is_superseded_by_the_next() -> None:
    synthesizer = tiny_synthesizer()
    labels = random_labels((30, 22, 24))
    session = synthesizer.session(label_map_of(labels), seed=3)
    before = session.volume
    for allowed in (0, 1, 5, 9):
        asked: list[bool] = []

        def is_cancelled(asked: list[bool] = asked, allowed: int = allowed) -> bool:
            asked.append(True)
            return len(asked) > allowed

        labels = painted(labels, (4 * allowed % 20 + 2, 6, 6), (2, 5, 5), allowed % 5 + 1)
        with pytest.raises(SynthesisCancelledError):
            session.update(label_map_of(labels), Progress(is_cancelled=is_cancelled))
        assert session.volume is before
    volume, changed = session.update(label_map_of(labels))
    assert largest_difference(synthesizer, label_map_of(labels), volume.voxels_kji) < 1e-5
    differs = volume.voxels_kji != before.voxels_kji
    differs[changed.slices] = False
    assert not differs.any()


def test_a_map_of_another_shape_or_place_is_refused_and_the_session_goes_on() -> None:
    labels = random_labels(SHAPE_KJI)
    synthesizer = tiny_synthesizer()
    session = synthesizer.session(label_map_of(labels), seed=3)
    names = {value: f"part {value}" for value in range(1, 6)}
    moved = LabelMap(labels, np.diag([1.0, 1.0, 2.5, 1.0]), names)
    with pytest.raises(VolumeError, match="same grid"):
        session.update(label_map_of(labels[:-1]))
    with pytest.raises(VolumeError, match="same grid"):
        session.update(moved)
    with pytest.raises(VolumeError, match="no label"):
        session.update(label_map_of(np.zeros_like(labels)))
    with pytest.raises(VolumeError, match="knows"):
        session.update(LabelMap(labels, label_map_of(labels).ijk_to_ras, {1: "antenna"}))
    labels = painted(labels, (5, 8, 10), (2, 6, 3), 4)
    volume, _ = session.update(label_map_of(labels))
    assert largest_difference(synthesizer, label_map_of(labels), volume.voxels_kji) < 1e-5


def test_updates_are_exact_when_memory_allows_to_keep_nothing() -> None:
    synthesizer = tiny_synthesizer()
    labels = random_labels((40, 22, 24))
    session = synthesizer.session(label_map_of(labels), seed=3)
    for k in (5, 20, 6):
        session._image.images.labels.table_bytes = 0
        session._image.images.labels.forget()
        session._image.images._drawn.clear()
        labels = painted(labels, (k, 8, 10), (2, 6, 3), (int(labels[k, 8, 10]) + 1) % 6)
        volume, _ = session.update(label_map_of(labels))
        assert largest_difference(synthesizer, label_map_of(labels), volume.voxels_kji) < 1e-5
