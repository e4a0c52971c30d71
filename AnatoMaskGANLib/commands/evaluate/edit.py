"""`anatomaskgan evaluate edit`: how good edits of real scans are, by criteria and known truths."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse.typing import NonNegativeInt, PositiveInt

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.edit import AFTER_NAME
from AnatoMaskGANLib.commands.errors import UsageError
from AnatoMaskGANLib.commands.evaluate.cases import CaseFolder, each_once, find_cases, read_scan
from AnatoMaskGANLib.commands.evaluate.command import EMBEDDED_PICTURES
from AnatoMaskGANLib.commands.evaluate.edit_ways import (
    LABEL_MEAN,
    MOVED,
    Remembered,
    edit_ways,
    segmenter_judge,
)
from AnatoMaskGANLib.commands.evaluate.networks import SCRIPT_SUFFIXES, load_segmenter
from AnatoMaskGANLib.commands.evaluate.training import notes_on_seen_cases
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.result_files import make_folder, volume_files, volume_stem
from AnatoMaskGANLib.commands.synthesize import Device
from AnatoMaskGANLib.synthesis.options import SamplingSettings

if TYPE_CHECKING:
    from AnatoMaskGANLib.editing import EditSettings
    from AnatoMaskGANLib.evaluation import Row
    from AnatoMaskGANLib.evaluation.edit_suite import Edit, Judge, Way
    from AnatoMaskGANLib.synthesis.edit_fillers import EditModel
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.volumes import LabelMap, Volume

SHOWN_METRICS = (
    *("psnr_lab", "psnr_box", "edit_undone", "edit_unasked", "edit_outside", "edit_found"),
    *("edit_dice", "edit_deviation_ratio", "edit_step_ratio", "edit_seam_ratio"),
    "edit_texture_ratio",
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditEvaluationOptions(SamplingSettings):
    """Measure edits of real scans: by moved voxels, by a model in place, and by simple baselines.
    Edits whose truth is known are drawn in each case: structures swell and move by a known field.
    No model is needed."""

    output: Path
    """Folder for report.html, figures.csv, figures.json and a picture of each edit."""
    inputs: tuple[Path, ...] = positional()
    """Case folders, each with a scan named image and its label map named seg (image.nii.gz,
    seg.nii.gz) on the same grid, or folders of case folders. In a case that also has a label map
    named seg-edited, that edit is measured instead of drawn ones; its truth is not known."""
    structures: PositiveInt = 3
    """Number of structures drawn in each case; each one swells, and is moved."""
    model: str | None = None
    """A model whose edit in place is measured too, in cases whose labels it knows: its name (see:
    anatomaskgan models list) or the path of its folder. It must not have been trained on the
    cases."""
    segmenter: str | None = None
    """Segmenter that is asked whether it finds the edit: a model trained in the direction
    image2mask, the folder of such a run, or, with --model, a TorchScript file on its grid."""
    segmenter_sha256: str | None = None
    """SHA-256 of the segmenter's TorchScript file; its first eight digits or more are enough."""
    window: tuple[float, float] | None = None
    """Intensities that become 0 and 1. By default those of the model in cases whose labels it
    knows, or else of the scan's file, or else the 0.5th and 99.5th percentile of the labeled
    voxels."""
    seed: NonNegativeInt = 0
    """Seed by which edits are drawn, and of the model's noise."""
    labels: Path | None = None
    """Names for label maps whose files do not name their labels: a JSON file {"label value":
    "name"}, or the name of a bundled label table, such as totalsegmentator-v2."""
    device: Device = "auto"
    """Device on which the networks run; auto takes a GPU if there is one."""

    def __post_init__(self) -> None:
        """Raises UsageError for numbers by which nothing can be measured."""
        try:
            super().__post_init__()
        except ValueError as error:
            raise UsageError(str(error)) from error
        if self.window is not None and not self.window[0] < self.window[1]:
            raise UsageError(f"The window is {self.window}; expected the lower number first.")


