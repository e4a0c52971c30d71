"""`anatomaskgan edit`: real scans that follow an edit of their segmentations."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse.typing import PositiveFloat

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.errors import UsageError
from AnatoMaskGANLib.commands.manifest import Manifest
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.result_files import (
    DEFAULT_SUFFIX,
    check_output,
    is_file_name,
    make_folder,
    refuse_lost_files,
    volume_files,
    volume_stem,
)
from AnatoMaskGANLib.commands.shards import shard_of
from AnatoMaskGANLib.synthesis.options import Progress

if TYPE_CHECKING:
    from AnatoMaskGANLib.editing import EditSettings
    from AnatoMaskGANLib.volumes import LabelMap, Volume

SCAN_NAME = "image"
BEFORE_NAME = "seg"
AFTER_NAME = "seg-edited"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditOptions:
    """Change a real scan as its segmentation was edited, without a model, for any scan and any
    labels."""

    output: Path
    """File for the edited scan, or a folder for a series or for several cases."""
    inputs: tuple[Path, ...] = positional()
    """SCAN BEFORE AFTER: the scan, its segmentation, and the edited segmentation; with --change
    only SCAN BEFORE. Or a folder of cases: every folder in it with the files image and seg, and
    without --change also seg-edited, is a case."""
    change: tuple[str, ...] = ()
    """Edits in words, instead of an edited segmentation. They are done one after the other:
    "grow NAME by 5 mm", "shrink NAME by 5 mm", "resize NAME to 150 %", "move NAME by 0,10,-5 mm"
    (to the patient's right, front and top), "remove NAME", "add NAME at 12,-30,44 with 15 mm" (a
    ball: its center in RAS coordinates and its diameter), "add NAME in NAME with 15 mm" (where
    that label is thickest), "merge NAME + NAME into NAME", "split NAME at superior 30 into
    NAME". Numbers with slashes between them make a series: "resize NAME to 50/100/150 %"."""
    look: tuple[str, ...] = ()
    """What a new structure looks like, as NAME=LOOK. A look is like:NAME, MEAN, MEAN,SD (mean and
    standard deviation), fluid, fat, soft-tissue, calcification, contrast-enhanced, or keep (the
    voxels stay as they are). A rim may follow: "fluid;rim 3 contrast-enhanced" is 3 mm thick."""
    fill: tuple[str, ...] = ()
    """What fills the place of a removed structure, as NAME=LOOK. A look is one of those of
    --look, or around, which looks like the surroundings. By default, removed structures are
    filled like their surroundings."""
    fixed: tuple[str, ...] = ()
    """Names of labels that an edit by --change must not replace, such as bones."""
    modality: Literal["ct", "t1", "t2"] | None = None
    """Kind of scan, needed for looks that are named after a tissue. CT is recognized; for MR
    give t1 or t2."""
    reach: PositiveFloat | None = None
    """Largest distance in mm from a changed label at which voxels may move; by default 12
    voxels, or more if contents move farther."""
    labels: Path | None = None
    """Names for label maps whose files do not name their labels: a JSON file {"label value":
    "name"}, or the name of a bundled label table, such as totalsegmentator-v2."""
    shard: str | None = None
    """Part of the cases that this process works on: I/N with I from 0 to N - 1, for N machines
    that share one list."""


@dataclass(frozen=True)
class EditJob:
    """A scan and what is made of it."""

    scan: Path
    before: Path
    after: Path | None
    """The edited segmentation; None where the edit is given in words."""
    targets: Mapping[str, tuple[Path, Path | None]]
    """Name of a step -> file of the edited scan, and of its label map where that is written."""


def edit(options: EditOptions) -> int:
    """0 when every scan was made, 1 when a case failed; prints the path of each edited scan.

    In an output folder a manifest notes what was made from what. A scan that it lists, made from
    the same files with the same options and unchanged since, is not made again.
    """
    shard = shard_of(options.shard)
    jobs = shard.part_of(plan_edits(options))
    check_output(options.output)
    is_file = is_file_name(options.output)
    manifest = Manifest(None if is_file else options.output, shard)

    def run_job(job: EditJob, on_progress: OnProgress) -> None:
        _edit_case(job, options, manifest, on_progress)

    result = run_batch(jobs, lambda job: str(job.scan), run_job)
    if len(jobs) > 1:
        _log.info("%s", result.summary())
    return result.exit_code


