"""What `anatomaskgan prepare` is asked to do; the one home of its defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from AnatoMaskGANLib.config import require

Layout = Literal["folder", "l2r-oasis", "l2r-abdomen-ct", "btcv", "mm-whs"]


class PreparationError(ValueError):
    """An archive, case or split that cannot be prepared: what came, what was expected, what to
    do."""


MOST_SUPERPIXELS = 1_000_000
"""Ours: more than any volume has use for."""


@dataclass(frozen=True)
class PreparationSettings:
    """Make a case store for training from the images and label maps of an archive."""

    layout: Layout = field(metadata={"positional": True})
    """Layout of the archive: l2r-oasis, l2r-abdomen-ct, btcv or mm-whs for these archives as
    they are published; folder for case folders with image.* and seg.* (or with a DICOM series
    and a label file, or with a folder segmentations that has one mask file for each organ), or
    for files that match --images and --label-files."""
    source: Path = field(metadata={"positional": True})
    """Folder of the unpacked archive."""
    output: Path
    """Folder of the store. If it already contains a store, that store is continued."""
    images: str | None = None
    """folder: pattern of the image files inside the source, such as "images/{case}_ct.nii.gz";
    {case} and {subject} stand for names, * for any part of a name."""
    label_files: str | None = None
    """folder: pattern of the label files, such as "labels/{case}_seg.nii.gz"."""
    subject_pattern: str | None = None
    """Regular expression that finds the subject in the name of a case (its group, if it has
    one). Without it the rule of the archive is used; for folder: sub-XXX, or the whole name."""
    incomplete: Literal["stop", "keep"] = "stop"
    """What to do with cases without labels or without image: stop counts them as failed (and
    leaves out the test images of public archives), keep stores them for semi-supervised and
    unpaired training."""
    table: str | None = None
    """Label table whose classes the model learns: the name of a bundled table or a JSON file.
    Without it, the table of the archive is used, or the names in labels.json and in the files."""
    unmatched: Literal["stop", "background"] = "stop"
    """What to do with labels that the table does not have: stop lets the case fail, background
    leaves their voxels without a label, as if they were air."""
    labels: tuple[int | str, ...] = ()
    """Labels to keep, by value or name. They become the classes 1, 2, ... in this order; all
    other labels become background. Without it, all labels are kept."""
    merge: Mapping[str, list[int | str]] | None = None
    """Labels to merge into one, such as {"kidney": ["left kidney", "right kidney"]}."""
    spacing_mm: tuple[float, float, float] | None = None
    """Voxel size (i, j, k) of the store in mm. Without it, the usual size of the archive; for
    folder: the median of the cases."""
    window: tuple[float, float] | None = None
    """Intensities that become 0 and 1, the same for all cases; for CT in HU. Without it, the
    window of the archive for CT, and percentiles for other images."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    """Without a window, these percentiles of each image become 0 and 1. The upper percentile is
    taken over the voxels that are brighter than the mean of the image, so that the amount of
    background does not matter."""
    unit: str | None = None
    """Unit of the intensities, such as HU. Without it, the unit of the archive or of the files."""
    remove_background: bool = False
    """Clear everything outside the body (table, clothes, air) in 3-D."""
    body_threshold: float | None = None
    """Intensity above which a voxel may belong to the body. Without it, -300 for images in HU,
    and the lower of Otsu's two thresholds for other images."""
    guidance: Literal["none", "superpixels"] = "none"
    """superpixels: also store SLIC superpixels, each with its quantized mean intensity."""
    superpixel_mode: Literal["slice", "volume"] = "slice"
    """slice: superpixels of each slice; volume: supervoxels of the whole volume."""
    num_superpixels: int = 512
    """Number of superpixels in a slice, or of supervoxels in a volume; SemiCS2 uses 512 in a
    slice."""
    compactness: float = 10.0
    """SLIC's weight of distance relative to similarity, on an intensity scale of 0 to 100;
    SemiCS2."""
    superpixel_step: int = 10
    """Step to which the mean of a superpixel is rounded down, on a scale of 0 to 255; tr in
    SemiCS2."""
    split: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Fractions of the subjects for training, validation and test; paper, section IV-A."""
    split_seed: int = 0
    """Seed of the split."""
    split_file: Path | None = None
    """JSON file with the subjects of each split, {"train": [...], "validation": [...], "test":
    [...], "left_out": [...]}; overrides --split."""
    marked: Literal["train", "keep", "refuse"] = "train"
    """What becomes of images that say they are synthetic or edited: train takes them for the
    training split alone, because a model that is measured on them is measured on no scan; keep
    takes them for every split; refuse takes none. The store says which they are."""
    grid_tolerance_mm: float = 0.01
    """Largest distance in mm between the centers of the same voxel in image and labels."""

    def __post_init__(self) -> None:
        if self.spacing_mm is not None:
            require(
                all(math.isfinite(mm) and mm > 0 for mm in self.spacing_mm),
                "spacing_mm",
                self.spacing_mm,
                "three lengths above 0",
            )
        if self.window is not None:
            low, high = self.window
            require(
                math.isfinite(low) and math.isfinite(high) and low < high,
                "window",
                self.window,
                "two numbers, the lower one first",
            )
        low, high = self.percentiles
        require(0 <= low < high <= 100, "percentiles", self.percentiles, "0 to 100, ascending")
        require(
            2 <= self.num_superpixels <= MOST_SUPERPIXELS,
            "num_superpixels",
            self.num_superpixels,
            f"2 to {MOST_SUPERPIXELS}",
        )
        require(self.compactness > 0, "compactness", self.compactness, "above 0")
        require(
            1 <= self.superpixel_step <= 127, "superpixel_step", self.superpixel_step, "1 to 127"
        )
        require(
            min(self.split) >= 0 and math.isclose(sum(self.split), 1, abs_tol=1e-6),
            "split",
            self.split,
            "three fractions, each 0 or more, that sum to 1",
        )
        require(self.grid_tolerance_mm > 0, "grid_tolerance_mm", self.grid_tolerance_mm, "above 0")
        has_patterns = self.images is not None or self.label_files is not None
        require(
            not has_patterns or self.layout == "folder", "layout", self.layout, "folder (patterns)"
        )
        for name in ("images", "label_files"):
            pattern = getattr(self, name)
            require(
                pattern is None or "{case}" in pattern, name, pattern, "a pattern with {case} in it"
            )
