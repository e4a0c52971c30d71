"""The ablation of Table II: which module helps by how much, with equal data, steps and seeds.

    python Testing/benchmarks/ablation.py train   --store STORE --output FOLDER [--device cuda]
        [--configurations spade gnn gnn-noise full] [--seeds 0 1 2] [--steps N] [--set NAME=VALUE]
    python Testing/benchmarks/ablation.py measure --store STORE --output FOLDER
        [--segmenter PLACE] [--models brain-t1]
    python Testing/benchmarks/ablation.py table   --store STORE --output FOLDER

`train` runs Resources/Examples/ablation-*.yaml with each seed on a case store and exports each run
as a model; processes with a configuration and a seed each may run at once, on this machine or on
others. A run that was stopped goes on; one that is done is not trained again. `measure` measures
every model of the folder, and those that are named, on the subjects that no training saw (test and
validation split) beside the label-mean and the per-label Gaussian image; what was measured already
is kept. `table` writes ablation.md (mean over subjects and seeds, deviation over seeds),
report.html, figures.csv, labels.csv and figures.json. As measured: rows in which a module does not
help stay in the table.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from AnatoMaskGANLib.commands.evaluation_baselines import (
    LABEL_GAUSSIAN,
    LABEL_MEAN,
    label_gaussian_volume,
    label_mean_volume,
)
from AnatoMaskGANLib.commands.evaluation_cases import CaseReader, stored_label_map, stored_volume
from AnatoMaskGANLib.commands.evaluation_networks import (
    as_segmenter,
    encoder_maps,
    load_segmenter,
)
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
from AnatoMaskGANLib.evaluation.label_statistics import LabelStatistics
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer
from AnatoMaskGANLib.synthesis.devices import pick_device
from AnatoMaskGANLib.training.export import export_run
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes import Volume
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store


@dataclass(frozen=True)
class Configuration:
    """A line of the table that is trained here."""

    title: str
    example: str
    """Its settings: the name of a file in Resources/Examples."""


CONFIGURATIONS = {
    "spade": Configuration("SPADE", "ablation-spade"),
    "gnn": Configuration("+ GNN-SIF", "ablation-gnn"),
    "gnn-noise": Configuration("+ GNN-SIF + 3D-SNI", "ablation-gnn-noise"),
    "full": Configuration("+ GNN-SIF + 3D-SNI + G-TC", "ablation-full"),
    "recipe": Configuration("recipe of brain-t1", "brain-t1"),
}
TABLE_II = ("spade", "gnn", "gnn-noise", "full")
SHOWN_FIGURES = (
    *("psnr", "ssim", "ssim_foreground", "mae_foreground", "lpips", "feature_distance"),
    *("dz_ratio", "label_deviation_ratio", "label_deviation_share", "label_wasserstein"),
    *("dice_ratio", "diversity", "samples_dice"),
)
SPADE = CONFIGURATIONS["spade"].title
BASELINES = "baselines"
_SEEDS_OF_NOISE = (0, 1)


@dataclass(frozen=True)
class SeedRow:
    """Figures of one model and noise strength, or of a baseline, on one case."""

    method: str
    seed: int | None
    """None for a baseline or a model that was trained elsewhere."""
    row: Row


def run_settings(
    example: str, store: Path, folder: Path, seed: int, changes: Mapping[str, Any]
) -> TrainingSettings:
    """The example's settings on this store; `changes` are equal for all configurations."""
    values = read_settings_file(resources_folder() / "Examples" / f"{example}.yaml")
    fixed = {"data.store": str(store), "output": str(folder), "seed": seed}
    return settings_from_dict(TrainingSettings, with_settings(values, {**changes, **fixed}))


def train_run(
    key: str, seed: int, store: Path, output: Path, changes: Mapping[str, Any], device: str
) -> Path:
    """The model folder of one configuration and seed, trained as far as it was not yet."""
    name = f"{key}-seed{seed}"
    configuration = CONFIGURATIONS[key]
    settings = run_settings(configuration.example, store, output / "runs" / name, seed, changes)
    train(settings, str(pick_device(device)), on_event=_bar(name))
    texts = (configuration.title, settings.card.training_data, settings.card.licence)
    return export_run(settings.folder, name, output / "models", *texts)


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


