"""`anatomaskgan segment`, with a segmenter that needs no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
from AnatoMaskGANLib.volumes import LabelMap, Volume, read_label_map, write_volume


class Threshold:
    """Label 1 where a voxel is above 0."""

    def segment(self, volume: Volume) -> LabelMap:
        return LabelMap((volume.voxels_kji > 0).astype(np.uint8), volume.ijk_to_ras, {1: "all"})


@pytest.fixture(autouse=True)
def threshold_as_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VolumeSegmenter, "from_checkpoint", lambda *_: Threshold())


def write_scan(path: Path, num_voxels: int) -> Path:
    """A scan with that many voxels above 0."""
    voxels = np.zeros((3, 4, 5), dtype=np.float32)
    voxels.flat[:num_voxels] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(voxels, np.eye(4)), path)
    return path


def segment(output: Path, *scans: Path) -> int:
    return main(["segment", *map(str, scans), "--model", "threshold", "--output", str(output)])


def test_scans_of_one_name_get_label_maps_in_folders_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = [
        write_scan(tmp_path / "cases" / name / "image.nii.gz", n)
        for name, n in (("a", 7), ("b", 9))
    ]
    assert segment(tmp_path / "out", *scans, scans[0]) == 0
    printed = capsys.readouterr()
    files = [tmp_path / "out" / name / "image-seg.nii.gz" for name in "ab"]
    assert printed.out.splitlines() == [str(file) for file in files]
    assert "2 of 2 succeeded" in printed.err
    assert [int(read_label_map(file).labels_kji.sum()) for file in files] == [7, 9]


def test_two_scans_that_would_share_a_label_map_are_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = [write_scan(tmp_path / name, 5) for name in ("q.nii.gz", "q.nrrd")]
    assert segment(tmp_path / "out", *scans) == 1
    assert "would both be written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
