from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.commands import demo
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    read_label_map,
    read_volume,
    same_grid,
    write_label_map,
    write_volume,
)

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
METRICS = r"PSNR (\d+\.\d+) dB, SSIM (\d\.\d+), \|dz\| ratio (\d+\.\d+)"


def figures_of(output: str) -> dict[str, tuple[float, ...]]:
    """Name of an image -> PSNR, SSIM and |dz| ratio, from the demo's line on the synthetic one."""
    (line,) = [line for line in output.splitlines() if line.startswith("synthetic: ")]
    parts = line.split("; ")
    return {
        part.split(":")[0]: tuple(map(float, re.search(METRICS, part).groups())) for part in parts
    }


def edit_figures_of(output: str) -> tuple[float, ...]:
    """PSNR of the edited scan and of label-mean filling, from the last line of the demo."""
    pattern = r"^edited: PSNR (\d+\.\d+) dB; label-mean filling: PSNR (\d+\.\d+) dB;"
    return tuple(map(float, re.search(pattern, output, re.MULTILINE).groups()))


@pytest.fixture
def small_sample(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo with a small sample and the tiny model in the place of the bundled ones."""
    folder = tmp_path / "resources" / "SampleData" / demo.SAMPLE
    folder.mkdir(parents=True)
    labels_kji = np.zeros((20, 40, 40), dtype=np.uint8)
    labels_kji[2:18, 4:36, 4:36] = 1
    labels_kji[4:16, 8:30, 8:30] = 2
    scan_kji = np.random.default_rng(0).uniform(50, 90, labels_kji.shape) * (labels_kji > 0)
    ijk_to_ras = np.diag([-2.0, 2.0, 2.0, 1.0])
    label_map = LabelMap(labels_kji, ijk_to_ras, {1: "skin", 2: "bone"})
    write_label_map(label_map, folder / "seg.nii.gz")
    write_volume(Volume(scan_kji.astype(np.float32), ijk_to_ras), folder / "image.nii.gz")
    monkeypatch.setattr(demo, "resources_folder", lambda: tmp_path / "resources")
    monkeypatch.setattr(demo, "MODEL", str(tiny_model))
    monkeypatch.setattr(demo, "GROWN", "bone")
    return folder


def test_the_demo_writes_a_volume_and_a_picture_and_says_where(
    small_sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a folder"
    assert main(["demo", "--output", str(output), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    volume_file, picture_file = output / "synthetic.nii.gz", output / "labels-synthetic-real.png"
    assert str(volume_file) in printed
    assert str(picture_file) in printed
    assert picture_file.read_bytes().startswith(b"\x89PNG")
    assert same_grid(read_volume(volume_file), read_label_map(small_sample / "seg.nii.gz"))
    assert set(figures_of(printed)) == {"synthetic", "label-mean image"}
    assert "never for diagnosis" in printed
    edit_file = output / "before-edited-truth.png"
    assert str(edit_file) in printed.splitlines()[-1]
    assert edit_file.read_bytes().startswith(b"\x89PNG")
    assert min(edit_figures_of(printed)) > 0


def test_the_demo_ends_with_exit_code_1_when_the_sample_is_missing(
    small_sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small_sample / "seg.nii.gz").unlink()
    assert main(["demo", "--output", str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert "contains no case" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_bundled_model_beats_the_label_mean_image_on_the_bundled_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    figures = figures_of(printed)
    edited, label_means = edit_figures_of(printed)
    assert edited > label_means + 4.5
    assert (edited, label_means) == pytest.approx(edit_figures_of(README), abs=0.02)
    (line_of_readme,) = re.findall(r"^synthetic: .*$", README, flags=re.MULTILINE)
    for name, told in figures_of(line_of_readme).items():
        assert figures[name] == pytest.approx(told, abs=0.02), f"the README says {told} for {name}"
    synthetic, label_mean = figures["synthetic"], figures["label-mean image"]
    assert synthetic[0] > label_mean[0]
    assert synthetic[1] > label_mean[1]
    assert abs(1 - synthetic[2]) < abs(1 - label_mean[2])
    sample = resources_folder() / "SampleData" / demo.SAMPLE
    assert same_grid(
        read_volume(tmp_path / "synthetic.nii.gz"), read_label_map(sample / "seg.nii.gz"), 1e-6
    )
