"""The image and labels of one case, read and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.preparation.archives import CaseFiles
from AnatoMaskGANLib.preparation.label_classes import all_named
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    VolumeError,
    read_label_map,
    read_volume,
)
from AnatoMaskGANLib.volumes.dicom.all_slices import with_all_slices
from AnatoMaskGANLib.volumes.geometry import axes_closest_to_ras, largest_shift_mm
from AnatoMaskGANLib.volumes.label_names import names_file_beside, read_label_names, stem_of_volume
from AnatoMaskGANLib.volumes.label_spelling import side_of
from AnatoMaskGANLib.volumes.mask_folder import mask_files, read_mask_folder
from AnatoMaskGANLib.volumes.volume import refuse_non_finite


@dataclass
class ReadCase:
    """The content of a case's files."""

    volume: Volume | None
    label_map: LabelMap | None
    notes: list[str] = field(default_factory=list)
    """Notes that a person should read about the case, although it is good."""


def read_case(files: CaseFiles, tolerance_mm: float) -> ReadCase:
    """Image and labels of a case on one grid.

    Raises VolumeError for an unreadable file or an image with values that are no numbers,
    PreparationError for an image without contrast, for an empty label map, and for two grids.
    """
    case = ReadCase(None, None)
    if files.image is not None:
        case.volume = read_volume(files.image)
        _check_intensities(files.image, case.volume)
    if files.labels is not None:
        if files.labels.is_dir():
            case.label_map = read_masks(files.labels, case.notes)
        else:
            case.label_map = read_label_map(files.labels)
        if not case.label_map.values:
            raise PreparationError(
                f"{files.labels} contains no label, only background; expected a label map "
                "with labels. Paint it, or remove it to keep the image as a case without "
                "labels."
            )
    if case.volume is not None and case.label_map is not None and files.labels is not None:
        case.label_map = with_all_slices(case.label_map, files.labels, case.volume)
        check_same_grid(case.volume, case.label_map, tolerance_mm)
    return case


def read_masks(folder: Path, notes: list[str]) -> LabelMap:
    """One label map of a folder with a mask file for each label, named by the files and numbered in
    their order.

    Where masks overlap a little, the first one stays, which is noted; raises PreparationError where
    they overlap by more than 1 % of the smaller one, or where their grids differ.
    """
    try:
        return read_mask_folder(folder, notes)
    except VolumeError as error:
        raise PreparationError(str(error)) from error


def names_in(files: CaseFiles) -> Mapping[int, str]:
    """The labels of a case by name; values without a name are "label 7".

    Names come from its mask files, from the label names next to its label map, or from the label
    map itself. Raises VolumeError if the label map has to be read and cannot be.
    """
    if files.labels is None:
        return {}
    if files.labels.is_dir():
        return {
            value: stem_of_volume(path.name)
            for value, path in enumerate(mask_files(files.labels), 1)
        }
    beside = names_file_beside(files.labels)
    if beside is not None:
        return read_label_names(beside)
    label_map = read_label_map(files.labels)
    names = all_named(label_map).names
    return {value: names[value] for value in label_map.values}


def check_same_grid(a: Volume | LabelMap, b: Volume | LabelMap, tolerance_mm: float) -> None:
    """Raises PreparationError unless both have the same voxels, in whatever order of axes."""
    shape_a, place_a = _in_ras_order(a)
    shape_b, place_b = _in_ras_order(b)
    if shape_a != shape_b:
        raise PreparationError(
            f"Image and labels have different grids: {_times(shape_a)} and "
            f"{_times(shape_b)} voxels (right, anterior, superior); expected the same "
            "grid. Resample one onto the other first, or check that they belong together."
        )
    shift_mm = largest_shift_mm(tuple(reversed(shape_a)), place_a, place_b)
    if not shift_mm <= tolerance_mm:
        raise PreparationError(
            f"Image and labels are up to {shift_mm:.3g} mm apart; expected the same "
            f"position, within {tolerance_mm:g} mm. Correct the header of one of them, or "
            "resample it onto the other; if the difference does not matter, give a larger "
            "--grid-tolerance-mm."
        )


def spacing_ras_mm(volume: Volume | LabelMap) -> tuple[float, float, float]:
    """Voxel size along the axes closest to right, anterior and superior."""
    axes, _ = axes_closest_to_ras(volume.ijk_to_ras)
    spacing = volume.spacing_ijk_mm
    return spacing[axes[0]], spacing[axes[1]], spacing[axes[2]]


def sides_look_exchanged(label_map: LabelMap, swaps: Mapping[int, int]) -> bool:
    """Whether most left structures lie to the right of their right partners: a mirrored map.

    label_map: in RAS order (i to the right), with the values and names of the table of `swaps`.
    """
    votes = []
    columns = np.arange(label_map.shape_kji[2])
    present = set(label_map.values)
    for value, partner in swaps.items():
        if not {value, partner} <= present or side_of(label_map.names.get(value, "")) != "left":
            continue
        middles = []
        for side in (value, partner):
            counts = np.count_nonzero(label_map.labels_kji == side, axis=(0, 1))
            middles.append(float((counts * columns).sum() / counts.sum()))
        votes.append(middles[0] > middles[1])
    return bool(votes) and float(np.mean(votes)) > 0.5


def _check_intensities(path: Path, volume: Volume) -> None:
    voxels = refuse_non_finite(volume, str(path)).voxels_kji
    if voxels.min() == voxels.max():
        raise PreparationError(
            f"{path} has the value {voxels.flat[0]:g} in every voxel; expected an image "
            "with contrast."
        )


def _in_ras_order(volume: Volume | LabelMap) -> tuple[tuple[int, int, int], np.ndarray]:
    """Number of voxels (i, j, k) and matrix of the same voxels, axes ordered as R, A, S."""
    axes, flips = axes_closest_to_ras(volume.ijk_to_ras)
    sizes = volume.shape_kji[::-1]
    ordered = np.array(volume.ijk_to_ras)
    ordered[:3, :3] = volume.ijk_to_ras[:3, list(axes)]
    for column, (axis, is_flipped) in enumerate(zip(axes, flips, strict=True)):
        if is_flipped:
            ordered[:3, 3] += ordered[:3, column] * (sizes[axis] - 1)
            ordered[:3, column] *= -1
    return (sizes[axes[0]], sizes[axes[1]], sizes[axes[2]]), ordered


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(str(size) for size in sizes)
