from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_runs import (
    LABEL_TABLE,
    SPACING_IJK_MM,
    WINDOW,
    tiny_case,
    tiny_run,
    tiny_run_values,
    write_tiny_store,
)

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.synthesis import Synthesizer, read_model
from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE
from AnatoMaskGANLib.training.checkpoints import (
    STATE_VERSION,
    RunStateError,
    read_tensors,
    write_tensors,
)
from AnatoMaskGANLib.training.export import ExportError, RunCheckpoint, export_run
from AnatoMaskGANLib.training.label_means import measure_label_statistics
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.settings import CardSettings
from AnatoMaskGANLib.volumes import LabelMap
from AnatoMaskGANLib.volumes.case_store import open_store

CARD = {"description": "Limbs.", "training_data": "generated", "licence": "MIT", "not_for": "use"}
TEXTS = CardSettings(training_data="generated", licence="MIT")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("export")
    store = write_tiny_store(folder / "store")
    train(tiny_run(store, folder / "run", optimizer={"steps": 2}, card=CARD))
    return folder / "run"


def test_the_exported_model_holds_the_averaged_weights_and_what_the_card_needs(
    run: Path, tmp_path: Path
) -> None:
    folder = export_run(RunCheckpoint(run), "limb", tmp_path, replace(TEXTS, description="Limbs."))
    card, generator = read_model(folder)
    tensors, _ = read_tensors(run / "latest.safetensors")
    for name, value in generator.state_dict().items():
        assert np.array_equal(value.numpy(), tensors[f"module/ema/{name}"].numpy()), name
    assert card.spacing_ijk_mm == SPACING_IJK_MM
    assert card.window == WINDOW
    assert card.label_table["labels"] == LABEL_TABLE["labels"]
    assert card.training["steps"] == 2
    assert card.training["train cases"] == "sub-0, sub-1, sub-2"
    assert str(run) not in (folder / "card.md").read_text()
    assert "Diagnosis" in card.not_for


def test_label_statistics_are_those_of_the_training_split_alone(run: Path, tmp_path: Path) -> None:
    card, _ = read_model(export_run(RunCheckpoint(run), "limb", tmp_path, TEXTS))
    images, labels = zip(*(tiny_case(number) for number in range(3)), strict=True)
    values = np.clip(np.stack(images), *WINDOW) / 200
    for value, (mean, deviation) in card.label_statistics.items():
        chosen = values[np.stack(labels) == int(value)]
        assert mean == pytest.approx(chosen.mean(), abs=1e-4)
        assert deviation == pytest.approx(chosen.std(), abs=1e-4)
    assert sorted(card.label_statistics) == ["0", "1", "2", "3"]


def test_an_exported_model_synthesizes(run: Path, tmp_path: Path) -> None:
    folder = export_run(RunCheckpoint(run), "limb", tmp_path, TEXTS)
    _, labels = tiny_case(5)
    ijk_to_ras = np.diag([*SPACING_IJK_MM, 1.0])
    names = {int(value): name for value, name in LABEL_TABLE["labels"].items()}
    volume = Synthesizer.from_checkpoint(folder, "cpu").synthesize(
        LabelMap(labels, ijk_to_ras, names)
    )
    assert volume.voxels_kji.shape == labels.shape
    assert np.isfinite(volume.voxels_kji).all()


