"""The ablation of Table II: which module helps by how much, with equal data, steps and seeds.

    python Testing/benchmarks/ablation.py train   --store STORE --output FOLDER [--device cuda]
        [--examples ablation-spade ablation-full ...] [--seeds 0 1 2] [--steps N]
        [--set NAME=VALUE ...]
    python Testing/benchmarks/ablation.py measure --store STORE --output FOLDER
        [--segmenter PLACE] [--models brain-t1] [--noise-seeds 0 1]
    python Testing/benchmarks/ablation.py table   --store STORE --output FOLDER

`train` runs settings of Resources/Examples with each seed on a case store; processes with an
example and a seed each may run at once, on this machine or on others. A run that was stopped goes
on; one that is done is not trained again. `measure` exports every run of the folder that is done as
a model and measures it, and the models that are named, on the subjects that no training saw (test
and validation split) beside the label-mean and the per-label Gaussian image; what was measured
already is kept. `table` writes ablation.md (mean over subjects and seeds, deviation over seeds),
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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from AnatoMaskGANLib.commands.evaluate.baselines import (
    LABEL_GAUSSIAN,
    LABEL_MEAN,
    label_gaussian_volume,
    label_mean_volume,
)
from AnatoMaskGANLib.commands.evaluate.cases import CaseReader, stored_label_map, stored_volume
from AnatoMaskGANLib.commands.evaluate.networks import (
    as_segmenter,
    encoder_maps,
    load_segmenter,
)
from AnatoMaskGANLib.commands.train import parse_assignments, read_settings_file, with_settings
from AnatoMaskGANLib.config import settings_from_dict
from AnatoMaskGANLib.evaluation import (
    EvaluationCase,
    Measurements,
    ReportContents,
    Row,
    Table,
    evaluate_cases,
    write_report,
)
from AnatoMaskGANLib.evaluation.metrics.definitions import metric_named
from AnatoMaskGANLib.evaluation.metrics.label_intensities import LabelStatistics
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer
from AnatoMaskGANLib.synthesis.devices import pick_device
from AnatoMaskGANLib.training.checkpoints import LATEST, checkpoint_file, read_tensors
from AnatoMaskGANLib.training.export import RunCheckpoint, card_texts_of, export_run
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes import Volume
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store

CONFIGURATIONS = {
    "ablation-spade-own": "SPADE, its own objective",
    "ablation-spade": "SPADE",
    "ablation-gnn": "+ GNN-SIF",
    "ablation-gnn-noise": "+ GNN-SIF + 3D-SNI",
    "ablation-full": "+ GNN-SIF + 3D-SNI + G-TC",
    "brain-t1": "brain-t1's recipe",
}
"""Lines of the table by the examples that train them. The first is the published baseline; the
next four have one objective and differ in their modules alone; the last is the bundled model's."""
SHOWN_METRICS = (
    *("psnr", "ssim", "ssim_foreground", "mae_foreground", "lpips", "feature_distance"),
    *("dz_ratio", "label_deviation_ratio", "label_deviation_share", "label_wasserstein"),
    *("dice_ratio", "diversity", "samples_dice"),
)
SPADE = CONFIGURATIONS["ablation-spade"]
BASELINES = "baselines"


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
    example: str, seed: int, store: Path, output: Path, changes: Mapping[str, Any], device: str
) -> Path:
    """The folder of the run of one example and seed, trained as far as it was not yet."""
    folder = output / "runs" / f"{example}-seed{seed}"
    settings = run_settings(example, store, folder, seed, changes)
    train(settings, str(pick_device(device)), on_event=_bar(folder.name))
    return folder


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


@dataclass(frozen=True)
class Measurable:
    """A model of the table: one that is trained here, or another."""

    name: str
    place: str
    """Name or folder, as `Synthesizer.from_checkpoint` takes it."""
    title: str | None = None
    """Its line in the table; the model's own name where it was trained elsewhere."""
    seed: int | None = None


def trained_models(store: Path, output: Path) -> list[Measurable]:
    """Every run of the folder that is done, as a model: seed by seed, each in the table's order, so
    that an ablation that is not finished compares.
    """
    order = list(CONFIGURATIONS)
    found = []
    for run in (output / "runs").glob("*-seed*"):
        example, _, seed = run.name.rpartition("-seed")
        if example in order and is_done(run):
            found.append((int(seed), order.index(example), run))
    return [
        Measurable(run.name, str(exported(run, store, output)), CONFIGURATIONS[order[rank]], seed)
        for seed, rank, run in sorted(found)
    ]


def is_done(run: Path) -> bool:
    """Whether the run's last checkpoint is that of its last step."""
    checkpoint = checkpoint_file(run, LATEST)
    if not checkpoint.is_file():
        return False
    _, metadata = read_tensors(checkpoint)
    return metadata["step"] >= metadata["settings"]["optimizer"]["steps"]


