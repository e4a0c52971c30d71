"""The objective of image to label map: cross-entropy and Dice on pairs of a store."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from AnatoMaskGANLib.training import losses
from AnatoMaskGANLib.training.run_networks import Networks
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.stacks import StackBatch


@dataclass(frozen=True)
class Segmented:
    """A batch with the logits [B,S,C,H,W] of its images."""

    batch: StackBatch
    logits: Tensor


class SegmentationObjective:
    """Makes label logits from real images; nothing judges them but the labels."""

    halo = 0

    def __init__(self, settings: TrainingSettings, networks: Networks) -> None:
        self.settings = settings
        self.networks = networks

    def make(self, batch: StackBatch) -> Segmented:
        """Logits of the images of a batch."""
        return Segmented(batch, self.networks.generator(batch.images).float())

    def judge_terms(self, made: Segmented, step: int) -> dict[str, Tensor]:
        """None: there is no judge."""
        return {}

    def own_terms(self, made: Segmented, step: int) -> dict[str, Tensor]:
        """Weighted cross-entropy and Dice."""
        labels = made.batch.labels
        entropy = losses.balanced_cross_entropy(
            made.logits, labels, torch.ones_like(labels).float()
        )
        weight = self.settings.losses.labels
        return {
            "cross_entropy": weight * entropy,
            "dice_loss": weight * losses.soft_dice(made.logits, labels),
        }
