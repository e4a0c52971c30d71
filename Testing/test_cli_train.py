from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.volumes.case_store import write_case, write_index

LABEL_TABLE = {"name": "limb", "labels": {"1": "skin", "2": "bone"}, "codes": {}, "swaps": {}}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Settings of a run of two steps, with a store of two small cases to train on."""
    store = tmp_path / "store"
    entries = []
    for number, split in enumerate(("train", "validation")):
        labels_kji = np.zeros((8, 40, 40), dtype=np.uint8)
        labels_kji[:, 6:34, 6:34] = 1
        labels_kji[:, 12:24, 12:24] = 2
        image_kji = labels_kji * 50.0
        entry = write_case(store, f"sub-{number}", image_kji, labels_kji, (0.0, 200.0))
        entries.append({**entry, "subject": f"sub-{number}", "split": split})
    write_index(store, entries, (2.0, 2.0, 2.0), (0.0, 200.0), "", LABEL_TABLE)
    settings = {
        "data": {"store": str(store), "stack_size": 4, "crop": [32, 32]},
        "output": str(tmp_path / "run"),
        "generator": {"channels": [16, 16, 8, 8], "spade_hidden": 8},
        "discriminator": {"channels": 8, "num_layers": 2, "num_scales": 1},
        "optimizer": {"steps": 2},
        "log_every": 1,
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_a_run_is_trained_from_its_settings_file_and_the_checkpoint_is_named(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config", str(config_file), "--device", "cpu"]) == 0
    checkpoint = Path(capsys.readouterr().out.strip())
    assert checkpoint.is_file()
    assert checkpoint.parent == config_file.parent / "run"
    rows = list(csv.DictReader((checkpoint.parent / "log.csv").open()))
    assert {row["step"] for row in rows} == {"1", "2"}


def test_the_length_can_be_given_in_epochs(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--config", str(config_file), "--device", "cpu", "--epochs"]
    assert main([*arguments, "1.5"]) == 0  # one training case of 8 slices, 4 a step
    checkpoint = Path(capsys.readouterr().out.strip())
    rows = list(csv.DictReader((checkpoint.parent / "log.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert main([*arguments, "0"]) == 1
    assert "expected a number above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data: [unclosed", "is not valid YAML"),
        ("- a\n- list\n", "mapping"),
        ("output: run\n", "data"),
        ("data: {store: nowhere}\noutput: run\nstep: 5\n", "'step'"),
    ],
)
def test_a_settings_file_that_makes_no_sense_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    assert main(["train", "--config", str(path), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_settings_file_that_is_missing_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("losses.r1", "is not a setting; expected NAME=VALUE, for example losses.r1=10"),
        ("=10", "is not a setting; expected NAME=VALUE"),
        ("data.crop=[32", "is not valid YAML"),
    ],
)
def test_a_setting_on_the_command_line_that_is_none_is_told(
    config_file: Path, capsys: pytest.CaptureFixture[str], assignment: str, told: str
) -> None:
    assert main(["train", "--config", str(config_file), "--set", assignment]) == 1
    assert told in capsys.readouterr().err
