"""Cases of any folder: found by patterns, or as case folders that hold an image and its labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from AnatoMaskGANLib.preparation.archives import CaseFiles
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.volumes.dicom.files import is_segmentation_file
from AnatoMaskGANLib.volumes.files import READABLE_SUFFIXES, VOXEL_FILE_SUFFIXES
from AnatoMaskGANLib.volumes.source_files import all_folders

EXPECTED = (
    "case folders with image.* and seg.*, with a DICOM series and a label file, or with ct.nii.gz "
    "and segmentations/*.nii.gz; or give --images and --label-files patterns"
)
IMAGE_STEMS = ("image", "img", "scan", "ct", "mr", "mri", "t1", "t1w")
LABEL_STEMS = ("seg", "segmentation", "label", "labels", "labelmap")
MASK_FOLDERS = ("segmentations", "masks")

_BIDS_SUBJECT = re.compile(r"(?:^|[^A-Za-z0-9])(sub-[A-Za-z0-9]+)")
# The suffix that `synthesize --deform` adds to the name of the case that it makes new ones of.
_DEFORMED = re.compile(r"(?:_deform\d+(?:_seed-?\d+)?)+(?=/|$)")
_WILDCARD = re.compile(r"\{case\}|\{subject\}|\*\*/|\*")
_WILDCARD_PATTERNS = {
    "{case}": r"(?P<case>[^/]+?)",
    "{subject}": r"(?P<subject>[^/]+?)",
    "**/": r"(?:[^/]+/)*",
    "*": r"[^/]*",
}
_DICOM_SUFFIXES = (".dcm", ".ima")


def find_by_patterns(source: Path, images: str | None, label_files: str | None) -> list[CaseFiles]:
    """Pairs of an image and a label file for which the patterns give the same case name.

    Folders that hold DICOM files count as images. Raises PreparationError if a pattern names two
    files for one case.
    """
    found_images = _matching(source, images)
    found_labels = _matching(source, label_files)
    cases = []
    for name in sorted(found_images.keys() | found_labels.keys()):
        image, subject = found_images.get(name, (None, ""))
        labels, subject_of_labels = found_labels.get(name, (None, ""))
        subject = subject or subject_of_labels or subject_of(name)
        cases.append(CaseFiles(_plain(name), subject, image, labels))
    return cases


def find_case_folders(source: Path) -> list[CaseFiles]:
    """Every folder at or below the source with an image and a label map, an image alone or a label
    map alone; its path below the source is the case's name.

    Raises PreparationError for a folder with two files that could be the image.
    """
    found: dict[str, tuple[Path | None, Path | None]] = {}
    for folder in all_folders(source):
        if folder.name in MASK_FOLDERS or (folder != source and _is_series_of_parent(folder)):
            continue
        labels = _labels_of(folder)
        image = _only(folder, IMAGE_STEMS, "image") or _dicom_series_of(folder, labels)
        if image is None and labels is None:
            continue
        place = folder.relative_to(source).as_posix()
        found[source.name if place == "." else place] = (image, labels)
    return [
        CaseFiles(_plain(name), subject_of(_original_of(name, found)), image, labels)
        for name, (image, labels) in found.items()
    ]


def subject_of(case_name: str) -> str:
    """The BIDS subject in a case's name or path ("sub-01/ses-2" is of sub-01), else the name.

    "case7_deform2" is of case7, whose label map it was made of.
    """
    match = _BIDS_SUBJECT.search(case_name)
    return match[1] if match else _plain(_DEFORMED.sub("", case_name))


def _original_of(name: str, names: Collection[str]) -> str:
    """The case among others that `synthesize --deform` made this one of, or would have been called;
    the name itself if it was not made so.

    Where several cases have the original's name, the one whose folders end alike is taken.
    """
    original = _DEFORMED.sub("", name)
    if original.endswith(name.rpartition("/")[2]):
        return name
    folders = original.split("/")[::-1]

    def common_end(other: str) -> int:
        pairs = zip(folders, other.split("/")[::-1], strict=False)
        return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))

    there = [other for other in names if common_end(other)]
    return max(there, key=common_end, default=original)


def neighbors_of_two_subjects(
    source: Path, cases: Sequence[CaseFiles]
) -> tuple[CaseFiles, CaseFiles] | None:
    """Two cases in one of several folders, each a subject for want of a rule, as the visits of one
    patient are; None if there are none."""
    groups: dict[Path, list[CaseFiles]] = {}
    for case in cases:
        path = case.labels or case.image
        if case.subject != case.name or path is None:
            continue
        folder = path if path == case.image and path.is_dir() else path.parent
        groups.setdefault(folder.parent if folder != source else folder, []).append(case)
    for parent, group in groups.items():
        if len(group) > 1 and parent != source and len(groups) > 1:
            return group[0], group[1]
    return None


def with_subject(case: CaseFiles, pattern: str | None) -> CaseFiles:
    """The case with the subject that a regular expression finds in its name, if one is given.

    Raises PreparationError if the expression is none or finds nothing.
    """
    if pattern is None:
        return case
    try:
        match = re.search(pattern, case.name)
    except re.error as error:
        raise PreparationError(
            f"--subject-pattern {pattern!r} is not a valid regular expression ({error}); "
            "expected one such as 'patient\\d+'."
        ) from error
    found = match and (match[1] if match.re.groups else match[0])
    if not found:
        raise PreparationError(
            f"--subject-pattern {pattern!r} finds no subject in the case name {case.name!r}; "
            "expected one in every name."
        )
    return replace(case, subject=found)


def stem_of(path: Path) -> str:
    """The file's name in lower case without the suffix of its type (and without ".seg").

    Empty for other files, for hidden ones, which are what a killed process was writing, and for the
    voxels of a pair, whose header stands for both.
    """
    name = path.name.lower()
    if name.startswith(".") or name.endswith(VOXEL_FILE_SUFFIXES):
        return ""
    for suffix in sorted(READABLE_SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return name[: -len(suffix)].removesuffix(".seg")
    return ""


def _matching(source: Path, pattern: str | None) -> dict[str, tuple[Path, str]]:
    """Case name to the file that the pattern finds and the subject that it gives."""
    if pattern is None:
        return {}
    expression = re.compile(_expression_of(pattern))
    found: dict[str, tuple[Path, str]] = {}
    for path in sorted(source.rglob("[!.]*")):
        match = expression.fullmatch(path.relative_to(source).as_posix())
        if not match or not (path.is_file() or _holds_dicom(path)):
            continue
        name = match["case"]
        if name in found:
            raise PreparationError(
                f"The pattern {pattern!r} finds both {found[name][0]} and {path} for the "
                f"case {name!r}; expected one file for each case. Make the pattern more "
                "specific."
            )
        found[name] = (path, match.groupdict().get("subject") or "")
    return found


def _expression_of(pattern: str) -> str:
    pieces, end = [], 0
    used: set[str] = set()
    for wildcard in _WILDCARD.finditer(pattern):
        pieces.append(re.escape(pattern[end : wildcard.start()]))
        word = wildcard[0]
        # a name that comes twice is the same both times
        pieces.append(f"(?P={word[1:-1]})" if word in used else _WILDCARD_PATTERNS[word])
        if word.startswith("{"):
            used.add(word)
        end = wildcard.end()
    return "".join([*pieces, re.escape(pattern[end:])])


def _only(folder: Path, stems: tuple[str, ...], what: str) -> Path | None:
    """The file with one of these stems; the first stem that is there is taken."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for stem in stems:
        found = [path for path in files if stem_of(path) == stem]
        if len(found) > 1:
            raise PreparationError(
                f"{folder} holds {' and '.join(path.name for path in found)}; expected one {what}. "
                "Move the others away, or give --images and --label-files patterns."
            )
        if found:
            return found[0]
    return None