def evaluate_edit(options: EditEvaluationOptions) -> int:
    """Returns 0 if every case was measured and 1 if one failed; prints the table of means."""
    found = each_once(case for folder in options.inputs for case in find_cases(folder))
    cases = [case for case in found if isinstance(case, CaseFolder)]
    evaluation = _EditEvaluation.of(options, {case.name: case.subject for case in cases})
    make_folder(options.output)
    result = run_batch(cases, lambda case: case.name, evaluation.run_case)
    if evaluation.rows:
        evaluation.write(result.failed)
    if result.failed:
        _log.info("%s", result.summary())
    return result.exit_code


@dataclass
class _EditEvaluation:
    """The means by which edits are made, and the results so far."""

    options: EditEvaluationOptions
    model: EditModel | None
    judge: Judge | None
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    pictures: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def of(
        cls, options: EditEvaluationOptions, subject_of_case: Mapping[str, str]
    ) -> _EditEvaluation:
        """Loads the networks; subject_of_case: name of each case -> its subject."""
        from AnatoMaskGANLib.synthesis import Synthesizer
        from AnatoMaskGANLib.synthesis.edit_fillers import EditModel

        model = judge = None
        if options.model is not None:
            synthesizer = Synthesizer.from_checkpoint(options.model, options.device)
            model = EditModel(Remembered(synthesizer), options.for_seeds([options.seed]))
        if options.segmenter is not None:
            judge = segmenter_judge(_segmenter_of(options, options.segmenter, model))
        evaluation = cls(options, model, judge)
        if model is not None:
            for note in notes_on_seen_cases([model.card], subject_of_case):
                evaluation.note(note)
        left_out = {
            "a model's edit in place (--model)": model is None,
            "what a segmenter finds (--segmenter)": judge is None,
        }
        missing = [name for name, is_missing in left_out.items() if is_missing]
        if missing:
            evaluation.note(f"Not measured: {'; '.join(missing)}.")
        return evaluation

    def note(self, text: str) -> None:
        """Adds a note to the report, and logs it, unless it was given before."""
        if text not in self.notes:
            self.notes.append(text)
            _log.warning("%s", text)

    def run_case(self, case: CaseFolder, on_progress: OnProgress) -> None:
        """Makes and measures every edit of a case in every way."""
        from AnatoMaskGANLib.evaluation.edit_suite import EvaluatedEdit, measure_edit
        from AnatoMaskGANLib.evaluation.report.edit_pictures import EditPicture, draw_edit
        from AnatoMaskGANLib.volumes import read_label_map

        scan = read_scan(case.image)
        before = read_label_map(case.label_map, self.options.labels)
        edits = list(self._edits(case, scan, before))
        window = self._window(scan, before)
        for number, edit in enumerate(edits):
            on_progress(number / len(edits), edit.name)
            settings = self._settings(case, scan, before, edit)
            evaluated = EvaluatedEdit(case.name, case.subject, scan, before, edit, window)
            rows, made = measure_edit(evaluated, self._ways(case, edit, settings), self.judge)
            self.rows.extend(rows)
            file = "-".join([case.name, *re.findall(r"[\w.]+", edit.name)])
            picture = self.options.output / f"{file}.png"
            title = f"{case.name}: {edit.name}, by {MOVED}"
            draw_edit(
                picture,
                EditPicture(before, edit.after, scan, made[MOVED], edit.truth, window, title),
            )
            self.pictures[f"{case.name}, {edit.name}"] = picture

    def _edits(self, case: CaseFolder, scan: Volume, before: LabelMap) -> Iterator[Edit]:
        """The edit of the case, or drawn ones."""
        from AnatoMaskGANLib.evaluation.edit_suite import Edit
        from AnatoMaskGANLib.evaluation.known_warps import draw_warps, known_edit, warp_name
        from AnatoMaskGANLib.volumes import read_label_map

        folder = case.label_map.parent
        given = [
            file
            for file in volume_files(folder)
            if volume_stem(file) == AFTER_NAME and file.parent == folder
        ]
        if given:
            yield Edit(AFTER_NAME, read_label_map(given[0], self.options.labels), None)
            return
        for warp in draw_warps(before, self.options.structures, self.options.seed):
            yield Edit(warp_name(warp, before), *known_edit(scan, before, warp))

    def _settings(
        self, case: CaseFolder, scan: Volume, before: LabelMap, edit: Edit
    ) -> EditSettings:
        """New structures get the usual look, which a note says; so do those that went when the edit
        is undone."""
        from AnatoMaskGANLib.editing import EditSettings, questions

        asked, undone = (
            [one for one in questions(scan, *maps) if one.kind == "look"]
            for maps in ((before, edit.after), (edit.after, before))
        )
        if asked:
            which = ", ".join(one.name or str(one.label) for one in asked)
            self.note(f"New in {case.name}, painted as soft tissue: {which}.")
        return EditSettings({one.label: one.default for one in (*asked, *undone)})

    def _window(self, scan: Volume, before: LabelMap) -> tuple[float, float]:
        """The given window, else the model's if it knows the labels, else the usual one."""
        from AnatoMaskGANLib.evaluation.edit_suite import usual_window

        if self.options.window is not None:
            return self.options.window
        if self.model is not None and not self._unknown(self.model, before):
            return self.model.card.window
        return usual_window(scan, before)

    def _unknown(self, model: EditModel, label_map: LabelMap) -> list[int]:
        """The labels for which a model is left out."""
        if self.options.unmatched != "stop":
            return []
        return sorted(set(label_map.values) - model.known_labels(label_map))

    def _ways(self, case: CaseFolder, edit: Edit, settings: EditSettings) -> dict[str, Way]:
        """The ways of an edit by name; the model's only where it knows the labels."""
        model, after = self.model, edit.after
        unknown = [] if model is None else self._unknown(model, after)
        if model is not None and unknown:
            which = ", ".join(after.names.get(label, str(label)) for label in unknown[:8])
            self.note(f"{model.card.name} is left out of {case.name}: unknown are {which}.")
            model = None
        return edit_ways(settings, model)

    def write(self, failed: Mapping[str, str]) -> None:
        """Writes the report and prints its table."""
        from AnatoMaskGANLib.evaluation import ReportContents, Table, write_report

        table = Table(tuple(self.rows))
        contents = ReportContents(
            title="Evaluation of edits of real scans",
            baseline=LABEL_MEAN,
            settings=self._described(failed),
            notes=self.notes,
            pictures=dict(list(self.pictures.items())[:EMBEDDED_PICTURES]),
        )
        report = write_report(self.options.output, table, contents)
        print(table.to_text([key for key in SHOWN_METRICS if key in table.keys]))
        print(f"All metrics and pictures: {report}")

    def _described(self, failed: Mapping[str, str]) -> dict[str, str]:
        from AnatoMaskGANLib.editing.provenance import METHOD

        options, model = self.options, self.model
        card = None if model is None else model.card
        window = (
            "of each scan" if options.window is None else "{:g} to {:g}".format(*options.window)
        )
        return {
            "Method": METHOD,
            "Model": "none" if card is None else f"{card.name}, SHA-256 {card.sha256}",
            "Segmenter": options.segmenter or "none",
            "Structures of each case": str(options.structures),
            "Seed": str(options.seed),
            "Window": window if card is None or options.window else "of the model",
            "Failed cases": ", ".join(failed) or "none",
            "Program": f"AnatoMaskGAN {__version__}",
        }


def _segmenter_of(
    options: EditEvaluationOptions, place: str, model: EditModel | None
) -> VolumeSegmenter:
    """The segmenter; raises UsageError for a TorchScript file without the model of its grid."""
    if model is not None:
        return load_segmenter(place, options.segmenter_sha256, model.card, options.device)
    if Path(place).suffix in SCRIPT_SUFFIXES:
        raise UsageError(
            f"The segmenter {place} is a TorchScript file, which does not say its grid and labels; "
            "expected --model with a model of the same grid and labels."
        )
    return load_segmenter(place, options.segmenter_sha256, None, options.device)
