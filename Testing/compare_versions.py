"""Compares what the bundled model makes here with what it makes under another PyTorch.

    python Testing/compare_versions.py /path/to/other/python

Both Pythons, in processes of their own, make the whole volume of the bundled label map with the
same seed. The exit code is 1 when a voxel differs by more than 1/1000 of the model's window.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from AnatoMaskGANLib.resources import resources_folder  # noqa: E402
from AnatoMaskGANLib.synthesis.models.folder import read_card  # noqa: E402
from AnatoMaskGANLib.volumes import read_volume  # noqa: E402

TOLERANCE = 1e-3
"""As a share of the window, a tenth of a percent: far below what a display shows."""
LABELS = resources_folder() / "SampleData" / "brain-t1-sub-19" / "seg.nii.gz"
MODEL = resources_folder() / "Models" / "brain-t1"


def run(python: Path, *arguments: str | Path) -> str:
    """What a Python says when it is run in the repository; raises CalledProcessError."""
    command = [str(python), *map(str, arguments)]
    answer = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    return answer.stdout.strip()


def synthesize(python: Path, output: Path) -> np.ndarray:
    """The voxels of the bundled label map, in KJI, in the model's unit."""
    run(python, "-m", "AnatoMaskGANLib.cli", "synthesize", LABELS, "--output", output)
    return read_volume(output).voxels_kji


def versions(python: Path) -> str:
    code = "import torch, numpy; print('PyTorch', torch.__version__, 'NumPy', numpy.__version__)"
    return run(python, "-c", code)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", type=Path, help="the Python of the other environment")
    python = parser.parse_args().python
    with tempfile.TemporaryDirectory() as folder:
        here = synthesize(Path(sys.executable), Path(folder) / "here.nii.gz")
        there = synthesize(python, Path(folder) / "there.nii.gz")
    lowest, highest = read_card(MODEL).window
    difference = np.abs(here.astype(np.float64) - there).max() / (highest - lowest)
    same = np.mean(here == there)
    print(f"{versions(Path(sys.executable))}, and {versions(python)}:")
    print(
        f"{here.size} voxels, {same:.2%} equal to the bit; the largest difference is "
        f"{difference:.2g} of the window, {TOLERANCE} are allowed"
    )
    return int(not difference <= TOLERANCE)  # a difference that is no number is one too many


if __name__ == "__main__":
    sys.exit(main())
