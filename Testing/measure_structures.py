"""Measures how large structures are, where they lie and how far they reach, over many subjects.

    python Testing/measure_structures.py DATA

writes Resources/LabelTables/structures.measured.json, by which label maps without names are
recognized. DATA holds brain-t1 and brain-t1-more (values of freesurfer-brain), abdomen-mr-t2
(liver, kidneys and spleen of it) and ct-mr-samples/ct (values of totalsegmentator-v2; structures
that the scan cuts off are left out).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.volumes import LabelMap, load_label_table, read_label_map
from AnatoMaskGANLib.volumes.label_recognition import MEASURED_FILE
from AnatoMaskGANLib.volumes.label_shapes import LabelShape, shapes_of

# Ours: bodies differ more than brains, and one scan of a trunk tells little of others.
_BRAIN_MM, _TRUNK_MM = 20.0, 70.0

# What tissue maps join, of the values of freesurfer-brain; their fluid has not been measured.
_TISSUES = {
    "Gray-Matter": (2, 6, 7, 8, 9, 10, 14, 15, 16, 21, 25, 26, 27, 28, 29, 30, 31, 32),
    "White-Matter": (1, 5, 13, 17, 20, 24, 33),
}

Subject = Mapping[str, LabelShape]


def main(data: Path) -> None:
    """Measures all groups and writes the file."""
    brains = [
        _shapes(read_label_map(path, "freesurfer-brain"), _TISSUES)
        for folder in ("brain-t1", "brain-t1-more")
        for path in sorted((data / folder).glob("*/seg.nii.gz"))
    ]
    trunks = [_shapes(read_label_map(data / "ct-mr-samples/ct/seg.nii.gz"))]
    trunks += [
        _abdomen(read_label_map(path))
        for path in sorted((data / "abdomen-mr-t2").glob("*/seg.nii.gz"))
    ]
    groups = [
        {"name": "brain", "tolerance_mm": _BRAIN_MM, "tables": ["freesurfer-brain"]}
        | {"subjects": len(brains), "tissues": list(_TISSUES), "structures": summary(brains)},
        {"name": "trunk", "tolerance_mm": _TRUNK_MM, "tables": ["totalsegmentator-v2"]}
        | {"subjects": len(trunks), "tissues": [], "structures": summary(trunks)},
    ]
    content = {"description": " ".join((__doc__ or "").split()), "groups": groups}
    path = resources_folder() / "LabelTables" / MEASURED_FILE
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(path)


def summary(subjects: Iterable[Subject]) -> dict[str, dict[str, Any]]:
    """Name to the range of volumes, the mean place and the mean spread, of whole structures.

    Subjects are laid over each other by shifts, in turn with the mean places.
    """
    whole = [{n: s for n, s in subject.items() if not s.is_cut} for subject in subjects]
    names = sorted({name for subject in whole for name in subject})
    shifts = [np.mean([shape.place_mm for shape in subject.values()], axis=0) for subject in whole]
    for _ in range(10):
        places = {
            name: np.mean(
                [
                    s[name].place_mm - shift
                    for s, shift in zip(whole, shifts, strict=True)
                    if name in s
                ],
                axis=0,
            )
            for name in names
        }
        shifts = [
            np.median([shape.place_mm - places[name] for name, shape in subject.items()], axis=0)
            for subject in whole
        ]
    middle = np.mean(list(places.values()), axis=0)
    found = {}
    for name in names:
        shapes = [subject[name] for subject in whole if name in subject]
        volumes = [shape.volume_ml for shape in shapes]
        spread = np.mean([shape.spread_mm for shape in shapes], axis=0)
        found[name] = {
            "volume_ml": [float(f"{min(volumes):.3g}"), float(f"{max(volumes):.3g}")],
            "place_mm": [round(float(x), 1) for x in places[name] - middle],
            "spread_mm": [round(float(x), 1) for x in spread],
            "subjects": len(shapes),
        }
    return found


def _shapes(
    label_map: LabelMap, joined: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, LabelShape]:
    shapes = {label_map.names[v]: shape for v, shape in shapes_of(label_map).items()}
    for name, values in (joined or {}).items():
        mask = np.isin(label_map.labels_kji, values).astype(np.uint8)
        shapes[name] = shapes_of(replace(label_map, labels_kji=mask))[1]
    return shapes


def _abdomen(label_map: LabelMap) -> dict[str, LabelShape]:
    """Organs under the names of TotalSegmentator, whole though the map ends at them: slices lie
    across the body."""
    names = {"liver": "liver", "spleen": "spleen"}
    names |= {f"kidney_{side}": f"kidney_{side}" for side in ("left", "right")}
    ours = load_label_table("totalsegmentator-v2")
    spelled = dict(ours.spellings())
    shapes = {}
    for value, shape in shapes_of(label_map).items():
        number = spelled.get(_normalized(label_map.names.get(value, "")))
        if number is not None and ours.labels[number] in names:
            shapes[ours.labels[number]] = shape
    return shapes


def _normalized(name: str) -> str:
    from AnatoMaskGANLib.volumes.label_spelling import normalized_name

    return normalized_name(name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
