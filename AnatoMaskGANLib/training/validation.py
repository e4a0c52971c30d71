"""Figures of a run on the validation split, beside those of the label-mean image (DESIGN,
section 8).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from AnatoMaskGANLib.evaluation.case_metrics import GridCase, paired_metrics
from AnatoMaskGANLib.training.forward_passes import make_images
from AnatoMaskGANLib.training.held_out import HeldOutCase, held_out_cases
from AnatoMaskGANLib.training.label_means import measure_label_statistics
from AnatoMaskGANLib.training.learned_metrics import LearnedMetrics
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes.case_store import CaseStore

_SHOWN_FOR_LABEL_MEAN = ("psnr", "ssim", "dz_ratio")
_SEED = 0  # of the noise


class Validator:
    """Measures networks on the same slices every time; a split without usable cases gives none.

    Raises WeightsError for a file of the settings that is absent or another one.
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
    def measure(self, network: nn.Module) -> dict[str, float]:
        """Means over the cases; the network is in evaluation mode. A figure that has no value on
        any of them (3-D SSIM of fewer than seven slices) is left out.
        """
        if not self.cases:
            return {}
        images, found = zip(
            *(self._measure_case(network, case) for case in self.cases), strict=True
        )
        figures = {name: _mean([values[name] for values in found]) for name in found[0]}
        if self.settings.direction != "image2mask":
            figures |= self.learned.measure(images) | self._label_mean_figures()
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    def _measure_case(
        self, network: nn.Module, case: HeldOutCase
    ) -> tuple[np.ndarray | None, dict[str, float]]:
        """The image [S,H,W] in [0,1] where one is made, and its paired figures."""
        images, labels = [], []
        for made, found in self._stacks(network, case):
            images.append(made)
            labels.append(found)
        figures, image = {}, None
        if images[0] is not None:
            image = np.clip(torch.cat(images).float().cpu().numpy(), 0, 1)
            figures |= compare(case, image)
        if labels[0] is not None:
            figures["dice"] = mean_dice(torch.cat(labels).cpu(), case.inner_labels)
        return image, figures

    def _stacks(
        self, network: nn.Module, case: HeldOutCase
    ) -> Iterator[tuple[Tensor | None, Tensor | None]]:
        """Image [S,H,W] and label map [S,H,W] of every stack of the case, of the training's
        size.
        """
        size, halo = self.settings.data.stack_size, case.halo
        for first in range(0, case.image.shape[0], size):
            end = min(first + size, case.image.shape[0])
            if self.settings.direction == "image2mask":
                image = case.image[first:end].to(self.device)
                yield None, network(image[None, :, None])[0].argmax(1)
                continue
            positions = torch.arange(first, end, device=self.device) * self.store.spacing_ijk_mm[2]
            made = make_images(
                network,
                case.condition[None, first : end + 2 * halo].to(self.device),
                positions[None],
                (_SEED,),
                self.store.spacing_ijk_mm,
                halo,
            )
            logits = made.label_logits
            yield made.noisy[0, :, 0], None if logits is None else logits[0].argmax(1)

    def _label_mean_figures(self) -> dict[str, float]:
        """What the label-mean image reaches on the same slices; measured once."""
        if self._label_mean is None:
            means = np.zeros(self.store.num_classes, dtype=np.float32)
            trained = measure_label_statistics(self.store.of_split("train"), self.store.num_classes)
            for value, (mean, _) in trained.items():
                means[int(value)] = mean
            images = [means[case.inner_labels.numpy()] for case in self.cases]
            found = [compare(*pair) for pair in zip(self.cases, images, strict=True)]
            figures = {
                name: _mean([values[name] for values in found]) for name in _SHOWN_FOR_LABEL_MEAN
            }
            figures |= self.learned.measure(images)
            self._label_mean = {f"label_mean_{name}": value for name, value in figures.items()}
        return self._label_mean


def compare(case: HeldOutCase, made_sjk: np.ndarray) -> dict[str, float]:
    """Paired figures of a made image [S,H,W] in [0,1]; errors in parts of the window."""
    real = case.image.numpy()
    made = np.clip(made_sjk.astype(np.float32), 0, 1)
    grid = GridCase(real, made, real, made, case.inner_labels.numpy())
    figures, _ = paired_metrics(grid)
    figures["rmse"] = float(np.sqrt(np.mean(np.square(real - made))))
    return figures


def mean_dice(found: Tensor, labels: Tensor) -> float:
    """Mean Dice over the foreground classes of the true labels; both [S,H,W]."""
    values = []
    for value in labels.unique().tolist():
        if value == 0:
            continue
        a, b = found == value, labels == value
        values.append(2 * float((a & b).sum()) / float(a.sum() + b.sum()))
    return _mean(values)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
