"""`anatomaskgan evaluate`: compares synthetic images with real ones, next to the baselines."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.bounded_numbers import EdgeLength, SampleCount
from AnatoMaskGANLib.commands.evaluate.baselines import (
    LABEL_GAUSSIAN,
    LABEL_MEAN,
    NEAREST,
    as_methods,
    label_gaussian_volume,
    label_mean_volume,
    labels_without_mean,
)
from AnatoMaskGANLib.commands.evaluate.cases import (
    CaseFolder,
    CaseReader,
    StoreCase,
    each_once,
    find_evaluated,
    find_training_cases,
    find_volume,
    named_values,
    notes_on_windows,
    read_scan,
)
from AnatoMaskGANLib.commands.evaluate.networks import (
    as_segmenter,
    encoder_maps,
    has_encoder,
    load_extractor,
    load_segmenter,
)
from AnatoMaskGANLib.commands.evaluate.training import (
    notes_on_seen_cases,
    trained_cases,
    training_rows,
)
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.printable_text import printable
from AnatoMaskGANLib.commands.result_files import make_folder
from AnatoMaskGANLib.commands.synthesize import Device
from AnatoMaskGANLib.synthesis.options import Progress, Unmatched

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from AnatoMaskGANLib.evaluation import EvaluationCase, Measurements, Row
    from AnatoMaskGANLib.evaluation.baselines import TrainingCase
    from AnatoMaskGANLib.evaluation.metrics.features import Extractor
    from AnatoMaskGANLib.evaluation.metrics.slice_sets import SliceSets
    from AnatoMaskGANLib.evaluation.suite import Sampler
    from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer
    from AnatoMaskGANLib.volumes import Volume

SHOWN_METRICS = (
    *("psnr", "ssim", "lpips", "feature_distance", "dz_ratio", "label_deviation_ratio"),
    *("label_wasserstein", "dice_ratio", "diversity", "samples_dice"),
)
EMBEDDED_PICTURES = 6
"""Cases whose pictures are in the report; the pictures of all cases are next to it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateOptions:
    """Compare synthetic volumes with real scans and with images that need no learning."""

    output: Path
    """Folder for report.html, figures.csv, labels.csv, figures.json and one picture for each case.
    """
    inputs: tuple[Path, ...] = positional()
    """Case folders, each with a label map named seg and a scan named image (seg.nii.gz,
    image.nii.gz) on the same grid; folders of case folders; or case stores, whose test split is
    used. No subject in them may have been used for training."""
    model: tuple[str, ...] = ("brain-t1",)
    """One or more models, by name (see: anatomaskgan models list) or by path of a model folder. The
    classes, grid and window of the first one are used for all."""
    baseline_model: tuple[str, ...] = ()
    """Models that are listed with the baselines and measured once, without noise; for example a
    regression U-Net trained with Resources/Examples/regression-unet.yaml."""
    take_marked: bool = False
    """Take images that say they are synthetic or edited as real scans. Without it such a case is
    refused, because every metric against it would be wrong."""
    volumes: tuple[str, ...] = ()
    """Volumes of other methods, as NAME=FOLDER. The folder contains a volume with the name of each
    case, or one in a subfolder with that name."""
    training: Path | None = None
    """Case store or folder of case folders with the training subjects. They are needed for the
    nearest training subject as a baseline, for memorization, and for real scans against real scans.
    If the card of the first model names its training cases, only those are used."""
    seed: NonNegativeInt = 0
    """Seed of the noise."""
    noise_strength: tuple[NonNegativeFloat, ...] = (1.0, 0.0)
    """Noise strengths at which every model is measured."""
    samples: SampleCount = 1
    """Number of volumes of each case, with the seeds SEED, SEED + 1, ..., whose diversity is
    measured. With 1, diversity is not measured."""
    segmenter: str | None = None
    """Segmenter for the Dice on synthetic images relative to real images, and for a perceptual
    distance by its encoder: a model trained in the direction image2mask, the folder of such a run,
    or a TorchScript file (which gives no perceptual distance)."""
    segmenter_sha256: str | None = None
    """SHA-256 of the segmenter's TorchScript file; its first eight digits or more are enough."""
    extractor: tuple[str, ...] = ()
    """Feature extractors for FID, KID, precision and recall, as NAME=PLACE: a TorchScript file that
    maps [N,3,H,W] in [0,1] to vectors, a segmenter as above (its encoder is used), or the folder of
    a run that trained a discriminator (its last features are used)."""
    extractor_sha256: tuple[str, ...] = ()
    """SHA-256 of the extractors' TorchScript files, as NAME=HASH; not needed for a file whose name
    ends with it."""
    mm_fid: bool = False
    """Also measure MM-FID and MM-STD, over the extractors and several resolutions."""
    resolutions: tuple[EdgeLength, ...] = (128, 256, 512, 1024)
    """Edge lengths in pixels to which the slices are resized for MM-FID."""
    slice_step: PositiveInt = 4
    """Use every n-th slice for the metrics of image sets (FID and the like)."""
    embedding_plot: bool = False
    """Also draw a t-SNE plot of real and synthetic slices, with the first extractor."""
    lpips: Path | None = None
    """Backbone weights for LPIPS: torchvision's alexnet-owt-7be5be79.pth or vgg16-397923af.pth,
    converted to a safetensors file. Without them LPIPS is not measured."""
    lpips_sha256: str | None = None
    """SHA-256 of these weights; not needed for a file whose name ends with it."""
    lpips_network: Literal["alex", "vgg"] = "alex"
    """Network that the weights belong to."""
    device: Device = "auto"
    """Device on which the networks run; auto takes a GPU if there is one."""
    labels: Path | None = None
    """File that names the values of the label maps, the name of a bundled label table, such as
    freesurfer-aseg, or the word model where they are numbered as the labels of the model; as for
    synthesize."""
    unmatched: Unmatched = "stop"
    """What becomes of labels that the model does not know: stop ends with an error; surrounding
    makes them the tissue around them; background makes a hole of them, dark as air."""


