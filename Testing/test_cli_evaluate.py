from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.commands.evaluate import LABEL_MEAN, find_cases
from AnatoMaskGANLib.volumes import LabelMap, Volume, write_label_map, write_volume

MEANS = np.array([0.0, 60.0, 180.0, 120.0], dtype=np.float32)


def write_case(folder: Path) -> None:
    """A case whose scan is exactly the label-mean image of the tiny model."""
    labels_kji = np.zeros((20, 40, 40), dtype=np.uint8)
    labels_kji[2:18, 4:36, 4:36] = 1
    labels_kji[4:16, 8:30, 8:30] = 2
    labels_kji[6:14, 12:24, 12:24] = 3
    ijk_to_ras = np.diag([2.0, 2.0, 2.0, 1.0])
    folder.mkdir(parents=True)
    names = {1: "skin", 2: "bone", 3: "marrow"}
    write_label_map(LabelMap(labels_kji, ijk_to_ras, names), folder / "seg.nii.gz")
    write_volume(Volume(MEANS[labels_kji], ijk_to_ras), folder / "image.nii.gz")


def evaluate(model: Path, *arguments: str | Path) -> int:
    return main(["evaluate", *map(str, arguments), "--model", str(model), "--device", "cpu"])


def test_the_model_is_compared_beside_the_label_mean_image(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    output = tmp_path / "figures"
    assert evaluate(tiny_model, tmp_path / "cases", "--output", output) == 0
    rows = list(csv.DictReader((output / "figures.csv").open()))
    assert [row["method"] for row in rows] == ["tiny, noise 1", "tiny, noise 0", LABEL_MEAN]
    # The scan is the label-mean image, so that one is met exactly.
    assert float(rows[2]["ssim"]) == pytest.approx(1.0, abs=1e-6)
    assert float(rows[2]["dz_ratio"]) == pytest.approx(1.0, abs=1e-6)
    assert float(rows[0]["psnr"]) < 40
    assert json.loads((output / "figures.json").read_text())["num_subjects"] == 1
    assert (output / "sub-1.png").read_bytes().startswith(b"\x89PNG")
    assert "bone" in (output / "labels.csv").read_text()
    printed = capsys.readouterr().out
    assert LABEL_MEAN in printed
    assert str(output / "report.html") in printed
    assert "sub-1" in (output / "report.html").read_text()


def test_a_case_that_fails_is_told_and_the_others_are_compared(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    write_case(tmp_path / "cases" / "sub-2")
    (tmp_path / "cases" / "sub-1" / "image.nii.gz").write_bytes(b"")
    output = tmp_path / "figures"
    assert evaluate(tiny_model, tmp_path / "cases", "--output", output) == 1
    rows = list(csv.DictReader((output / "figures.csv").open()))
    assert {row["case"] for row in rows} == {"sub-2"}
    assert "1 of 2 succeeded, 1 failed:" in capsys.readouterr().err


def test_a_label_map_without_its_scan_is_refused(tmp_path: Path) -> None:
    write_case(tmp_path / "sub-1")
    (tmp_path / "sub-1" / "image.nii.gz").unlink()
    with pytest.raises(ValueError, match="0 scans named image"):
        find_cases(tmp_path)


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no case"):
        find_cases(tmp_path)


def test_a_case_folder_is_a_case_and_gives_it_its_name(tmp_path: Path) -> None:
    write_case(tmp_path / "sub-1")
    assert [case.name for case in find_cases(tmp_path / "sub-1")] == ["sub-1"]
    assert [case.name for case in find_cases(tmp_path)] == ["sub-1"]


def test_two_cases_with_one_name_are_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "a" / "sub-1")
    write_case(tmp_path / "b" / "sub-1")
    assert evaluate(tiny_model, tmp_path, "--output", tmp_path / "figures") == 1
    assert "two cases with one name" in capsys.readouterr().err
    assert not (tmp_path / "figures").exists()
