"""What a validation measures with networks from files, and which checkpoint is the best one."""

from __future__ import annotations

import csv
import hashlib
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from tiny_runs import tiny_run, tiny_run_values, write_tiny_store
from torch import Tensor, nn

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.config import SettingsError
from AnatoMaskGANLib.evaluation.weights import WeightsError
from AnatoMaskGANLib.training.checkpoints import is_better, read_tensors
from AnatoMaskGANLib.training.dry_run import check_run
from AnatoMaskGANLib.training.held_out import held_out_cases
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.settings import ValidationSettings
from AnatoMaskGANLib.training.validation import LearnedMetrics
from AnatoMaskGANLib.volumes.case_store import open_store


class Halves(nn.Module):
    """[N,3,H,W] -> means of the upper and the lower half, [N,2]."""

    def forward(self, images: Tensor) -> Tensor:
        half = images.shape[2] // 2
        upper, lower = images[:, 0, :half], images[:, 0, half:]
        return torch.stack([upper.mean((1, 2)), lower.mean((1, 2))], 1)


class FakeLpips(nn.Module):
    """Built as lpips is, with one convolution; its distance is the mean absolute difference."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.net = nn.Module()
        self.net.slice1 = nn.Sequential()
        self.net.slice1.add_module("0", nn.Conv2d(3, 1, 1))

    def forward(self, a: Tensor, b: Tensor, normalize: bool) -> Tensor:
        return (a - b).abs().mean()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Validation settings with an extractor and LPIPS weights made here."""
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=FakeLpips))
    extractor, weights = tmp_path / "halves.pt", tmp_path / "backbone.safetensors"
    torch.jit.script(Halves()).save(str(extractor))
    save_file(
        {"features.0.weight": torch.ones(1, 3, 1, 1), "features.0.bias": torch.ones(1)}, weights
    )
    return {
        "extractor": str(extractor),
        "extractor_sha256": hashlib.sha256(extractor.read_bytes()).hexdigest(),
        "lpips_weights": str(weights),
        "lpips_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }


def test_the_figures_are_those_worked_out_by_hand(store: Path, files: dict[str, Any]) -> None:
    cases = held_out_cases(open_store(store), "labels", "validation", 1, 8, halo=1)
    learned = LearnedMetrics(ValidationSettings(**files), cases, torch.device("cpu"))
    real = [case.image.numpy() for case in cases]
    exact = learned.measure(real)
    assert exact["fid"] == pytest.approx(0, abs=1e-9) and exact["lpips"] == 0
    brighter = learned.measure([image + 0.1 for image in real])
    # Both means move by 0.1 and the covariance stays: 0.1^2 + 0.1^2.
    assert brighter["fid"] == pytest.approx(0.02, rel=1e-3)
    assert brighter["lpips"] == pytest.approx(0.1, rel=1e-3)
    assert brighter["kid"] > exact["kid"]


@pytest.mark.parametrize("name", ["fid", "kid", "lpips"])
def test_the_figures_stand_in_the_table_and_choose_the_lowest_as_best(
    store: Path, tmp_path: Path, files: dict[str, Any], name: str
) -> None:
    values = tiny_run_values(store, tmp_path / "run", validation={"every": 1, **files})
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    arguments = ["train", "--config", str(path), "--device", "cpu", "--progress", "none"]
    assert main([*arguments, "--select-by", name]) == 0
    with open(tmp_path / "run" / "validation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for column in ("fid", "kid", "lpips"):
        found = [float(row[key]) for row in rows for key in (column, f"label_mean_{column}")]
        assert all(math.isfinite(value) for value in found)
    lowest = min(rows, key=lambda row: float(row[name]))
    best = read_tensors(tmp_path / "run" / "best.safetensors")[1]["best"]
    assert best["figure"] == name and str(best["step"]) == lowest["step"]


def test_a_distance_is_best_at_its_lowest() -> None:
    assert is_better("fid", 3.0, 4.0) and not is_better("fid", 5.0, 4.0)
    assert is_better("kid", -0.1, 0.0) and not is_better("lpips", math.nan, 0.5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"extractor": "nowhere/halves.pt"}, "Nothing is downloaded"),
        ({"extractor_sha256": "0" * 64}, "another file"),
        ({"extractor_sha256": None}, "have no hash"),
        ({"lpips_weights": "nowhere/backbone.safetensors"}, "Nothing is downloaded"),
        ({"lpips_sha256": "0" * 64}, "another file"),
    ],
)
def test_an_absent_or_other_file_stops_the_run_before_anything_is_written(
    store: Path, tmp_path: Path, files: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    settings = tiny_run(store, tmp_path / "run", validation={**files, **change})
    with pytest.raises(WeightsError, match=told):
        train(settings)
    with pytest.raises(WeightsError, match=told):
        check_run(settings, "cpu")
    assert not (tmp_path / "run").exists()


def test_one_slice_is_too_few_for_a_distance_of_sets(
    store: Path, tmp_path: Path, files: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match="FID and KID need two or more"):
        train(tiny_run(store, tmp_path / "run", validation={"slices": 1, **files}))


@pytest.mark.parametrize("name", ["fid", "kid", "lpips"])
def test_selecting_by_a_figure_without_its_file_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"validation\.(extractor|lpips_weights)"):
        ValidationSettings(select_by=name)


def test_networks_that_make_no_image_have_no_such_figures(
    store: Path, tmp_path: Path, files: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match="FID, KID and LPIPS cannot be measured"):
        tiny_run(
            store,
            tmp_path / "run",
            direction="image2mask",
            validation={"select_by": "dice", **files},
        )
