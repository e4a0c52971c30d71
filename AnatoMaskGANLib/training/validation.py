"""Metrics of a run on the validation split, next to those of the label-mean image.

The label-mean image paints each label with its mean in the training split: what a run must beat.
FID, KID and LPIPS are measured with networks from local files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.config import SettingsError
from AnatoMaskGANLib.evaluation.metrics.case_metrics import GridCase, paired_metrics
from AnatoMaskGANLib.evaluation.metrics.distribution import frechet_distance, kernel_distance
from AnatoMaskGANLib.evaluation.metrics.faithfulness import dice_by_label
from AnatoMaskGANLib.evaluation.metrics.features import (
    Extractor,
    checked_features,
    torchscript_features,
)
from AnatoMaskGANLib.evaluation.metrics.perceptual import (
    PerceptualDistance,
    load_lpips,
    mean_perceptual_distance,
)
from AnatoMaskGANLib.evaluation.metrics.protocol import compared_slices, resize_slice
from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter
from AnatoMaskGANLib.networks.slice_batch import ImageGenerator
from AnatoMaskGANLib.training.forward_passes import make_images
from AnatoMaskGANLib.training.held_out import HeldOutCase, held_out_cases
from AnatoMaskGANLib.training.label_means import measure_label_statistics
from AnatoMaskGANLib.training.settings import TrainingSettings, ValidationSettings
from AnatoMaskGANLib.volumes.case_store import CaseStore

_SHOWN_FOR_LABEL_MEAN = ("psnr", "ssim", "dz_ratio")
_NOISE_SEED = 0


class LearnedMetrics:
    """FID, KID and LPIPS, those that the settings ask for, on the same cases every time.

    Their slices are those of the paper's protocol, [224,224] in [0,1]. FID is biased upwards for
    the few slices of a validation: it compares checkpoints of one run and is no value to report.

    Loads the networks and takes the real slices' features at once, so that a missing or wrong file
    (WeightsError) and too few slices (SettingsError) stop a run before its first step.
    """

    def __init__(
        self, settings: ValidationSettings, cases: Sequence[HeldOutCase], device: torch.device
    ) -> None:
        self.cases = cases
        self._lpips: PerceptualDistance | None = None
        if settings.lpips_weights is not None:
            self._lpips = load_lpips(
                settings.lpips_weights, settings.lpips_sha256, settings.lpips_network, str(device)
            )
        self._extractor: Extractor | None = None
        if settings.extractor is not None:
            self._extractor = torchscript_features(
                settings.extractor, settings.extractor_sha256, str(device)
            )
        self._real = np.empty((0, 0))
        """Features [N,D] of the real slices."""
        if self._extractor is not None and cases:
            real = self._slices([case.image.numpy() for case in cases])
            if len(real) < 2:
                raise SettingsError(
                    f"the validation has {len(real)} slice to compare, but FID and KID need "
                    "two or more; raise validation.cases or validation.slices, or leave "
                    "validation.extractor out"
                )
            self._real = checked_features(self._extractor, real, "validation.extractor")

    def measure(self, synthetic: Sequence[np.ndarray]) -> dict[str, float]:
        """fid, kid and lpips, by name, of an image [S,H,W] in [0,1] for every case."""
        metrics = {}
        if self._extractor is not None:
            features = checked_features(
                self._extractor, self._slices(synthetic), "validation.extractor"
            )
            metrics["fid"] = frechet_distance(self._real, features)
            metrics["kid"] = kernel_distance(self._real, features)
        if self._lpips is not None:
            distances = [
                mean_perceptual_distance(
                    self._lpips, case.image.numpy(), image, case.inner_labels.numpy()
                )
                for case, image in zip(self.cases, synthetic, strict=True)
            ]
            metrics["lpips"] = float(np.mean(distances))
        return metrics

    def _slices(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """[N,224,224], every compared slice of all cases."""
        return np.stack(
            [
                resize_slice(image[k])
                for case, image in zip(self.cases, images, strict=True)
                for k in compared_slices(case.inner_labels.numpy())
            ]
        )


class Validator:
    """Measures networks on the same slices every time; a split without usable cases gives nothing.

    Raises WeightsError if a file that the settings name is missing or is another file.
    """

    def __init__(
        self, settings: TrainingSettings, store: CaseStore, halo: int, device: torch.device
    ) -> None:
        self.settings = settings
        self.store = store
        self.device = device
        validation = settings.validation
        self.cases = held_out_cases(
            store,
            settings.data.guidance,
            "validation",
            validation.cases,
            validation.slices,
            halo,
        )
        self.learned = LearnedMetrics(validation, self.cases, device)
        self._label_mean: dict[str, float] | None = None

    @torch.no_grad()
    def measure(self, network: ImageGenerator | Segmenter) -> dict[str, float]:
        """Means over the cases, by metric; the network has to be in evaluation mode.

        A metric without a value on any case (3-D SSIM of fewer than seven slices) is left out.
        """
        if not self.cases:
            return {}
        images: list[np.ndarray] = []
        found: list[dict[str, float]] = []
        for case in self.cases:
            image, metrics = self._measure_case(network, case)
            images += [image] if image is not None else []
            found.append(metrics)
        means = _means_of(found, found[0])
        if self.settings.direction != "image2mask":
            means |= self.learned.measure(images) | self._label_mean_metrics()
        return {name: value for name, value in means.items() if math.isfinite(value)}

    def _measure_case(
        self, network: ImageGenerator | Segmenter, case: HeldOutCase
    ) -> tuple[np.ndarray | None, dict[str, float]]:
        """The image [S,H,W] in [0,1], if the network makes one, and its paired metrics."""
        images: list[Tensor] = []
        labels: list[Tensor] = []
        for made_image, made_labels in self._stacks(network, case):
            images += [made_image] if made_image is not None else []
            labels += [made_labels] if made_labels is not None else []
        metrics: dict[str, float] = {}
        image = None
        if images:
            image = np.clip(torch.cat(images).float().cpu().numpy(), 0, 1)
            metrics |= compare(case, image)
        if labels:
            dice = dice_by_label(case.inner_labels.numpy(), torch.cat(labels).cpu().numpy())
            metrics["dice"] = _mean(list(dice.values()))
        return image, metrics

    def _stacks(
        self, network: ImageGenerator | Segmenter, case: HeldOutCase
    ) -> Iterator[tuple[Tensor | None, Tensor | None]]:
        """Image [S,H,W] and label map [S,H,W] of every stack, as many slices as in training."""
        size, halo = self.settings.data.stack_size, case.halo
        for first in range(0, case.image.shape[0], size):
            end = min(first + size, case.image.shape[0])
            if isinstance(network, Segmenter):
                image = case.image[first:end].to(self.device)
                yield None, network(image[None, :, None])[0].argmax(1)
                continue
            positions = torch.arange(first, end, device=self.device) * self.store.spacing_ijk_mm[2]
            made = make_images(
                network,
                case.condition[None, first : end + 2 * halo].to(self.device),
                positions[None],
                (_NOISE_SEED,),
                self.store.spacing_ijk_mm,
                halo,
            )
            logits = made.label_logits
            yield made.noisy[0, :, 0], None if logits is None else logits[0].argmax(1)

    def _label_mean_metrics(self) -> dict[str, float]:
        """The metrics of the label-mean image on the same slices; measured once."""
        if self._label_mean is None:
            table = np.zeros(self.store.num_classes, dtype=np.float32)
            trained = measure_label_statistics(self.store.of_split("train"), self.store.num_classes)
            for value, (mean, _) in trained.items():
                table[int(value)] = mean
            images = [table[case.inner_labels.numpy()] for case in self.cases]
            found = [compare(*pair) for pair in zip(self.cases, images, strict=True)]
            means = _means_of(found, _SHOWN_FOR_LABEL_MEAN) | self.learned.measure(images)
            self._label_mean = {f"label_mean_{name}": value for name, value in means.items()}
        return self._label_mean


def compare(case: HeldOutCase, synthetic_sjk: np.ndarray) -> dict[str, float]:
    """Paired metrics of an image [S,H,W] in [0,1]; errors in fractions of the window."""
    real = case.image.numpy()
    synthetic = np.clip(synthetic_sjk.astype(np.float32), 0, 1)
    grid = GridCase(real, synthetic, real, synthetic, case.inner_labels.numpy())
    metrics, _ = paired_metrics(grid)
    metrics["rmse"] = float(np.sqrt(np.mean(np.square(real - synthetic))))
    return metrics


def _means_of(cases: Sequence[Mapping[str, float]], names: Iterable[str]) -> dict[str, float]:
    return {name: _mean([metrics[name] for metrics in cases]) for name in names}


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are numbers; nan without any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