def _mask_folder_of(folder: Path) -> Path | None:
    for name in MASK_FOLDERS:
        inner = folder / name
        if inner.is_dir() and any(stem_of(path) for path in inner.iterdir()):
            return inner
    return None


def _labels_of(folder: Path) -> Path | None:
    return _only(folder, LABEL_STEMS, "label map") or _mask_folder_of(folder)


def _dicom_series_of(folder: Path, labels: Path | None) -> Path | None:
    """The folder itself if it holds DICOM files; else, where there are labels, the only subfolder
    with DICOM files. None if there is neither."""
    if _holds_dicom(folder):
        return folder
    inner = [path for path in sorted(folder.iterdir()) if _holds_dicom(path)] if labels else []
    return inner[0] if len(inner) == 1 and not _labels_of(inner[0]) else None


def _is_series_of_parent(folder: Path) -> bool:
    """Whether the folder is the DICOM series of a case folder that holds the labels."""
    parent = folder.parent
    return _holds_dicom(folder) and _dicom_series_of(parent, _labels_of(parent)) == folder


def _holds_dicom(path: Path) -> bool:
    """Whether the folder holds DICOM images; segmentation objects are labels and none."""
    if not path.is_dir():
        return False
    for file in sorted(path.iterdir()):
        if not file.is_file() or stem_of(file) and not file.name.lower().endswith(".dcm"):
            continue
        is_dicom = file.name.lower().endswith(_DICOM_SUFFIXES) or _has_dicom_mark(file)
        if is_dicom and not is_segmentation_file(file):
            return True
    return False


def _has_dicom_mark(file: Path) -> bool:
    try:
        with open(file, "rb") as opened:
            return opened.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _plain(name: str) -> str:
    """The name as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "case"
