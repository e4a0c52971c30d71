"""Every command of the recipe for CT, on generated archives with the folders of the real ones."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
import tiny_archives

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.synthesis.models.folder import find_model, read_card
from AnatoMaskGANLib.volumes import load_label_table, read_volume
from AnatoMaskGANLib.volumes.case_store import open_store

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPE = (REPOSITORY / "Documentation" / "recipe-abdomen-ct.md").read_text(encoding="utf-8")
SMALL = (
    *("optimizer.steps=4", "data.stack_size=4", "data.crop=[32,32]", 'precision="32"'),
    *("generator.channels=[16,16,8,8]", "discriminator.channels=8", "discriminator.num_layers=2"),
    *("discriminator.num_scales=1", "validation.every=0", "sheet_every=0", "tensorboard=false"),
    "optimizer.ema_decay=0.5",
)
GENERATOR = (*("generator.spade_hidden=8", "generator.fusion_stage=0"),)
ORGANS = ("liver", "spleen", "kidney_left", "kidney_right", "costal_cartilages")


def blocks_of(section: str, language: str = "bash") -> list[str]:
    """The code blocks below a heading of the recipe."""
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", RECIPE, re.MULTILINE | re.DOTALL)
    assert text is not None
    return re.findall(rf"^```{language}\n(.*?)^```", text[1], re.MULTILINE | re.DOTALL)


def run_commands(section: str) -> None:
    """Runs the commands of a section as they stand there; trainings with a small network."""
    (block,) = blocks_of(section)
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "anatomaskgan"
        if arguments[0] == "train":
            further = () if "image-to-mask" in line or "regression-unet" in line else GENERATOR
            given = arguments[arguments.index("--set") + 1 :] if "--set" in arguments else []
            head = arguments[: arguments.index("--set")] if given else arguments
            arguments = [*head, "--device", "cpu", "--set", *given, *SMALL, *further]
        elif arguments[0] in ("evaluate", "synthesize"):
            steps = ["--slice-step", "1"] if arguments[0] == "evaluate" else []
            arguments += ["--device", "cpu", *steps]
        assert main(arguments) == 0, line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder beside Resources, with a folder of its own for models."""
    (tmp_path / "Resources").symlink_to(REPOSITORY / "Resources")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    return tmp_path


def check_results(place: Path, model: str, store: str, table: str) -> None:
    """A card that names its data and table, figures of the held-out cases, and a marked volume."""
    card = read_card(find_model(model))
    assert card.unit == "HU" and tuple(card.window) == (-160.0, 240.0)
    assert card.label_table["name"] == table
    assert card.label_table["codes"] and card.licence
    stored = open_store(place / "stores" / store)
    assert stored.preparation["settings"]["remove_background"] is True
    rows = list(csv.DictReader((place / "metrics" / "figures.csv").open()))
    held_out = {case.name for case in stored.of_split("test")}
    assert {row["case"] for row in rows if row["method"] == "label-mean image"} == held_out
    report = (place / "metrics" / "report.html").read_text()
    assert "its metrics there prove nothing" not in report
    volume = read_volume(place / "synthetic.nii.gz")
    assert volume.voxels_kji.min() >= -161 and volume.voxels_kji.max() <= 241


def test_learn2reg_becomes_a_model_with_figures(place: Path) -> None:
    made = tiny_archives.l2r_abdomen_ct(place / "download", num_training=6)
    (made / "AbdomenCTCT").rename(place / "AbdomenCTCT")
    for file in sorted((place / "AbdomenCTCT").rglob("AbdomenCT_*")):
        file.rename(file.with_name(file.name.replace("AbdomenCT_", "AbdomenCTCT_")))
    run_commands("Learn2Reg AbdomenCT")
    check_results(place, "abdomen-ct", "l2r-abdomen-ct", "abdomen-ct-13")


@pytest.mark.slow
def test_btcv_becomes_a_model_with_figures_and_trained_judges(place: Path) -> None:
    made = tiny_archives.btcv(place / "download", num_training=6)
    (made / "Abdomen" / "RawData").rename(place / "RawData")
    run_commands("BTCV")
    check_results(place, "btcv", "btcv", "abdomen-ct-13")
    run_commands("Is it any good\\?")
    content = json.loads((place / "metrics-with-all" / "figures.json").read_text())
    assert "regression-unet" in content["summary"]
    assert content["summary"]["btcv, noise 1"]["feature_distance"]["mean"] > 0
    assert content["sets"]["btcv, noise 1"]["fid (segmenter)"] > 0


@pytest.mark.slow
def test_totalsegmentator_becomes_a_model_with_figures(place: Path) -> None:
    archive = place / "Totalsegmentator_dataset_v201"
    tiny_archives.totalsegmentator(archive, ORGANS, num_cases=5)
    (snippet,) = blocks_of("TotalSegmentator", "python")
    exec(snippet, {})  # the recipe's own lines
    table = load_label_table("totalsegmentator-v2")
    values = {name: value for value, name in table.labels.items()}
    labels = tiny_archives.anatomy(range(1, len(ORGANS) + 1))
    multilabel = sum((labels == n) * values[organ] for n, organ in enumerate(ORGANS, start=1))
    tiny_archives.write_nifti(place / "seg.nii.gz", multilabel, (1.5, 1.5, 1.5))
    run_commands("TotalSegmentator")
    check_results(place, "body-ct", "totalsegmentator", "totalsegmentator-v2")
    stored = open_store(place / "stores" / "totalsegmentator")
    assert [case.split for case in stored.cases] == ["train"] * 3 + ["validation", "test"]


def test_the_thirteen_organs_are_known_by_the_names_of_totalsegmentator() -> None:
    spellings = dict(load_label_table("abdomen-ct-13").spellings())
    theirs = {text for text, _ in load_label_table("totalsegmentator-v2").spellings()}
    assert {spellings[text] for text in spellings if text in theirs} == set(range(1, 14))
