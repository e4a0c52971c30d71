"""Small generators with weights that matter, their model folders, and label maps: for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer, write_model
from AnatoMaskGANLib.volumes import LabelMap

NUM_CLASSES = 6
SPACING_IJK_MM = (1.0, 1.0, 2.0)


def tiny_settings(**changes: Any) -> GeneratorSettings:
    """A generator of three stages with every module switched on, its stride 4."""
    settings: dict[str, Any] = {
        "num_classes": NUM_CLASSES,
        "channels": (16, 16, 8, 8),
        "spade_hidden": 8,
        "fusion_stage": 0,
        "stack_radius": 2,
        "noise_sigmas_mm": (1.5, 4.0),
        "context_radius": 1,
    }
    return GeneratorSettings(**(settings | changes))


def tiny_generator(
    settings: GeneratorSettings | None = None, seed: int = 0, spread: float = 0.1
) -> Generator:
    """A generator in evaluation mode in which no weight is zero and every statistic counts.

    spread: of what is added to the weights; wide networks need less, or their images saturate.
    """
    draws = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(settings or tiny_settings())
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name != "log_tau_mm":
                parameter += spread * torch.randn(parameter.shape, generator=draws)
        for name, buffer in generator.named_buffers():
            if name.endswith("running_mean"):
                buffer += 0.3 * torch.randn(buffer.shape, generator=draws)
            elif name.endswith("running_var"):
                buffer *= 0.5 + torch.rand(buffer.shape, generator=draws)
    return generator.eval().requires_grad_(False)


def tiny_card(settings: GeneratorSettings | None = None, **changes: Any) -> ModelCard:
    """The card of a tiny generator: labels "part 1" to "part 5", window 0 to 100."""
    settings = settings or tiny_settings()
    values: dict[str, Any] = {
        "name": "tiny",
        "description": "A generator for tests.",
        "generator": settings,
        "label_table": {
            "name": "parts",
            "labels": {str(value): f"part {value}" for value in range(1, settings.num_classes)},
        },
        "spacing_ijk_mm": SPACING_IJK_MM,
        "window": (0.0, 100.0),
        "unit": "",
        "training_data": "none",
        "licence": "MIT",
        "not_for": "anything",
    }
    return ModelCard(**(values | changes))


def tiny_synthesizer(settings: GeneratorSettings | None = None, seed: int = 0) -> Synthesizer:
    """A synthesizer on the CPU that was never in a file."""
    return Synthesizer(tiny_card(settings), tiny_generator(settings, seed), torch.device("cpu"))


def write_tiny_model(folder: Path, **card_changes: Any) -> Path:
    """A model folder with a tiny generator; gives back the folder."""
    write_model(folder, tiny_card(**card_changes), tiny_generator())
    return folder


def random_labels(
    shape_kji: tuple[int, int, int], num_classes: int = NUM_CLASSES, seed: int = 0
) -> np.ndarray:
    """uint8 or int16 label blocks of different sizes with background around and between them."""
    draws = np.random.default_rng(seed)
    labels = np.zeros(shape_kji, dtype=np.uint8 if num_classes <= 256 else np.int16)
    for _ in range(6 * num_classes):
        start = [draws.integers(1, max(2, size - 2)) for size in shape_kji]
        size = [draws.integers(1, max(2, extent // 2)) for extent in shape_kji]
        box = tuple(
            slice(first, min(first + length, extent - 1) if extent > 2 else extent)
            for first, length, extent in zip(start, size, shape_kji, strict=True)
        )
        labels[box] = draws.integers(0, num_classes)
    if not labels.any():
        labels[tuple(extent // 2 for extent in shape_kji)] = 1
    return labels


def label_map_of(labels_kji: np.ndarray, spacing_ijk_mm: tuple = SPACING_IJK_MM) -> LabelMap:
    """A label map along the axes of RAS, whose names are those of the tiny models."""
    names = {int(value): f"part {value}" for value in np.unique(labels_kji) if value != 0}
    return LabelMap(labels_kji, np.diag([*spacing_ijk_mm, 1.0]), names)
