"""`anatomaskgan evaluate utility`: what synthetic images are worth for training a segmenter."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.commands.bounded_numbers import DeformationCount
from AnatoMaskGANLib.commands.evaluate.baselines import label_gaussian_volume
from AnatoMaskGANLib.commands.evaluate.cases import (
    check_prepared_for,
    stored_label_map,
    stored_volume,
)
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.printable_text import printable
from AnatoMaskGANLib.commands.result_files import make_folder
from AnatoMaskGANLib.commands.synthesize import Device
from AnatoMaskGANLib.commands.train import parse_assignments, read_settings_file, with_settings
from AnatoMaskGANLib.json_text import parse_json

if TYPE_CHECKING:
    from AnatoMaskGANLib.evaluation.utility import UtilityRun
    from AnatoMaskGANLib.synthesis import Synthesizer
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.training.settings import TrainingSettings
    from AnatoMaskGANLib.volumes import LabelMap, Volume
    from AnatoMaskGANLib.volumes.case_store import CaseStore, StoredCase

Source = Literal["real", "synthetic", "both", "gaussian"]
DEFAULT_CONFIG = "image-to-mask.yaml"
_DEFORMATION_SEEDS = 1_000_003  # apart from those of the cases

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UtilityOptions:
    """Train segmenters on real images, on synthetic images, on both, and on per-label Gaussian
    images, and measure each one on held-out real subjects. Results are kept: the same command
    continues where it was stopped, and processes with different seeds may share an output
    folder."""

    output: Path
    """Folder for report.html, utility.csv, figures.json, the synthetic images and the results of
    each segmenter."""
    store: Path = positional()
    """Case store (anatomaskgan prepare) on the grid of the model. Its training split provides label
    maps and scans; its test split (or its validation split, if the test split is empty) provides
    the held-out subjects."""
    held_out: tuple[Literal["test", "validation"], ...] = ("test",)
    """Splits whose subjects are used to measure the segmenters."""
    model: str = "brain-t1"
    """Model that makes the synthetic images. It must not have been trained on the held-out
    subjects."""
    sources: tuple[Source, ...] = ("real", "synthetic", "both", "gaussian")
    """Images that the segmenters learn from, all with the same number of steps."""
    fractions: tuple[PositiveFloat, ...] = (0.25, 0.5, 1.0)
    """Fractions of the training subjects to learn from, above 0 and up to 1."""
    seeds: tuple[NonNegativeInt, ...] = (0, 1, 2)
    """Seeds of the experiment. Each one draws the subjects, the first weights and the order of
    training anew."""
    deform: DeformationCount = 0
    """Number of further anatomies made from each label map by deformation, for the synthetic and
    the Gaussian images."""
    config: Path | None = None
    """YAML file with the segmenter's training settings; by default
    Resources/Examples/image-to-mask.yaml."""
    steps: PositiveInt | None = None
    """Training steps of each segmenter; overrides the file."""
    set: tuple[str, ...] = ()
    """Further settings that override the file, for example: data.stack_size=4"""
    device: Device = "auto"
    """Device on which the networks run; auto takes a GPU if there is one."""


def evaluate_utility(options: UtilityOptions) -> int:
    """Returns 0 if all segmenters were trained and measured; prints the table of Dice."""
    from AnatoMaskGANLib.evaluation import ReportContents, write_report
    from AnatoMaskGANLib.evaluation.utility import UtilityTable
    from AnatoMaskGANLib.synthesis import Synthesizer
    from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
    from AnatoMaskGANLib.volumes.case_store import open_store

    store = open_store(options.store)
    held_out = _held_out(store, options.held_out)
    training = _usable(store.of_split("train"))
    subjects = sorted({case.subject for case in training})
    sizes = _sizes(options.fractions, len(subjects))
    settings = _settings(options)
    synthesizer = Synthesizer.from_checkpoint(options.model, device=options.device)
    _check_model(synthesizer, store, held_out)
    make_folder(options.output)
    experiment = _experiment_hash(options, settings, store, held_out, synthesizer)
    plan = [
        _Planned(source, size, seed, options.output / "runs" / f"{source}-{size}-seed{seed}.json")
        for size in sizes
        for seed in options.seeds
        for source in dict.fromkeys(options.sources)
    ]
    kept = {planned: planned.measured(experiment) for planned in plan}
    missing = [planned for planned in plan if kept[planned] is None]
    sources = _make_images(options, store, training, synthesizer) if missing else {}
    with logging_redirect_tqdm(), tqdm(missing, disable=None, unit="segmenter") as bar:
        for planned in bar:
            bar.set_postfix_str(f"{planned.source}, {planned.size} subjects, seed {planned.seed}")
            chosen = set(_draw(subjects, planned.size, planned.seed))
            cases = [case for case in sources[planned.source] if case.subject in chosen]
            seeded = replace(settings, seed=planned.seed)
            segmenter = _train(seeded, store, cases, options.device)
            run = _measure(segmenter, store, held_out, planned)
            planned.keep(run, experiment)
            kept[planned] = run
    runs = [run for run in kept.values() if run is not None]
    table = UtilityTable(tuple(runs), {case.name: case.subject for case in held_out})
    labels = {int(value): name for value, name in store.label_table["labels"].items()}
    csv = options.output / "utility.csv"
    write_bytes(csv, ".csv", table.to_csv(labels).encode)
    contents = ReportContents(
        title=f"Utility of {synthesizer.card.name} for training a segmenter",
        settings=_described(options, settings, synthesizer, held_out),
        notes=_notes(synthesizer),
        plots={"Dice by the number of real subjects": table.figure()},
    )
    report = write_report(options.output, table.as_table(), contents)
    print(printable(table.to_text()))
    print(f"Every label: {csv}; report: {report}")
    return 0


@dataclass(frozen=True)
class _Planned:
    """A segmenter of the experiment, and the file that keeps what it reached."""

    source: Source
    size: int
    seed: int
    file: Path

    def measured(self, experiment: str) -> UtilityRun | None:
        """The run that the file keeps; None without one, or if it is of another experiment."""
        from AnatoMaskGANLib.evaluation.utility import UtilityRun

        if not self.file.is_file():
            return None
        content = parse_json(self.file.read_bytes())
        if content["experiment"] != experiment:
            _log.info("%s is of another experiment and is measured again", self.file)
            return None
        dice = {
            case: {int(value): number for value, number in labels.items()}
            for case, labels in content["dice"].items()
        }
        return UtilityRun(self.source, self.size, self.seed, dice)

    def keep(self, run: UtilityRun, experiment: str) -> None:
        """Writes the file."""
        from AnatoMaskGANLib.volumes.atomic_writing import write_bytes

        make_folder(self.file.parent)
        content = json.dumps({"experiment": experiment, "dice": run.dice})
        write_bytes(self.file, ".json", content.encode)


def _experiment_hash(
    options: UtilityOptions,
    settings: TrainingSettings,
    store: CaseStore,
    held_out: Sequence[StoredCase],
    synthesizer: Synthesizer,
) -> str:
    """Equal for runs that belong into one table, whatever folders and seeds they have."""
    from AnatoMaskGANLib.config import settings_to_dict
    from AnatoMaskGANLib.training.run_identity import describe_store

    described = settings_to_dict(replace(settings, output="", seed=0))
    described["data"]["store"] = ""
    parts = (
        described,
        describe_store(store),
        [case.name for case in held_out],
        synthesizer.card.sha256,
        options.deform,
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _usable(cases: Sequence[StoredCase]) -> list[StoredCase]:
    return [case for case in cases if case.image_sjk is not None and case.labels_sjk is not None]


def _held_out(store: CaseStore, splits: Sequence[str]) -> list[StoredCase]:
    held_out = [case for split in dict.fromkeys(splits) for case in _usable(store.of_split(split))]
    training = {case.subject for case in store.of_split("train")}
    if not held_out or not training or training & {case.subject for case in held_out}:
        raise ValueError(
            f"{store.folder} has {len(held_out)} held-out cases ({', '.join(splits)}) and "
            f"{len(training)} training subjects; expected at least one of each, and no "
            "subject in both. Prepare the store with such a split, or choose another one "
            "with --held-out."
        )
    return held_out


def _sizes(fractions: Sequence[float], num_subjects: int) -> list[int]:
    """Numbers of subjects, each once. Raises ValueError for fractions above 1."""
    if max(fractions) > 1:
        raise ValueError(f"fractions are {fractions}; expected fractions above 0 and up to 1")
    return sorted({max(1, round(fraction * num_subjects)) for fraction in fractions})


def _draw(subjects: Sequence[str], size: int, seed: int) -> list[str]:
    """The subjects of a seed; a larger number contains all subjects of a smaller one."""
    order = np.random.default_rng([seed, 0xD1CE]).permutation(len(subjects))
    return [subjects[position] for position in order[:size]]


def _settings(options: UtilityOptions) -> TrainingSettings:
    from AnatoMaskGANLib.config import SettingsError, settings_from_dict
    from AnatoMaskGANLib.resources import resources_folder
    from AnatoMaskGANLib.training.settings import TrainingSettings

    config = options.config or resources_folder() / "Examples" / DEFAULT_CONFIG
    fixed = {"data.store": str(options.store), "output": str(options.output)}
    if options.steps is not None:
        fixed["optimizer.steps"] = options.steps
    values = with_settings(read_settings_file(config), fixed | parse_assignments(options.set))
    settings = settings_from_dict(TrainingSettings, values)
    if settings.direction != "image2mask":
        raise SettingsError(
            f"{config} has the direction {settings.direction}; a segmenter needs image2mask"
        )
    return settings


def _check_model(
    synthesizer: Synthesizer, store: CaseStore, held_out: Sequence[StoredCase]
) -> None:
    """Raises ValueError for a model of another kind of data, or one that saw held-out subjects."""
    card = synthesizer.card
    check_prepared_for(card, store)
    trained = {name.strip() for name in str(card.training.get("train cases", "")).split(",")}
    seen = sorted({case.name for case in held_out} & trained)
    if seen:
        raise ValueError(
            f"The model {card.name} was trained on {', '.join(seen)}, which are held out "
            "here, so its images could show what these subjects look like. Use a model "
            "that was trained with the same split."
        )


def _make_images(
    options: UtilityOptions,
    store: CaseStore,
    training: Sequence[StoredCase],
    synthesizer: Synthesizer,
) -> dict[str, list[StoredCase]]:
    """Source -> its training cases; images that are made are written to the output folder."""
    sources: dict[str, list[StoredCase]] = {"real": list(training)}
    wanted = set(options.sources)
    if wanted & {"synthetic", "both"}:
        sources["synthetic"] = _write_images(options, store, training, synthesizer, "synthetic")
    if "gaussian" in wanted:
        sources["gaussian"] = _write_images(options, store, training, synthesizer, "gaussian")
    if "both" in wanted:
        sources["both"] = sources["real"] + sources["synthetic"]
    return {source: sources[source] for source in dict.fromkeys(options.sources)}


def _write_images(
    options: UtilityOptions,
    store: CaseStore,
    training: Sequence[StoredCase],
    synthesizer: Synthesizer,
    source: str,
) -> list[StoredCase]:
    """Makes the images of a source for all training label maps; returns their stored cases."""
    from AnatoMaskGANLib.evaluation import EvaluationCase
    from AnatoMaskGANLib.volumes.case_store import open_case, write_case

    folder = options.output / "made"
    written = []
    for number, case in enumerate(tqdm(training, desc=f"making {source} images", disable=None)):
        real = stored_volume(store, case)
        for version, label_map in enumerate(_anatomies(options, store, case, synthesizer, number)):
            seed = number * (options.deform + 1) + version
            image: Volume
            if source == "synthetic":
                image = synthesizer.synthesize(label_map, seed=seed)
            else:
                evaluated = EvaluationCase(case.name, real, label_map)
                image = label_gaussian_volume(evaluated, synthesizer.card, seed)
            name = f"{case.name}-{version}"
            entry = write_case(
                folder,
                name,
                image.voxels_kji,
                label_map.labels_kji,
                store.window,
                case_folder=f"{source}/{name}",
            )
            entry |= {"subject": case.subject, "split": "train"}
            written.append(open_case(folder, entry))
    return written


def _anatomies(
    options: UtilityOptions,
    store: CaseStore,
    case: StoredCase,
    synthesizer: Synthesizer,
    number: int,
) -> Iterator[LabelMap]:
    """The case's own label map, then its deformed ones; the same for every source."""
    from AnatoMaskGANLib.volumes.deformation import deform_label_map

    label_map = stored_label_map(store, case)
    yield label_map
    for version in range(options.deform):
        seed = _DEFORMATION_SEEDS + number * options.deform + version
        yield deform_label_map(label_map, synthesizer.label_table, seed)


