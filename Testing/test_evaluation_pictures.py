"""Pictures in three planes."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from AnatoMaskGANLib.evaluation.report.pictures import (
    ThreePlanes,
    busiest_position_kji,
    draw_three_planes,
    label_colors,
    label_name,
    paint_labels,
    plane_picture,
)
from AnatoMaskGANLib.volumes import LabelMap, LabelTable, Volume, VolumeError

TABLE = LabelTable(
    name="test",
    labels={1: "Left-Hippocampus", 2: "Right-Hippocampus", 3: "Brain-Stem"},
    codes={},
    aliases={},
    swaps={1: 2, 2: 1},
)


def _corner_kji(kji: tuple[int, int, int]) -> np.ndarray:
    array = np.zeros((4, 5, 6))
    array[kji] = 1
    return array


def test_axial_pictures_have_right_on_the_left_and_anterior_on_top() -> None:
    right_anterior = _corner_kji((2, 4, 5))
    picture = plane_picture(right_anterior, 0, 2)
    assert picture.shape == (5, 6) and picture[0, 0] == 1


def test_coronal_pictures_have_right_on_the_left_and_superior_on_top() -> None:
    right_superior = _corner_kji((3, 1, 5))
    picture = plane_picture(right_superior, 1, 1)
    assert picture.shape == (4, 6) and picture[0, 0] == 1


def test_sagittal_pictures_have_anterior_on_the_left_and_superior_on_top() -> None:
    anterior_superior = _corner_kji((3, 4, 2))
    picture = plane_picture(anterior_superior, 2, 2)
    assert picture.shape == (4, 5) and picture[0, 0] == 1


def test_the_shown_slice_is_where_the_labels_are() -> None:
    labels = np.zeros((20, 20, 20), dtype=np.uint8)
    labels[4:8, 10:12, 14:18] = 1
    labels[6:8, 10, 16] = 2
    k, j, i = busiest_position_kji(labels)
    assert (4 <= k < 8) and (10 <= j < 12) and (14 <= i < 18)


def test_left_and_right_partners_share_a_color_and_a_name_without_a_side() -> None:
    colors = label_colors([0, 1, 2, 3], TABLE.swaps)
    assert colors[1] == colors[2] != colors[3]
    label_map = LabelMap(np.ones((1, 1, 1), np.uint8), np.eye(4), {1: "x"})
    assert label_name(1, label_map, TABLE) == label_name(2, label_map, TABLE) == "Hippocampus"
    assert label_name(3, label_map, TABLE) == "Brain Stem"


def test_labels_are_painted_in_their_color_and_background_black() -> None:
    painted = paint_labels(np.array([[0, 7]]), label_colors([0, 7]))
    assert painted[0, 0].tolist() == [0, 0, 0]
    assert painted[0, 1] == pytest.approx(label_colors([7])[7])


def _case() -> tuple[LabelMap, Volume, Volume]:
    labels = np.zeros((12, 24, 20), dtype=np.uint8)
    labels[3:9, 4:20, 4:16] = 1
    labels[5:7, 8:16, 7:13] = 3
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    real = labels.astype(np.float32) * 30
    label_map = LabelMap(labels, affine, {1: "Left-Hippocampus", 3: "Brain-Stem"})
    return label_map, Volume(real * 0.8, affine), Volume(real, affine, unit="HU")


def test_the_picture_is_written_whole_and_nothing_else(tmp_path: Path) -> None:
    label_map, synthetic, real = _case()
    path = tmp_path / "three planes.png"
    volumes = {"Synthetic": synthetic, "Real": real}
    draw_three_planes(path, ThreePlanes(label_map, volumes, (0.0, 100.0), TABLE, title="Case"))
    assert [file.name for file in tmp_path.iterdir()] == ["three planes.png"]
    height, width = imread(path).shape[:2]
    assert width > height > 300


def test_a_failed_write_leaves_the_old_picture_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    label_map, synthetic, _ = _case()
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(VolumeError, match="No space left"):
        draw_three_planes(path, ThreePlanes(label_map, {"Synthetic": synthetic}, (0.0, 100.0)))
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_an_empty_label_map_cannot_be_shown(tmp_path: Path) -> None:
    empty = LabelMap(np.zeros((3, 3, 3), np.uint8), np.eye(4), {})
    with pytest.raises(ValueError, match="empty"):
        draw_three_planes(tmp_path / "a.png", ThreePlanes(empty, {}, (0.0, 1.0)))


def test_volumes_on_another_grid_are_refused(tmp_path: Path) -> None:
    label_map, synthetic, _ = _case()
    other = Volume(synthetic.voxels_kji, np.eye(4))
    with pytest.raises(ValueError, match="grid"):
        planes = ThreePlanes(label_map, {"Synthetic": other}, (0.0, 1.0))
        draw_three_planes(tmp_path / "a.png", planes)