def evaluate(options: EvaluateOptions) -> int:
    """Returns 0 if every case was compared and 1 if one failed; prints the table of means."""
    cases = each_once(case for folder in options.inputs for case in find_evaluated(folder))
    evaluation = _Evaluation.of(options, {case.name: case.subject for case in cases})
    for note in notes_on_windows(cases, evaluation.card):
        evaluation.note(note)
    make_folder(options.output)
    result = run_batch(cases, lambda case: case.name, evaluation.run_case)
    if evaluation.rows:
        is_whole = evaluation.write(result.failed)
        if not is_whole:
            return 1
    if result.failed:
        _log.info("%s", result.summary())
    return result.exit_code


@dataclass
class _Evaluation:
    """The methods that are compared, the measurements, and the results so far."""

    options: EvaluateOptions
    synthesizers: tuple[Synthesizer, ...]
    baselines: tuple[Synthesizer, ...]
    reader: CaseReader
    volumes: Mapping[str, Path]
    training: Sequence[TrainingCase]
    measurements: Measurements
    extractors: Mapping[str, Extractor]
    sets: SliceSets
    notes: list[str]
    rows: list[Row] = field(default_factory=list)
    training_rows: list[Row] = field(default_factory=list)
    """Real against real: the level of the metrics that compare no pairs of voxels."""
    pictures: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, options: EvaluateOptions, subject_of_case: Mapping[str, str]) -> _Evaluation:
        """Loads and checks everything before the first case is compared.

        subject_of_case: name of each case -> its subject.
        """
        from AnatoMaskGANLib.evaluation import Measurements
        from AnatoMaskGANLib.evaluation.metrics.perceptual import load_lpips
        from AnatoMaskGANLib.evaluation.metrics.slice_sets import SliceSets
        from AnatoMaskGANLib.synthesis import Synthesizer
        from AnatoMaskGANLib.synthesis.devices import pick_device

        synthesizers, baselines = (
            tuple(Synthesizer.from_checkpoint(model, device=options.device) for model in models)
            for models in (options.model, options.baseline_model)
        )
        cards = [synthesizer.card for synthesizer in (*synthesizers, *baselines)]
        _check_comparable(cards)
        reader = CaseReader(synthesizers[0], options.labels, options.unmatched, options.take_marked)
        hashes = named_values(options.extractor_sha256, "extractor-sha256")
        places = named_values(options.extractor, "extractor")
        _refuse_other_names(hashes, places)
        segmenter = feature_maps = perceptual = None
        if options.segmenter is not None:
            loaded = load_segmenter(
                options.segmenter, options.segmenter_sha256, synthesizers[0].card, options.device
            )
            segmenter = as_segmenter(loaded, reader)
            feature_maps = encoder_maps(loaded) if has_encoder(loaded) else None
        if options.lpips is not None:
            device = str(pick_device(options.device))
            perceptual = load_lpips(
                options.lpips, options.lpips_sha256, options.lpips_network, device
            )
        evaluation = cls(
            options=options,
            synthesizers=synthesizers,
            baselines=baselines,
            reader=reader,
            volumes={k: Path(v) for k, v in named_values(options.volumes, "volumes").items()},
            training=(),
            measurements=Measurements(
                perceptual, segmenter, feature_maps, num_samples=options.samples
            ),
            extractors={
                name: load_extractor(place, hashes.get(name), options.device)
                for name, place in places.items()
            },
            sets=SliceSets(step=options.slice_step),
            notes=_notes_on_what_is_left_out(options),
        )
        for note in notes_on_seen_cases(cards, subject_of_case):
            evaluation.note(note)
        evaluation._take_training(subject_of_case)
        return evaluation

    @property
    def card(self) -> ModelCard:
        """The card of the first model, whose grid, window and classes hold for all."""
        return self.synthesizers[0].card

    def _take_training(self, subject_of_case: Mapping[str, str]) -> None:
        """Reads the training cases; leaves out those of evaluated subjects, with a note."""
        from AnatoMaskGANLib.evaluation.metrics.case_metrics import to_grid_case

        if self.options.training is None:
            return
        found = find_training_cases(self.options.training, self.reader)
        found = trained_cases(found, self.card)
        subjects = set(subject_of_case.values())
        shared = sorted(
            case.name for case in found if case.name in subject_of_case or case.subject in subjects
        )
        if shared:
            self.note(
                "These evaluated subjects are also among the given training subjects: "
                f"{', '.join(shared)}. They are left out of the training subjects; if the "
                "model was trained on them, their metrics prove nothing."
            )
        self.training = [case for case in found if case.name not in shared]
        if len({case.subject for case in self.training}) < 2:
            self.note(
                "Memorization was not measured, because it needs two or more training subjects."
            )
            return
        for case in self.training:
            real = case.read_image()
            grid = to_grid_case(
                real, real, case.label_map, self.card.window, self.card.spacing_ijk_mm
            )
            self.sets.add_training(case.subject, grid.real_kji, grid.labels_kji)

    def note(self, text: str) -> None:
        """Adds a note to the report, and logs it, unless it was given before."""
        if text not in self.notes:
            self.notes.append(text)
            _log.warning("%s", text)

    def run_case(self, case_folder: CaseFolder | StoreCase, on_progress: OnProgress) -> None:
        """Makes the case's volumes by every method and measures them."""
        from AnatoMaskGANLib.evaluation import ThreePlanes, draw_three_planes, evaluate_cases
        from AnatoMaskGANLib.evaluation.metrics.slice_sets import SliceSets
        from AnatoMaskGANLib.volumes.origin_marks import origin_of

        case = self.reader.read(case_folder)
        if origin_of(case.real):
            self.note(f"{case.name}: the scan is {origin_of(case.real)}, and is taken as real.")
        samples = self._synthesize(case, on_progress)
        on_progress(0.7, "comparing")
        volumes = {name: found[0] for name, found in samples.items()} | self._others(case)
        sets = SliceSets(step=self.options.slice_step)
        measurements = self.measurements
        if self.options.samples > 1:
            samplers = {name: _sampler_of(found) for name, found in samples.items()}
            measurements = replace(measurements, samplers=samplers)
        table = evaluate_cases(
            [case],
            as_methods(volumes),
            self.card.window,
            self.card.spacing_ijk_mm,
            measurements,
            sets,
        )
        picture = self.options.output / f"{case.name}.png"
        planes = ThreePlanes(
            case.label_map,
            {**volumes, "Real": case.real},
            self.card.window,
            self.synthesizers[0].label_table,
            title=f"{case.name}: synthetic volumes and the real scan",
        )
        draw_three_planes(picture, planes)
        if self.training:
            self.training_rows.extend(training_rows(case, self.training, self.card))
        self.sets.merge(sets)
        self.rows.extend(table.rows)
        self.pictures[case.name] = picture

    def _synthesize(self, case: EvaluationCase, on_progress: OnProgress) -> dict[str, list[Volume]]:
        """Method -> its volumes, one per seed; a model without noise is one method."""
        options = self.options
        seeds = range(options.seed, options.seed + options.samples)
        jobs = [
            (synthesizer, strength)
            for synthesizer in self.synthesizers
            for strength in (options.noise_strength if _has_noise(synthesizer.card) else (0.0,))
        ]
        samples: dict[str, list[Volume]] = {}
        for number, (synthesizer, strength) in enumerate(jobs):
            card = synthesizer.card
            name = f"{card.name}, noise {strength:g}" if _has_noise(card) else card.name
            progress = Progress(on_progress).span(number / len(jobs), (number + 0.7) / len(jobs))
            samples[name] = list(
                synthesizer.synthesize_samples(
                    case.label_map,
                    progress=progress,
                    seeds=seeds,
                    noise_strength=strength,
                    unmatched=options.unmatched,
                )
            )
        return samples

    def _others(self, case: EvaluationCase) -> dict[str, Volume]:
        """The volumes that were made elsewhere, and the baselines."""
        from AnatoMaskGANLib.evaluation.baselines import nearest_training_image

        volumes = {
            name: read_scan(find_volume(folder, case.name)) for name, folder in self.volumes.items()
        }
        missing = labels_without_mean(case.label_map, self.card)
        if missing:
            self.note(
                f"No training subject had {', '.join(missing)}. There, the label-mean "
                "image and the per-label Gaussian image use the mean of all other labels."
            )
        volumes[LABEL_MEAN] = label_mean_volume(case, self.card)
        volumes[LABEL_GAUSSIAN] = label_gaussian_volume(case, self.card, self.options.seed)
        for baseline in self.baselines:
            volumes[baseline.card.name] = baseline.synthesize(
                case.label_map, noise_strength=0.0, unmatched=self.options.unmatched
            )
        if self.training:
            volumes[NEAREST] = nearest_training_image(case.label_map, self.training)
        return volumes

    def write(self, failed: Mapping[str, str]) -> bool:
        """Writes the report and prints its table; False if metrics of sets failed."""
        from AnatoMaskGANLib.evaluation import ReportContents, Table, write_report

        set_metrics, plots, is_whole = self._metrics_of_sets()
        table = Table((*self.rows, *self.training_rows), set_metrics)
        shown = dict(list(self.pictures.items())[:EMBEDDED_PICTURES])
        contents = ReportContents(
            title=f"Evaluation of {', '.join(s.card.name for s in self.synthesizers)}",
            baseline=LABEL_MEAN,
            settings=self._settings(failed),
            notes=self.notes,
            label_names=self.synthesizers[0].label_table.labels,
            pictures=shown,
            plots=plots,
        )
        report = write_report(self.options.output, table, contents)
        print(printable(table.to_text([key for key in SHOWN_METRICS if key in table.keys])))
        print(f"All metrics and pictures: {report}")
        return is_whole

    def _metrics_of_sets(
        self,
    ) -> tuple[dict[str, dict[str, float]], dict[str, Figure], bool]:
        """FID and the like, the embedding plot, and whether all of them could be computed.

        Metrics that cannot be computed must not lose the rest of the evaluation.
        """
        from AnatoMaskGANLib.evaluation.metrics.features import thumbnail_features
        from AnatoMaskGANLib.evaluation.metrics.slice_sets import set_metrics
        from AnatoMaskGANLib.evaluation.report.plots import embedding_figure

        resolutions = self.options.resolutions if self.options.mm_fid else ()
        metrics: dict[str, dict[str, float]] = {}
        plots: dict[str, Figure] = {}
        try:
            metrics = set_metrics(self.sets, self.extractors, resolutions)
            metrics = {method: found for method, found in metrics.items() if found}
            if self.options.embedding_plot:
                name, extractor = next(
                    iter(self.extractors.items()), ("pixels of 32x32", thumbnail_features)
                )
                features = {one: extractor(self.sets.array(one)) for one in self.sets.slices}
                plots[f"Slices in the plane, by {name}"] = embedding_figure(
                    features, self.options.seed
                )
        except ValueError as error:
            self.note(f"The metrics of image sets are missing: {error}")
            return metrics, plots, False
        return metrics, plots, True

    def _settings(self, failed: Mapping[str, str]) -> dict[str, str]:
        options = self.options
        settings = {
            f"Model {s.card.name}": f"SHA-256 {s.card.sha256}; trained on: {s.card.training_data}"
            for s in (*self.synthesizers, *self.baselines)
        }
        settings |= {f"Volumes of {name}": str(folder) for name, folder in self.volumes.items()}
        settings |= {f"Extractor {text.partition('=')[0]}": text for text in options.extractor}
        low, high = self.card.window
        return settings | {
            "Seeds": f"{options.seed} to {options.seed + options.samples - 1}",
            "Window": f"{low:g} to {high:g} {self.card.unit}".strip(),
            "Grid": " x ".join(f"{mm:g}" for mm in self.card.spacing_ijk_mm) + " mm",
            "Training subjects": ", ".join(case.name for case in self.training) or "not given",
            "Segmenter": options.segmenter or "none",
            "LPIPS": f"{options.lpips_network}, {options.lpips}" if options.lpips else "none",
            "Failed cases": ", ".join(failed) or "none",
            "Program": f"AnatoMaskGAN {__version__}",
        }


