"""`anatomaskgan evaluate`: synthetic against real images, beside the label-mean image."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse.typing import NonNegativeInt

from AnatoMaskGANLib.commands.batch import OnProgress, part_of_progress, run_batch
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.result_files import make_folder, volume_stem, volume_suffix
from AnatoMaskGANLib.commands.synthesize import Device, Unmatched, describe_matches

if TYPE_CHECKING:
    from AnatoMaskGANLib.evaluation import EvaluationCase, Row
    from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer
    from AnatoMaskGANLib.volumes import Volume

LABEL_MEAN = "label-mean image"
SHOWN_FIGURES = ("psnr", "ssim", "dz_ratio", "label_deviation_ratio", "label_wasserstein")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateOptions:
    """Compare a model's synthetic volumes with real ones, and both with the label-mean image."""

    inputs: tuple[Path, ...] = positional()
    """Case folders, each with a label map named seg and a scan named image (seg.nii.gz,
    image.nii.gz) on one grid; or folders of case folders."""
    output: Path
    """Folder for report.html, figures.csv, labels.csv, figures.json and a picture a case."""
    model: str = "brain-t1"
    """Name of a model (see: anatomaskgan models list) or path of a model folder."""
    seed: NonNegativeInt = 0
    """Seed of the noise."""
    device: Device = "auto"
    """Where the network runs; auto takes a GPU when there is one."""
    labels: Path | None = None
    """JSON file {"label value": "name"} that names the labels of files that do not."""
    unmatched: Unmatched = "stop"
    """What happens to labels that the model does not know: stop with an error, or treat them as
    background."""


@dataclass(frozen=True)
class CaseFolder:
    """A subject's files."""

    name: str
    label_map: Path
    image: Path


def evaluate(options: EvaluateOptions) -> int:
    """0 when every case was compared, 1 when one failed; prints the table of mean figures."""
    from AnatoMaskGANLib.evaluation import Table, write_report
    from AnatoMaskGANLib.synthesis import Synthesizer

    cases = [case for folder in options.inputs for case in find_cases(folder)]
    _refuse_equal_names(cases)
    synthesizer = Synthesizer.from_checkpoint(options.model, device=options.device)
    make_folder(options.output)
    rows: list[Row] = []

    def run_case(case: CaseFolder, on_progress: OnProgress) -> None:
        rows.extend(_evaluate_case(case, options, synthesizer, on_progress))

    result = run_batch(cases, lambda case: case.name, run_case)
    if rows:
        table = Table(tuple(rows))
        report = write_report(
            options.output,
            table,
            title=f"Evaluation of {synthesizer.card.name}",
            baseline=LABEL_MEAN,
            settings={
                "Model": f"{synthesizer.card.name}, SHA-256 {synthesizer.card.sha256}",
                "Seed": str(options.seed),
                "Failed cases": ", ".join(result.failed) or "none",
            },
            label_names=synthesizer.label_table.labels,
            pictures={row.case: _picture_file(options.output, row.case) for row in rows},
        )
        print(table.to_text(SHOWN_FIGURES))
        print(f"All figures and pictures: {report}")
    if result.failed:
        _log.info("%s", result.summary())
    return result.exit_code


def _picture_file(folder: Path, case_name: str) -> Path:
    return folder / f"{case_name}.png"


def find_cases(folder: Path) -> list[CaseFolder]:
    """The cases in a folder: the folder itself, or the folders in it at any depth.

    Raises ValueError when there is none, or a label map without its scan.
    """
    label_maps = [file for file in sorted(folder.rglob("*")) if _is_volume_named(file, "seg")]
    if not label_maps:
        raise ValueError(
            f"{folder} holds no case. Expected a folder with seg.nii.gz and image.nii.gz (or "
            ".nrrd, .mha), or folders like that in it."
        )
    return [_case_of(label_map) for label_map in label_maps]


def _refuse_equal_names(cases: Sequence[CaseFolder]) -> None:
    folders: dict[str, Path] = {}
    for case in cases:
        other = folders.setdefault(case.name, case.label_map.parent)
        if other != case.label_map.parent:
            raise ValueError(
                f"{other} and {case.label_map.parent} are two cases with one name. Rename a "
                "folder, so that the figures can be told apart."
            )


def _case_of(label_map: Path) -> CaseFolder:
    folder = label_map.parent
    images = [file for file in sorted(folder.iterdir()) if _is_volume_named(file, "image")]
    if len(images) != 1:
        raise ValueError(
            f"{folder} has a label map and {len(images)} scans named image; expected exactly one "
            "to compare with."
        )
    return CaseFolder(folder.resolve().name, label_map, images[0])


def _is_volume_named(file: Path, name: str) -> bool:
    return volume_suffix(file) is not None and volume_stem(file) == name


def read_case(
    case: CaseFolder, synthesizer: Synthesizer, labels: Path | None, unmatched: Unmatched
) -> EvaluationCase:
    """The case with its labels in the model's classes."""
    from AnatoMaskGANLib.evaluation import EvaluationCase
    from AnatoMaskGANLib.volumes import apply_matches, read_label_map, read_volume

    label_map = read_label_map(case.label_map, labels)
    matches = synthesizer.match(label_map)
    _log.info("%s: %s", case.name, describe_matches(matches))
    matched = apply_matches(label_map, matches, unmatched)
    return EvaluationCase(case.name, read_volume(case.image), matched)


def label_mean_volume(case: EvaluationCase, card: ModelCard) -> Volume:
    """The label-mean image of the case from the training means in the model's card."""
    from AnatoMaskGANLib.evaluation import LabelMeans, label_mean_image

    means = LabelMeans.from_json(card.label_statistics)
    return label_mean_image(case.label_map, means, card.window, card.unit)


def compare(
    case: EvaluationCase, volumes: Mapping[str, Volume], card: ModelCard
) -> tuple[Row, ...]:
    """A row of figures for every volume, by the protocol of the metrics."""
    from AnatoMaskGANLib.evaluation import evaluate_cases

    methods = {name: lambda case, volume=volume: volume for name, volume in volumes.items()}
    return evaluate_cases([case], methods, card.window, card.spacing_ijk_mm).rows


def _evaluate_case(
    case_folder: CaseFolder,
    options: EvaluateOptions,
    synthesizer: Synthesizer,
    on_progress: OnProgress,
) -> tuple[Row, ...]:
    from AnatoMaskGANLib.evaluation import draw_three_planes

    case = read_case(case_folder, synthesizer, options.labels, options.unmatched)
    volumes = {
        f"{synthesizer.card.name}, noise {strength:g}": synthesizer.synthesize(
            case.label_map,
            seed=options.seed,
            noise_strength=strength,
            on_progress=part_of_progress(on_progress, part, 3),
        )
        for part, strength in enumerate((1.0, 0.0))
    }
    on_progress(2 / 3, "comparing")
    volumes[LABEL_MEAN] = label_mean_volume(case, synthesizer.card)
    rows = compare(case, volumes, synthesizer.card)
    draw_three_planes(
        _picture_file(options.output, case.name),
        case.label_map,
        {**volumes, "Real": case.real},
        synthesizer.card.window,
        synthesizer.label_table,
        title=f"{case.name}: synthetic volumes and the real scan",
    )
    return rows
