"""`anatomaskgan segment`: scans in, label maps on the same grids out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.result_files import make_folder, plan_segmentations
from AnatoMaskGANLib.commands.synthesize import Device

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentOptions:
    """Make a label map from each scan, with a model that was trained in the direction image2mask or
    image+labels."""

    output: Path
    """Folder for the label maps. Each is named after its scan with -seg.nii.gz at the end, and
    keeps its subfolder."""
    model: str
    """Name of a model (see: anatomaskgan models list) or path of a model folder."""
    inputs: tuple[Path, ...] = positional()
    """Scans (NIfTI, NRRD or MetaImage files)."""
    device: Device = "auto"
    """Device on which the network runs; auto takes a GPU if there is one."""


def segment(options: SegmentOptions) -> int:
    """0 when every label map was made, 1 when a scan failed; prints the path of each."""
    from AnatoMaskGANLib.preparation.superpixels import superpixel_guidance
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.volumes import read_volume, write_label_map

    targets = plan_segmentations(list(dict.fromkeys(options.inputs)), options.output)
    segmenter = VolumeSegmenter.from_checkpoint(options.model, options.device, superpixel_guidance)
    make_folder(options.output)

    def run_case(source: Path, on_progress: OnProgress) -> None:
        label_map = segmenter.segment(read_volume(source))
        target = targets[source]
        make_folder(target.parent)
        write_label_map(label_map, target)
        print(target)

    result = run_batch(list(targets), str, run_case)
    if len(targets) > 1:
        _log.info("%s", result.summary())
    return result.exit_code
