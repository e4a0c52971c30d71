"""The ablation of Table II: which module helps by how much, with equal data, steps and seeds.

    python Testing/benchmarks/ablation.py --store STORE --output FOLDER [--seeds 0 1 2]
        [--steps N] [--device auto] [--set NAME=VALUE ...] [--lpips FILE]

Trains the four runs Resources/Examples/ablation-*.yaml with each seed on a case store, exports each
as a model, and measures all on the store's test split (the validation split where that is empty)
beside the label-mean and the per-label Gaussian image. A run that was stopped goes on; one that is
done is not trained again. FOLDER gets ablation.md (mean and deviation over seeds), report.html,
figures.csv, figures.json, the runs and the models. As measured: rows in which a module does not
help stay in the table.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from AnatoMaskGANLib.commands.evaluate import (
    LABEL_GAUSSIAN,
    LABEL_MEAN,
    label_gaussian_volume,
    label_mean_volume,
)
from AnatoMaskGANLib.commands.evaluation_cases import stored_label_map, stored_volume
from AnatoMaskGANLib.commands.train import parse_assignments, read_settings_file, with_settings
from AnatoMaskGANLib.config import settings_from_dict
from AnatoMaskGANLib.evaluation import (
    EvaluationCase,
    Measurements,
    Row,
    Table,
    evaluate_cases,
    write_report,
)
from AnatoMaskGANLib.evaluation.figures import figure_named
from AnatoMaskGANLib.evaluation.perceptual import PerceptualDistance, load_lpips
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer
from AnatoMaskGANLib.synthesis.devices import pick_device
from AnatoMaskGANLib.training.export import export_run
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes import Volume
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store

CONFIGURATIONS = {
    "SPADE": "ablation-spade",
    "+ GNN-SIF": "ablation-gnn",
    "+ GNN-SIF + 3D-SNI": "ablation-gnn-noise",
    "+ GNN-SIF + 3D-SNI + G-TC": "ablation-full",
}
SHOWN_FIGURES = (
    *("psnr", "ssim", "ssim_foreground", "lpips", "dz_ratio", "adjacent_ssim_ratio"),
    *("label_deviation_ratio", "label_wasserstein", "diversity"),
)
SPADE = "SPADE"
_SEEDS_OF_NOISE = (0, 1)


@dataclass(frozen=True)
class TrainedModel:
    """One run of the ablation as a model."""

    configuration: str
    seed: int
    synthesizer: Synthesizer


@dataclass(frozen=True)
class SeedRow:
    """Figures of one model and noise strength, or of a baseline, on one case."""

    method: str
    seed: int | None
    """None for a baseline, which no training makes."""
    row: Row


def run_settings(
    example: str, store: Path, folder: Path, seed: int, changes: Mapping[str, Any]
) -> TrainingSettings:
    """The example's settings on this store; `changes` are equal for all configurations."""
    values = read_settings_file(resources_folder() / "Examples" / f"{example}.yaml")
    fixed = {"data.store": str(store), "output": str(folder), "seed": seed}
    return settings_from_dict(TrainingSettings, with_settings(values, {**changes, **fixed}))


def train_all(
    store: Path, output: Path, seeds: Sequence[int], changes: Mapping[str, Any], device: str
) -> Iterator[TrainedModel]:
    """Every configuration with every seed, seed by seed, so that a stopped ablation compares."""
    chosen = str(pick_device(device))
    for seed in seeds:
        for configuration, example in CONFIGURATIONS.items():
            name = f"{example}-seed{seed}"
            settings = run_settings(example, store, output / "runs" / name, seed, changes)
            train(settings, chosen, on_event=_bar(f"{configuration}, seed {seed}"))
            texts = (configuration, settings.card.training_data, settings.card.licence)
            model = export_run(settings.folder, name, output / "models", *texts)
            yield TrainedModel(
                configuration, seed, Synthesizer.from_checkpoint(model, device=chosen)
            )