def plan_edits(options: EditOptions) -> list[EditJob]:
    """The cases of the inputs, each with a target for every step of a series.

    Raises UsageError for inputs that are neither the files of a case nor one folder of cases, and
    ValueError for a folder without a case and for results that would replace an input.
    """
    from AnatoMaskGANLib.editing.changes import step_names

    steps = step_names(options.change)
    num_files = 2 if options.change else 3
    if len(options.inputs) == 1 and options.inputs[0].is_dir():
        jobs = list(_cases_in(options.inputs[0], options, steps))
    elif len(options.inputs) == num_files:
        scan, before = options.inputs[:2]
        after = None if options.change else options.inputs[2]
        jobs = [EditJob(scan, before, after, _targets_of_files(options, steps))]
    else:
        files = "SCAN BEFORE with --change" if options.change else "SCAN BEFORE AFTER"
        raise UsageError(
            f"{len(options.inputs)} inputs came; expected {files}, or one folder of cases that is "
            "there."
        )
    pairs = [
        (job.scan, target)
        for job in jobs
        for files in job.targets.values()
        for target in files
        if target is not None
    ]
    maps = [file for job in jobs for file in (job.before, job.after) if file is not None]
    refuse_lost_files(pairs, "scan or a segmentation", maps)
    return jobs


def _targets_of_files(
    options: EditOptions, steps: Sequence[str]
) -> dict[str, tuple[Path, Path | None]]:
    output = options.output
    if is_file_name(output):
        if len(steps) > 1:
            raise UsageError(
                f"The output {output} is one file, but the series has {len(steps)} steps. Give a "
                "folder as output."
            )
        labels = output.with_name(f"{volume_stem(output)}-{BEFORE_NAME}{DEFAULT_SUFFIX}")
        return {steps[0]: (output, labels if options.change else None)}
    targets = {}
    for step in steps:
        stem = f"edited-{step}" if step else "edited"
        labels = output / f"{stem}-{BEFORE_NAME}{DEFAULT_SUFFIX}"
        targets[step] = (output / f"{stem}{DEFAULT_SUFFIX}", labels if options.change else None)
    return targets


def _cases_in(folder: Path, options: EditOptions, steps: Sequence[str]) -> Iterator[EditJob]:
    if is_file_name(options.output):
        raise UsageError(
            f"The output {options.output} is one file, but {folder} is a folder of cases. Give a "
            "folder as output."
        )
    wanted = [SCAN_NAME, BEFORE_NAME] + ([] if options.change else [AFTER_NAME])
    results = options.output.resolve()
    by_folder: dict[Path, dict[str, Path]] = {}
    for file in volume_files(folder):
        if results not in file.resolve().parents:
            by_folder.setdefault(file.parent, {}).setdefault(volume_stem(file), file)
    cases = {
        place: files for place, files in sorted(by_folder.items()) if set(wanted) <= set(files)
    }
    if not cases:
        raise ValueError(
            f"The folder {folder} holds no case; expected folders with the files "
            f"{', '.join(wanted)} (NIfTI, NRRD or MetaImage). Rename the files, or edit one scan "
            "at a time."
        )
    for place, files in cases.items():
        part = place.relative_to(folder)
        targets: dict[str, tuple[Path, Path | None]] = {}
        for step in steps:
            name = part.name or "case"
            case = options.output / part.with_name(f"{name}_{step}" if step else name)
            case = case if part.name else options.output / (f"{name}_{step}" if step else "")
            image = case / f"{SCAN_NAME}{DEFAULT_SUFFIX}"
            targets[step] = (image, case / f"{BEFORE_NAME}{DEFAULT_SUFFIX}")
        after = None if options.change else files[AFTER_NAME]
        yield EditJob(files[SCAN_NAME], files[BEFORE_NAME], after, targets)


