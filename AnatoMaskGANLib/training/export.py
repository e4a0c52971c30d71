"""A trained run becomes a model folder: the averaged weights with their card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from AnatoMaskGANLib.config import GeneratorSettings, settings_from_dict
from AnatoMaskGANLib.networks.kinds import build_generator
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis.models.archive import (
    check_model_name,
    refuse_bundled_name,
    refuse_taken_place,
)
from AnatoMaskGANLib.synthesis.models.folder import ModelCard, write_model
from AnatoMaskGANLib.training.checkpoints import LATEST, find_checkpoint
from AnatoMaskGANLib.training.condition_map import condition_table
from AnatoMaskGANLib.training.label_means import measure_label_statistics
from AnatoMaskGANLib.training.run_identity import changed_cases
from AnatoMaskGANLib.training.run_state import RunStateError, read_tensors
from AnatoMaskGANLib.training.settings import CardSettings
from AnatoMaskGANLib.volumes import LabelTable, load_label_table
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store

NOT_FOR = (
    "Diagnosis, treatment, or any use in which a synthetic image could be taken for a real scan."
)


class ExportError(ValueError):
    """A run that cannot become a model."""


def export_run(
    run_folder: Path,
    name: str,
    target_folder: Path,
    description: str,
    training_data: str,
    licence: str,
    not_for: str = NOT_FOR,
    checkpoint: str = LATEST,
    metrics: Mapping[str, Any] | None = None,
    store_folder: Path | None = None,
    replace: bool = False,
) -> Path:
    """Writes the model folder `target_folder / name` and gives back its path.

    checkpoint: "latest", "best" or the step of a numbered checkpoint. The store that the run was
    trained on must still be there, or lie in store_folder: the label statistics of the card are
    measured on its training split. Raises RunStateError, StoreError or ExportError for a run that
    cannot become a model, CheckpointError where a model of the name is, unless `replace`.
    """
    folder = target_folder / name
    refuse_bundled_name(check_model_name(name), target_folder)
    refuse_taken_place(folder, replace)
    for field, value in {"training_data": training_data, "licence": licence}.items():
        if not value.strip():
            raise ExportError(
                f"{field} is empty; the card of a model must name its training data and "
                f"the license of its weights. Give {field} in the settings or on the "
                "command line."
            )
    tensors, run = read_tensors(find_checkpoint(run_folder, checkpoint))
    prefix = "module/ema/"
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    generator = _generator(run, weights)
    store = open_store(store_folder or Path(run["settings"]["data"]["store"]))
    _check_same_store(store, run)
    guidance = run["settings"]["data"].get("guidance", "labels")
    card = ModelCard(
        name=name,
        description=description,
        generator=generator.settings,
        label_table=_label_table(condition_table(guidance, store.label_table)).to_dict(),
        spacing_ijk_mm=store.spacing_ijk_mm,
        window=store.window,
        unit=store.unit,
        training_data=training_data,
        licence=licence,
        not_for=not_for or NOT_FOR,
        metrics=dict(metrics or {}),
        label_statistics=measure_label_statistics(
            store.of_split("train"), store.num_classes, guidance
        ),
        output_labels=(
            _label_table(store.label_table).to_dict() if generator.settings.label_outputs else {}
        ),
        training=_training_summary(run, store),
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_model(folder, card, generator)
    return folder


def texts_of_run(run_folder: Path, checkpoint: str = LATEST) -> CardSettings:
    """What the run's settings say for the card; empty texts where they say nothing."""
    _, run = read_tensors(find_checkpoint(run_folder, checkpoint))
    return settings_from_dict(CardSettings, run["settings"].get("card", {}))


def _generator(run: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    generator = build_generator(settings_from_dict(GeneratorSettings, run["generator"]))
    try:
        generator.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise RunStateError(f"the averaged weights do not fit the run's generator: {error}") from (
            error
        )
    return generator.eval()


def _label_table(content: Mapping[str, Any]) -> LabelTable:
    """The run's table, with the codes and aliases of the bundled one that has the same labels."""
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
    # runs of earlier versions noted no contents
    changed = changed_cases(store, run["contents"]) if "contents" in run else []
    if changed:
        raise ExportError(
            f"{store.folder} is no longer the store of this run: the arrays of "
            f"{', '.join(changed)} have changed. Export with the store that the run was "
            "trained on."
        )


def _training_summary(run: Mapping[str, Any], store: CaseStore) -> dict[str, Any]:
    """Steps, seconds, cases by split and settings, without paths of the machine; the subjects too
    where they have other names than the cases."""
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
