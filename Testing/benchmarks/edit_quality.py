"""How near a moved scan comes to the truth, where the truth is known.

    python -m Testing.benchmarks.edit_quality DATA [--cases ct mr] [--model brain-t1]

Each case's real scan and label map are warped by one known field: a structure swells, or one is
shifted, and its neighbors give way. From the scan and the two label maps the edit has to find the
warped scan. DATA holds the folders of `CASES`, each with image.nii.gz and seg.nii.gz.

Columns: psnr_lab, PSNR in dB over those of the changed voxels and their neighbors with a label;
psnr_chg, over the changed voxels and two around; psnr_box, over the box of the change with 12
around; sd and grad, the deviation within labels and the mean step along I, over those of the truth,
in the changed voxels. Rows: "label mean", the hole painted with the means of its labels; "nearest",
the nearest voxels of the right label copied; "moved", the edit; with --model, "model" as that
model's edit in place, for cases whose labels it knows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from AnatoMaskGANLib.editing import edit_scan
from AnatoMaskGANLib.evaluation.edit_baselines import label_mean_edit, nearest_voxel_edit
from AnatoMaskGANLib.evaluation.known_warps import Shift, Swell, warp_field, warped
from AnatoMaskGANLib.evaluation.metrics.edit_criteria import psnr
from AnatoMaskGANLib.volumes import LabelMap, Volume, read_label_map, read_volume, to_model_grid

ROOM = 8  # voxels around the labels of a brain that are kept
VOXELS = (1.0, 1.0, 1.0)  # the fields of the cases count in voxels
FOLDERS = ("image.nii.gz", "seg.nii.gz")


@dataclass(frozen=True)
class Case:
    folder: str
    swell: Swell
    shift: Shift
    window: tuple[float, float] | None = None
    is_cropped: bool = False
    is_brain: bool = False


HIPPOCAMPUS = (Swell((1,), 1.3, 4.0), Shift((2,), (0, 2, 2), 4.0))
MOUSE = (Swell((4,), 1.3, 4.0), Shift((5,), (0, 3, 0), 5.0))
BRAIN = (Swell((3,), 1.3, 8.0), Shift((8, 9, 10), (0, 5, 0), 8.0))
CASES = {
    "ct": Case(
        "ct-mr-samples/ct", Swell((2,), 1.35, 5.0), Shift((30, 31), (0, 3, 0), 6.0), (-1024, 1024)
    ),
    "mr": Case("ct-mr-samples/mr", Swell((5,), 1.2, 5.0), Shift((2,), (0, 3, 0), 6.0)),
    "hippocampus": Case("hippocampus/sub-003", *HIPPOCAMPUS),
    "hippocampus-2": Case("hippocampus/sub-006", *HIPPOCAMPUS),
    "mouse": Case("mouse-brain/sub-01", *MOUSE, is_cropped=True),
    "mouse-2": Case("mouse-brain/sub-02", *MOUSE, is_cropped=True),
    # no training of brain-t1 has seen these brains
    **{
        f"brain-{number}": Case(
            f"brain-t1-more/sub-{number}", *BRAIN, (0, 160), is_cropped=True, is_brain=True
        )
        for number in (1104, 1107, 1110, 1116, 1119, 1128)
    },
    "brain": Case("brain-t1/sub-19", *BRAIN, (0, 160), is_cropped=True, is_brain=True),
}


def read(data: Path, case: Case) -> tuple[np.ndarray, LabelMap]:
    """The scan in [0,1] and its labels, on one grid along RAS."""
    scan = read_volume(data / case.folder / FOLDERS[0])
    labels = read_label_map(data / case.folder / FOLDERS[1])
    spacing = np.array(labels.spacing_ijk_mm)
    on_ras = to_model_grid(labels, spacing)
    step = np.linalg.inv(scan.ijk_to_ras) @ on_ras.ijk_to_ras
    index = np.indices(on_ras.shape_kji).reshape(3, -1)[::-1]
    at = np.rint(step[:3, :3] @ index + step[:3, 3:]).astype(int)[::-1]
    voxels = scan.voxels_kji[tuple(at)].reshape(on_ras.shape_kji).astype(np.float32)
    values = on_ras.labels_kji
    if case.is_cropped:
        (box,) = ndimage.find_objects((values > 0).astype(np.int8))
        box = tuple(
            slice(max(0, side.start - ROOM), min(size, side.stop + ROOM))
            for side, size in zip(box, values.shape, strict=True)
        )
        voxels, values = voxels[box], values[box]
    window = case.window
    if window is None:
        tissue = voxels[voxels > voxels.mean()] if "ct-mr" in case.folder else voxels[values > 0]
        window = (np.percentile(voxels, 0.5), np.percentile(tissue, 99.5))
    unit = np.clip((voxels - window[0]) / (window[1] - window[0]), 0, 1)
    matrix = np.diag([*spacing, 1.0])
    return np.ascontiguousarray(unit, np.float32), LabelMap(
        np.ascontiguousarray(values), matrix, labels.names, labels.codes
    )


def figures(true: np.ndarray, made: np.ndarray, old: np.ndarray, new: np.ndarray) -> str:
    changed = ndimage.binary_dilation(old != new, iterations=2)
    labeled = ndimage.binary_dilation(old != new) & (new > 0)
    (box,) = ndimage.find_objects((old != new).astype(np.int8))
    box = tuple(slice(max(0, side.start - 12), side.stop + 12) for side in box)
    everywhere = np.ones(true[box].shape, dtype=bool)
    ratios = []
    for label in np.unique(new[changed]):
        where = changed & (new == label)
        if where.sum() > 60 and true[where].std() > 0:
            ratios.append(made[where].std() / true[where].std())
    steps = [np.abs(np.diff(image, axis=2))[changed[:, :, 1:]].mean() for image in (made, true)]
    return (
        f"psnr_lab {psnr(true, made, labeled):5.2f}  psnr_chg {psnr(true, made, changed):5.2f}  "
        f"psnr_box {psnr(true[box], made[box], everywhere):5.2f}  sd {np.mean(ratios):.3f}  "
        f"grad {steps[0] / steps[1]:.3f}"
    )


def rows(
    image: np.ndarray, old: LabelMap, new: LabelMap, model: str | None
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, image and seconds of each way to make the edit."""
    yield "label mean", label_mean_edit(image, old.labels_kji, new.labels_kji), 0.0
    yield "nearest", nearest_voxel_edit(image, old.labels_kji, new.labels_kji), 0.0
    scan = Volume(image, old.ijk_to_ras, (0.0, 1.0))
    if model:
        from AnatoMaskGANLib.synthesis import Synthesizer, edit_in_place

        synthesizer = Synthesizer.from_checkpoint(model, device="cpu")
        start = time.perf_counter()
        low, high = synthesizer.card.window
        physical = Volume(low + (high - low) * image, old.ijk_to_ras, (low, high))
        made = edit_in_place(synthesizer, physical, old, new).voxels_kji
        yield "model", (made - low) / (high - low), time.perf_counter() - start
    start = time.perf_counter()
    made = edit_scan(scan, old, new).volume
    yield "moved", made.voxels_kji, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--model", help="a model that knows the labels of the brain")
    given = parser.parse_args()
    for name in given.cases:
        case = CASES[name]
        image, old = read(given.data, case)
        for change in (case.swell, case.shift):
            true, labels = warped(image, old.labels_kji, warp_field(old.labels_kji, VOXELS, change))
            new = LabelMap(labels, old.ijk_to_ras, old.names, old.codes)
            model = given.model if case.is_brain else None
            for row, made, seconds in rows(image, old, new, model):
                told = figures(true, made, old.labels_kji, labels)
                kind = type(change).__name__.lower()
                print(f"{name:13s} {kind:5s} {row:10s} {told}  {seconds:6.2f} s", flush=True)


if __name__ == "__main__":
    main()
