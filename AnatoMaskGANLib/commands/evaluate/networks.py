"""The frozen networks that an evaluation measures with: segmenter and feature extractors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from AnatoMaskGANLib.commands.evaluate.cases import CaseReader
from AnatoMaskGANLib.commands.evaluate.discriminator import discriminator_features

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from AnatoMaskGANLib.evaluation.faithfulness import Segmenter
    from AnatoMaskGANLib.evaluation.feature_distance import FeatureMaps
    from AnatoMaskGANLib.evaluation.features import Extractor
    from AnatoMaskGANLib.synthesis import ModelCard
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.volumes import LabelMap, Volume

SCRIPT_SUFFIXES = (".pt", ".ts", ".torchscript")


def load_segmenter(place: str, sha256: str | None, card: ModelCard, device: str) -> VolumeSegmenter:
    """A segmenter from a model's name or folder, a run's folder, or a TorchScript file.

    The TorchScript maps slices [N,1,H,W] in [0,1] on the grid of the evaluated model to logits
    [N,C,H,W] of its classes, and is checked by its hash. Raises CheckpointError or WeightsError.
    """
    import torch

    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter

    path = Path(place)
    if path.suffix in SCRIPT_SUFFIXES:
        return _scripted_segmenter(path, sha256, card, device)
    segmenter = (
        _segmenter_of_run(path, device)
        if is_run(path)
        else VolumeSegmenter.from_checkpoint(place, device)
    )
    # The convolutions of a CPU are nearly twice as fast in this order.
    segmenter.network.to(memory_format=torch.channels_last)
    return segmenter


def _segmenter_of_run(run: Path, device: str) -> VolumeSegmenter:
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.training.checkpoints import BEST, LATEST, checkpoint_file
    from AnatoMaskGANLib.training.export import export_run

    checkpoint = BEST if checkpoint_file(run, BEST).is_file() else LATEST
    with TemporaryDirectory() as folder:
        texts = ("A segmenter for an evaluation.", "that of the run", "that of the run's data")
        model = export_run(run, "segmenter", Path(folder), *texts, checkpoint=checkpoint)
        return VolumeSegmenter.from_checkpoint(model, device)


def _scripted_segmenter(
    path: Path, sha256: str | None, card: ModelCard, device: str
) -> VolumeSegmenter:
    import torch

    from AnatoMaskGANLib.evaluation.weights import checked_weights
    from AnatoMaskGANLib.synthesis.devices import pick_device
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter

    chosen = pick_device(device)
    script = torch.jit.load(str(checked_weights(path, sha256)), map_location=chosen)

    class Scripted(torch.nn.Module):
        """[1,S,1,H,W] -> [1,S,C,H,W], slice by slice."""

        def __init__(self) -> None:
            super().__init__()
            self.script = script

        def forward(self, images: Tensor) -> Tensor:
            return self.script(images[0])[None]

    settings = replace(card.generator, kind="segmenter", context_radius=0, label_outputs=0)
    scripted_card = replace(card, name=path.stem, generator=settings, sha256="")
    return VolumeSegmenter(scripted_card, Scripted(), chosen)


def as_segmenter(segmenter: VolumeSegmenter, reader: CaseReader) -> Segmenter:
    """The segmenter with its labels in the evaluated model's classes, matched by their names.

    What it finds beside them is background.
    """
    from AnatoMaskGANLib.volumes import apply_matches

    def segment(volume: Volume) -> LabelMap:
        found = segmenter.segment(volume)
        if not found.values:
            return found
        matches = reader.synthesizer.match(found)
        if all(match.model_value is None for match in matches):
            return replace(found, labels_kji=found.labels_kji * 0, names={}, codes={})
        return apply_matches(found, matches, "background")

    return segment


def encoder_features(segmenter: VolumeSegmenter) -> Extractor:
    """Slices [N,H,W] to the mean features [N,D] of the deepest level of a segmenter's U-Net.

    Every slice is seen alone, its neighbors beyond it being empty: an extractor, not a
    segmentation. Raises ValueError for a network that is no U-Net of this program.
    """
    import numpy as np

    _check_encoder(segmenter)

    def extract(slices: np.ndarray) -> np.ndarray:
        batches = np.array_split(slices, max(len(slices) // 8, 1))
        deepest = (_levels(segmenter, batch[:, None])[-1] for batch in batches)
        return np.concatenate([maps.mean(axis=(2, 3)) for maps in deepest])

    return extract


def encoder_maps(segmenter: VolumeSegmenter) -> FeatureMaps:
    """Neighboring slices [N,H,W] to the maps [N,C,h,w] of every level of the encoder.

    Raises ValueError for a network that is no U-Net of this program.
    """
    _check_encoder(segmenter)
    return lambda slices: _levels(segmenter, slices[None])


def has_encoder(segmenter: VolumeSegmenter) -> bool:
    """Whether it is a U-Net of this program, whose levels can be looked at."""
    from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter as SegmenterNetwork

    return isinstance(segmenter.network, SegmenterNetwork)


def _check_encoder(segmenter: VolumeSegmenter) -> None:
    if not has_encoder(segmenter):
        raise ValueError(
            "Only a segmenter that this program trained provides features; the encoder of "
            "a TorchScript segmenter cannot be reached. Give the encoder as a separate "
            "extractor."
        )


def _levels(segmenter: VolumeSegmenter, stacks: np.ndarray) -> list[np.ndarray]:
    """What the levels give for stacks of slices [B,S,H,W]: maps [B*S,C,h,w], the deepest last."""
    import numpy as np
    import torch

    with torch.inference_mode():
        images = torch.from_numpy(np.ascontiguousarray(stacks, dtype=np.float32))
        levels = segmenter.network.levels(images[:, :, None].to(segmenter.device))
    return [level.float().cpu().numpy() for level in levels]


def load_extractor(place: str, sha256: str | None, device: str) -> Extractor:
    """Features of a TorchScript file ([N,3,H,W] in [0,1] to [N,D], checked by its hash), of the
    encoder of a segmenter, by a model's name, a model folder or a run's folder, or of the
    discriminator of a run that trained a generator.
    """
    from AnatoMaskGANLib.evaluation.features import torchscript_features
    from AnatoMaskGANLib.synthesis.devices import pick_device
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter

    path = Path(place)
    if path.suffix in SCRIPT_SUFFIXES:
        return torchscript_features(path, sha256, str(pick_device(device)))
    if is_run(path):
        if direction_of_run(path) == "image2mask":
            return encoder_features(_segmenter_of_run(path, device))
        return discriminator_features(path, device)
    return encoder_features(VolumeSegmenter.from_checkpoint(place, device))


def is_run(path: Path) -> bool:
    """Whether a folder is that of a training run."""
    return (path / "settings.json").is_file() and any(path.glob("[!.]*.safetensors"))


def direction_of_run(run: Path) -> str:
    """mask2image, image2mask or image+labels."""
    from AnatoMaskGANLib.training.checkpoints import LATEST, find_checkpoint
    from AnatoMaskGANLib.training.run_state import read_tensors

    _, metadata = read_tensors(find_checkpoint(run, LATEST))
    return metadata["settings"].get("direction", "mask2image")
