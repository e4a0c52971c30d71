"""Figures of a validation that are measured with networks from local files: FID, KID and LPIPS.

All compare the slices of the paper's protocol, [224,224] in [0,1]. FID is biased upwards for the
few slices of a validation: it tells checkpoints of one run apart and is no figure to report.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from AnatoMaskGANLib.config import SettingsError
from AnatoMaskGANLib.evaluation.distribution import frechet_distance, kernel_distance
from AnatoMaskGANLib.evaluation.features import checked_features, torchscript_features
from AnatoMaskGANLib.evaluation.perceptual import load_lpips, mean_perceptual_distance
from AnatoMaskGANLib.evaluation.protocol import compared_slices, resize_slice
from AnatoMaskGANLib.training.held_out import HeldOutCase
from AnatoMaskGANLib.training.settings import ValidationSettings


class LearnedMetrics:
    """The figures that the settings ask for, on the same cases every time.

    Loads the networks and takes the real slices' features at once, so that an absent or other file
    (WeightsError) and too few slices (SettingsError) stop a run before its first step.
    """

    def __init__(
        self, settings: ValidationSettings, cases: Sequence[HeldOutCase], device: torch.device
    ) -> None:
        self.cases = cases
        self._extractor = self._lpips = None
        if settings.lpips_weights is not None:
            self._lpips = load_lpips(
                settings.lpips_weights, settings.lpips_sha256, settings.lpips_network, str(device)
            )
        if settings.extractor is None:
            return
        self._extractor = torchscript_features(
            settings.extractor, settings.extractor_sha256, str(device)
        )
        if not cases:
            return
        real = self._slices([case.image.numpy() for case in cases])
        if len(real) < 2:
            raise SettingsError(
                f"the validation has {len(real)} slice to compare, but FID and KID need "
                "two or more; raise validation.cases or validation.slices, or leave "
                "validation.extractor out"
            )
        self._real = checked_features(self._extractor, real, "validation.extractor")

    def measure(self, made: Sequence[np.ndarray]) -> dict[str, float]:
        """fid, kid and lpips, those asked for, of a made image [S,H,W] in [0,1] for every case."""
        figures = {}
        if self._extractor is not None:
            features = checked_features(self._extractor, self._slices(made), "validation.extractor")
            figures["fid"] = frechet_distance(self._real, features)
            figures["kid"] = kernel_distance(self._real, features)
        if self._lpips is not None:
            distances = [
                mean_perceptual_distance(
                    self._lpips, case.image.numpy(), image, case.inner_labels.numpy()
                )
                for case, image in zip(self.cases, made, strict=True)
            ]
            figures["lpips"] = float(np.mean(distances))
        return figures

    def _slices(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """[N,224,224], every compared slice of all cases."""
        return np.stack(
            [
                resize_slice(image[k])
                for case, image in zip(self.cases, images, strict=True)
                for k in compared_slices(case.inner_labels.numpy())
            ]
        )
