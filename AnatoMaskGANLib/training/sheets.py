"""Picture sheets of a run: labels, synthetic without and with noise, real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from AnatoMaskGANLib.training.adversarial import make_images
from AnatoMaskGANLib.training.stacks import StackSampler

if TYPE_CHECKING:
    from AnatoMaskGANLib.training.loop import Trainer

_ROWS = 3


@torch.no_grad()
def write_sheet(trainer: Trainer, path: Path) -> None:
    """Writes a PNG with one row for each of three fixed stacks of the validation split."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    split = "validation" if trainer.store.of_split("validation") else "train"
    sampler = StackSampler(trainer.store, split, trainer.settings.data, trainer.halo, seed=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(_ROWS, 4, figsize=(10, 2.6 * _ROWS), squeeze=False)
    for row in range(_ROWS):
        batch = sampler.batch(row)
        images = make_images(trainer.ema, batch, trainer.store.spacing_ijk_mm, trainer.halo)
        middle = images.noisy.shape[1] // 2
        columns = {
            "labels": batch.labels[0, middle + trainer.halo],
            "strength 0": images.deterministic[0, middle, 0],
            "strength 1": images.noisy[0, middle, 0],
            "real": batch.images[0, middle, 0],
        }
        for axis, (name, values) in zip(axes[row], columns.items(), strict=True):
            is_labels = name == "labels"
            axis.imshow(
                np.asarray(values.cpu()),
                cmap="nipy_spectral" if is_labels else "gray",
                vmin=0,
                vmax=trainer.store.num_classes if is_labels else 1,
                origin="lower",
                interpolation="nearest",
            )
            axis.set_title(name if row == 0 else "", fontsize=9)
            axis.axis("off")
    figure.suptitle(f"step {trainer.step}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
