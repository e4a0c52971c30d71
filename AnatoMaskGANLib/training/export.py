"""A trained run becomes a model folder: the averaged weights with their card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from AnatoMaskGANLib.config import GeneratorSettings, settings_from_dict
from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter
from AnatoMaskGANLib.networks.generator import build_generator
from AnatoMaskGANLib.networks.slice_batch import ImageGenerator
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis.models.archive import (
    check_model_name,
    refuse_bundled_name,
    refuse_taken_place,
)
from AnatoMaskGANLib.synthesis.models.folder import ModelCard, write_model
from AnatoMaskGANLib.training.checkpoints import (
    LATEST,
    RunStateError,
    find_checkpoint,
    read_tensors,
    tensors_of,
)
from AnatoMaskGANLib.training.condition_map import condition_table
from AnatoMaskGANLib.training.label_means import measure_label_statistics
from AnatoMaskGANLib.training.run_identity import changed_cases
from AnatoMaskGANLib.training.settings import CardSettings
from AnatoMaskGANLib.volumes import LabelTable, load_label_table
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store

NOT_FOR = (
    "Diagnosis, treatment, or any use in which a synthetic image could be mistaken for a real scan."
)


class ExportError(ValueError):
    """A run that cannot become a model."""


@dataclass(frozen=True)
class RunCheckpoint:
    """A trained run and which of its checkpoints is meant."""

    folder: Path
    checkpoint: str = LATEST
    """"latest", "best" or the step of a numbered checkpoint."""
    store_folder: Path | None = None
    """The folder of the run's store now; None if it has not moved."""

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and the metadata of the checkpoint."""
        return read_tensors(find_checkpoint(self.folder, self.checkpoint))


def export_run(
    run: RunCheckpoint,
    name: str,
    target_folder: Path,
    texts: CardSettings,
    metrics: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Path:
    """Writes the model folder `target_folder / name` and returns its path.

    texts: what the model's card says. metrics: results that stand in the card. The store that the
    run was trained on must still exist: the label statistics of the card are measured on its
    training split. Raises RunStateError, StoreError or ExportError for a run that cannot become a
    model, CheckpointError if a model of the name exists, unless `replace`.
    """
    folder = target_folder / name
    refuse_bundled_name(check_model_name(name), target_folder)
    refuse_taken_place(folder, replace)
    for field, value in {"training_data": texts.training_data, "licence": texts.licence}.items():
        if not value.strip():
            raise ExportError(
                f"{field} is empty; the card of a model must name its training data and "
                f"the license of its weights. Give {field} in the settings or on the "
                "command line."
            )
    tensors, metadata = run.read()
    generator = _generator(metadata, tensors_of(tensors, "ema"))
    store = open_store(run.store_folder or Path(metadata["settings"]["data"]["store"]))
    _check_same_store(store, metadata)
    guidance = metadata["settings"]["data"].get("guidance", "labels")
    card = ModelCard(
        name=name,
        description=texts.description,
        generator=generator.settings,
        label_table=_label_table(condition_table(guidance, store.label_table)).to_dict(),
        spacing_ijk_mm=store.spacing_ijk_mm,
        window=store.window,
        unit=store.unit,
        training_data=texts.training_data,
        licence=texts.licence,
        not_for=texts.not_for or NOT_FOR,
        metrics=dict(metrics or {}),
        label_statistics=measure_label_statistics(
            store.of_split("train"), store.num_classes, guidance
        ),
        output_labels=(
            _label_table(store.label_table).to_dict() if generator.settings.label_outputs else {}
        ),
        training=_training_summary(metadata, store),
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_model(folder, card, generator)
    return folder


def card_texts_of(run: RunCheckpoint) -> CardSettings:
    """The texts of the run's settings for the card; empty if the settings have none."""
    _, metadata = run.read()
    return settings_from_dict(CardSettings, metadata["settings"].get("card", {}))


def _generator(run: Mapping[str, Any], weights: Mapping[str, Tensor]) -> ImageGenerator | Segmenter:
    generator = build_generator(settings_from_dict(GeneratorSettings, run["generator"]))
    try:
        generator.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise RunStateError(f"the averaged weights do not fit the run's generator: {error}") from (
            error
        )
    return generator.eval()


def _label_table(content: Mapping[str, Any]) -> LabelTable:
    """The run's label table, as the bundled one with its codes and aliases if the labels agree."""
    table = LabelTable.from_dict(content)
    path = resources_folder() / "LabelTables" / f"{table.name}.json"
    if not path.is_file():
        return table
    bundled = load_label_table(path)
    return bundled if dict(bundled.labels) == dict(table.labels) else table


def _check_same_store(store: CaseStore, run: Mapping[str, Any]) -> None:
    common = run["store"]
    now = {case.name: case.split for case in store.cases}
    if now != common["cases"] or list(store.window) != list(common["window"]):
        raise ExportError(
            f"{store.folder} is no longer the store of this run: its cases, their split "
            "or its window have changed. Export with the store that the run was trained "
            "on."
        )
    # checkpoints of earlier versions have no contents
    changed = changed_cases(store, run["contents"]) if "contents" in run else []
    if changed:
        raise ExportError(
            f"{store.folder} is no longer the store of this run: the arrays of "
            f"{', '.join(changed)} have changed. Export with the store that the run was "
            "trained on."
        )


def _training_summary(run: Mapping[str, Any], store: CaseStore) -> dict[str, Any]:
    """Steps, seconds, cases by split and settings, without paths of the machine.

    Names the subjects too if they have other names than the cases.
    """
    cases: dict[str, list[str]] = {}
    for name, split in sorted(run["store"]["cases"].items()):
        cases.setdefault(split, []).append(name)
    settings = {key: value for key, value in run["settings"].items() if key != "output"}
    settings["data"] = {k: v for k, v in settings["data"].items() if k != "store"}
    return {
        "steps": run["step"],
        "seconds": round(float(run["seconds"])),
        **{f"{split} cases": ", ".join(names) for split, names in cases.items()},
        **_subjects(store),
        "settings": settings,
    }


def _subjects(store: CaseStore) -> dict[str, str]:
    if all(case.subject == case.name for case in store.cases):
        return {}
    splits = {case.split: store.of_split(case.split) for case in store.cases}
    return {
        f"{split} subjects": ", ".join(sorted({case.subject for case in cases}))
        for split, cases in splits.items()
    }
