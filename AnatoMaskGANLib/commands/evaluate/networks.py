"""The frozen networks with which an evaluation measures: segmenter and feature extractors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from AnatoMaskGANLib.commands.evaluate.cases import CaseReader
from AnatoMaskGANLib.commands.evaluate.discriminator import discriminator_features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from AnatoMaskGANLib.evaluation.metrics.faithfulness import Segmenter
    from AnatoMaskGANLib.evaluation.metrics.features import Extractor
    from AnatoMaskGANLib.evaluation.metrics.perceptual import FeatureMaps
    from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter as SegmenterNetwork
    from AnatoMaskGANLib.synthesis import ModelCard
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.volumes import LabelMap, Volume

SCRIPT_SUFFIXES = (".pt", ".ts", ".torchscript")


def load_segmenter(
    place: str, sha256: str | None, card: ModelCard | None, device: str
) -> VolumeSegmenter:
    """A segmenter from a model's name or folder, a run's folder, or a TorchScript file.

    The TorchScript maps slices [N,1,H,W] in [0,1] on the grid of the evaluated model to logits
    [N,C,H,W] of its classes, and is checked by its hash. card: of that model, which a TorchScript
    needs. Raises CheckpointError or WeightsError.
    """
    import torch

    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter

    path = Path(place)
    if card is not None and path.suffix in SCRIPT_SUFFIXES:
        return _scripted_segmenter(path, sha256, card, device)
    segmenter = (
        _segmenter_of_run(path, device)
        if is_run(path)
        else VolumeSegmenter.from_checkpoint(place, device)
    )
    # Convolutions on a CPU are nearly twice as fast in this memory order.
    segmenter.network = segmenter.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return segmenter


def _segmenter_of_run(run: Path, device: str) -> VolumeSegmenter:
    """The best checkpoint of a run as a segmenter, or its latest one if it has no best one."""
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.training.checkpoints import BEST, LATEST, checkpoint_file
    from AnatoMaskGANLib.training.export import RunCheckpoint, export_run
    from AnatoMaskGANLib.training.settings import CardSettings

    checkpoint = BEST if checkpoint_file(run, BEST).is_file() else LATEST
    texts = CardSettings(
        description="A segmenter for an evaluation.",
        training_data="that of the run",
        licence="that of the run's data",
    )
    with TemporaryDirectory() as folder:
        source = RunCheckpoint(run, checkpoint)
        model = export_run(source, "segmenter", Path(folder), texts)
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

    Labels that match no class become background.
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
    """Maps slices [N,H,W] to the mean features [N,D] of the deepest level of a segmenter's U-Net.

    Every slice is seen alone, with empty neighbors, because this is an extractor and no
    segmentation. Raises ValueError for a network that is no U-Net of this program.
    """
    import numpy as np

    network = _with_encoder(segmenter)

    def extract(slices: np.ndarray) -> np.ndarray:
        batches = np.array_split(slices, max(len(slices) // 8, 1))
        deepest = (_levels(network, batch[:, None], segmenter.device)[-1] for batch in batches)
        return np.concatenate([maps.mean(axis=(2, 3)) for maps in deepest])

    return extract


def encoder_maps(segmenter: VolumeSegmenter) -> FeatureMaps:
    """Maps neighboring slices [N,H,W] to the maps [N,C,h,w] of every level of the encoder.

    Raises ValueError for a network that is no U-Net of this program.
    """
    network = _with_encoder(segmenter)
    return lambda slices: _levels(network, slices[None], segmenter.device)


def has_encoder(segmenter: VolumeSegmenter) -> bool:
    """Whether the segmenter is a U-Net of this program, whose levels can be read."""
    from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter as SegmenterNetwork

    return isinstance(segmenter.network, SegmenterNetwork)


def _with_encoder(segmenter: VolumeSegmenter) -> SegmenterNetwork:
    """The segmenter's network; raises ValueError unless it is a U-Net of this program."""
    from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter as SegmenterNetwork

    if not isinstance(segmenter.network, SegmenterNetwork):
        raise ValueError(
            "Only a segmenter that this program trained provides features; the encoder of "
            "a TorchScript segmenter cannot be reached. Give the encoder as a separate "
            "extractor."
        )
    return segmenter.network


def _levels(
    network: SegmenterNetwork, stacks: np.ndarray, device: torch.device
) -> list[np.ndarray]:
    """Maps [B*S,C,h,w] of every level, the deepest last, for stacks of slices [B,S,H,W]."""
    import numpy as np
    import torch

    with torch.inference_mode():
        images = torch.from_numpy(np.ascontiguousarray(stacks, dtype=np.float32))
        levels = network.levels(images[:, :, None].to(device))
    return [level.float().cpu().numpy() for level in levels]


def load_extractor(place: str, sha256: str | None, device: str) -> Extractor:
    """The feature extractor that a text names.

    It is a TorchScript file, which maps [N,3,H,W] in [0,1] to [N,D] and is checked by its hash; or
    a segmenter (a model's name, a model folder or a run's folder), whose encoder is taken; or the
    folder of a run that trained a generator, whose discriminator is taken.
    """
    from AnatoMaskGANLib.evaluation.metrics.features import torchscript_features
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
    from AnatoMaskGANLib.training.checkpoints import LATEST, find_checkpoint, read_tensors

    _, metadata = read_tensors(find_checkpoint(run, LATEST))
    return metadata["settings"].get("direction", "mask2image")
