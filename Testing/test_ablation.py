"""The ablation program on a store and networks of seconds."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiny_runs import write_tiny_store

from AnatoMaskGANLib.evaluation import Row

PROGRAM = Path(__file__).resolve().parent / "benchmarks" / "ablation.py"
SMALL = (
    *("data.stack_size=4", "data.crop=[32,32]", "generator.channels=[16,16,8,8]"),
    *("generator.spade_hidden=8", "generator.fusion_stage=0", "discriminator.channels=8"),
    *("discriminator.num_layers=2", "discriminator.num_scales=1", "validation.every=0"),
    *("optimizer.adversarial_start=0", "sheet_every=0", "tensorboard=false"),
)


@pytest.fixture(scope="module")
def ablation() -> ModuleType:
    specification = importlib.util.spec_from_file_location("ablation", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    sys.modules["ablation"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def test_the_configurations_differ_in_their_modules_alone(
    ablation: ModuleType, tmp_path: Path
) -> None:
    found = {
        name: ablation.run_settings(example, tmp_path, tmp_path / "run", 7, {"optimizer.steps": 9})
        for name, example in ablation.CONFIGURATIONS.items()
    }
    modules = [
        (
            settings.generator["use_gnn_fusion"],
            settings.generator["use_noise3d"],
            settings.use_gray_texture,
        )
        for settings in found.values()
    ]
    assert modules == [
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    ]
    full, *others = reversed(found.values())
    for settings in others:
        assert (settings.data, settings.optimizer, settings.seed) == (full.data, full.optimizer, 7)
        assert (settings.losses, settings.discriminator) == (full.losses, full.discriminator)
        assert settings.optimizer.steps == 9


def test_all_configurations_are_trained_and_stand_in_one_table_with_the_baselines(
    ablation: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store", ("train", "train", "test"))
    places = ["--store", str(store), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert ablation.main([*places, "--seeds", "4", "--steps", "2", "--set", *SMALL]) == 0
    printed = capsys.readouterr().out
    methods = ["label-mean image", "per-label Gaussian", "SPADE", "+ GNN-SIF"]
    methods += ["+ GNN-SIF + 3D-SNI, noise 1", "+ GNN-SIF + 3D-SNI, noise 0"]
    methods += ["+ GNN-SIF + 3D-SNI + G-TC, noise 1", "+ GNN-SIF + 3D-SNI + G-TC, noise 0"]
    lines = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == methods
    assert "±" not in printed.replace("± deviation", "")  # one seed has no deviation
    assert len(list((tmp_path / "out" / "models").iterdir())) == 4
    rows = list(csv.DictReader((tmp_path / "out" / "figures.csv").open()))
    assert {row["case"] for row in rows if row["method"] == "SPADE"} == {"sub-2, seed 4"}
    assert "Over SPADE" in (tmp_path / "out" / "report.html").read_text()


def test_the_deviation_is_that_of_the_means_of_the_seeds(ablation: ModuleType) -> None:
    found = [
        ablation.SeedRow("m", seed, Row("m", case, case, {"psnr": value}))
        for seed, case, value in ((0, "a", 20.0), (0, "b", 22.0), (1, "a", 24.0), (1, "b", 24.0))
    ]
    assert ablation.seed_means(found, "psnr") == [21.0, 24.0]
    assert "| m | 22.50 ± 2.12 |" in ablation.markdown_table(found)
