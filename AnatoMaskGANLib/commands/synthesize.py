"""`anatomaskgan synthesize`: label maps in, synthetic volumes on the same grids out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse.typing import NonNegativeInt, PositiveFloat

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.bounded_numbers import DeformationCount, SampleCount
from AnatoMaskGANLib.commands.dicom_results import (
    DicomOptions,
    dicom_recipe,
    patient_for,
    with_slices_of_reference,
    write_series,
    writes_dicom,
)
from AnatoMaskGANLib.commands.errors import UsageError, error_line
from AnatoMaskGANLib.commands.input_files import find_label_maps
from AnatoMaskGANLib.commands.label_names import MODELS_OWN, names_given
from AnatoMaskGANLib.commands.manifest import Manifest
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.result_files import (
    Job,
    check_output,
    deformed_label_file,
    files_beside,
    is_series_name,
    make_folder,
    plan_deformed_jobs,
    plan_jobs,
)
from AnatoMaskGANLib.commands.shards import device_of_rank, shard_of
from AnatoMaskGANLib.synthesis.options import LAST_SEED, Progress, SamplingSettings

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis import Synthesizer
    from AnatoMaskGANLib.volumes import LabelMap, LabelMatch, Volume

Device = Literal["auto", "cpu", "cuda", "mps"]
Hashes = tuple[str | None, list[str] | None]
"""SHA-256 of a label map, and of what is read with it."""

MOST_MEMORY_GIB = 2**20
MOST_VOLUMES = 100_000
"""The most volumes of one label map. Ours: more would take weeks, and are a typing mistake."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SynthesizeOptions(SamplingSettings, DicomOptions):
    """Make a synthetic volume from each label map, on the label map's own grid."""

    output: Path
    """File for the volume, or a folder for several label maps or samples. A name that ends in .dcm
    gets a DICOM series (see --dicom)."""
    inputs: tuple[Path, ...] = positional()
    """Label maps (NIfTI, NRRD, MetaImage or DICOM segmentation files), or folders. Of a folder, the
    files named seg in it and in its subfolders are used, or all volume files if no file has that
    name, or all DICOM segmentation objects if there is no other volume file. Files in an output
    folder inside it are left out."""
    model: str = "brain-t1"
    """Name of a model (see: anatomaskgan models list) or path of a model folder."""
    seed: NonNegativeInt = 0
    """Seed of the noise. The first sample has this seed, the next one SEED + 1, and so on. The same
    seed gives the same volume."""
    samples: SampleCount = 1
    """Number of volumes to make from each label map."""
    device: Device = "auto"
    """Device on which the network runs; auto takes a GPU if there is one."""
    labels: Path | None = None
    """File that names the values of the label maps: JSON ({"1": "liver"} or {"liver": 1}, nnU-Net's
    dataset.json), a color table of FreeSurfer, Slicer or ITK-SNAP, or a .tsv or .csv table; or the
    name of a bundled label table, such as freesurfer-aseg; or the word model where they are
    numbered as the labels of the model."""
    deform: DeformationCount = 0
    """Number of new anatomies to make from each label map by bending, rotating, scaling and
    sometimes flipping it, by up to 2.5 percent of its size beyond an affine map; each case is bent
    in its own way. Each becomes a folder with seg.nii.gz and image.nii.gz, ready for
    training. All samples share the same anatomies; another SEED gives others. With 0, the label
    maps are used as they are."""
    shard: str | None = None
    """Part of the batch that this process works on: I/N with I from 0 to N - 1, for N machines that
    share one list. Under torchrun, the rank is used."""
    half_precision: bool = False
    """Compute in float16 on a GPU, or in bfloat16 on a CPU that supports it (AVX512-BF16, AMX):
    faster and less exact (Documentation/speed.md). On other devices float32 is used, which the log
    reports."""
    memory_limit: PositiveFloat = 2.0
    """Largest memory of the process in GiB. Fewer slices are computed together if it is small."""

    def __post_init__(self) -> None:
        """Raises UsageError for numbers that no label map can be synthesized with."""
        try:
            super().__post_init__()
        except ValueError as error:
            raise UsageError(str(error)) from error
        if self.samples * self.deform > MOST_VOLUMES:
            raise UsageError(
                f"{self.deform} anatomies with {self.samples} samples are "
                f"{self.samples * self.deform} volumes of each label map; expected {MOST_VOLUMES} "
                "at most."
            )
        last_seed = self.seed + self.samples - 1
        if last_seed > LAST_SEED:
            raise UsageError(f"The last seed is {last_seed}; expected {LAST_SEED} at most.")
        if self.memory_limit > MOST_MEMORY_GIB:
            raise UsageError(
                f"The memory limit is {self.memory_limit:g} GiB; expected {MOST_MEMORY_GIB} at "
                "most."
            )