def _edit_case(
    job: EditJob, options: EditOptions, manifest: Manifest, on_progress: OnProgress
) -> None:
    """Makes the edited scans of a job that are not done yet, and prints the paths of all."""
    from AnatoMaskGANLib.editing import ScanEditSession
    from AnatoMaskGANLib.editing.changes import changed_label_maps
    from AnatoMaskGANLib.volumes import read_label_map, read_volume, write_label_map, write_volume

    scan = read_volume(job.scan)
    before = read_label_map(job.before, options.labels)
    if job.after is None:
        changed = changed_label_maps(before, options.change, options.fixed)
        steps = {step.name: step.label_map for step in changed}
    else:
        steps = {"": read_label_map(job.after, options.labels)}
    session: ScanEditSession | None = None
    for number, (name, (image, labels)) in enumerate(job.targets.items()):
        after = steps[name]
        recipe = _recipe(scan, before, after, options)
        beside = () if labels is None else (labels,)
        if manifest.is_done(image, recipe, beside):
            _log.info("%s is up to date and was left as it is", image)
            print(image)
            continue
        session = session or ScanEditSession(scan, before)
        settings = _settings(options, scan, before, after)
        count = len(job.targets)
        part = Progress(on_progress).span(number / count, (number + 1) / count)
        session.update(after, settings, on_progress=part.report)
        edited = session.edited()
        for warning in edited.warnings:
            _log.warning("%s: %s", job.scan, warning)
        _log.info(
            "%s: %d voxels moved, %d filled, %d painted",
            image,
            edited.num_moved,
            edited.num_filled,
            edited.num_painted,
        )
        make_folder(image.parent)
        written = {}
        if labels is not None:
            image.unlink(missing_ok=True)  # at no moment beside the label map of another edit
            written[labels] = write_label_map(after, labels)
        written[image] = write_volume(edited.volume, image)
        manifest.add_done(image, recipe, written)
        print(image)


def _settings(
    options: EditOptions, scan: Volume, before: LabelMap, after: LabelMap
) -> EditSettings:
    """The looks and fills by name. Raises UsageError for a new label without a look."""
    from AnatoMaskGANLib.editing import EditSettings, look_from_text, questions
    from AnatoMaskGANLib.editing.changes import label_of

    names = {**before.names, **after.names}
    values = {*before.values, *after.values}

    def looks_of(texts: Sequence[str], option: str) -> dict[int, Any]:
        found = {}
        for text in texts:
            name, equals, words = text.rpartition("=")
            if not equals or not name.strip() or not words.strip():
                raise UsageError(
                    f"{option} is {text!r}; expected NAME=LOOK, such as lesion=soft-tissue."
                )
            label = label_of(name, names, values)
            if label in found:
                raise UsageError(f"{option} names {name.strip()!r} twice; expected it once.")
            found[label] = look_from_text(words, scan, names, options.modality)
        return found

    looks, fills = looks_of(options.look, "--look"), looks_of(options.fill, "--fill")
    asked = [
        question.name or str(question.label)
        for question in questions(scan, before, after)
        if question.kind == "look" and question.label not in looks
    ]
    if asked:
        examples = " ".join(f'"{name}=soft-tissue"' for name in asked)
        raise UsageError(
            f"The scan has no structure of the name {', '.join(asked)}, so its look has to be "
            f"said; expected for each one of: like:NAME, MEAN,SD, fluid, fat, soft-tissue, "
            f"calcification, contrast-enhanced, keep. For example: --look {examples}"
        )
    return EditSettings(looks, fills, reach_mm=options.reach)


def _recipe(
    scan: Volume, before: LabelMap, after: LabelMap, options: EditOptions
) -> dict[str, Any]:
    """Everything that decides what an edited scan is."""
    from AnatoMaskGANLib.editing.provenance import METHOD, scan_sha256

    names = {str(value): name for value, name in {**before.names, **after.names}.items()}
    return {
        "scan_sha256": scan_sha256(scan),
        "before_sha256": before.sha256(),
        "after_sha256": after.sha256(),
        "names": names,
        "look": list(options.look),
        "fill": list(options.fill),
        "modality": options.modality,
        "reach_mm": options.reach,
        "method": METHOD,
        "version": __version__,
    }
