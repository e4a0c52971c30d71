"""`anatomaskgan evaluate utility` on a store and a model of seconds."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tiny_models import tiny_card, tiny_generator, tiny_settings
from tiny_runs import LABEL_TABLE, SPACING_IJK_MM, WINDOW, write_tiny_store

from AnatoMaskGANLib.cli import main, with_joined_words
from AnatoMaskGANLib.commands.evaluate import utility as evaluate_utility
from AnatoMaskGANLib.commands.evaluate.utility import _draw, _sizes
from AnatoMaskGANLib.synthesis import write_model

SPLITS = ("train", "train", "train", "train", "test")
STATISTICS = {"0": (0.01, 0.0), "1": (0.45, 0.03), "2": (0.75, 0.03), "3": (0.8, 0.03)}
SMALL = (
    *("data.batch_size=6", "data.crop=[32,32]", "generator.channels=[32,16,8,8]"),
    *("optimizer.ema_decay=0.9", "validation.every=0"),
)


def write_limb_model(folder: Path, **changes: object) -> Path:
    """A model of the tiny stores' grid, window and labels, with random weights."""
    settings = tiny_settings(num_classes=4)
    values = {
        "generator": settings,
        "label_table": LABEL_TABLE,
        "spacing_ijk_mm": SPACING_IJK_MM,
        "window": WINDOW,
        "label_statistics": STATISTICS,
    }
    write_model(folder, tiny_card(**(values | changes)), tiny_generator(settings))
    return folder


def utility(store: Path, model: Path, output: Path, *arguments: str) -> int:
    places = ["evaluate", "utility", str(store), "--model", str(model), "--output", str(output)]
    return main([*places, "--device", "cpu", "--set", *SMALL, *arguments])


def test_segmenters_learn_from_every_source_and_are_measured_on_held_out_scans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store", SPLITS)
    model = write_limb_model(tmp_path / "limb")
    output = tmp_path / "utility"
    arguments = ["--steps", "40", "--fractions", "0.5", "1", "--seeds", "3", "--deform", "1"]
    assert utility(store, model, output, *arguments) == 0
    rows = list(csv.DictReader((output / "utility.csv").open()))
    assert {row["source"] for row in rows} == {"real", "synthetic", "both", "gaussian"}
    assert {row["real_subjects"] for row in rows} == {"2", "4"}
    assert {row["case"] for row in rows} == {"sub-4"}
    assert {row["name"] for row in rows} == {"skin", "left bone", "right bone"}

    def mean(source: str) -> float:
        found = [float(row["dice"]) for row in rows if row["source"] == source]
        return sum(found) / len(found)

    # Scans and Gaussian images teach what the scans look like; a random network's images do not.
    assert mean("real") > mean("synthetic") + 0.05
    assert mean("gaussian") > mean("synthetic") + 0.05
    # Four label maps and one deformation of each.
    assert len(list((output / "made" / "synthetic").iterdir())) == 8
    report = (output / "report.html").read_text()
    assert "Dice by the number of real subjects" in report
    assert "reward blur" not in report
    printed = capsys.readouterr().out
    assert "2 subjects" in printed and "gaussian" in printed


def test_what_was_measured_is_kept_and_seeds_of_several_calls_stand_in_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_tiny_store(tmp_path / "store", SPLITS)
    model = write_limb_model(tmp_path / "limb")
    output = tmp_path / "utility"
    arguments = ["--steps", "2", "--fractions", "1", "--sources", "real", "synthetic", "--seeds"]
    for seed in ("0", "1"):
        assert utility(store, model, output, *arguments, seed) == 0
    with monkeypatch.context() as patched:
        patched.setattr(evaluate_utility, "_train", None)  # would fail if it were called
        patched.setattr(evaluate_utility, "_make_images", None)
        assert utility(store, model, output, *arguments, "0", "1") == 0
    rows = list(csv.DictReader((output / "utility.csv").open()))
    assert {(row["source"], row["seed"]) for row in rows} == {
        (source, seed) for source in ("real", "synthetic") for seed in ("0", "1")
    }
    before = (output / "runs" / "real-4-seed0.json").read_text()
    assert utility(store, model, output, *arguments, "0", "--set", *SMALL, "data.flip=false") == 0
    assert (output / "runs" / "real-4-seed0.json").read_text() != before


def test_held_out_subjects_may_be_those_of_two_splits(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store", ("train", "train", "validation", "test"))
    model = write_limb_model(tmp_path / "limb")
    arguments = ["--steps", "2", "--fractions", "1", "--sources", "real", "--seeds", "0"]
    splits = ["--held-out", "validation", "test"]
    assert utility(store, model, tmp_path / "utility", *arguments, *splits) == 0
    rows = list(csv.DictReader((tmp_path / "utility" / "utility.csv").open()))
    assert {row["case"] for row in rows} == {"sub-2", "sub-3"}


def test_a_model_that_saw_held_out_subjects_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store", SPLITS)
    model = write_limb_model(tmp_path / "limb", training={"train cases": "sub-0, sub-4"})
    assert utility(store, model, tmp_path / "utility", "--steps", "2") == 1
    assert "was trained on sub-4, which are held out here" in capsys.readouterr().err
    assert not (tmp_path / "utility").exists()


def test_a_model_of_another_grid_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store", SPLITS)
    model = write_limb_model(tmp_path / "limb", spacing_ijk_mm=(1.0, 1.0, 1.0))
    assert utility(store, model, tmp_path / "utility", "--steps", "2") == 1
    assert "The grid of the model tiny" in capsys.readouterr().err


def test_a_store_without_held_out_subjects_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store", ("train", "train"))
    model = write_limb_model(tmp_path / "limb")
    assert utility(store, model, tmp_path / "utility", "--steps", "2") == 1
    assert "has 0 held-out cases" in capsys.readouterr().err


def test_more_subjects_hold_all_of_fewer() -> None:
    subjects = [f"s{number}" for number in range(9)]
    few, many = _draw(subjects, 3, seed=1), _draw(subjects, 6, seed=1)
    assert len(set(many)) == 6 and set(few) < set(many)
    assert _draw(subjects, 3, seed=2) != few


def test_sizes_are_whole_subjects_each_once() -> None:
    assert _sizes((0.01, 0.05, 0.5, 1.0), 11) == [1, 6, 11]
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        _sizes((1.5,), 11)


def test_two_words_name_one_command() -> None:
    assert with_joined_words(["evaluate", "utility", "store"]) == ["evaluate-utility", "store"]
    assert with_joined_words(["evaluate", "./utility"]) == ["evaluate", "./utility"]


def test_settings_that_train_no_segmenter_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store", SPLITS)
    model = write_limb_model(tmp_path / "limb")
    config = tmp_path / "run.yaml"
    config.write_text("direction: mask2image\n")
    arguments = ["--steps", "2", "--config", str(config)]
    assert utility(store, model, tmp_path / "utility", *arguments) == 1
    told = capsys.readouterr().err
    assert "direction mask2image; a segmenter needs image2mask" in told
