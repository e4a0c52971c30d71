"""The public archives: where their cases lie, whose they are, and what their values mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from AnatoMaskGANLib.preparation.settings import PreparationError


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case, before any of them is read."""

    name: str
    subject: str
    """The person or animal that was scanned; all cases of a subject go to one split."""
    image: Path | None
    """A file, or a folder with one DICOM series."""
    labels: Path | None
    """A label map, or a folder with one mask file for each label."""
    is_test: bool = False
    """Whether it was published without labels on purpose."""
    modality: str = ""
    """The modality "ct" or "mr", where the archive says it."""


@dataclass(frozen=True)
class Archive:
    """The properties of a public archive."""

    find: Callable[[Path], list[CaseFiles]]
    expected: str
    """A description of its folder, for errors."""
    table: str
    """Label table of its values."""
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ct_window: tuple[float, float] | None = None
    """The window of its CT in HU; None for an archive of MR."""
    slips: Mapping[int, int] = field(default_factory=dict)
    """Label value that some of its files hold by mistake -> the value that is meant."""


_OASIS_FOLDER = re.compile(r"OASIS_(OAS\d+_\d+)_MR\d+")
# image and label names of one scan, aligned to each other; the first pair that is there is taken
_OASIS_PAIRS = (("aligned_norm", "aligned_seg35"), ("norm", "seg35"))
_L2R_FILE = re.compile(r"(?P<case>.+?_\d{4})(_0000)?\.nii(\.gz)?")
_BTCV_FILE = re.compile(r"(?:img|label)(?P<case>\d{4})\.nii(\.gz)?")
_MM_WHS_FILE = re.compile(
    r"(?P<case>(?P<modality>ct|mr)_(?P<part>train|test)_\d+)_(?P<kind>image|label)\.nii(\.gz)?"
)


def find_l2r_oasis(source: Path) -> list[CaseFiles]:
    """Cases of L2R-OASIS: folders OASIS_OAS1_0001_MR1 with aligned_norm.nii.gz and
    aligned_seg35.nii.gz (neurite's archive), or imagesTr and labelsTr (Learn2Reg's).

    A second session (MR2) of a subject belongs to the same subject.
    """
    cases = []
    for folder in _folders(source, depth=2):
        match = _OASIS_FOLDER.fullmatch(folder.name)
        if not match:
            continue
        found = [(_volume(folder, image), _volume(folder, seg)) for image, seg in _OASIS_PAIRS]
        image, labels = next((pair for pair in found if pair[0] or pair[1]), (None, None))
        if image or labels:
            cases.append(CaseFiles(folder.name, match[1], image, labels))
    return cases or find_l2r_images(source)


def find_l2r_images(source: Path) -> list[CaseFiles]:
    """Cases of Learn2Reg's common naming: imagesTr/NAME_0001_0000.nii.gz with the label map of the
    same name (or without the channel 0000) in labelsTr; imagesTs without labels."""
    cases = []
    for part in ("Tr", "Ts"):
        images = _matching(source, f"images{part}", _L2R_FILE)
        labels = _matching(source, f"labels{part}", _L2R_FILE)
        for name in sorted(images.keys() | labels.keys()):
            is_test = part == "Ts" and name not in labels
            cases.append(CaseFiles(name, name, images.get(name), labels.get(name), is_test))
    return cases


def find_btcv(source: Path) -> list[CaseFiles]:
    """Cases of BTCV: img/img0001.nii.gz with label/label0001.nii.gz; a folder img without a folder
    label next to it holds test images."""
    cases = []
    for folder in _folders(source, depth=4):
        if not ((folder / "img").is_dir() or (folder / "label").is_dir()):
            continue
        images = _matching(folder, "img", _BTCV_FILE)
        labels = _matching(folder, "label", _BTCV_FILE)
        is_test = not (folder / "label").is_dir()
        for name in sorted(images.keys() | labels.keys()):
            case = f"btcv-{name}"
            cases.append(CaseFiles(case, case, images.get(name), labels.get(name), is_test))
    return cases


def find_mm_whs(source: Path) -> list[CaseFiles]:
    """Cases of MM-WHS: ct_train_1001_image.nii.gz with ct_train_1001_label.nii.gz, of CT or of MR.

    Raises PreparationError if both modalities are there, because they have no window in common.
    """
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    modalities = set()
    for path in sorted(source.rglob("*.nii*")):
        match = _MM_WHS_FILE.fullmatch(path.name)
        if match:
            modalities.add(match["modality"])
            (images if match["kind"] == "image" else labels)[match["case"]] = path
    if len(modalities) > 1:
        raise PreparationError(
            f"{source} contains CT and MR; expected one modality in a store. Give the "
            "folder of one modality, such as ct_train."
        )
    return [
        CaseFiles(name, name, images.get(name), labels.get(name), "_test_" in name, name[:2])
        for name in sorted(images.keys() | labels.keys())
    ]


ARCHIVES: dict[str, Archive] = {
    "l2r-oasis": Archive(
        find_l2r_oasis,
        "folders OASIS_OAS1_0001_MR1 with aligned_norm.nii.gz and aligned_seg35.nii.gz, or folders "
        "imagesTr and labelsTr",
        "freesurfer-brain",
    ),
    "l2r-abdomen-ct": Archive(
        find_l2r_images,
        "imagesTr/AbdomenCT_0001_0000.nii.gz and labelsTr/AbdomenCT_0001_0000.nii.gz",
        "abdomen-ct-13",
        (2.0, 2.0, 2.0),
        (-160.0, 240.0),
    ),
    "btcv": Archive(
        find_btcv,
        "img/img0001.nii.gz and label/label0001.nii.gz",
        "abdomen-ct-13",
        (1.5, 1.5, 3.0),
        (-160.0, 240.0),
    ),
    "mm-whs": Archive(
        find_mm_whs,
        "ct_train_1001_image.nii.gz and ct_train_1001_label.nii.gz",
        "mm-whs",
        (1.0, 1.0, 1.0),
        (-200.0, 600.0),
        {421: 420},
    ),
}


def _folders(source: Path, depth: int) -> Iterator[Path]:
    """The folder and those below it, sorted, as many levels deep as `depth` says."""
    yield source
    if depth:
        for folder in sorted(path for path in source.iterdir() if path.is_dir()):
            yield from _folders(folder, depth - 1)


def _matching(source: Path, folder_name: str, pattern: re.Pattern[str]) -> dict[str, Path]:
    """Case name to file, of the first folder of this name at the source or one or two levels
    below."""
    for folder in _folders(source, depth=2):
        inner = folder / folder_name
        if inner.is_dir():
            matches = [(pattern.fullmatch(path.name), path) for path in sorted(inner.glob("[!.]*"))]
            return {match["case"]: path for match, path in matches if match}
    return {}


def _volume(folder: Path, stem: str) -> Path | None:
    for suffix in (".nii.gz", ".nii", ".mgz"):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    return None
