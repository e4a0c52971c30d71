"""`anatomaskgan synthesize`: label maps in, synthetic volumes on the same grids out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.result_files import Job, find_label_maps, make_folder, plan_jobs

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis import Synthesizer
    from AnatoMaskGANLib.volumes import LabelMatch

Device = Literal["auto", "cpu", "cuda", "mps"]
Unmatched = Literal["stop", "background"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SynthesizeOptions:
    """Make a synthetic volume from each label map, on the label map's own grid."""

    inputs: tuple[Path, ...] = positional()
    """Label maps: NIfTI, NRRD or MetaImage files, or folders. A folder stands for the files named
    seg in it and below, or for all its volume files when none has that name."""
    output: Path
    """File of the volume; a folder for several label maps or samples."""
    model: str = "brain-t1"
    """Name of a model (see: anatomaskgan models list) or path of a model folder."""
    seed: NonNegativeInt = 0
    """Seed of the noise; sample n has the seed SEED + n. Same seed, same volume."""
    samples: PositiveInt = 1
    """Number of volumes to make from each label map."""
    noise_strength: NonNegativeFloat = 1.0
    """Factor on the noise; 0 makes all samples equal, 1 is what the model was trained with."""
    device: Device = "auto"
    """Where the network runs; auto takes a GPU when there is one."""
    labels: Path | None = None
    """JSON file {"label value": "name"} that names the labels of files that do not."""
    unmatched: Unmatched = "stop"
    """What happens to labels that the model does not know: stop with an error, or treat them as
    background."""


def synthesize(options: SynthesizeOptions) -> int:
    """0 when every volume was made, 1 when a label map failed; prints the path of each volume."""
    from AnatoMaskGANLib.synthesis import Synthesizer

    label_maps = find_label_maps(options.inputs)
    seeds = range(options.seed, options.seed + options.samples)
    jobs = plan_jobs(label_maps, options.output, seeds)
    synthesizer = Synthesizer.from_checkpoint(options.model, device=options.device)

    def run_job(job: Job, on_progress: OnProgress) -> None:
        _synthesize_label_map(job, options, synthesizer, on_progress)

    result = run_batch(jobs, lambda job: str(job.source), run_job)
    if len(jobs) > 1:
        _log.info("%s", result.summary())
    return result.exit_code


def _synthesize_label_map(
    job: Job, options: SynthesizeOptions, synthesizer: Synthesizer, on_progress: OnProgress
) -> None:
    from AnatoMaskGANLib.volumes import read_label_map, write_volume

    label_map = read_label_map(job.source, options.labels)
    _log.info("%s: %s", job.source, describe_matches(synthesizer.match(label_map)))
    for target in job.targets.values():
        make_folder(target.parent)
    volumes = synthesizer.synthesize_samples(
        label_map,
        tuple(job.targets),
        noise_strength=options.noise_strength,
        on_progress=on_progress,
        unmatched=options.unmatched,
    )
    for target, volume in zip(job.targets.values(), volumes, strict=True):
        write_volume(volume, target)
        print(target)


def describe_matches(matches: tuple[LabelMatch, ...]) -> str:
    """By which rules the labels were matched, and the ones that the model does not know."""
    counts: dict[str, int] = {}
    for match in matches:
        counts[match.rule] = counts.get(match.rule, 0) + 1
    unmatched = [
        f"{match.value} {match.name}".strip() for match in matches if match.rule == "unmatched"
    ]
    rules = ", ".join(f"{count} by {rule}" for rule, count in counts.items() if rule != "unmatched")
    text = f"{len(matches) - len(unmatched)} of {len(matches)} labels matched ({rules or 'none'})"
    return f"{text}; the model does not know: {', '.join(unmatched)}" if unmatched else text
