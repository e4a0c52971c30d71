"""A model that takes part in an edit of a real scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from tiny_models import tiny_card, tiny_synthesizer

from AnatoMaskGANLib.editing import FILLED, MOVED, EditSettings, Look, edit_scan
from AnatoMaskGANLib.synthesis import SynthesisOptions
from AnatoMaskGANLib.synthesis.edit_fillers import EditModel
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelMatch,
    UnmatchedLabelsError,
    Volume,
    label_table_of_model,
    match_labels,
)

MATRIX = np.diag([1.0, 1.0, 2.0, 1.0])
NAMES = {1: "part 1", 2: "part 2", 3: "part 3"}
SHAPE = (14, 28, 28)


def scan_and_maps() -> tuple[Volume, LabelMap, LabelMap]:
    """A noisy scan of a part 2 in a part 1; afterwards part 2 is larger, and a part 3 is new."""
    before = np.ones(SHAPE, np.uint8)
    before[:, :2], before[:, :, :2] = 0, 0
    before[4:10, 6:14, 6:14] = 2
    after = before.copy()
    after[4:10, 6:14, 14:16] = 2
    after[4:10, 17:25, 17:25] = 3
    voxels = np.random.default_rng(0).normal(0, 3, SHAPE) + np.array([0, 40, 80])[before]
    scan = Volume(voxels.astype(np.float32), MATRIX, (0.0, 100.0))
    return scan, LabelMap(before, MATRIX, NAMES), LabelMap(after, MATRIX, NAMES)


class FixedVolume:
    """A model that knows the parts 1 to 5 and makes the same volume of every label map."""

    card = tiny_card()

    def __init__(self, made: Volume | None = None) -> None:
        self.made = made

    def match(self, label_map: LabelMap, user_table: object = None) -> tuple[LabelMatch, ...]:
        return match_labels(label_map, label_table_of_model(self.card.label_table))

    def synthesize(
        self, label_map: LabelMap, options: object = None, progress: object = None
    ) -> Volume:
        assert self.made is not None, "nothing was to be synthesized"
        return self.made


LOOKS = EditSettings({3: Look("value", mean=60.0, standard_deviation=3.0)})


@pytest.fixture(scope="module")
def model() -> EditModel:
    return EditModel(tiny_synthesizer(), SynthesisOptions(seeds=(4,)))


def test_the_model_fills_what_is_new_and_real_voxels_keep_their_bits(model: EditModel) -> None:
    scan, before, after = scan_and_maps()
    moved = edit_scan(scan, before, after, LOOKS)
    filled = model.fill(moved, after)
    how = moved.how_made()
    assert (how == MOVED).sum() > 100 and (how >= FILLED).sum() > 300
    differs = filled.volume.voxels_kji != moved.volume.voxels_kji
    assert not differs[how < FILLED].any()
    assert differs[how >= FILLED].mean() > 0.95
    assert not np.array_equal(moved.volume.voxels_kji, scan.voxels_kji)


def test_the_model_fades_in_from_the_border_of_what_it_fills() -> None:
    """Half of its voxel 1 mm inside, all of it from 2 mm on; 40 brighter than the scan of 50."""
    scan, before, after = scan_and_maps()
    moved = edit_scan(scan, before, after, LOOKS)
    flat = replace(moved.volume, voxels_kji=np.full(SHAPE, 50, np.float32))
    hole = moved.how_made() >= FILLED
    made = Volume(np.where(hole, 90, 50).astype(np.float32), MATRIX, scan.window)
    filled = EditModel(FixedVolume(made)).fill(replace(moved, volume=flat), after)
    depth = ndimage.distance_transform_edt(hole, sampling=(2.0, 1.0, 1.0))
    voxels = filled.volume.voxels_kji
    assert (depth == 1).sum() > 50 and (depth >= 2).sum() > 50
    np.testing.assert_allclose(voxels[depth == 1], 70, atol=1e-3)
    np.testing.assert_allclose(voxels[depth >= 2], 90, atol=1e-3)
    np.testing.assert_array_equal(voxels[~hole], 50)


def test_the_record_names_model_seed_and_filler(model: EditModel) -> None:
    scan, before, after = scan_and_maps()
    moved = edit_scan(scan, before, after, LOOKS)
    both = model.fill(moved, after).volume.provenance
    assert (both["EditFiller"], both["Model"], both["Seed"]) == ("both", "tiny", "4")
    num_new = int((moved.how_made() >= FILLED).sum())
    assert int(both["VoxelsByModel"]) == num_new
    assert both["LabelMapAfterSHA256"] == after.sha256()
    assert both["Notice"] == moved.volume.provenance["Notice"]
    assert "SyntheticData" not in both
    alone = model.edit_in_place(scan, before, after).provenance
    assert (alone["EditFiller"], alone["Model"], alone["Seed"]) == ("model", "tiny", "4")
    assert alone["LabelMapBeforeSHA256"] == before.sha256()
    assert alone["EditedScanSHA256"] == both["EditedScanSHA256"]


def test_what_is_only_moved_needs_no_synthesis() -> None:
    scan, before, after = scan_and_maps()
    grown = replace(after, labels_kji=np.where(after.labels_kji == 3, 1, after.labels_kji))
    moved = edit_scan(scan, before, grown)
    assert (moved.how_made() < FILLED).all()

    record = EditModel(FixedVolume()).fill(moved, grown).volume.provenance
    assert (record["EditFiller"], record["VoxelsByModel"]) == ("both", "0")


def test_a_label_that_the_model_does_not_know_keeps_its_look(model: EditModel) -> None:
    scan, before, after = scan_and_maps()
    lesion = replace(after, names={**NAMES, 3: "lesion"})
    moved = edit_scan(scan, before, lesion, LOOKS)
    with pytest.raises(UnmatchedLabelsError, match="lesion"):
        model.fill(moved, lesion)
    options = SynthesisOptions(unmatched="surrounding")
    filled = EditModel(model.synthesizer, options).fill(moved, lesion)
    np.testing.assert_array_equal(filled.volume.voxels_kji, moved.volume.voxels_kji)


def test_label_map_and_scan_may_have_different_grids(model: EditModel) -> None:
    scan, before, after = scan_and_maps()
    fine = np.repeat(np.repeat(scan.voxels_kji, 2, axis=1), 2, axis=2)
    matrix = MATRIX @ np.diag([0.5, 0.5, 1, 1])
    matrix[:2, 3] = -0.25
    moved = edit_scan(Volume(fine, matrix, scan.window), before, after, LOOKS)
    filled = model.fill(moved, after)
    assert filled.volume.shape_kji == fine.shape
    differs = filled.volume.voxels_kji != moved.volume.voxels_kji
    assert not differs[moved.how_made() < FILLED].any()
    assert int(filled.volume.provenance["VoxelsByModel"]) > 1000


def test_a_whole_other_anatomy_is_better_left_to_a_model_that_knows_it(model: EditModel) -> None:
    scan, before, after = scan_and_maps()
    assert model.advice(edit_scan(scan, before, after, LOOKS), after, "moved") == ""
    other = np.random.default_rng(1).integers(1, 3, (7, 14, 14)).astype(np.uint8)
    other = other.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    mixed = replace(before, labels_kji=other)
    moved = edit_scan(scan, before, mixed)
    assert moved.is_other_anatomy
    assert any("a different anatomy" in warning for warning in moved.warnings)
    advice = model.advice(moved, mixed, "moved")
    assert advice == "tiny knows all labels: choose the filler model instead of moved."
    unknown = replace(mixed, names={1: "part 1", 2: "gallbladder"})
    assert "does not know gallbladder" in model.advice(moved, unknown, "moved")
