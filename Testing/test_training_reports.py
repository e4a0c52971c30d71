from __future__ import annotations

import csv
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_runs import tiny_case, tiny_run, tiny_run_values, write_tiny_store

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.evaluation.weights import WeightsError
from AnatoMaskGANLib.training.checkpoints import is_better
from AnatoMaskGANLib.training.dry_run import check_run
from AnatoMaskGANLib.training.held_out import held_out_cases
from AnatoMaskGANLib.training.logs import LossMeans, WideTable
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.perceptual import VGG19Distance, load_perceptual
from AnatoMaskGANLib.training.settings import LossSettings
from AnatoMaskGANLib.training.validation import compare
from AnatoMaskGANLib.volumes.case_store import INDEX, StoreError, open_store

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("data") / "store")


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_new_column_is_empty_in_the_lines_before_it(tmp_path: Path) -> None:
    table = WideTable(tmp_path / "log.csv", 0)
    table.add(1, {"a": 0.5})
    table.add(2, {"a": 0.25, "b": 2.0})
    assert rows_of(tmp_path / "log.csv") == [
        {"step": "1", "a": "0.5", "b": ""},
        {"step": "2", "a": "0.25", "b": "2"},
    ]
    assert table.column("b") == ([2], [2.0])


def test_lines_of_steps_that_a_crash_has_undone_are_dropped(tmp_path: Path) -> None:
    table = WideTable(tmp_path / "log.csv", 0)
    for step in (1, 2, 3):
        table.add(step, {"a": step})
    assert [row["step"] for row in WideTable(tmp_path / "log.csv", 2).rows] == ["1", "2"]
    assert [row["step"] for row in rows_of(tmp_path / "log.csv")] == ["1", "2"]


def test_means_are_of_the_steps_that_had_the_loss() -> None:
    means = LossMeans()
    means.add({"a": 1.0})
    means.add({"a": 2.0, "r1": 5.0})
    assert means.take() == {"a": 1.5, "r1": 5.0}
    assert means.take() == {}