def synthesize(options: SynthesizeOptions) -> int:
    """0 when every volume was made, 1 when a label map failed; prints the path of each volume.

    In an output folder a manifest notes what was made from what. A volume that it lists, made by
    the same recipe and unchanged since, is not made again.
    """
    from AnatoMaskGANLib.synthesis import Synthesizer

    shard = shard_of(options.shard)
    is_dicom = writes_dicom(options, options.output)
    if is_dicom and options.deform:
        raise UsageError(
            "New anatomies (--deform) are for training and are not written as DICOM; expected a "
            "folder without --dicom."
        )
    label_maps = find_label_maps(options.inputs, options.output, options.deform > 0)
    seeds = range(options.seed, options.seed + options.samples)
    jobs = (
        plan_deformed_jobs(label_maps, options.output, options.deform, seeds)
        if options.deform
        else plan_jobs(label_maps, options.output, seeds, is_dicom)
    )
    jobs = shard.part_of(jobs)
    check_output(options.output)
    synthesizer = Synthesizer.from_checkpoint(
        options.model,
        device_of_rank(options.device),
        options.half_precision,
        int(options.memory_limit * 2**30),
    )
    is_file = any(target == options.output for job in jobs for target in job.targets.values())
    manifest = Manifest(None if is_file else options.output, shard)

    def run_job(job: Job, on_progress: OnProgress) -> None:
        _synthesize_label_map(job, options, synthesizer, manifest, on_progress)

    result = run_batch(jobs, _name_of, run_job)
    if len(jobs) > 1:
        _log.info("%s", result.summary())
    return result.exit_code


def _synthesize_label_map(
    job: Job,
    options: SynthesizeOptions,
    synthesizer: Synthesizer,
    manifest: Manifest,
    on_progress: OnProgress,
) -> None:
    """Makes the volumes of a job that are not done yet, and prints the paths of all."""
    from AnatoMaskGANLib.volumes import read_label_map, write_volume
    from AnatoMaskGANLib.volumes.mask_folder import is_mask_folder, read_mask_folder

    names = names_given(options.labels, synthesizer.label_table)
    is_masks = is_mask_folder(job.source)
    if not job.source.is_file() and not is_masks:
        read_label_map(job.source)  # raises what is wrong with it
    hashes = _hashes_of_source(job.source)
    deformation_seed = (
        None if job.deformation is None else _deformation_seed(job.deformation, options, hashes)
    )
    recipes = {
        seed: _recipe(hashes, seed, options, synthesizer)
        | {
            "source": str(job.source),
            "deformation": job.deformation,
            "deformation_seed": deformation_seed,
        }
        | dicom_recipe(options, is_series_name(job.targets[seed]))
        for seed in job.targets
    }
    open_targets = {
        seed: target
        for seed, target in job.targets.items()
        if not manifest.is_done(target, recipes[seed], _beside(job, target))
    }
    for target in job.targets.values():
        if target not in open_targets.values():
            _log.info("%s is already there and up to date", target)
            print(target)
    if not open_targets:
        return
    try:
        if is_masks and names is not None:
            _log.warning("%s: its masks are named by their files, not by --labels", job.source)
        label_map = read_mask_folder(job.source) if is_masks else read_label_map(job.source, names)
        if _hashes_of_source(job.source) != hashes:
            raise ValueError(f"{job.source} changed while it was read. Run the command again.")
        label_map = with_slices_of_reference(options, label_map, job.source)
        _log.info("%s: %s", job.source, describe_matches(synthesizer.match(label_map)))
        if deformation_seed is not None:
            label_map = _deformed(label_map, deformation_seed, options, synthesizer)
        for target in open_targets.values():
            make_folder(target.parent)
        volumes = synthesizer.synthesize_samples(
            label_map,
            options.for_seeds(open_targets),
            Progress(on_progress),
        )
        started = time.monotonic()
        for (seed, target), volume in zip(list(open_targets.items()), volumes, strict=True):
            if is_series_name(target):
                patient = patient_for(options, job.source, label_map.sha256())
                written = write_series(volume, label_map, target, patient)
            elif job.deformation is None:
                written = {target: write_volume(volume, target)}
            else:
                written = _write_case(volume, label_map, target)
            manifest.add_done(
                target,
                recipes[seed],
                written,
                label_map_sha256=volume.provenance["LabelMapSHA256"],
                seconds=round(time.monotonic() - started, 3),
                finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            )
            del open_targets[seed]
            print(target, flush=True)
            started = time.monotonic()
    except BrokenPipeError:
        raise  # nobody reads the paths any more; what is made is made
    except Exception as error:
        for seed, target in open_targets.items():
            with contextlib.suppress(OSError):  # the error itself must be reported
                manifest.add_failed(target, recipes[seed], error_line(error))
        raise


