"""Small segmentation files, good and damaged: for tests of what works on files and folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes import LabelMap, write_label_map

SEGMENTATION_GRID = np.diag([-2.0, -2.0, 2.0, 1.0])


def write_segmentation(path: Path, names: tuple[str, str] = ("skin", "bone")) -> Path:
    """Skin with a bone inside, or what else they are named, of 12x16x16 voxels."""
    labels_kji = np.zeros((12, 16, 16), dtype=np.uint8)
    labels_kji[2:10, 2:14, 2:14] = 1
    labels_kji[4:8, 5:11, 5:11] = 2
    write_label_map(LabelMap(labels_kji, SEGMENTATION_GRID, dict(enumerate(names, 1))), path)
    return path


def write_damaged_folder(folder: Path) -> Path:
    """Two good segmentations, a and c, and a damaged one, b, between them."""
    folder.mkdir()
    good = write_segmentation(folder / "a.seg.nrrd")
    shutil.copy(good, folder / "c.seg.nrrd")
    (folder / "b.seg.nrrd").write_bytes(good.read_bytes()[:250])
    return folder
