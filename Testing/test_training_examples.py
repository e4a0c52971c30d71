from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tiny_runs import LABEL_TABLE, SPACING_IJK_MM, tiny_case, write_tiny_store

from AnatoMaskGANLib.commands.train import with_settings
from AnatoMaskGANLib.config import settings_from_dict
from AnatoMaskGANLib.networks.label_grids import NUM_LEVELS
from AnatoMaskGANLib.preparation.superpixels import superpixel_guidance
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis import Synthesizer
from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
from AnatoMaskGANLib.training.condition_map import condition_table
from AnatoMaskGANLib.training.dry_run import check_run
from AnatoMaskGANLib.training.export import RunCheckpoint, export_run
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes import LabelMap, Volume

EXAMPLES = sorted((resources_folder() / "Examples").glob("*.yaml"))
IJK_TO_RAS = np.diag([*SPACING_IJK_MM, 1.0])
SPLITS = ("train", "train", "train", "validation")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(
        tmp_path_factory.mktemp("data") / "store", SPLITS, has_guidance=True, unlabeled=(2,)
    )


@pytest.fixture(scope="module")
def labeled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("data") / "store", SPLITS[1:])


def made_small(values: dict[str, Any], store: Path, output: Path) -> dict[str, Any]:
    """The example's own method on small networks and data; the rest is as it stands."""
    changes: dict[str, Any] = {
        "data.store": str(store),
        "data.stack_size": 6,
        "data.crop": [32, 32],
        "output": str(output),
        "generator.channels": [16, 16, 8, 8],
        "generator.spade_hidden": 8,
        "optimizer.steps": 2,
        "optimizer.adversarial_start": 0,
        "discriminator.channels": 8,
        "discriminator.num_layers": 2,
        "discriminator.num_scales": 1,
        "losses.perceptual": 0.0,
        "precision": "32",
        "validation.cases": 1,
        "validation.slices": 6,
        "tensorboard": False,
    }
    if "patch_size" in values.get("discriminator", {}):
        changes["discriminator.patch_size"] = 16
    if values.get("generator", {}).get("kind", "anatomaskgan") == "anatomaskgan":
        changes["generator.fusion_stage"] = 0
    return with_settings(values, changes)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains_two_epochs_and_its_model_works(
    path: Path, store: Path, labeled_store: Path, tmp_path: Path
) -> None:
    values = yaml.safe_load(path.read_text())
    is_semi = values["data"].get("supervision") == "semi"
    chosen = store if is_semi else labeled_store
    small = made_small(values, chosen, tmp_path / "run")
    settings = settings_from_dict(TrainingSettings, small)
    epoch = check_run(settings, "cpu").steps_per_epoch
    settings = settings_from_dict(
        TrainingSettings,
        with_settings(
            small,
            {
                "optimizer.steps": 2 * epoch,
                "validation.every": 2 * epoch,
                "sheet_every": 2 * epoch,
            },
        ),
    )
    figures: list[dict[str, float]] = []
    train(
        settings,
        on_event=lambda e: figures.append(e["figures"]) if e["event"] == "validation" else None,
    )
    assert all(np.isfinite(list(entry.values())).all() for entry in figures)
    assert settings.validation.select_by in figures[-1]
    assert (tmp_path / "run" / "curves.png").is_file()
    assert list((tmp_path / "run" / "sheets").glob("*.png"))
    folder = export_run(RunCheckpoint(settings.folder), "example", tmp_path, settings.card)
    image, labels = tiny_case(7)
    if settings.direction != "mask2image":
        found = VolumeSegmenter.from_checkpoint(folder, "cpu", superpixel_guidance).segment(
            Volume(image.astype(np.float32), IJK_TO_RAS)
        )
        assert found.labels_kji.shape == labels.shape
        assert set(found.names.values()) <= set(LABEL_TABLE["labels"].values())
    if settings.direction == "image2mask":
        return
    if settings.data.guidance == "superpixels":
        labels = (np.clip(image, 0, 200) / 200 * 255 // 10).astype(np.uint8)
    table = condition_table(settings.data.guidance, LABEL_TABLE)
    names = {int(value): name for value, name in table["labels"].items()}
    names = {int(value): names[int(value)] for value in np.unique(labels) if value}
    volume = Synthesizer.from_checkpoint(folder, "cpu").synthesize(
        LabelMap(labels, IJK_TO_RAS, names), seed=1
    )
    assert volume.voxels_kji.shape == labels.shape
    assert np.isfinite(volume.voxels_kji).all()
    assert volume.voxels_kji.std() > 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_examples_settings_are_valid_as_they_stand(path: Path) -> None:
    settings = settings_from_dict(TrainingSettings, yaml.safe_load(path.read_text()))
    assert settings.output == f"runs/{path.stem}"
    assert settings.card.description and settings.card.training_data and settings.card.licence


def test_the_ablation_differs_in_its_modules_alone() -> None:
    rows = [
        yaml.safe_load((resources_folder() / "Examples" / f"ablation-{name}.yaml").read_text())
        for name in ("spade", "gnn", "gnn-noise", "full")
    ]
    switches = [
        (
            row["generator"].pop("use_gnn_fusion"),
            row["generator"].pop("use_noise3d"),
            row.pop("use_gray_texture"),
        )
        for row in rows
    ]
    assert switches == [
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    ]
    for row in rows:
        del row["output"], row["card"]
    assert rows[0] == rows[1] == rows[2] == rows[3]


def test_every_guidance_level_has_a_name() -> None:
    assert len(condition_table("superpixels", LABEL_TABLE)["labels"]) == NUM_LEVELS - 1