def test_progress_is_one_json_object_a_line_and_files_tell_the_same(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = tiny_run_values(store, tmp_path / "run", sheet_every=4, keep_every=4, tensorboard=True)
    values["validation"]["slices"] = 8
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    arguments = ["train", "--config", str(path), "--device", "cpu", "--progress", "json"]
    assert main([*arguments, "--select-by", "dz_ratio"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start" and kinds[-1] == "done"
    assert [event["step"] for event in events if event["event"] == "step"] == [1, 2, 3, 4]
    validations = [event for event in events if event["event"] == "validation"]
    assert [event["step"] for event in validations] == [2, 4]
    run = tmp_path / "run"
    told = validations[0]["figures"]
    written = rows_of(run / "validation.csv")[0]
    for name in ("psnr", "ssim", "ssim_3d", "dz_ratio", "rmse", "label_mean_psnr"):
        assert float(written[name]) == pytest.approx(told[name], rel=1e-4)
    assert {"reconstruction", "seconds", "lr_generator"} <= rows_of(run / "log.csv")[0].keys()
    assert (run / "curves.png").read_bytes().startswith(PNG)
    assert (run / "sheets" / "step-0000004.png").read_bytes().startswith(PNG)
    names = {file.name for file in run.glob("*.safetensors")}
    assert names == {"latest.safetensors", "best.safetensors", "step-0000004.safetensors"}
    if find_spec("tensorboard") is not None:
        assert list((run / "tensorboard").iterdir())


def test_figures_of_a_validation_are_those_of_the_evaluation(store: Path) -> None:
    (case,) = held_out_cases(open_store(store), "labels", "validation", 4, 8, halo=2)
    assert case.labels.shape[0] == case.image.shape[0] + 4 == 12
    exact = compare(case, case.image.numpy())
    assert exact["ssim"] == pytest.approx(1) and exact["rmse"] == 0
    worse = compare(case, np.clip(case.image.numpy() + 0.1, 0, 1))
    assert worse["rmse"] == pytest.approx(0.1, abs=0.01)


def test_held_out_slices_are_those_around_the_middle_with_their_neighbors(store: Path) -> None:
    (case,) = held_out_cases(open_store(store), "labels", "validation", 4, 4, halo=1)
    _, labels = tiny_case(3)
    middle = labels[4:10]
    rows = np.flatnonzero(labels.any((0, 2)))[[0, -1]] + (-8, 9)
    columns = np.flatnonzero(labels.any((0, 1)))[[0, -1]] + (-8, 9)
    expected = middle[:, max(0, rows[0]) : rows[1], max(0, columns[0]) : columns[1]]
    np.testing.assert_array_equal(case.labels.numpy(), expected)


def test_the_best_dz_ratio_is_nearest_to_one() -> None:
    assert is_better("dz_ratio", 1.1, 0.8)
    assert not is_better("dz_ratio", 1.4, 0.8)
    assert is_better("psnr", 20.0, None) and not is_better("psnr", float("nan"), 1.0)


def test_the_dry_run_tells_what_a_run_will_need_and_writes_nothing(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = tiny_run_values(store, tmp_path / "run", optimizer={"steps": 90})
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    assert main(["train", "--config", str(path), "--device", "cpu", "--check"]) == 0
    text = capsys.readouterr().out
    for told in ("3 train, 1 validation", "generator: ", "memory", "time per epoch", "(90 steps)"):
        assert told in text
    assert not (tmp_path / "run").exists()
    found = check_run(tiny_run(store, tmp_path / "run"), "cpu")
    assert found.steps_per_epoch == 9  # 3 cases of 12 labeled slices in stacks of 4
    assert found.memory_bytes > 2**20 and found.seconds_per_step > 0


def test_an_empty_split_and_too_few_slices_are_told(tmp_path: Path) -> None:
    empty = write_tiny_store(tmp_path / "empty", ("validation",))
    with pytest.raises(StoreError, match="train split"):
        train(tiny_run(empty, tmp_path / "run"))
    short = write_tiny_store(tmp_path / "short")
    with pytest.raises(StoreError, match="has 14 slices, but a stack needs 20"):
        train(tiny_run(short, tmp_path / "run", data={"stack_size": 20}))
    assert not (tmp_path / "run").exists()


def test_a_store_without_validation_cases_trains_without_figures(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store", ("train",))
    train(tiny_run(store, tmp_path / "run", optimizer={"steps": 2}))
    assert rows_of(tmp_path / "run" / "validation.csv") == []


def test_weights_and_biases_that_is_asked_for_and_absent_is_told(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(ImportError, match="pip install wandb"):
        train(tiny_run(store, tmp_path / "run", wandb_project="limbs"))


def test_absent_perceptual_weights_are_told_and_none_are_made_up(tmp_path: Path) -> None:
    path = tmp_path / "vgg19-dcbb9e9d.safetensors"
    settings = LossSettings(
        perceptual=5.0, perceptual_network="vgg19", perceptual_weights=str(path)
    )
    with pytest.raises(WeightsError, match="Nothing is downloaded"):
        load_perceptual(settings, torch.device("cpu"))
    path.write_bytes(b"other")
    with pytest.raises(WeightsError, match="another file"):
        load_perceptual(settings, torch.device("cpu"))
    assert load_perceptual(LossSettings(), torch.device("cpu")) is None


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_vgg19_is_the_published_network_and_its_distance_has_a_gradient(tmp_path: Path) -> None:
    """Weights by torchvision's names: nine kept convolutions end with the fifth block's first."""
    from safetensors.torch import save_file

    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128)}
    shapes |= {12: (256, 256), 14: (256, 256), 16: (256, 256), 19: (512, 256)}
    shapes |= {21: (512, 512), 23: (512, 512), 25: (512, 512), 28: (512, 512)}
    torch.manual_seed(0)
    state = {}
    for number, (outputs, inputs) in shapes.items():
        state[f"features.{number}.weight"] = (
            torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5
        )
        state[f"features.{number}.bias"] = torch.zeros(outputs)
    path = tmp_path / "vgg19.safetensors"
    save_file(state, path)
    distance = VGG19Distance(path, file_sha256(path))
    made = torch.rand(1, 1, 32, 32, requires_grad=True)
    assert float(distance(made, made.detach()).detach()) == 0
    loss = distance(made, torch.rand(1, 1, 32, 32))
    loss.backward()
    assert made.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in distance.parameters())
    del state["features.28.weight"]
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"features\.28\.weight"):
        VGG19Distance(path, file_sha256(path))


def test_labels_that_the_table_does_not_know_are_told(tmp_path: Path) -> None:
    index = json.loads((write_tiny_store(tmp_path) / INDEX).read_text())
    index["label_table"] = {"name": "skin", "labels": {"1": "skin"}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(ValueError, match="label table does not know; prepare the store again"):
        held_out_cases(open_store(tmp_path), "labels", "validation", 4, 4, halo=1)
