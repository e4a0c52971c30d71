"""Picture sheets of a run, a row per case.

Their columns are condition, synthetic without and with noise, real; for a segmenter image, found
labels, true labels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter
from AnatoMaskGANLib.training.forward_passes import make_images
from AnatoMaskGANLib.training.held_out import HeldOutCase, held_out_cases
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes

if TYPE_CHECKING:
    from AnatoMaskGANLib.training.trainer import Trainer

_ROWS = 3
_LABEL_COLUMNS = ("condition", "labels", "found labels")


@torch.no_grad()
def write_sheet(trainer: Trainer, path: Path) -> None:
    """Writes a PNG with a row for each of up to three cases, held-out ones if there are any."""
    settings, store = trainer.settings, trainer.store
    split = "validation" if store.of_split("validation") else "train"
    halo = trainer.objective.halo
    cases = held_out_cases(
        store, settings.data.guidance, split, _ROWS, settings.data.stack_size, halo
    )
    rows = [_columns(trainer, case) for case in cases]
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _draw(rows, trainer.step)
        write_bytes(path, ".png", lambda: content)


def _columns(trainer: Trainer, case: HeldOutCase) -> dict[str, Tensor]:
    """The middle slice of the case, by the heading of its column."""
    middle, device = case.image.shape[0] // 2, trainer.device
    labels, real = case.inner_labels[middle], case.image[middle]
    if isinstance(trainer.ema, Segmenter):
        logits = trainer.ema(case.image[None, :, None].to(device))
        return {"real": real, "found labels": logits[0, middle].argmax(0), "labels": labels}
    positions = torch.arange(case.image.shape[0], device=device) * trainer.store.spacing_ijk_mm[2]
    images = make_images(
        trainer.ema,
        case.condition[None].to(device),
        positions[None],
        (0,),
        trainer.store.spacing_ijk_mm,
        case.halo,
    )
    columns = {
        "condition": case.condition[middle + case.halo],
        "strength 0": images.deterministic[0, middle, 0],
        "strength 1": images.noisy[0, middle, 0],
        "real": real,
    }
    if images.label_logits is not None:
        columns |= {"found labels": images.label_logits[0, middle].argmax(0), "labels": labels}
    return columns


def _draw(rows: Sequence[Mapping[str, Tensor]], step: int) -> bytes:
    """The sheet as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(rows), len(rows[0]), figsize=(2.5 * len(rows[0]), 2.6 * len(rows)), squeeze=False
    )
    for number, row in enumerate(rows):
        for axis, (name, values) in zip(axes[number], row.items(), strict=True):
            is_labels = name in _LABEL_COLUMNS
            axis.imshow(
                np.asarray(values.cpu()),
                cmap="nipy_spectral" if is_labels else "gray",
                vmin=0,
                vmax=None if is_labels else 1,
                origin="lower",
                interpolation="nearest",
            )
            axis.set_title(name if number == 0 else "", fontsize=9)
            axis.axis("off")
    figure.suptitle(f"step {step}", fontsize=9)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    pyplot.close(figure)
    return buffer.getvalue()
