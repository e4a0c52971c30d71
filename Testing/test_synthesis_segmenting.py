from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import tiny_card, tiny_settings
from torch import Tensor, nn

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.networks.generator import build_generator
from AnatoMaskGANLib.synthesis import CheckpointError, Synthesizer, write_model
from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
from AnatoMaskGANLib.volumes import Volume, VolumeError, read_label_map, write_volume

SETTINGS = tiny_settings(kind="segmenter", norm="group")


class Threshold(nn.Module):
    """Class 1 from 0.25, class 2 from 0.75."""

    def forward(self, images: Tensor) -> Tensor:
        value = images[:, :, 0]
        scores = [0.25 - value, 0.25 - (value - 0.5).abs(), value - 0.75]
        return torch.stack(scores, dim=2)


def turned_volume(spacing_ijk_mm: tuple[float, float, float]) -> tuple[Volume, np.ndarray]:
    """A ball in a box in an LPS-like, left-handed grid; its intensities of 0 to 100; its labels."""
    shape = (16, 24, 20)
    k, j, i = np.meshgrid(*(np.arange(size) for size in shape), indexing="ij")
    labels = np.zeros(shape, np.uint8)
    labels[3:13, 4:20, 4:16] = 1
    labels[((k - 8) ** 2 + (j - 12) ** 2 + (i - 10) ** 2) < 16] = 2
    image = np.array([0.0, 50.0, 100.0], np.float32)[labels]
    ijk_to_ras = np.diag([-spacing_ijk_mm[0], spacing_ijk_mm[1], spacing_ijk_mm[2], 1.0])
    ijk_to_ras[:3, 3] = (30, -20, 7)
    return Volume(image, ijk_to_ras), labels


def test_labels_come_back_on_the_volumes_own_grid() -> None:
    volume, labels = turned_volume((1.0, 1.0, 2.0))  # the spacing of the model
    segmenter = VolumeSegmenter(tiny_card(SETTINGS), Threshold(), torch.device("cpu"))
    found = segmenter.segment(volume)
    np.testing.assert_array_equal(found.labels_kji, labels)
    np.testing.assert_array_equal(found.ijk_to_ras, volume.ijk_to_ras)
    assert found.names == {1: "part 1", 2: "part 2"}


def test_a_model_of_image_and_labels_is_refused_where_its_superpixels_are_not_found() -> None:
    volume, _ = turned_volume((1.0, 1.0, 2.0))
    card = tiny_card(tiny_settings(label_outputs=3))
    card = replace(card, output_labels=card.label_table)
    segmenter = VolumeSegmenter(card, Threshold(), torch.device("cpu"))
    with pytest.raises(CheckpointError, match="from superpixels, which are not found here"):
        segmenter.segment(volume)


def test_another_spacing_is_resampled_there_and_back() -> None:
    volume, labels = turned_volume((0.8, 1.3, 1.6))
    segmenter = VolumeSegmenter(tiny_card(SETTINGS), Threshold(), torch.device("cpu"))
    found = segmenter.segment(volume).labels_kji
    overlap = 2 * ((found == 2) & (labels == 2)).sum() / ((found == 2).sum() + (labels == 2).sum())
    assert overlap > 0.75
    assert (found == labels).mean() > 0.9


def test_the_result_does_not_depend_on_where_blocks_begin() -> None:
    pytest.importorskip("monai")
    torch.manual_seed(0)
    network = build_generator(SETTINGS).eval()
    segmenter = VolumeSegmenter(tiny_card(SETTINGS), network, torch.device("cpu"))
    image = np.random.default_rng(0).random((20, 16, 16), dtype=np.float32)
    with torch.no_grad():
        whole = network(torch.from_numpy(image)[None, :, None])[0].argmax(1).numpy()
    np.testing.assert_array_equal(segmenter._labels(image), whole)


def test_the_command_line_writes_a_label_map_for_each_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("monai")
    torch.manual_seed(0)
    card = replace(tiny_card(SETTINGS), name="segmenter")
    write_model(tmp_path / "model", card, build_generator(SETTINGS).eval())
    volume, _ = turned_volume((1.0, 1.0, 2.0))
    write_volume(volume, tmp_path / "scan.nii.gz")
    command = ["segment", str(tmp_path / "scan.nii.gz"), "--model", str(tmp_path / "model")]
    assert main([*command, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    target = Path(capsys.readouterr().out.strip())
    assert target == tmp_path / "out" / "scan-seg.nii.gz"
    assert read_label_map(target).labels_kji.shape == volume.voxels_kji.shape
    with pytest.raises(CheckpointError, match="anatomaskgan segment"):
        Synthesizer.from_checkpoint(tmp_path / "model", "cpu")


def test_a_model_of_the_other_direction_is_refused() -> None:
    with pytest.raises(CheckpointError, match="anatomaskgan synthesize"):
        VolumeSegmenter(tiny_card(), Threshold(), torch.device("cpu"))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_scan_with_voxels_that_are_no_numbers_is_refused(wrong: float) -> None:
    volume, _ = turned_volume((1.0, 1.0, 2.0))
    volume.voxels_kji[4, 5, 6:9] = wrong
    segmenter = VolumeSegmenter(tiny_card(SETTINGS), Threshold(), torch.device("cpu"))
    with pytest.raises(
        VolumeError, match="The scan has 3 of 7680 voxels whose values are NaN or infinite"
    ):
        segmenter.segment(volume)