def exported(run: Path, store: Path, output: Path) -> Path:
    """The model folder of a run, made if it is not there."""
    folder = output / "models" / run.name
    if not folder.is_dir():
        source = RunCheckpoint(run, store_folder=store)
        export_run(source, run.name, output / "models", card_texts_of(source))
    return folder


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
    noise_seeds: Sequence[int] = (0, 1),
) -> list[SeedRow]:
    """The rows of a model on all cases: at noise strength 1 and 0 where it has noise.

    Volumes of several noise seeds are measured for their diversity.
    """
    has_noise = synthesizer.card.generator.use_noise3d
    found = []
    for case in cases:
        made: dict[str, list[Volume]] = {}
        for strength in (1.0, 0.0) if has_noise else (0.0,):
            name = f"{method}, noise {strength:g}" if has_noise else method
            seeds = noise_seeds if strength else noise_seeds[:1]
            made[name] = list(
                synthesizer.synthesize_samples(case.label_map, seeds=seeds, noise_strength=strength)
            )
        several = Measurements(
            segmenter=measurements.segmenter,
            feature_maps=measurements.feature_maps,
            samplers={
                name: lambda case, number, volumes=volumes: volumes[number]
                for name, volumes in made.items()
                if len(volumes) > 1
            },
            num_samples=len(noise_seeds),
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
    noise_seeds: Sequence[int] = (0, 1),
) -> None:
    """Measures what is not measured yet, each model into a file of its own."""
    cases = held_out_cases(open_store(store_folder))
    measurables = trained_models(store_folder, output)
    measurables += [Measurable(Path(model).name, model) for model in models]
    if not measurables:
        raise ValueError(f"{output / 'runs'} holds no run that is done; train one first.")
    measurements: Measurements | None = None
    baselines = Measurable(BASELINES, measurables[0].place)
    for measurable in tqdm((baselines, *measurables), disable=None, unit="model"):
        file = output / "measured" / f"{measurable.name}.json"
        if file.is_file():
            continue
        synthesizer = Synthesizer.from_checkpoint(measurable.place, device=device)
        if measurements is None:
            measurements = _measurements(synthesizer, segmenter, device)
        if measurable is baselines:
            found = measure_baselines(synthesizer.card, cases, measurements)
        else:
            title = measurable.title or synthesizer.card.name
            run = (synthesizer, title, measurable.seed)
            found = measure_model(*run, cases, measurements, noise_seeds)
        write_rows(file, found)


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
        rows.append(Row(entry.method, f"{row.case}{seed}", row.subject, row.metrics, row.labels))
    return Table(tuple(rows))


def markdown_table(found: Sequence[SeedRow], keys: Sequence[str] = SHOWN_METRICS) -> str:
    """A line a method: the mean over seeds and subjects, +- the deviation of the seeds' means."""
    keys = [key for key in keys if any(key in entry.row.metrics for entry in found)]
    figures = [metric_named(key) for key in keys]
    lines = [
        "| | " + " | ".join(figure.title.replace("|", "\\|") for figure in figures) + " |",
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
    names = [BASELINES, *(model.name for model in trained_models(store_folder, output))]
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
    contents = ReportContents(
        title="Ablation of Table II",
        baseline=SPADE if any(entry.method == SPADE for entry in found) else LABEL_MEAN,
        settings={
            "Held-out cases": ", ".join(cases),
            "Training cases": ", ".join(case.name for case in store.of_split("train")),
            "Seeds": ", ".join(map(str, seeds)),
            "Settings of the runs": "; ".join(_described_runs(output)),
        },
        label_names={int(value): name for value, name in store.label_table["labels"].items()},
    )
    write_report(output, as_table(found), contents)
    return output / "ablation.md"


def _described_runs(output: Path) -> list[str]:
    """What every run saw, and for how long it was trained."""
    found = []
    for run in sorted((output / "runs").glob("*-seed*")):
        if is_done(run):
            _, metadata = read_tensors(checkpoint_file(run, LATEST))
            data = metadata["settings"]["data"]
            found.append(
                f"{run.name}: {metadata['step']} steps of {data['batch_size']} x "
                f"{data['stack_size']} slices of {data['crop']} pixels, "
                f"{metadata['seconds']:.0f} s"
            )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all was done that was asked; prints the models or the table."""
    summary, _, rest = (__doc__ or "").partition("\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=summary, epilog=rest, formatter_class=form)
    parser.add_argument("step", choices=("train", "measure", "table", "all"))
    parser.add_argument("--store", type=Path, required=True, help="case store")
    parser.add_argument("--output", type=Path, required=True, help="folder for models and tables")
    parser.add_argument("--examples", nargs="+", choices=CONFIGURATIONS, default=[*CONFIGURATIONS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="instead of the examples' optimizer.steps")
    parser.add_argument("--set", nargs="+", default=[], help="NAME=VALUE for all configurations")
    parser.add_argument("--models", nargs="+", default=[], help="further models to measure")
    parser.add_argument("--noise-seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--segmenter", help="for Dice and perceptual distance: model or run")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    changes = parse_assignments(options.set)
    if options.steps is not None:
        changes["optimizer.steps"] = options.steps
    store, output, device = options.store, options.output, options.device
    if options.step in ("train", "all"):
        for seed in options.seeds:  # seed by seed, so that a stopped ablation compares
            for example in options.examples:
                print(train_run(example, seed, store, output, changes, device))
    if options.step in ("measure", "all"):
        judges = (options.segmenter, device, options.noise_seeds)
        measure_all(store, output, options.models, *judges)
    if options.step in ("table", "all"):
        print(write_tables(store, output).read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
