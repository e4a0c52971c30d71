"""`anatomaskgan edit`: real scans that follow an edit of their segmentations."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse.typing import NonNegativeInt, PositiveFloat

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.dicom_results import (
    DicomOptions,
    dicom_recipe,
    patient_for,
    write_series,
    writes_dicom,
)
from AnatoMaskGANLib.commands.errors import UsageError
from AnatoMaskGANLib.commands.manifest import Manifest
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.result_files import (
    DEFAULT_SUFFIX,
    SERIES_SUFFIX,
    check_output,
    files_beside,
    is_file_name,
    is_series_name,
    make_folder,
    refuse_lost_files,
    volume_files,
    volume_stem,
)
from AnatoMaskGANLib.commands.shards import shard_of
from AnatoMaskGANLib.commands.synthesize import Device
from AnatoMaskGANLib.synthesis.options import Filler, Progress, SamplingSettings

if TYPE_CHECKING:
    from AnatoMaskGANLib.editing import EditSettings, ScanEditSession
    from AnatoMaskGANLib.synthesis.edit_fillers import EditModel
    from AnatoMaskGANLib.volumes import LabelMap, Volume

SCAN_NAME = "image"
BEFORE_NAME = "seg"
AFTER_NAME = "seg-edited"
DEFAULT_MODEL = "brain-t1"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditOptions(SamplingSettings, DicomOptions):
    """Change a real scan as its segmentation was edited, without a model, for any scan and any
    labels; or together with a model that knows the labels. The options on noise and on unmatched
    labels are the model's."""

    output: Path
    """File for the edited scan, or a folder for a series or for several cases. A name that ends in
    .dcm gets a DICOM series (see --dicom)."""
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
    filler: Filler = "moved"
    """Who makes the voxels of the edit: moved takes the scan's own voxels, which needs no model;
    model lets a model make all that changed its label; both moves voxels and lets the model fill
    only holes and new structures, where the scan has no voxels to move."""
    model: str | None = None
    """Name of the model that fills (see: anatomaskgan models list) or path of a model folder; by
    default brain-t1 where the filler is model or both. With the filler moved it only advises."""
    seed: NonNegativeInt = 0
    """Seed of the model's noise. The same seed gives the same voxels."""
    device: Device = "auto"
    """Device on which the model runs; auto takes a GPU if there is one."""
    shard: str | None = None
    """Part of the cases that this process works on: I/N with I from 0 to N - 1, for N machines
    that share one list."""

    def __post_init__(self) -> None:
        """Raises UsageError for numbers with which no model fills."""
        try:
            super().__post_init__()
        except ValueError as error:
            raise UsageError(str(error)) from error


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
    writes_dicom(options, options.output)
    jobs = shard.part_of(plan_edits(options))
    check_output(options.output)
    is_file = is_file_name(options.output)
    manifest = Manifest(None if is_file else options.output, shard)
    model = _model_of(options)

    def run_job(job: EditJob, on_progress: OnProgress) -> None:
        _edit_case(job, _Editor(options, model), manifest, on_progress)

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
        return {steps[0]: (output, _labels_beside(output, options))}
    suffix = SERIES_SUFFIX if options.dicom else DEFAULT_SUFFIX
    targets = {}
    for step in steps:
        image = output / (f"edited-{step}{suffix}" if step else f"edited{suffix}")
        targets[step] = (image, _labels_beside(image, options))
    return targets


def _labels_beside(image: Path, options: EditOptions) -> Path | None:
    """Path for the label map of an edited scan; None if the input already has it as a file."""
    if is_series_name(image):
        return files_beside(image)[0]
    labels = image.with_name(f"{volume_stem(image)}-{BEFORE_NAME}{DEFAULT_SUFFIX}")
    return labels if options.change else None


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
            if options.dicom:
                image = image.with_name(f"{SCAN_NAME}{SERIES_SUFFIX}")
                targets[step] = (image, _labels_beside(image, options))
        after = None if options.change else files[AFTER_NAME]
        yield EditJob(files[SCAN_NAME], files[BEFORE_NAME], after, targets)


def _model_of(options: EditOptions) -> EditModel | None:
    """The model that fills or advises; None where none takes part."""
    if options.filler == "moved" and options.model is None:
        return None
    from AnatoMaskGANLib.synthesis import Synthesizer
    from AnatoMaskGANLib.synthesis.edit_fillers import EditModel

    synthesizer = Synthesizer.from_checkpoint(options.model or DEFAULT_MODEL, options.device)
    return EditModel(synthesizer, options.for_seeds([options.seed]))


