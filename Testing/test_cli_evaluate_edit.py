"""`anatomaskgan evaluate edit`: cases in, figures of edits with known truths out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from AnatoMaskGANLib.cli import main, with_joined_words
from AnatoMaskGANLib.volumes import LabelMap, Volume, write_label_map, write_volume

MATRIX = np.diag([2.0, 2.0, 2.0, 1.0])
NAMES = {1: "skin", 2: "bone"}


def write_case(folder: Path) -> None:
    """A bone of 6 voxels radius in skin, both with a texture; the labels are the tiny model's."""
    folder.mkdir(parents=True)
    places = np.indices((28, 32, 32)) - np.array([14, 16, 16]).reshape(3, 1, 1, 1)
    distance = np.sqrt((places**2).sum(axis=0))
    labels = np.where(distance <= 6, 2, np.where(distance <= 13, 1, 0)).astype(np.uint8)
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=labels.shape), 2.0)
    voxels = np.array([0.0, 60.0, 160.0])[labels] + 150 * texture * (labels > 0)
    write_volume(Volume(voxels.astype(np.float32), MATRIX), folder / "image.nii.gz")
    write_label_map(LabelMap(labels, MATRIX, NAMES), folder / "seg.nii.gz")


def figures_in(output: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Method and edit -> its figures."""
    with open(output / "figures.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row.pop("method"), row.pop("case").split(", ")[1]): {
            key: float(value) for key, value in row.items() if key != "subject" and value
        }
        for row in rows
    }


def test_moved_voxels_come_nearer_to_the_truth_than_baselines_and_keep_what_is_beyond(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_model: Path
) -> None:
    write_case(tmp_path / "cases" / "sub-01")
    output = tmp_path / "figures"
    arguments = ["evaluate", "edit", str(tmp_path / "cases"), "--output", str(output)]
    arguments += ["--model", str(tiny_model), "--device", "cpu"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "PSNR edit" in printed and str(output / "report.html") in printed
    figures = figures_in(output)
    edits = {edit for _, edit in figures}
    assert edits == {"swell bone", "shift bone"}
    for edit in edits:
        moved, mean = figures["moved voxels", edit], figures["label mean", edit]
        assert moved["psnr_lab"] > mean["psnr_lab"] + 3
        assert moved["psnr_lab"] > figures["nearest voxels", edit]["psnr_lab"] + 3
        assert moved["psnr_lab"] > figures["tiny in place", edit]["psnr_lab"] + 3
        assert moved["psnr_lab"] > figures["scan unedited", edit]["psnr_lab"] + 3
        assert moved["edit_outside"] == moved["edit_unasked"] == 0
        assert moved["edit_undone"] > mean["edit_undone"] + 3
        assert mean["edit_deviation_ratio"] < 0.7 < moved["edit_deviation_ratio"] < 1.2
        assert 0.8 < moved["edit_step_ratio"] < 1.2
        assert figures["scan unedited", edit]["edit_found"] < 0.4 < 0.8 < moved["edit_found"]
        assert moved["edit_found"] == pytest.approx(
            figures["known truth", edit]["edit_found"], abs=0.1
        )
    assert {file.name for file in output.glob("*.png")} == {
        "sub-01-swell-bone.png",
        "sub-01-shift-bone.png",
    }
    content = json.loads((output / "figures.json").read_text(encoding="utf-8"))
    assert content["num_subjects"] == 1
    assert content["summary"]["moved voxels"]["edit_outside"]["mean"] == 0


def test_two_words_are_one_command() -> None:
    assert with_joined_words(["evaluate", "edit", "cases"]) == ["evaluate-edit", "cases"]
