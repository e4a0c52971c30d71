"""The cases of an evaluation, its training cases, and volumes that were made elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from AnatoMaskGANLib.commands.label_names import names_given
from AnatoMaskGANLib.commands.result_files import (
    SEGMENTATION_NAME,
    volume_files,
    volume_stem,
    volume_suffix,
)
from AnatoMaskGANLib.commands.synthesize import describe_matches
from AnatoMaskGANLib.synthesis.options import Unmatched

if TYPE_CHECKING:
    from AnatoMaskGANLib.evaluation import EvaluationCase
    from AnatoMaskGANLib.evaluation.baselines import TrainingCase
    from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer
    from AnatoMaskGANLib.volumes import LabelMap, Volume
    from AnatoMaskGANLib.volumes.case_store import CaseStore, StoredCase

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseFolder:
    """A case as files: a label map and its scan."""

    name: str
    label_map: Path
    image: Path

    @property
    def place(self) -> Path:
        """The place of the case: the file of its label map."""
        return self.label_map

    @property
    def subject(self) -> str:
        """The subject by BIDS names (sub-01_ses-2, sub-01/ses-2: sub-01), else the case's name."""
        from AnatoMaskGANLib.preparation.case_folders import subject_of

        found = subject_of(f"{self.label_map.resolve().parent.parent.name}/{self.name}")
        return found if found.startswith("sub-") else self.name


@dataclass(frozen=True, eq=False)
class StoreCase:
    """A case of a case store, with its labels and its image."""

    store: CaseStore
    stored: StoredCase

    @property
    def name(self) -> str:
        """The case's name in the store."""
        return self.stored.name

    @property
    def place(self) -> Path:
        """The place of the case: the folder of the store."""
        return self.store.folder

    @property
    def subject(self) -> str:
        """The case's subject in the store."""
        return self.stored.subject


def find_evaluated(place: Path) -> Sequence[CaseFolder | StoreCase]:
    """The cases in a folder, or the held-out cases of a case store.

    Those of a store are its test split, or its validation split if that is empty. Raises ValueError
    if there is none.
    """
    from AnatoMaskGANLib.volumes.case_store import INDEX, open_store

    if not (place / INDEX).is_file():
        return find_cases(place)
    store = open_store(place)
    for split in ("test", "validation"):
        found = [
            StoreCase(store, case)
            for case in store.of_split(split)
            if case.image_sjk is not None and case.labels_sjk is not None
        ]
        if found:
            return found
    raise ValueError(
        f"{place} contains no test or validation case with labels and image; prepare it "
        "with a fraction for these, or give case folders."
    )


def find_cases(folder: Path) -> list[CaseFolder]:
    """The cases in a folder: the folder itself, or the folders in it at any depth.

    Raises ValueError if there is none, or for a label map without its scan.
    """
    label_maps = [file for file in volume_files(folder) if volume_stem(file) == SEGMENTATION_NAME]
    if not label_maps:
        raise ValueError(
            f"{folder} contains no case. Expected a folder with seg.nii.gz and "
            "image.nii.gz (or .nrrd, .mha), or folders like that in it."
        )
    return [_case_of(label_map) for label_map in label_maps]


def each_once(cases: Iterable[CaseFolder | StoreCase]) -> list[CaseFolder | StoreCase]:
    """The cases, each once even if several inputs stand for it.

    Raises ValueError for two cases with one name.
    """
    found: dict[tuple[Path, str], CaseFolder | StoreCase] = {}
    for case in cases:
        found.setdefault((case.place.resolve(), case.name), case)
    places: dict[str, Path] = {}
    for case in found.values():
        other = places.setdefault(case.name, case.place)
        if other is not case.place:
            raise ValueError(
                f"{other} and {case.place} have two cases with the same name, "
                f"{case.name}. Rename one, so that the metrics can be distinguished."
            )
    return list(found.values())


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