def _bar(name: str) -> Callable[[dict[str, Any]], None]:
    bar = tqdm(desc=name, unit="step", disable=None)

    def show(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            bar.reset(total=event["steps"])
        if event["event"] in ("start", "step", "done"):
            bar.n = event["step"]
            bar.refresh()
        if event["event"] == "done":
            bar.close()

    return show


def held_out_cases(store: CaseStore) -> list[EvaluationCase]:
    """The test cases of the store, or its validation cases, with labels and image."""
    found = [
        case
        for case in store.of_split("test") or store.of_split("validation")
        if case.image_sjk is not None and case.labels_sjk is not None
    ]
    if not found:
        raise ValueError(
            f"{store.folder} holds no test or validation case with labels and image; prepare it "
            "with a share for these."
        )
    return [
        EvaluationCase(
            case.name, stored_volume(store, case), stored_label_map(store, case), case.subject
        )
        for case in found
    ]


def measure_model(
    model: TrainedModel, cases: Sequence[EvaluationCase], perceptual: PerceptualDistance | None
) -> list[SeedRow]:
    """The rows of a model on all cases: at noise strength 1 and 0 where it has noise."""
    synthesizer = model.synthesizer
    has_noise = synthesizer.card.generator.use_noise3d
    found = []
    for strength in (1.0, 0.0) if has_noise else (0.0,):
        name = f"{model.configuration}, noise {strength:g}" if has_noise else model.configuration
        seeds = _SEEDS_OF_NOISE if strength else _SEEDS_OF_NOISE[:1]
        for case in cases:
            made = list(synthesizer.synthesize_samples(case.label_map, seeds, strength))
            samplers = {name: lambda case, seed, made=made: made[seed]} if strength else {}
            measurements = Measurements(perceptual, samplers=samplers, num_samples=len(seeds))
            rows = _rows({name: made[0]}, case, synthesizer.card, measurements)
            found += [SeedRow(name, model.seed, row) for row in rows]
    return found


def measure_baselines(
    card: ModelCard, cases: Sequence[EvaluationCase], perceptual: PerceptualDistance | None
) -> list[SeedRow]:
    """The rows of the images that need no learning."""
    found = []
    for case in cases:
        volumes = {
            LABEL_MEAN: label_mean_volume(case, card),
            LABEL_GAUSSIAN: label_gaussian_volume(case, card, seed=0),
        }
        rows = _rows(volumes, case, card, Measurements(perceptual))
        found += [SeedRow(row.method, None, row) for row in rows]
    return found


def _rows(
    volumes: Mapping[str, Volume],
    case: EvaluationCase,
    card: ModelCard,
    measurements: Measurements,
) -> tuple[Row, ...]:
    methods = {name: lambda case, volume=volume: volume for name, volume in volumes.items()}
    table = evaluate_cases([case], methods, card.window, card.spacing_ijk_mm, measurements)
    return table.rows


def as_table(found: Sequence[SeedRow]) -> Table:
    """A method a configuration; seeds of a subject are averaged, intervals are over subjects."""
    rows = []
    for entry in found:
        seed = "" if entry.seed is None else f", seed {entry.seed}"
        row = entry.row
        rows.append(Row(entry.method, f"{row.case}{seed}", row.subject, row.figures, row.labels))
    return Table(tuple(rows))


def markdown_table(found: Sequence[SeedRow], keys: Sequence[str] = SHOWN_FIGURES) -> str:
    """A line a method: the mean over seeds and subjects, +- the deviation of the seeds' means."""
    keys = [key for key in keys if any(key in entry.row.figures for entry in found)]
    figures = [figure_named(key) for key in keys]
    lines = [
        "| | " + " | ".join(figure.title for figure in figures) + " |",
        "|---" * (len(figures) + 1) + "|",
    ]
    for method in dict.fromkeys(entry.method for entry in found):
        cells = []
        for figure in figures:
            means = seed_means([entry for entry in found if entry.method == method], figure.key)
            cells.append(_cell(means, figure.decimals))
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def seed_means(found: Sequence[SeedRow], key: str) -> list[float]:
    """For every seed the mean of a figure over subjects, each subject counting once."""
    by_seed: dict[int | None, list[Row]] = {}
    for entry in found:
        by_seed.setdefault(entry.seed, []).append(entry.row)
    means = [Table(tuple(rows)).mean(rows[0].method, key) for rows in by_seed.values()]
    return [mean for mean in means if not math.isnan(mean)]


def _cell(means: Sequence[float], decimals: int) -> str:
    if not means:
        return "-"
    text = f"{np.mean(means):.{decimals}f}"
    return f"{text} ± {np.std(means, ddof=1):.{decimals}f}" if len(means) > 1 else text


def run_ablation(
    store_folder: Path,
    output: Path,
    seeds: Sequence[int],
    changes: Mapping[str, Any],
    device: str = "auto",
    perceptual: PerceptualDistance | None = None,
) -> Path:
    """Trains and measures everything; gives back the path of the Markdown table."""
    store = open_store(store_folder)
    cases = held_out_cases(store)
    found: list[SeedRow] = []
    card: ModelCard | None = None
    for model in train_all(store_folder, output, seeds, changes, device):
        if card is None:
            card = model.synthesizer.card
            found += measure_baselines(card, cases, perceptual)
        found += measure_model(model, cases, perceptual)
        _write(output, found, store, cases, seeds, changes)
    return output / "ablation.md"


def _write(
    output: Path,
    found: Sequence[SeedRow],
    store: CaseStore,
    cases: Sequence[EvaluationCase],
    seeds: Sequence[int],
    changes: Mapping[str, Any],
) -> None:
    """Writes all files anew: after every model, so that what is there can be read."""
    done = sorted({entry.seed for entry in found if entry.seed is not None})
    count = f"{len(cases)} held-out case{'s' if len(cases) != 1 else ''}"
    text = (
        f"Table II, measured on {count}; mean over subjects and seeds {done} ± deviation of the "
        f"seeds' means.\n\n{markdown_table(found)}"
    )
    write_bytes(output / "ablation.md", ".md", text.encode)
    write_report(
        output,
        as_table(found),
        title="Ablation of Table II",
        baseline=SPADE if any(entry.method == SPADE for entry in found) else LABEL_MEAN,
        settings={
            "Held-out cases": ", ".join(case.name for case in cases),
            "Training cases": ", ".join(case.name for case in store.of_split("train")),
            "Seeds": ", ".join(map(str, seeds)),
            "Changes to the examples": ", ".join(f"{k}={v}" for k, v in changes.items()) or "none",
        },
        label_names={int(value): name for value, name in store.label_table["labels"].items()},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all was trained and measured; prints the table."""
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary, epilog=rest)
    parser.add_argument("--store", type=Path, required=True, help="case store")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs and tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="instead of the examples' optimizer.steps")
    parser.add_argument("--set", nargs="+", default=[], help="NAME=VALUE for all configurations")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--lpips", type=Path, help="backbone weights of LPIPS (AlexNet)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    changes = parse_assignments(options.set)
    if options.steps is not None:
        changes["optimizer.steps"] = options.steps
    perceptual = load_lpips(options.lpips) if options.lpips else None
    options.output.mkdir(parents=True, exist_ok=True)
    written = run_ablation(
        options.store, options.output, options.seeds, changes, options.device, perceptual
    )
    print(written.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