def _write_case(volume: Volume, label_map: LabelMap, image: Path) -> dict[Path, str]:
    """Writes a deformed case; its label map never lies next to the image of another one.

    Returns the SHA-256 of both files. Raises ValueError where another process wrote its own
    label map meanwhile, so that the two do not belong together.
    """
    from AnatoMaskGANLib.volumes import write_label_map, write_volume
    from AnatoMaskGANLib.volumes.atomic_writing import check_can_be_written
    from AnatoMaskGANLib.volumes.file_hash import file_sha256

    labels = deformed_label_file(image)
    for file in (image, labels):
        check_can_be_written(file.resolve())
    image.unlink(missing_ok=True)
    written = {labels: write_label_map(label_map, labels)}
    written[image] = write_volume(volume, image)
    if file_sha256(labels) != written[labels]:
        raise ValueError(
            f"Another process wrote {labels} at the same time. Run one at a time, or give each an "
            "output of its own."
        )
    return written


def _name_of(job: Job) -> str:
    return f"{job.source}, deformation {job.deformation}" if job.deformation else str(job.source)


def _beside(job: Job, target: Path) -> tuple[Path, ...]:
    """The files that are written next to a volume."""
    return files_beside(target) if job.deformation is None else (deformed_label_file(target),)


def _deformation_seed(deformation: int, options: SynthesizeOptions, hashes: Hashes) -> int:
    """The seed of an anatomy, from its number, the first seed, and the files of the label map, so
    that each case of a batch is bent in its own way wherever it lies."""
    drawn_from = json.dumps([deformation, options.seed, *hashes])
    return int.from_bytes(hashlib.sha256(drawn_from.encode()).digest()[:7], "big")


def _deformed(
    label_map: LabelMap, seed: int, options: SynthesizeOptions, synthesizer: Synthesizer
) -> LabelMap:
    """The new anatomy of that seed, in the model's classes."""
    from AnatoMaskGANLib.volumes import apply_matches
    from AnatoMaskGANLib.volumes.deformation import deform_label_map

    matched = apply_matches(label_map, synthesizer.match(label_map), options.unmatched)
    return deform_label_map(matched, synthesizer.label_table, seed)


def _recipe(
    hashes: Hashes, seed: int, options: SynthesizeOptions, synthesizer: Synthesizer
) -> dict[str, Any]:
    """Everything that decides what a volume is. hashes: of the label map."""
    source_sha256, read_with = hashes
    # the shared settings by their names, such as "noise_strength"
    sampling = {one.name: getattr(options, one.name) for one in fields(SamplingSettings)}
    return {
        "source_sha256": source_sha256,
        "read_with_sha256": read_with,
        "labels_sha256": _sha256_of_names(options.labels),
        "model": synthesizer.card.name,
        "model_sha256": synthesizer.card.sha256,
        "seed": seed,
        **sampling,
        "half_precision": options.half_precision,
        "version": __version__,
    }


def _hashes_of_source(source: Path) -> Hashes:
    """SHA-256 of a label map and of what is read with it; None where there is no such file.

    Of a folder of masks, all that is read is listed.
    """
    from AnatoMaskGANLib.volumes import files_read_with
    from AnatoMaskGANLib.volumes.file_hash import file_sha256

    read_with = [file_sha256(file) for file in files_read_with(source) if file != source]
    return file_sha256(source) if source.is_file() else None, read_with or None


def _sha256_of_names(labels: Path | None) -> str | None:
    """Hash of the file of names, or the word for the model's names; None without --labels."""
    from AnatoMaskGANLib.volumes.file_hash import file_sha256
    from AnatoMaskGANLib.volumes.label_table import label_table_path

    if labels is None or str(labels) == MODELS_OWN:
        return None if labels is None else MODELS_OWN
    return file_sha256(label_table_path(labels))


def describe_matches(matches: tuple[LabelMatch, ...]) -> str:
    """A text with the rules that matched labels, and the labels that the model does not know."""
    counts: dict[str, int] = {}
    for match in matches:
        counts[match.rule] = counts.get(match.rule, 0) + 1
    unmatched = [
        f"{match.value} {match.name}".strip() for match in matches if match.rule == "unmatched"
    ]
    rules = ", ".join(f"{count} by {rule}" for rule, count in counts.items() if rule != "unmatched")
    text = f"{len(matches) - len(unmatched)} of {len(matches)} labels matched ({rules or 'none'})"
    relatives = [f"{m.name} -> {_becomes(m)}" for m in matches if m.rule == "relative"]
    if relatives:
        text += f"; of near relatives: {', '.join(relatives)}"
    return f"{text}; the model does not know: {', '.join(unmatched)}" if unmatched else text


def _becomes(match: LabelMatch) -> str:
    """The label of the model that a label becomes, in words."""
    if match.as_surrounding:
        return "the tissue around it"
    if match.model_value is None:
        return "background"
    return f"{match.model_name} or its partner" if match.nearest else match.model_name
