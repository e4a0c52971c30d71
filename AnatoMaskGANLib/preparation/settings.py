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


@dataclass(frozen=True)
class PreparationSettings:
    """Make a case store for training from the images and label maps of an archive."""

    layout: Layout = field(metadata={"positional": True})
    """How the archive names its files: l2r-oasis, l2r-abdomen-ct, btcv and mm-whs as those archives
    are published; folder for case folders with image.* and seg.* (or a DICOM series and a label
    file, or a folder segmentations with one mask file an organ), or for --images patterns."""
    source: Path = field(metadata={"positional": True})
    """Folder of the unpacked archive."""
    output: Path
    """Folder of the store; a store that is there is continued."""
    images: str | None = None
    """folder: pattern of the image files below the source, such as "images/{case}_ct.nii.gz";
    {case} and {subject} stand for names, * for any part of a name."""
    label_files: str | None = None
    """folder: pattern of the label files, such as "labels/{case}_seg.nii.gz"."""
    subject_pattern: str | None = None
    """Regular expression found in the case name that gives the subject (its group, if it has one);
    else the archive's own rule, for folder sub-XXX or the whole name."""
    incomplete: Literal["stop", "keep"] = "stop"
    """Cases without labels or without image: stop counts them as failed (and leaves out the test
    images of public archives), keep stores them for semi-supervised and unpaired training."""
    table: str | None = None
    """Label table whose classes the model learns: a bundled one or a JSON file; else the archive's,
    or the names found in labels.json and in the files."""
    unmatched: Literal["stop", "background"] = "stop"
    """Labels outside the table: the case fails, or they become background."""
    labels: tuple[int | str, ...] = ()
    """Labels to keep, by value or name, as classes 1, 2, ... in this order; the others become
    background. All if empty."""
    merge: Mapping[str, list[int | str]] | None = None
    """Labels that become one: {"kidney": ["left kidney", "right kidney"]}."""
    spacing_mm: tuple[float, float, float] | None = None
    """Voxel size (i, j, k) of the store; else the archive's usual one, for folder the median."""
    window: tuple[float, float] | None = None
    """Intensities that become 0 and 1, the same for all cases; for CT in HU. Else the archive's
    window for CT and percentiles for the others."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    """Without a window: these percentiles of each image become 0 and 1, the upper one of the voxels
    brighter than the image's mean, so that the share of background does not matter."""
    unit: str | None = None
    """Unit of the intensities, such as HU; else the archive's or the one that the files tell."""
    remove_background: bool = False
    """Clear everything outside the body (table, clothes, air) in 3-D."""
    body_threshold: float | None = None
    """Intensity above which a voxel may be body; else -300 for images in HU, and the lower of
    Otsu's two thresholds for others."""
    guidance: Literal["none", "superpixels"] = "none"
    """superpixels: also store SLIC superpixels, each with its quantized mean intensity."""
    superpixel_mode: Literal["slice", "volume"] = "slice"
    """Superpixels of each slice, or supervoxels of the whole volume."""
    num_superpixels: int = 512
    """Superpixels of a slice, or supervoxels of a volume; SemiCS2 uses 512 a slice."""
    compactness: float = 10.0
    """SLIC's weight of nearness against likeness on an intensity scale of 0 to 100; SemiCS2."""
    superpixel_step: int = 10
    """Step to which a superpixel's mean is rounded down, on a scale of 0 to 255; SemiCS2's tr."""
    split: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Shares of the subjects for training, validation and test; paper, section IV-A."""
    split_seed: int = 0
    """Seed of the split."""
    split_file: Path | None = None
    """JSON file {"train": [...], "validation": [...], "test": [...], "left_out": [...]} of subjects
    instead of shares."""
    grid_tolerance_mm: float = 0.01
    """How far apart a voxel's center may lie in image and labels."""

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
        require(self.num_superpixels >= 2, "num_superpixels", self.num_superpixels, "2 or more")
        require(self.compactness > 0, "compactness", self.compactness, "above 0")
        require(
            1 <= self.superpixel_step <= 127, "superpixel_step", self.superpixel_step, "1 to 127"
        )
        require(
            min(self.split) >= 0 and math.isclose(sum(self.split), 1, abs_tol=1e-6),
            "split",
            self.split,
            "three shares from 0 that sum to 1",
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
