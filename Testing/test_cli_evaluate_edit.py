"""`anatomaskgan evaluate edit`: cases in, figures of edits with known truths out."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from AnatoMaskGANLib.cli import main, with_joined_words
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    read_label_map,
    write_label_map,
    write_volume,
)

MATRIX = np.diag([2.0, 2.0, 2.0, 1.0])
NAMES = {1: "skin", 2: "bone"}


class BoneAboveHalf(torch.nn.Module):
    """[N,1,H,W] in [0,1] to logits of background, skin, bone and marrow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        is_bone = (images > 0.5).float()
        is_skin = (images > 0.1).float() * (1 - is_bone)
        return torch.cat([1 - is_bone - is_skin, is_skin, is_bone, 0 * images], dim=1)


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
        others = ("label mean", "nearest voxels", "tiny in place", "scan unedited")
        for other in others:
            assert moved["psnr_lab"] > figures[other, edit]["psnr_lab"] + 1.5
        assert moved["edit_outside"] == moved["edit_unasked"] == 0
        assert moved["edit_undone"] > 25
        assert mean["edit_deviation_ratio"] < 0.4 < 0.6 < moved["edit_deviation_ratio"] < 1.2
        assert 0.8 < moved["edit_step_ratio"] < 1.2
        assert figures["scan unedited", edit]["edit_found"] < 0.1 < 0.8 < moved["edit_found"]
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


def test_an_edit_that_is_given_is_measured_instead_and_new_structures_get_a_look(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cases" / "a"
    write_case(folder)
    before = read_label_map(folder / "seg.nii.gz")
    labels = before.labels_kji.copy()
    labels[12:16, 6:12, 12:20] = 7
    write_label_map(LabelMap(labels, MATRIX, {**NAMES, 7: "lesion"}), folder / "seg-edited.nii.gz")
    output = tmp_path / "figures"
    arguments = ["evaluate", "edit", str(tmp_path / "cases"), "--output", str(output)]
    assert main([*arguments, "--model", str(tiny_model), "--device", "cpu"]) == 0
    assert "New in a, painted as soft tissue: lesion" in caplog.text
    assert "tiny is left out of a: unknown are lesion" in caplog.text
    figures = figures_in(output)
    methods = {method for method, _ in figures}
    assert methods == {"scan unedited", "label mean", "nearest voxels", "moved voxels"}
    moved = figures["moved voxels", "seg-edited"]
    assert "psnr_lab" not in moved
    assert moved["edit_outside"] == 0
    assert (output / "a-seg-edited.png").is_file()


def test_a_segmenter_is_asked_whether_the_edit_is_there(tmp_path: Path, tiny_model: Path) -> None:
    """A segmenter that takes everything above half of the window for bone."""
    script = tmp_path / "segmenter.pt"
    torch.jit.script(BoneAboveHalf()).save(str(script))
    sha256 = hashlib.sha256(script.read_bytes()).hexdigest()
    write_case(tmp_path / "cases" / "sub-01")
    output = tmp_path / "figures"
    arguments = ["evaluate", "edit", str(tmp_path / "cases"), "--output", str(output)]
    arguments += ["--segmenter", str(script), "--segmenter-sha256", sha256, "--device", "cpu"]
    assert main(arguments) == 2  # a script without a model says nothing of its grid
    assert main([*arguments, "--model", str(tiny_model)]) == 0
    figures = figures_in(output)
    dice = {method: row["edit_dice"] for (method, edit), row in figures.items() if "shift" in edit}
    assert dice["known truth"] > 0.9
    assert dice["moved voxels"] > 0.9
    assert dice["scan unedited"] < dice["known truth"] - 0.1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [(["--window", "5", "1"], "expected the lower number"), (["--noise-strength", "-1"], "-1")],
)
def test_numbers_by_which_nothing_can_be_measured_are_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], told: str
) -> None:
    write_case(tmp_path / "cases" / "a")
    arguments = ["evaluate", "edit", str(tmp_path / "cases"), "--output", str(tmp_path / "out")]
    assert main([*arguments, *wrong]) == 2
    assert told in capsys.readouterr().err
