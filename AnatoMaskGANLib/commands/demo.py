"""`anatomaskgan demo`: the bundled segmentation becomes a volume, a picture and metrics.

In a second act the bundled scan itself follows an edit whose truth is known.
"""

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
    from AnatoMaskGANLib.evaluation import EvaluationCase, Row
    from AnatoMaskGANLib.synthesis import Synthesizer

SAMPLE = "brain-t1-sub-19"
MODEL = "brain-t1"
GROWN = "Left-Lateral-Ventricle"
GAIN, REACH_MM = 1.3, 8.0
"""Factor on the structure's length, and the distance within which its neighbors give way."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoOptions:
    """Make a synthetic volume from the bundled brain segmentation, which no training has used, and
    edit its real scan: a ventricle grows."""

    output: Path = Path("anatomaskgan-demo")
    """Folder for the volume and the pictures."""
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
    on_progress(1.0, "editing the real scan")
    print(_edit_scan(case, synthesizer, options.output / "before-edited-truth.png"))


def _edit_scan(case: EvaluationCase, synthesizer: Synthesizer, picture_file: Path) -> str:
    """Draws the scan with a structure grown by a known field; the line that says how near the edit
    comes to that truth."""
    from AnatoMaskGANLib.editing import edit_scan
    from AnatoMaskGANLib.evaluation.edit_baselines import label_mean_edit
    from AnatoMaskGANLib.evaluation.known_warps import Swell, known_edit
    from AnatoMaskGANLib.evaluation.metrics.edit_criteria import EditPlaces, truth_distance
    from AnatoMaskGANLib.evaluation.metrics.protocol import to_unit_range
    from AnatoMaskGANLib.evaluation.report.edit_pictures import EditPicture, draw_edit

    scan, before, window = case.real, case.label_map, synthesizer.card.window
    (label,) = [value for value, name in before.names.items() if name == GROWN]
    after, truth = known_edit(scan, before, Swell((label,), GAIN, REACH_MM))
    edited = edit_scan(scan, before, after).volume
    filled = label_mean_edit(scan.voxels_kji, before.labels_kji, after.labels_kji)
    title = f"{GROWN} grown in the real scan"
    table = synthesizer.label_table
    draw_edit(
        picture_file,
        EditPicture(before, after, scan, edited, truth, window, title, table),
    )
    places = EditPlaces(before.labels_kji, after.labels_kji, before.spacing_ijk_mm[::-1])
    true = to_unit_range(truth.voxels_kji, window)
    psnr = [
        truth_distance(true, to_unit_range(voxels, window), places)["psnr_lab"]
        for voxels in (edited.voxels_kji, filled)
    ]
    return (
        f"edited: PSNR {psnr[0]:.2f} dB; label-mean filling: PSNR {psnr[1]:.2f} dB; {GROWN} of the "
        f"real scan grown, against the known truth: {picture_file}"
    )


def metrics_line(row: Row) -> str:
    """The three metrics of a row that say most, |dz| ratio being right at 1."""
    metrics = row.metrics
    return (
        f"{row.method}: PSNR {metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.4f}, "
        f"|dz| ratio {metrics['dz_ratio']:.2f}"
    )