def trained_models(output: Path) -> list[Path]:
    """The models of the folder in the order of the table, then by seed."""
    order = list(CONFIGURATIONS)
    found = [
        folder for folder in (output / "models").glob("*-seed*") if _key_of(folder.name) in order
    ]
    return sorted(found, key=lambda folder: (order.index(_key_of(folder.name)), folder.name))


def _key_of(name: str) -> str:
    return name.rpartition("-seed")[0]


def held_out_cases(store: CaseStore) -> list[EvaluationCase]:
    """The cases of the store that no training saw, with labels and image."""
    found = [
        case
        for split in ("validation", "test")
        for case in store.of_split(split)
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
    synthesizer: Synthesizer,
    method: str,
    seed: int | None,
    cases: Sequence[EvaluationCase],
    measurements: Measurements,
) -> list[SeedRow]:
    """The rows of a model on all cases: at noise strength 1 and 0 where it has noise."""
    has_noise = synthesizer.card.generator.use_noise3d
    found = []
    for case in cases:
        made: dict[str, list[Volume]] = {}
        for strength in (1.0, 0.0) if has_noise else (0.0,):
            name = f"{method}, noise {strength:g}" if has_noise else method
            seeds = _SEEDS_OF_NOISE if has_noise else _SEEDS_OF_NOISE[:1]
            made[name] = list(synthesizer.synthesize_samples(case.label_map, seeds, strength))
        several = Measurements(
            segmenter=measurements.segmenter,
            feature_maps=measurements.feature_maps,
            samplers={
                name: lambda case, number, volumes=volumes: volumes[number]
                for name, volumes in made.items()
                if len(volumes) > 1
            },
            num_samples=len(_SEEDS_OF_NOISE),
        )
        firsts = {name: volumes[0] for name, volumes in made.items()}
        rows = _rows(firsts, case, synthesizer.card, several)
        found += [SeedRow(row.method, seed, row) for row in rows]
    return found


def measure_baselines(
    card: ModelCard, cases: Sequence[EvaluationCase], measurements: Measurements
) -> list[SeedRow]:
    """The rows of the images that need no learning."""
    found = []
    for case in cases:
        volumes = {
            LABEL_MEAN: label_mean_volume(case, card),
            LABEL_GAUSSIAN: label_gaussian_volume(case, card, seed=0),
        }
        rows = _rows(volumes, case, card, measurements)
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


def measure_all(
    store_folder: Path,
    output: Path,
    models: Sequence[str] = (),
    segmenter: str | None = None,
    device: str = "auto",
    only: Sequence[str] = (),
) -> list[Path]:
    """Measures what is not measured yet; gives back the files in the order of the table.

    only: the names of those that are measured by this call; all when empty.
    """
    cases = held_out_cases(open_store(store_folder))
    trained = trained_models(output)
    places = {folder.name: str(folder) for folder in trained} | {name: name for name in models}
    if not places:
        raise ValueError(f"{output / 'models'} holds no model of the ablation; train one first.")
    measurements: Measurements | None = None
    files = []
    for name in (BASELINES, *places):
        file = output / "measured" / f"{Path(name).name}.json"
        files.append(file)
        if file.is_file() or (only and name not in only):
            continue
        place = places.get(name, next(iter(places.values())))
        synthesizer = Synthesizer.from_checkpoint(place, device=device)
        if measurements is None:
            measurements = _measurements(synthesizer, segmenter, device)
        if name == BASELINES:
            found = measure_baselines(synthesizer.card, cases, measurements)
        else:
            key, _, seed = name.rpartition("-seed")
            is_ours = key in CONFIGURATIONS
            title = CONFIGURATIONS[key].title if is_ours else synthesizer.card.name
            found = measure_model(
                synthesizer, title, int(seed) if is_ours else None, cases, measurements
            )
        write_rows(file, found)
    return files