def _edit_case(job: EditJob, editor: _Editor, manifest: Manifest, on_progress: OnProgress) -> None:
    """Makes the edited scans of a job that are not done yet, and prints the paths of all."""
    from AnatoMaskGANLib.editing.changes import changed_label_maps
    from AnatoMaskGANLib.editing.provenance import scan_sha256
    from AnatoMaskGANLib.volumes import read_volume, write_label_map, write_volume

    options = editor.options
    scan = read_volume(job.scan)
    before = _labels_of_scan(job.before, options, scan)
    if job.after is None:
        changed = changed_label_maps(before, options.change, options.fixed)
        steps = {step.name: step.label_map for step in changed}
    else:
        steps = {"": _labels_of_scan(job.after, options, scan)}
    for number, (name, (image, labels)) in enumerate(job.targets.items()):
        after = steps[name]
        recipe = _recipe(scan, before, after, editor)
        recipe |= dicom_recipe(options, is_series_name(image))
        beside = () if labels is None else (labels,)
        if manifest.is_done(image, recipe, beside):
            _log.info("%s is up to date and was left as it is", image)
            print(image)
            continue
        count = len(job.targets)
        part = Progress(on_progress).span(number / count, (number + 1) / count)
        volume, report = editor.edited(scan, before, after, part)
        for warning in report.warnings:
            _log.warning("%s: %s", job.scan, warning)
        _log.info("%s: %s", image, report.counts)
        make_folder(image.parent)
        written: dict[Path, str] = {}
        if is_series_name(image):
            written = write_series(
                _with_unit(volume, options),
                after,
                image,
                patient_for(options, job.scan, scan_sha256(scan)),
            )
        else:
            if labels is not None:
                image.unlink(missing_ok=True)  # never next to another edit's labels
                written[labels] = write_label_map(after, labels)
            written[image] = write_volume(volume, image)
        manifest.add_done(image, recipe, written)
        print(image)


@dataclass(frozen=True)
class _Report:
    """The report about one edit."""

    counts: str
    """Text with the number of voxels that were made in each way."""
    warnings: tuple[str, ...] = ()


@dataclass
class _Editor:
    """Makes the edits of one scan by the filler that was chosen."""

    options: EditOptions
    model: EditModel | None
    session: ScanEditSession | None = None
    """Opened for the first edit that moves voxels, and kept for the others of a series."""

    def edited(
        self, scan: Volume, before: LabelMap, after: LabelMap, progress: Progress
    ) -> tuple[Volume, _Report]:
        """The scan after an edit, and what was done."""
        from AnatoMaskGANLib.editing import ScanEditSession

        filler, model = self.options.filler, self.model
        if filler == "model" and model is not None:
            volume = model.edit_in_place(scan, before, after, progress)
            return volume, _Report(f"{volume.provenance['EditedVoxels']} voxels by the model")
        self.session = self.session or ScanEditSession(scan, before)
        settings = _settings(self.options, scan, before, after, model)
        own_part = progress.span(0, 0.5) if filler == "both" else progress
        self.session.update(after, settings, on_progress=own_part.report)
        edited = self.session.edited()
        advice = "" if model is None else model.advice(edited, after, filler)
        counts = (
            f"{edited.num_moved} voxels moved, {edited.num_filled} filled, "
            f"{edited.num_painted} painted"
        )
        if filler == "both" and model is not None:
            edited = model.fill(edited, after, progress.span(0.5, 1))
            counts += f", {edited.volume.provenance['VoxelsByModel']} of these by the model"
        return edited.volume, _Report(counts, (*edited.warnings, *([advice] if advice else [])))


def _labels_of_scan(path: Path, options: EditOptions, scan: Volume) -> LabelMap:
    """A segmentation of the scan, with the slices that a DICOM segmentation object leaves out."""
    from AnatoMaskGANLib.volumes import read_label_map
    from AnatoMaskGANLib.volumes.dicom.all_slices import with_all_slices

    return with_all_slices(read_label_map(path, options.labels), path, scan)


def _with_unit(volume: Volume, options: EditOptions) -> Volume:
    """The volume in HU where it is a CT, which a DICOM series has to know."""
    from AnatoMaskGANLib.editing.looks import modality_of

    is_ct = (options.modality or modality_of(volume)) == "ct"
    return replace(volume, unit="HU" if is_ct else volume.unit)


def _settings(
    options: EditOptions,
    scan: Volume,
    before: LabelMap,
    after: LabelMap,
    model: EditModel | None,
) -> EditSettings:
    """The looks and fills by name.

    What the model fills needs no look; the usual one then lies under its seam. Raises UsageError
    for another new label without a look.
    """
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
    open_looks = {
        question.label: question
        for question in questions(scan, before, after)
        if question.kind == "look" and question.label not in looks
    }
    if model is not None and options.filler == "both":
        for label in model.known_labels(after) & open_looks.keys():
            looks[label] = open_looks.pop(label).default
    asked = [question.name or str(question.label) for question in open_looks.values()]
    if asked:
        examples = " ".join(f'"{name}=soft-tissue"' for name in asked)
        raise UsageError(
            f"The scan has no structure of the name {', '.join(asked)}, so its look has to be "
            f"said; expected for each one of: like:NAME, MEAN,SD, fluid, fat, soft-tissue, "
            f"calcification, contrast-enhanced, keep. For example: --look {examples}"
        )
    return EditSettings(looks, fills, reach_mm=options.reach)


def _recipe(scan: Volume, before: LabelMap, after: LabelMap, editor: _Editor) -> dict[str, Any]:
    """Everything that decides what an edited scan is."""
    from AnatoMaskGANLib.editing.provenance import METHOD, scan_sha256

    names = {str(value): name for value, name in {**before.names, **after.names}.items()}
    options = editor.options
    of_model: dict[str, Any] = {"filler": None}  # as in manifests of old versions
    if editor.model is not None and options.filler != "moved":
        card = editor.model.card
        of_model = {
            "filler": options.filler,
            "model": card.name,
            "model_sha256": card.sha256,
            "seed": options.seed,
            **{one.name: getattr(options, one.name) for one in fields(SamplingSettings)},
        }
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
        **of_model,
    }
