"""The ablation program on a store and networks of seconds."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiny_runs import write_tiny_store

from AnatoMaskGANLib.evaluation import Row
from AnatoMaskGANLib.evaluation.metrics.label_intensities import LabelStatistics
from AnatoMaskGANLib.training.checkpoints import read_tensors, write_tensors

PROGRAM = Path(__file__).resolve().parent / "benchmarks" / "ablation.py"
TABLE_II = ("ablation-spade", "ablation-gnn", "ablation-gnn-noise", "ablation-full")
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
        example: ablation.run_settings(
            example, tmp_path, tmp_path / "run", 7, {"optimizer.steps": 9, "precision": "bf16"}
        )
        for example in TABLE_II
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
        assert (settings.optimizer.steps, settings.precision) == (9, "bf16")


@pytest.fixture(scope="module")
def finished(
    ablation: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """The folder of an ablation of two steps, and the arguments that name it and its store."""
    folder = tmp_path_factory.mktemp("ablation")
    store = write_tiny_store(folder / "store", ("train", "train", "validation", "test"))
    places = ["--store", str(store), "--output", str(folder / "out"), "--device", "cpu"]
    for example in TABLE_II:  # as processes of their own would do it
        chosen = ["--examples", example, "--seeds", "4", "--steps", "2"]
        assert ablation.main(["train", *places, *chosen, "--set", *SMALL]) == 0
    assert ablation.main(["measure", *places]) == 0
    return folder / "out", places


def test_all_configurations_stand_in_one_table_with_the_baselines(
    ablation: ModuleType, finished: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    output, places = finished
    assert ablation.main(["table", *places]) == 0
    printed = capsys.readouterr().out
    methods = ["label-mean image", "per-label Gaussian", "SPADE", "+ GNN-SIF"]
    methods += ["+ GNN-SIF + 3D-SNI, noise 1", "+ GNN-SIF + 3D-SNI, noise 0"]
    methods += ["+ GNN-SIF + 3D-SNI + G-TC, noise 1", "+ GNN-SIF + 3D-SNI + G-TC, noise 0"]
    lines = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == methods
    assert "±" not in printed.replace("± deviation", "")  # one seed has no deviation
    assert len(list((output / "models").iterdir())) == 4
    rows = list(csv.DictReader((output / "figures.csv").open()))
    held_out = {row["case"] for row in rows if row["method"] == "SPADE"}
    assert held_out == {"sub-2, seed 4", "sub-3, seed 4"}
    diversity = {row["method"]: row["diversity"] for row in rows}
    assert float(diversity["+ GNN-SIF + 3D-SNI, noise 1"]) > 0
    assert "Over SPADE" in (output / "report.html").read_text()


def test_what_was_measured_is_not_measured_again(
    ablation: ModuleType, finished: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, places = finished
    monkeypatch.setattr(ablation, "measure_model", None)  # would fail if it were called
    assert ablation.main(["measure", *places]) == 0


def test_a_run_that_is_not_done_is_not_measured(
    ablation: ModuleType, finished: tuple[Path, list[str]], tmp_path: Path
) -> None:
    output, _ = finished
    run = output / "runs" / "ablation-spade-seed4"
    assert ablation.is_done(run)
    tensors, metadata = read_tensors(run / "latest.safetensors")
    metadata["settings"]["optimizer"]["steps"] = 9
    header = {"version": "1", "run": json.dumps(metadata)}
    write_tensors(tmp_path / "latest.safetensors", tensors, header)
    assert not ablation.is_done(tmp_path)
    assert not ablation.is_done(tmp_path / "nothing")


def test_rows_come_back_from_their_file_as_they_were(ablation: ModuleType, tmp_path: Path) -> None:
    label = LabelStatistics(600, 0.1, 0.2, 0.03, 0.04, 0.05)
    rows = [
        ablation.SeedRow("m", 3, Row("m", "a", "s", {"psnr": 31.25, "lpips": 0.1}, {7: label})),
        ablation.SeedRow("b", None, Row("b", "a", "s", {"psnr": 20.0})),
    ]
    ablation.write_rows(tmp_path / "rows.json", rows)
    assert ablation.read_rows(tmp_path / "rows.json") == rows


def test_the_published_baseline_is_held_to_no_real_image(
    ablation: ModuleType, tmp_path: Path
) -> None:
    own, plain = (
        ablation.run_settings(example, tmp_path, tmp_path / "run", 0, {})
        for example in ("ablation-spade-own", "ablation-spade")
    )
    assert (own.losses.reconstruction, own.losses.squared_error) == (0, 0)
    assert own.losses.adversarial == plain.losses.adversarial > 0
    assert own.generator == plain.generator


def test_the_deviation_is_that_of_the_means_of_the_seeds(ablation: ModuleType) -> None:
    found = [
        ablation.SeedRow("m", seed, Row("m", case, case, {"psnr": value}))
        for seed, case, value in ((0, "a", 20.0), (0, "b", 22.0), (1, "a", 24.0), (1, "b", 24.0))
    ]
    assert ablation.seed_means(found, "psnr") == [21.0, 24.0]
    assert "| m | 22.50 ± 2.12 |" in ablation.markdown_table(found)