def _train(
    settings: TrainingSettings, store: CaseStore, cases: Sequence[StoredCase], device: str
) -> VolumeSegmenter:
    """The averaged segmenter after all training steps on these cases."""
    from AnatoMaskGANLib.synthesis.devices import pick_device
    from AnatoMaskGANLib.synthesis.models.folder import ModelCard
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.training.processes import Processes
    from AnatoMaskGANLib.training.trainer import Trainer

    chosen = pick_device(device)
    trainer = Trainer(settings, replace(store, cases=tuple(cases)), Processes(chosen))
    try:
        while trainer.step < settings.optimizer.steps:
            trainer.train_step()
    finally:
        trainer.sampler.close()
    card = ModelCard(
        name="segmenter",
        description="A segmenter of a utility experiment.",
        generator=trainer.ema.settings,
        label_table=store.label_table,
        spacing_ijk_mm=store.spacing_ijk_mm,
        window=store.window,
        unit=store.unit,
        training_data="cases of the experiment",
        licence="same as the data",
        not_for="anything but this experiment",
    )
    return VolumeSegmenter(card, trainer.ema, chosen)


def _measure(
    segmenter: VolumeSegmenter,
    store: CaseStore,
    held_out: Sequence[StoredCase],
    planned: _Planned,
) -> UtilityRun:
    from AnatoMaskGANLib.evaluation.metrics.faithfulness import dice_by_label
    from AnatoMaskGANLib.evaluation.utility import UtilityRun

    dice = {}
    for case in held_out:
        found = segmenter.segment(stored_volume(store, case))
        dice[case.name] = dice_by_label(np.asarray(case.labels_sjk), found.labels_kji)
    return UtilityRun(planned.source, planned.size, planned.seed, dice)


def _notes(synthesizer: Synthesizer) -> list[str]:
    trained = str(synthesizer.card.training.get("train cases", "")) or "not stated in its card"
    return [
        (
            f"The model {synthesizer.card.name} was itself trained on: {trained}. Even where "
            "fewer real subjects are used here, its images contain what it learned from all "
            "of them."
        ),
        "All segmenters of a seed and size learn from the same subjects, with equal steps.",
    ]


def _described(
    options: UtilityOptions,
    settings: TrainingSettings,
    synthesizer: Synthesizer,
    held_out: Sequence[StoredCase],
) -> dict[str, str]:
    return {
        "Model": f"{synthesizer.card.name}, SHA-256 {synthesizer.card.sha256}",
        "Held-out cases": ", ".join(case.name for case in held_out),
        "Seeds": ", ".join(map(str, options.seeds)),
        "Deformations of each label map": str(options.deform),
        "Steps of each segmenter": str(settings.optimizer.steps),
        "Segmenter": str(settings.generator),
        "Program": f"AnatoMaskGAN {__version__}",
    }
