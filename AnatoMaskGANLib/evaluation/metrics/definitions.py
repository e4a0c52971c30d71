"""The metrics of an evaluation: what each is called, what it measures and which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One column of the tables."""

    key: str
    """Name in the CSV and JSON files."""
    title: str
    """Name in tables for people."""
    better: Literal["higher", "lower", "one", "none"]
    """The direction that is better. "one": a ratio of synthetic over real, best at 1; "none": the
    numbers are only to be compared."""
    decimals: int
    """Digits behind the point in tables for people."""
    meaning: str
    """One sentence that says what is measured, and on which voxels."""


METRICS: tuple[Metric, ...] = (
    Metric("psnr", "PSNR dB", "higher", 2, "Slices of 224x224 in [0,1], background included."),
    Metric("ssim", "SSIM", "higher", 4, "The same slices, windows of 7x7 pixels, data range 1."),
    Metric("psnr_foreground", "PSNR fg", "higher", 2, "The same slices, labeled pixels only."),
    Metric("ssim_foreground", "SSIM fg", "higher", 4, "The same slices, labeled pixels only."),
    Metric("ssim_3d", "SSIM 3-D", "higher", 4, "Whole model grid, windows of 7x7x7 voxels."),
    Metric("lpips", "LPIPS", "lower", 4, "Learned perceptual distance of the same slices."),
    Metric(
        "feature_distance",
        "feature dist.",
        "lower",
        4,
        "Perceptual distance of the same slices by the levels of the segmenter's encoder.",
    ),
    Metric("mae", "MAE", "lower", 2, "Mean absolute error of all voxels, in units of the scan."),
    Metric("mae_foreground", "MAE fg", "lower", 2, "The same, labeled voxels only."),
    Metric(
        "dz_ratio",
        "|dz| ratio",
        "one",
        3,
        "Mean absolute difference from slice to slice inside the labels, synthetic over real.",
    ),
    Metric(
        "dxy_ratio",
        "|dxy| ratio",
        "one",
        3,
        "Mean absolute difference from pixel to pixel inside the labels, synthetic over real.",
    ),
    Metric(
        "adjacent_ssim_ratio",
        "adj. SSIM",
        "one",
        3,
        "SSIM of neighboring slices inside the labels, synthetic over real.",
    ),
    Metric(
        "label_wasserstein",
        "W1 label",
        "lower",
        4,
        "Wasserstein distance of the intensities in a label, in [0,1], mean over labels.",
    ),
    Metric(
        "label_deviation_ratio",
        "SD ratio",
        "one",
        3,
        "Standard deviation inside a label, synthetic over real, mean over labels.",
    ),
    Metric(
        "label_deviation_share",
        "SD in 0.8-1.2",
        "higher",
        2,
        "Fraction of labels whose standard deviation ratio lies between 0.8 and 1.2.",
    ),
    Metric(
        "dice",
        "Dice",
        "higher",
        4,
        "Dice of a segmenter on held-out real images, mean over labels.",
    ),
    Metric(
        "dice_real",
        "Dice real",
        "higher",
        4,
        "Dice of a frozen segmenter on the real image, mean over labels.",
    ),
    Metric(
        "dice_synthetic",
        "Dice synth.",
        "higher",
        4,
        "Dice of the same segmenter on the synthetic image, mean over labels.",
    ),
    Metric(
        "dice_ratio",
        "Dice ratio",
        "one",
        3,
        "The Dice on the synthetic image over the Dice on the real image.",
    ),
    Metric("diversity", "diversity", "higher", 4, "1 - MS-SSIM between samples of one label map."),
    Metric(
        "diversity_foreground",
        "SD samples",
        "higher",
        4,
        "Standard deviation between samples of one label map, in [0,1], mean over labeled voxels.",
    ),
    Metric(
        "samples_dice",
        "Dice samples",
        "higher",
        4,
        "Dice between what the segmenter finds in two samples; 1 if the seed does not "
        "change the anatomy.",
    ),
    Metric(
        "psnr_lab",
        "PSNR edit",
        "higher",
        2,
        "Of an edit and its known truth: changed voxels and their neighbors that have a label.",
    ),
    Metric("psnr_box", "PSNR box", "higher", 2, "The same: box of the edit, 12 voxels around."),
    Metric(
        "edit_undone",
        "PSNR undone",
        "higher",
        2,
        "The scan and the scan after an edit and its inverse, changed voxels and two around.",
    ),
    Metric(
        "edit_unasked",
        "unasked",
        "lower",
        4,
        "Fraction of voxels that differ after an edit that changes no label.",
    ),
    Metric(
        "edit_outside",
        "outside",
        "lower",
        4,
        "Fraction of voxels beyond 12 voxels from the edit that differ.",
    ),
    Metric(
        "edit_spread",
        "spread",
        "none",
        2,
        "Voxels that differ, over the voxels whose label changed.",
    ),
    Metric(
        "edit_found",
        "nearer to new",
        "higher",
        3,
        "Fraction of changed voxels nearer to the mean of the new label than to that of the old.",
    ),
    Metric(
        "edit_dice",
        "Dice edit",
        "higher",
        4,
        "Dice of a segmenter in the box of the edit, over the labels that took voxels.",
    ),
    Metric(
        "edit_deviation_ratio",
        "SD edit",
        "one",
        3,
        "Standard deviation inside labels in the edit, over that of the truth.",
    ),
    Metric(
        "edit_step_ratio",
        "gradient",
        "one",
        3,
        "Mean absolute step between neighbors in the edit, over that of the truth.",
    ),
    Metric("edit_seam_ratio", "seam", "one", 3, "The same across the border of the edit."),
    Metric(
        "edit_texture_ratio",
        "texture",
        "one",
        3,
        "Deviation of what smoothing over a voxel takes away, over that of the truth.",
    ),
    Metric("fid", "FID", "lower", 2, "Frechet distance of the features of the compared slices."),
    Metric("kid", "KID", "lower", 4, "Kernel distance of the same features; may be just below 0."),
    Metric(
        "precision",
        "precision",
        "higher",
        2,
        "Fraction of synthetic slices that lie among the real ones, k = 5 neighbors.",
    ),
    Metric(
        "recall",
        "recall",
        "higher",
        2,
        "Fraction of real slices that lie among the synthetic ones, k = 5 neighbors.",
    ),
    Metric(
        "mm_fid",
        "MM-FID",
        "lower",
        4,
        "Mean Frechet distance over extractors and resolutions, features scaled to length 1.",
    ),
    Metric(
        "mm_fid_deviation",
        "MM-FID SD",
        "none",
        4,
        "Its standard deviation over extractors and resolutions.",
    ),
    Metric(
        "mm_std",
        "MM-STD",
        "none",
        4,
        "Mean standard deviation of a feature; it should be that of the real slices (MM-STD real).",
    ),
    Metric(
        "mm_std_deviation",
        "MM-STD SD",
        "none",
        4,
        "Its standard deviation over extractors and resolutions.",
    ),
    Metric("mm_std_real", "MM-STD real", "none", 4, "MM-STD of the real slices."),
    Metric(
        "neighbor_distance_ratio",
        "NN ratio",
        "none",
        3,
        "Distance to the nearest training subject over that to the second nearest; a copy has 0.",
    ),
    Metric(
        "neighbor_distance_ratio_real",
        "NN ratio real",
        "none",
        3,
        "The same for real slices that were not used for training: the level to compare with.",
    ),
    Metric(
        "copy_share",
        "copies",
        "lower",
        2,
        "Fraction of slices that are nearer to a training image than 99 of 100 held-out "
        "real slices.",
    ),
)

_BY_KEY = {metric.key: metric for metric in METRICS}


def metric_named(key: str) -> Metric:
    """The metric of that key; one that is not listed is shown under its key and not ranked.

    A key may carry the name of a feature extractor: "fid (inception)".
    """
    name, _, extractor = key.partition(" (")
    if name not in _BY_KEY:
        return Metric(key, key, "none", 4, "")
    metric = _BY_KEY[name]
    return replace(metric, key=key, title=f"{metric.title} ({extractor}") if extractor else metric


def goodness(metric: Metric, value: float) -> float:
    """A number that grows as the metric gets better, to mark the best one; nan if unranked."""
    if metric.better == "higher":
        return value
    if metric.better == "lower":
        return -value
    if metric.better == "none":
        return math.nan
    return -abs(math.log(value)) if value > 0 else -math.inf
