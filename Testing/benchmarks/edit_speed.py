"""How long a real scan takes to follow an edit of its segmentation, and how much memory.

    python -m Testing.benchmarks.edit_speed [--slices 400] [--threads 2]

The scan is a made-up CT of 512 x 512 voxels a slice, 0.8 x 0.8 x 1 mm, with a body, a liver, two
kidneys, a spine and noise. The edits are a stroke of 10 mm at the border of a kidney, the whole
kidney grown by 5 mm, and all labels mirrored. For each: seconds to the first picture and to the
final one in a session that is open, as in the Segment Editor, seconds of the processor for both,
and the memory above the scan, its map and the edited map (Linux). Each edit runs in a process of
its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.editing import ScanEditSession, operations
from AnatoMaskGANLib.volumes import LabelMap, Volume

SPACING_KJI = (1.0, 0.8, 0.8)
BODY, LIVER, KIDNEY, OTHER_KIDNEY, SPINE = range(1, 6)
# center over the scan's extent and half axes in mm, along K, J and I
ORGANS = {
    BODY: ((0.5, 0.5, 0.5), (900.0, 130.0, 180.0)),
    LIVER: ((0.6, 0.45, 0.33), (80.0, 70.0, 75.0)),
    KIDNEY: ((0.4, 0.6, 0.33), (55.0, 28.0, 30.0)),
    OTHER_KIDNEY: ((0.42, 0.6, 0.67), (55.0, 28.0, 30.0)),
    SPINE: ((0.5, 0.67, 0.5), (900.0, 20.0, 20.0)),
}
MEANS = (-1000.0, -80.0, 60.0, 120.0, 120.0, 300.0)
EDITS = ("stroke", "kidney", "everything")


def made_up_ct(num_slices: int) -> tuple[Volume, LabelMap]:
    """The scan, int16, and its labels, uint8."""
    shape = (num_slices, 512, 512)
    labels = np.zeros(shape, np.uint8)
    rows, columns = (
        np.arange(size) * mm for size, mm in zip(shape[1:], SPACING_KJI[1:], strict=True)
    )
    extent = [size * mm for size, mm in zip(shape, SPACING_KJI, strict=True)]
    draws = np.random.default_rng(0)
    voxels = np.empty(shape, np.int16)
    for number in range(num_slices):
        for label, (center, axes) in ORGANS.items():
            k, j, i = (
                ((place - share * size) / axis) ** 2
                for place, share, size, axis in zip(
                    (number * SPACING_KJI[0], rows, columns), center, extent, axes, strict=True
                )
            )
            labels[number][k + j[:, None] + i <= 1] = label
        noise = 15 * draws.standard_normal(shape[1:], dtype=np.float32)
        voxels[number] = np.array(MEANS, np.float32)[labels[number]] + noise
    matrix = np.diag([*SPACING_KJI[::-1], 1.0])
    return Volume(voxels, matrix, None, "HU"), LabelMap(labels, matrix)


def edited_map(before: LabelMap, edit: str) -> LabelMap:
    if edit == "everything":
        return replace(before, labels_kji=np.ascontiguousarray(before.labels_kji[:, :, ::-1]))
    if edit == "kidney":
        return operations.grow(before, KIDNEY, 5.0)
    center, axes = ORGANS[KIDNEY]
    size_ijk = np.array(before.shape_kji[::-1]) * SPACING_KJI[::-1]
    place = np.array(center[::-1]) * size_ijk + [axes[2], 0, 0]  # on the border
    return operations.add_ball(before, KIDNEY, place, 10.0)


def memory_gib(what: str) -> float:
    """Of this process, VmRSS: now, VmHWM: at most since `forget_peak`."""
    text = Path("/proc/self/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith(what)]
    return int(line.split()[1]) / 2**20


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def measure(edit: str, num_slices: int, num_threads: int) -> None:
    import torch

    torch.set_num_threads(num_threads)
    scan, before = made_up_ct(num_slices)
    after = edited_map(before, edit)
    forget_peak()
    held = memory_gib("VmRSS")
    start = time.perf_counter()
    session = ScanEditSession(scan, before)
    opened = time.perf_counter() - start
    first, processor = time.perf_counter(), time.process_time()
    session.update(after, is_quick=True)
    first = time.perf_counter() - first
    final = time.perf_counter()
    changed = session.update(after)
    final = time.perf_counter() - final
    processor = time.process_time() - processor
    again = time.perf_counter()
    session.update(before)
    again = time.perf_counter() - again
    size = "x".join(str(b - a) for a, b in zip(changed.start_kji, changed.stop_kji, strict=True))
    num_changed = np.count_nonzero(before.labels_kji != after.labels_kji)
    print(
        f"{edit:7s} {num_changed} label voxels, box {size}: open {opened:.2f} s, first picture "
        f"{first:.2f} s, final {final:.2f} s, undo {again:.2f} s, processor {processor:.2f} s, "
        f"memory {memory_gib('VmHWM') - held:.2f} GiB above {held:.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--edit", choices=EDITS, help="only this one, in this process")
    given = parser.parse_args()
    if given.edit:
        measure(given.edit, given.slices, given.threads)
        return
    for edit in EDITS:
        command = [sys.executable, "-m", "Testing.benchmarks.edit_speed", "--edit", edit]
        command += ["--slices", str(given.slices), "--threads", str(given.threads)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
