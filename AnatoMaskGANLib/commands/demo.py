"""`anatomaskgan demo`: the bundled segmentation becomes a volume, a picture and metrics."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse.typing import NonNegativeInt

from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.commands.evaluate.baselines import LABEL_MEAN, compare, label_mean_volume
from AnatoMaskGANLib.commands.evaluate.cases import CaseReader, find_cases
from AnatoMaskGANLib.commands.result_files import make_folder
from AnatoMaskGANLib.commands.synthesize import Device
from AnatoMaskGANLib.resources import resources_folder

if TYPE_CHECKING:
    from AnatoMaskGANLib.evaluation import Row
    from AnatoMaskGANLib.synthesis import Synthesizer

SAMPLE = "brain-t1-sub-19"
MODEL = "brain-t1"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoOptions:
    """Make a synthetic volume from the bundled brain segmentation, which no training has used."""

    output: Path = Path("anatomaskgan-demo")
    """Folder for the volume and the picture."""
    seed: NonNegativeInt = 0
    """Seed of the noise."""
    device: Device = "auto"
    """Device on which the network runs; auto takes a GPU if there is one."""


def demo(options: DemoOptions) -> int:
    """0 when the volume was made; prints where it is and how near it comes to the real scan."""
    from AnatoMaskGANLib.synthesis import Synthesizer

    synthesizer = Synthesizer.from_checkpoint(MODEL, device=options.device)

    def run_case(sample: Path, on_progress: OnProgress) -> None:
        _show_sample(sample, options, synthesizer, on_progress)

    sample = resources_folder() / "SampleData" / SAMPLE
    return run_batch([sample], lambda folder: folder.name, run_case).exit_code


def _show_sample(
    sample: Path, options: DemoOptions, synthesizer: Synthesizer, on_progress: OnProgress
) -> None:
    from AnatoMaskGANLib.evaluation import ThreePlanes, draw_three_planes
    from AnatoMaskGANLib.synthesis.options import Progress
    from AnatoMaskGANLib.volumes import write_volume

    case = CaseReader(synthesizer).read(find_cases(sample)[0])
    progress = Progress(on_progress)
    synthetic = synthesizer.synthesize(case.label_map, progress=progress, seed=options.seed)
    make_folder(options.output)
    volume_file = options.output / "synthetic.nii.gz"
    picture_file = options.output / "labels-synthetic-real.png"
    write_volume(synthetic, volume_file)
    on_progress(1.0, "comparing with the real scan")
    label_mean = label_mean_volume(case, synthesizer.card)
    rows = compare(case, {"synthetic": synthetic, LABEL_MEAN: label_mean}, synthesizer.card)
    planes = ThreePlanes(
        case.label_map,
        {"Synthetic": synthetic, "Real": case.real},
        synthesizer.card.window,
        synthesizer.label_table,
        title="From segmentation to synthetic volume",
    )
    draw_three_planes(picture_file, planes)
    print(f"Synthetic volume (not a scan; for research, never for diagnosis): {volume_file}")
    print(f"Picture of labels, synthetic and real volume: {picture_file}")
    print("; ".join(metrics_line(row) for row in rows))


def metrics_line(row: Row) -> str:
    """The three metrics of a row that say most, |dz| ratio being right at 1."""
    metrics = row.metrics
    return (
        f"{row.method}: PSNR {metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.4f}, "
        f"|dz| ratio {metrics['dz_ratio']:.2f}"
    )
