"""A tiny pass through a model: whether its weights make intensities, or labels, at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from AnatoMaskGANLib.synthesis.errors import CheckpointError
from AnatoMaskGANLib.volumes import LabelMap, LabelTable, Volume, VolumeError

if TYPE_CHECKING:
    from torch import nn

    from AnatoMaskGANLib.synthesis.models.model_card import ModelCard

_SLICES = 3
_LEAST_CELLS = 2  # cells of the coarsest stage, along rows and columns


def try_model(card: ModelCard, generator: nn.Module) -> None:
    """Makes a few slices with every label of the model, on the CPU; they are thrown away.

    Raises CheckpointError if the model cannot make them, or if they are not intensities in its
    window.
    """
    try:
        if card.generator.kind == "segmenter" or card.generator.label_outputs:
            _segment(card, generator)
        else:
            _synthesize(card, generator)
    except CheckpointError:
        raise
    except (VolumeError, ValueError, RuntimeError, MemoryError) as error:
        raise CheckpointError(
            f"The model {card.name} cannot make three small slices: {error}. Get it again, or use "
            "another model."
        ) from error


def _synthesize(card: ModelCard, generator: nn.Module) -> None:
    import torch

    from AnatoMaskGANLib.synthesis.synthesizer import Synthesizer

    names = LabelTable.from_dict(card.label_table).labels
    values = sorted(names)
    shape = _shape_for(card, len(values))
    labels = np.resize(np.array(values, np.uint16), shape)
    label_map = LabelMap(labels, np.diag([*card.spacing_ijk_mm, 1.0]), dict(names))
    Synthesizer(card, generator, torch.device("cpu")).synthesize(label_map)


def _segment(card: ModelCard, network: nn.Module) -> None:
    import torch

    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter

    shape = _shape_for(card, 1)
    low, high = card.window
    voxels = np.linspace(low, high, num=int(np.prod(shape)), dtype=np.float32).reshape(shape)
    volume = Volume(voxels, np.diag([*card.spacing_ijk_mm, 1.0]))
    segmenter = VolumeSegmenter(card, network, torch.device("cpu"), lambda image, spacing: image)
    segmenter.segment(volume)


def _shape_for(card: ModelCard, num_labels: int) -> tuple[int, int, int]:
    """Slices, rows and columns that hold every label, in whole cells of the coarsest stage."""
    stride = card.generator.stride
    cells = max(_LEAST_CELLS, int(np.ceil(np.sqrt(num_labels / _SLICES) / stride)))
    return _SLICES, cells * stride, cells * stride
