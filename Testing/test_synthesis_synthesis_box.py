from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.synthesis.engine.synthesis_box import MARGIN, SynthesisBox, labeled_box


def test_the_box_holds_all_labels_with_a_margin_on_the_lattice_of_the_stride() -> None:
    labels = np.zeros((9, 100, 100), dtype=np.uint8)
    labels[3:5, 40:51, 60] = 2
    box = labeled_box(labels, 16)
    assert MARGIN == 8
    # rows 32..59 and columns 52..69, grown to multiples of 16
    assert box == SynthesisBox((3, 5), (32, 64), (48, 80))


def test_an_edit_inside_the_cells_leaves_the_box_as_it_is() -> None:
    labels = np.zeros((3, 64, 64), dtype=np.uint8)
    labels[:, 30:34, 30:34] = 1
    before = labeled_box(labels, 16)
    labels[1, 28:38, 31:36] = 2
    assert labeled_box(labels, 16) == before


def test_nothing_labeled_has_no_box() -> None:
    assert labeled_box(np.zeros((3, 8, 8), dtype=np.uint8), 4) is None


def test_what_is_cut_and_pasted_lies_where_it_lay_and_beyond_the_grid_is_background() -> None:
    labels = np.arange(1, 1 + 2 * 5 * 6, dtype=np.int16).reshape(2, 5, 6)
    box = SynthesisBox((0, 2), (-4, 8), (-4, 12))
    part = box.cut(labels, (-1, 3))
    assert part.shape == (4, 12, 16)
    np.testing.assert_array_equal(part[1:3, 4:9, 4:10], labels)
    assert part.sum() == labels.sum()
    voxels = np.zeros(labels.shape, dtype=np.float32)
    for number in range(2):
        box.paste(part[1 + number].astype(np.float32), number, voxels)
    np.testing.assert_array_equal(voxels, labels)