def _sampler_of(samples: Sequence[Volume]) -> Sampler:
    """Gives the volume of a seed from volumes that were made before."""
    return lambda case, seed: samples[seed]


def _notes_on_what_is_left_out(options: EvaluateOptions) -> list[str]:
    """A note on what was not asked for, so that nobody takes its absence for a good sign."""
    left_out = {
        "LPIPS (--lpips)": options.lpips is None,
        "Dice and perceptual distance by a segmenter (--segmenter)": options.segmenter is None,
        "FID, KID, precision and recall (--extractor)": not options.extractor,
        "diversity (--samples)": options.samples == 1,
        "a regression U-Net (--baseline-model)": not options.baseline_model,
        "memorization, the nearest training subject and real against real (--training)": (
            options.training is None
        ),
    }
    missing = [name for name, is_missing in left_out.items() if is_missing]
    return [f"Not measured: {'; '.join(missing)}."] if missing else []


def _check_comparable(cards: Sequence[ModelCard]) -> None:
    """Raises ValueError for models of one name, or of different windows."""
    names = [card.name for card in cards]
    if len(set(names)) < len(names):
        raise ValueError(
            f"Two of the models have the same name ({', '.join(names)}), so that their "
            "metrics could not be distinguished. Export one of them under another name."
        )
    for card in cards[1:]:
        if (card.window, card.unit) != (cards[0].window, cards[0].unit):
            raise ValueError(
                f"{cards[0].name} has the window {cards[0].window} {cards[0].unit}, "
                f"{card.name} {card.window} {card.unit}; expected models with the same "
                "window. Evaluate them one by one."
            )


def _refuse_other_names(hashes: Mapping[str, str], places: Mapping[str, str]) -> None:
    """Raises ValueError for a hash of an extractor that was not given."""
    other = [name for name in hashes if name not in places]
    if other:
        raise ValueError(
            f"--extractor-sha256 names {', '.join(other)}, which is not an extractor; "
            f"expected one of {', '.join(places) or 'none'}."
        )


def _has_noise(card: ModelCard) -> bool:
    return card.generator.use_noise3d