def test_a_card_without_data_or_licence_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="licence is empty"):
        export_run(RunCheckpoint(run), "limb", tmp_path, replace(TEXTS, licence=" "))
    with pytest.raises(ValueError, match="cannot be the name of a model"):
        export_run(RunCheckpoint(run), "../limb", tmp_path, TEXTS)
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_bundled_model_is_refused_among_the_installed_ones(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    with pytest.raises(ValueError, match="brain-t1 is the name of a bundled model"):
        export_run(RunCheckpoint(run), "brain-t1", tmp_path / "models", TEXTS)
    assert not (tmp_path / "models").exists()
    assert export_run(RunCheckpoint(run), "brain-t1", tmp_path / "mine", TEXTS).is_dir()


def test_a_model_of_the_name_is_replaced_only_where_that_is_asked_for(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = (
        export_run(RunCheckpoint(run), "limb", tmp_path, replace(TEXTS, description="First."))
        / WEIGHTS_FILE
    )
    first = weights.read_bytes()
    export = ["models", "export", str(run), "limb", "--output", str(tmp_path)]
    assert main([*export, "--description", "Second."]) == 1
    assert "replace it with --replace" in capsys.readouterr().err
    assert weights.read_bytes() == first
    assert main([*export, "--description", "Second.", "--replace"]) == 0
    assert read_model(tmp_path / "limb")[0].description == "Second."


def test_a_run_without_checkpoint_is_told_with_what_there_is(run: Path, tmp_path: Path) -> None:
    (tmp_path / ".writing-5bce98f7-a337d32c6e36.safetensors").touch()  # of a killed process
    with pytest.raises(RunStateError, match="it has best, latest"):
        export_run(RunCheckpoint(run, "7"), "limb", tmp_path, TEXTS)
    with pytest.raises(RunStateError, match="none"):
        export_run(RunCheckpoint(tmp_path), "limb", tmp_path, TEXTS)


def test_a_changed_store_is_refused(run: Path, tmp_path: Path) -> None:
    other = write_tiny_store(tmp_path / "store", ("train", "validation"))
    with pytest.raises(ExportError, match="no longer the store of this run"):
        export_run(RunCheckpoint(run, store_folder=other), "limb", tmp_path, TEXTS)


def test_a_store_whose_arrays_have_changed_is_refused(run: Path, tmp_path: Path) -> None:
    store = shutil.copytree(run.parent / "store", tmp_path / "store")
    labels = np.load(store / "sub-2" / "labels.npy")
    np.save(store / "sub-2" / "labels.npy", np.roll(labels, 1, axis=1))
    with pytest.raises(ExportError, match="the arrays of sub-2 have changed"):
        export_run(RunCheckpoint(run, store_folder=store), "limb", tmp_path, TEXTS)


def test_the_card_names_subjects_that_have_other_names_than_their_cases(
    run: Path, tmp_path: Path
) -> None:
    card, _ = read_model(export_run(RunCheckpoint(run), "limb", tmp_path, TEXTS))
    assert "train subjects" not in card.training
    store = shutil.copytree(run.parent / "store", tmp_path / "store")
    index = json.loads((store / "store.json").read_text())
    for number, case in enumerate(index["cases"]):
        case["subject"] = f"person-{max(1, number)}"
    (store / "store.json").write_text(json.dumps(index))
    made = export_run(RunCheckpoint(run, store_folder=store), "limb-2", tmp_path, TEXTS)
    training = read_model(made)[0].training
    assert training["train subjects"] == "person-1, person-2"
    assert training["validation subjects"] == "person-3"


def test_the_command_line_takes_the_card_from_the_runs_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    store = write_tiny_store(tmp_path / "store")
    values = tiny_run_values(store, tmp_path / "run", optimizer={"steps": 1}, card=CARD)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    assert main(["train", "--config", str(tmp_path / "run.yaml"), "--device", "cpu"]) == 0
    archive = tmp_path / "limb.zip"
    export = ["models", "export", str(tmp_path / "run"), "limb", "--archive", str(archive)]
    assert main([*export, "--licence", "CC0"]) == 0
    assert archive.is_file()
    assert "--licence is now spelled --license" in capsys.readouterr().err
    assert main(["models", "show", "limb"]) == 0
    shown = capsys.readouterr().out
    assert "CC0" in shown and "generated" in shown
    assert main([*export, "--replace", "--license", "CC BY 4.0", "--licence", "CC0"]) == 0
    capsys.readouterr()
    assert main(["models", "show", "limb"]) == 0
    assert "License of the weights: CC BY 4.0" in capsys.readouterr().out


def test_statistics_of_superpixel_classes_are_near_their_levels(tmp_path: Path) -> None:
    store = open_store(write_tiny_store(tmp_path / "store", has_guidance=True))
    statistics = measure_label_statistics(store.of_split("train"), 4, "superpixels")
    for level, (mean, _) in statistics.items():
        assert mean == pytest.approx((int(level) * 10 + 4.5) / 255, abs=0.03)


def test_averaged_weights_of_another_network_are_refused(run: Path, tmp_path: Path) -> None:
    tensors, metadata = read_tensors(run / "latest.safetensors")
    tensors.pop(next(name for name in tensors if name.startswith("module/ema/")))
    header = {"version": str(STATE_VERSION), "run": json.dumps(metadata)}
    write_tensors(tmp_path / "run" / "latest.safetensors", tensors, header)
    with pytest.raises(RunStateError, match="averaged weights do not fit the run's generator"):
        export_run(
            RunCheckpoint(tmp_path / "run"),
            "limb",
            tmp_path / "models",
            replace(TEXTS, description="Limbs."),
        )