def _measurements(synthesizer: Synthesizer, place: str | None, device: str) -> Measurements:
    if place is None:
        return Measurements()
    loaded = load_segmenter(place, None, synthesizer.card, device)
    return Measurements(
        segmenter=as_segmenter(loaded, CaseReader(synthesizer)), feature_maps=encoder_maps(loaded)
    )


def write_rows(file: Path, found: Iterable[SeedRow]) -> None:
    """Writes rows so that `read_rows` gives them back, numbers in full precision."""
    content = [asdict(entry) for entry in found]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, ".json", json.dumps(content).encode)


def read_rows(file: Path) -> list[SeedRow]:
    """What `write_rows` wrote."""
    found = []
    for entry in json.loads(file.read_text(encoding="utf-8")):
        values = dict(entry["row"])
        values["labels"] = {
            int(value): LabelStatistics(**statistics)
            for value, statistics in values["labels"].items()
        }
        found.append(SeedRow(entry["method"], entry["seed"], Row(**values)))
    return found


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


def write_tables(store_folder: Path, output: Path) -> Path:
    """Writes all tables from what was measured; gives back the path of the Markdown table."""
    names = [BASELINES, *(folder.name for folder in trained_models(output))]
    files = sorted((output / "measured").glob("*.json"))
    files.sort(key=lambda file: names.index(file.stem) if file.stem in names else len(names))
    found = [row for file in files for row in read_rows(file)]
    if not found:
        raise ValueError(f"{output / 'measured'} holds no figures; measure the models first.")
    store = open_store(store_folder)
    cases = sorted({entry.row.case for entry in found})
    seeds = sorted({entry.seed for entry in found if entry.seed is not None})
    count = f"{len(cases)} held-out case{'s' if len(cases) != 1 else ''}"
    text = (
        f"Measured on {count} ({', '.join(cases)}); mean over subjects and seeds {seeds} ± "
        f"deviation of the seeds' means.\n\n{markdown_table(found)}"
    )
    write_bytes(output / "ablation.md", ".md", text.encode)
    write_report(
        output,
        as_table(found),
        title="Ablation of Table II",
        baseline=SPADE if any(entry.method == SPADE for entry in found) else LABEL_MEAN,
        settings={
            "Held-out cases": ", ".join(cases),
            "Training cases": ", ".join(case.name for case in store.of_split("train")),
            "Seeds": ", ".join(map(str, seeds)),
            "Steps": ", ".join(_steps(output)),
        },
        label_names={int(value): name for value, name in store.label_table["labels"].items()},
    )
    return output / "ablation.md"


def _steps(output: Path) -> list[str]:
    """Name and steps of every trained model, from its card."""
    cards = [Synthesizer.from_checkpoint(folder, "cpu").card for folder in trained_models(output)]
    return [f"{card.name} {card.training.get('steps')}" for card in cards]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all was done that was asked; prints the models or the table."""
    summary, _, rest = (__doc__ or "").partition("\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=summary, epilog=rest, formatter_class=form)
    parser.add_argument("step", choices=("train", "measure", "table", "all"))
    parser.add_argument("--store", type=Path, required=True, help="case store")
    parser.add_argument("--output", type=Path, required=True, help="folder for models and tables")
    parser.add_argument("--configurations", nargs="+", choices=CONFIGURATIONS, default=TABLE_II)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="instead of the examples' optimizer.steps")
    parser.add_argument("--set", nargs="+", default=[], help="NAME=VALUE for all configurations")
    parser.add_argument("--models", nargs="+", default=[], help="further models to measure")
    parser.add_argument("--segmenter", help="for Dice and perceptual distance: model or run")
    parser.add_argument("--only", nargs="+", default=[], help="measure these, by name")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    changes = parse_assignments(options.set)
    if options.steps is not None:
        changes["optimizer.steps"] = options.steps
    store, output, device = options.store, options.output, options.device
    if options.step in ("train", "all"):
        for seed in options.seeds:  # seed by seed, so that a stopped ablation compares
            for key in options.configurations:
                print(train_run(key, seed, store, output, changes, device))
    if options.step in ("measure", "all"):
        measure_all(store, output, options.models, options.segmenter, device, options.only)
    if options.step in ("table", "all"):
        print(write_tables(store, output).read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
