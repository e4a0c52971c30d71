"""Cases of the open scene, written as the case folders that a training is prepared from."""

import json
import pathlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

# What was written by an earlier export, and only that, is removed by the next one.
RECORD_FILE = "exported-cases.json"


@dataclass(frozen=True)
class ScenePair:
    """A segmentation and the scan that it is of."""

    segmentationNode: Any
    volumeNode: Any


def scanOf(segmentationNode, volumeNodes: Sequence[Any]):
    """The volume that the segmentation was most likely drawn on; None when there is none."""
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    reference = segmentationNode.GetNodeReference(role)
    if reference in volumeNodes:
        return reference
    words = _words(segmentationNode.GetName())
    shared = [(len(words & _words(node.GetName())), node) for node in volumeNodes]
    best = max(shared, key=lambda pair: pair[0], default=(0, None))
    return best[1] if best[0] else (volumeNodes[0] if len(volumeNodes) == 1 else None)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower()))


def exportCases(
    pairs: Sequence[ScenePair],
    folder: pathlib.Path,
    onCase: Callable[[int, str], None] | None = None,
) -> pathlib.Path:
    """Writes a case folder for each pair; gives back the folder that holds them.

    Each case is on its scan's grid, named as its segmentation. Raises ValueError without a pair or
    with a segmentation without its scan, VolumeError for nodes without voxels, OSError for a folder
    that cannot be written.
    """
    from AnatoMaskGANLib.mrml import label_map_from_segmentation, volume_of_node
    from AnatoMaskGANLib.volumes import write_label_map, write_volume

    if not pairs:
        raise ValueError(_("Tick at least one segmentation that has its scan in the scene."))
    for pair in pairs:
        if pair.volumeNode is None:
            text = _("Select the scan of {name!r}, or untick it.")
            raise ValueError(text.format(name=pair.segmentationNode.GetName()))
    cases = folder / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    record = folder / RECORD_FILE
    _removeEarlier(cases, record)
    names = caseNames([pair.segmentationNode.GetName() for pair in pairs])
    record.write_text(json.dumps(names), encoding="utf-8")
    for number, (name, pair) in enumerate(zip(names, pairs, strict=True)):
        if onCase is not None:
            onCase(number, name)
        export = label_map_from_segmentation(pair.segmentationNode, pair.volumeNode)
        case = cases / name
        case.mkdir(exist_ok=True)
        write_volume(volume_of_node(pair.volumeNode), case / "image.nii")
        write_label_map(export.label_map, case / "seg.nii.gz")
        labels = {str(value): label for value, label in export.label_map.names.items()}
        if labels:
            (case / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return cases


def caseNames(nodeNames: Sequence[str]) -> list[str]:
    """A folder's name for each node, no two alike."""
    names: list[str] = []
    for nodeName in nodeNames:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", nodeName).strip("-.") or "case"
        name, number = plain, 2
        while name.lower() in (other.lower() for other in names):
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names


def _removeEarlier(cases: pathlib.Path, record: pathlib.Path) -> None:
    try:
        names = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for name in caseNames([str(name) for name in names] if isinstance(names, list) else []):
        shutil.rmtree(cases / name, ignore_errors=True)
