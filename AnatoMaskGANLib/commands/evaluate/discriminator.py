"""The discriminator of a run as a feature extractor: it was trained to find synthetic images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

    from AnatoMaskGANLib.evaluation.metrics.features import Extractor
    from AnatoMaskGANLib.training.run_networks import Discriminator

SLICES_AT_A_TIME = 8


def discriminator_features(run: Path, device: str) -> Extractor:
    """Maps slices [N,H,W] to the means [N,D] of the discriminator's last features, all scales.

    Every slice is seen alone, and without its label map: a discriminator of image and labels gets
    background everywhere. Raises ValueError for a run without a discriminator.
    """
    import numpy as np
    import torch

    from AnatoMaskGANLib.synthesis.devices import pick_device
    from AnatoMaskGANLib.training.checkpoints import (
        LATEST,
        find_checkpoint,
        read_tensors,
        tensors_of,
    )

    tensors, metadata = read_tensors(find_checkpoint(run, LATEST))
    weights = tensors_of(tensors, "discriminator")
    network = _discriminator(metadata) if weights else None
    if network is None:
        raise ValueError(
            f"{run} has no discriminator, so it provides no features. Give a run with "
            "adversarial losses, a segmenter or a TorchScript file."
        )
    network.load_state_dict(weights)
    chosen = pick_device(device)
    network = network.to(chosen).eval().requires_grad_(False)
    features_of = _last_features(network)

    def extract(slices: np.ndarray) -> np.ndarray:
        found = []
        with torch.inference_mode():
            for start in range(0, len(slices), SLICES_AT_A_TIME):
                batch = np.ascontiguousarray(slices[start : start + SLICES_AT_A_TIME])
                images = torch.from_numpy(batch.astype(np.float32))[:, None, None].to(chosen)
                found.append(features_of(images).float().cpu().numpy())
        return np.concatenate(found)

    return extract


def _discriminator(metadata: dict[str, Any]) -> Discriminator | None:
    """The discriminator of the run, without its weights."""
    import torch

    from AnatoMaskGANLib.config import settings_from_dict
    from AnatoMaskGANLib.training.run_networks import build_networks
    from AnatoMaskGANLib.training.settings import TrainingSettings

    settings = settings_from_dict(TrainingSettings, metadata["settings"])
    num_classes = 1 + max(int(value) for value in metadata["store"]["label_table"]["labels"])
    return build_networks(settings, num_classes, torch.device("cpu")).discriminator


def _last_features(network: Discriminator) -> Callable[[Tensor], Tensor]:
    """Maps images [N,1,1,H,W] to the means [N,D] of the last features before the logits."""
    import torch

    from AnatoMaskGANLib.networks.discriminators.patch import MultiScaleDiscriminator
    from AnatoMaskGANLib.networks.discriminators.segmentation import SegmentationUNet

    if isinstance(network, MultiScaleDiscriminator):

        def of_all_scales(images: Tensor) -> Tensor:
            background = torch.zeros_like(images[:, :, 0], dtype=torch.long)
            outputs = network(images, background)
            return torch.cat([features[-2].mean((2, 3)) for features in outputs], dim=1)

        return of_all_scales
    # The wavelet discriminator's layer behind these compares the images of a batch.
    deepest = network.down[-1] if isinstance(network, SegmentationUNet) else network.blocks[-1]

    def of_deepest(images: Tensor) -> Tensor:
        caught: list[Tensor] = []
        hook = deepest.register_forward_hook(lambda module, inputs, output: caught.append(output))
        try:
            network(images)
        finally:
            hook.remove()
        return caught[0].mean((2, 3))

    return of_deepest