@dataclass
class CaseReader:
    """Reads label maps in the model's classes; reports once how labels were matched."""

    synthesizer: Synthesizer
    labels: Path | None = None
    """JSON file with names for label maps whose files do not name their labels."""
    unmatched: Unmatched = "stop"
    takes_marked: bool = True
    """Whether an image that says it is synthetic or edited is taken as a real scan, with a note."""
    reported: set[str] = field(default_factory=set)
    """Reports of matches that were logged before."""

    def read(self, case: CaseFolder | StoreCase) -> EvaluationCase:
        """The case with its scan."""
        from AnatoMaskGANLib.evaluation import EvaluationCase

        if isinstance(case, StoreCase):
            label_map = self.matched(stored_label_map(case.store, case.stored), case.name)
            self.check_origin(case.stored.origin, case.name)
            image = stored_volume(case.store, case.stored)
            return EvaluationCase(case.name, image, label_map, case.stored.subject)
        return EvaluationCase(case.name, self.read_real(case.image), self.read_labels(case))

    def read_real(self, path: Path) -> Volume:
        """A scan that is taken as real. Raises ValueError for one that says it is not."""
        from AnatoMaskGANLib.volumes.origin_marks import origin_of

        volume = read_scan(path)
        self.check_origin(origin_of(volume), str(path))
        return volume

    def check_origin(self, origin: str, name: str) -> None:
        """Raises ValueError for an image that says it is no scan; logs it where it is taken."""
        if not origin:
            return
        if not self.takes_marked:
            raise ValueError(
                f"{name} is {origin}, and was given as a real scan: every metric against it would "
                "be wrong. Leave the case out, or give --take-marked to compare with it all the "
                "same."
            )
        text = f"{name} is {origin}, and is taken as a real scan."
        if text not in self.reported:
            self.reported.add(text)
            _log.warning("%s", text)

    def read_labels(self, case: CaseFolder) -> LabelMap:
        """The label map of the case."""
        from AnatoMaskGANLib.volumes import read_label_map

        names = names_given(self.labels, self.synthesizer.label_table)
        return self.matched(read_label_map(case.label_map, names), case.name)

    def matched(self, label_map: LabelMap, name: str) -> LabelMap:
        """The label map of that case with the model's values and names."""
        from AnatoMaskGANLib.volumes import apply_matches

        matches = self.synthesizer.match(label_map)
        text = describe_matches(matches)
        if text not in self.reported:
            self.reported.add(text)
            _log.info("%s: %s", name, text)
        return apply_matches(label_map, matches, self.unmatched)


def find_training_cases(place: Path, reader: CaseReader) -> list[TrainingCase]:
    """The training split of a case store, or every case of a folder of case folders."""
    from AnatoMaskGANLib.evaluation.baselines import TrainingCase
    from AnatoMaskGANLib.volumes.case_store import INDEX, open_store

    if (place / INDEX).is_file():
        store = open_store(place)
        return [
            _stored_training_case(store, case, reader)
            for case in store.of_split("train")
            if case.image_sjk is not None and case.labels_sjk is not None
        ]
    return [
        TrainingCase(
            case.name, case.subject, reader.read_labels(case), partial(reader.read_real, case.image)
        )
        for case in find_cases(place)
    ]


def _stored_training_case(store: CaseStore, case: StoredCase, reader: CaseReader) -> TrainingCase:
    from AnatoMaskGANLib.evaluation.baselines import TrainingCase

    reader.check_origin(case.origin, case.name)
    label_map = reader.matched(stored_label_map(store, case), case.name)
    return TrainingCase(case.name, case.subject, label_map, lambda: stored_volume(store, case))


def check_prepared_for(card: ModelCard, store: CaseStore) -> None:
    """Raises ValueError for a store whose grid, window or labels differ from the model's."""
    labels = {int(value): name for value, name in store.label_table["labels"].items()}
    known = {int(value): name for value, name in card.label_table["labels"].items()}
    ours = (tuple(card.spacing_ijk_mm), tuple(card.window), known)
    theirs = (tuple(store.spacing_ijk_mm), tuple(store.window), labels)
    for name, one, other in zip(("grid", "window", "labels"), ours, theirs, strict=True):
        if one != other:
            raise ValueError(
                f"The {name} of the model {card.name} ({one}) and of the store ({other}) "
                "differ; expected a store that was prepared like that of the model."
            )


def notes_on_windows(cases: Sequence[CaseFolder | StoreCase], card: ModelCard) -> Iterator[str]:
    """Notes on stored cases with windows of their own, and on stores with another window."""
    stored = [case for case in cases if isinstance(case, StoreCase)]
    own = [
        f"{case.name} {_window_text(case.stored.window)}"
        for case in stored
        if case.stored.window is not None and case.stored.window != case.store.window
    ]
    if own:
        windows = ", ".join(own)
        yield (
            "These cases are compared in their own windows, found by percentiles and "
            f"mapped onto the window of the store: {windows}. Errors in the unit of the "
            "scan refer to the window of the store."
        )
    for store in {case.store.folder: case.store for case in stored}.values():
        if store.window != tuple(card.window):
            yield (
                f"The window of {store.folder} is {_window_text(store.window)}, that of "
                f"{card.name} {_window_text(card.window)}: intensities outside the "
                "model's window are clipped."
            )


def _window_text(window: Sequence[float]) -> str:
    return f"{window[0]:g} to {window[1]:g}"


def stored_label_map(store: CaseStore, case: StoredCase) -> LabelMap:
    """The label map of a stored case, on a grid whose first voxel is at the origin of RAS."""
    import numpy as np

    from AnatoMaskGANLib.volumes import LabelMap

    names = {int(value): name for value, name in store.label_table["labels"].items()}
    labels = np.asarray(case.labels_sjk)
    present = {int(value) for value in np.unique(labels)}
    return LabelMap(
        labels,
        np.diag([*store.spacing_ijk_mm, 1.0]),
        {value: name for value, name in names.items() if value in present},
    )


def stored_volume(store: CaseStore, case: StoredCase) -> Volume:
    """The image of a stored case in the store's window, on the grid of its label map.

    A case with a window of its own, found by percentiles, is mapped to the store's window, which
    the synthetic volumes of a model have: the model was trained on 0 to 1 of each case, whatever
    the gain of the scanner.
    """
    import numpy as np

    from AnatoMaskGANLib.volumes import Volume

    low, high = store.window
    everything = slice(None)
    unit = case.image(everything, everything, everything)
    voxels = np.float32(low) + unit * np.float32(high - low)
    return Volume(voxels, np.diag([*store.spacing_ijk_mm, 1.0]), store.window, store.unit)


def read_scan(path: Path) -> Volume:
    """A volume whose voxels are all numbers, so that no mean leaves it out silently.

    Raises VolumeError for a volume with voxels that are no numbers.
    """
    from AnatoMaskGANLib.volumes import read_volume
    from AnatoMaskGANLib.volumes.volume import refuse_non_finite

    return refuse_non_finite(read_volume(path), str(path))


def find_volume(folder: Path, case_name: str) -> Path:
    """The one volume file of a case in a folder of volumes that were made elsewhere.

    It has the name of the case, or lies in a folder of that name, as `anatomaskgan synthesize`
    writes it. Raises ValueError for none or several.
    """
    found = [
        file
        for file in volume_files(folder)
        if volume_stem(file) == case_name or file.parent.name == case_name
    ]
    if len(found) != 1:
        raise ValueError(
            f"{folder} has {len(found)} volumes of the case {case_name}; expected one, named "
            f"{case_name}.nii.gz or in a folder {case_name}."
        )
    return found[0]


def named_values(texts: Sequence[str], option: str) -> dict[str, str]:
    """{"unet": "folder"} of NAME=VALUE texts. Raises ValueError for another form."""
    values: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip() or not value.strip() or name.strip() in values:
            raise ValueError(
                f"--{option} got {text!r}; expected NAME=VALUE, every name once, for "
                f"example --{option} unet=some/path."
            )
        values[name.strip()] = value.strip()
    return values
