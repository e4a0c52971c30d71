"""What a process that has never served a request makes of one: the answer to compare with.

A server process imports PyTorch and the core, and nothing else; every answer comes from a fork of
it, which reads the model's files, makes the one volume and ends. It has no state that an earlier
request could have left, and spares the seconds that an import takes.
"""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes import LabelMap, Volume
from Testing.tiny_models import label_map_of

_SECONDS = 120.0


class FreshProcesses:
    """Makes every volume in a process of its own; folder: a private one for what it hands over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["AnatoMaskGANLib.synthesis", __name__])

    def volume_of(self, label_map: LabelMap, model: str, seed: int) -> Volume:
        """The volume of a label map; raises RuntimeError when the process fails."""
        labels, voxels, record = (
            self._folder / name for name in ("labels.npy", "voxels.npy", "record.json")
        )
        np.save(labels, label_map.labels_kji, allow_pickle=False)
        process = self._context.Process(
            target=_synthesize, args=(str(labels), model, seed, str(voxels), str(record))
        )
        process.start()
        process.join(_SECONDS)
        if process.exitcode != 0:
            process.kill()
            raise RuntimeError(f"A fresh process ended with {process.exitcode}.")
        process.close()
        found = json.loads(record.read_text())
        volume = Volume(np.load(voxels), np.array(found["ijk_to_ras"]), None, "", found["said"])
        for path in (labels, voxels, record):
            path.unlink()
        return volume


def _synthesize(labels: str, model: str, seed: int, voxels: str, record: str) -> None:
    import torch

    from AnatoMaskGANLib.synthesis import Synthesizer

    torch.set_num_threads(1)
    label_map = label_map_of(np.load(labels))
    volume = Synthesizer.from_checkpoint(model, "cpu").synthesize(label_map, seed=seed)
    np.save(voxels, volume.voxels_kji, allow_pickle=False)
    found = {"ijk_to_ras": volume.ijk_to_ras.tolist(), "said": dict(volume.provenance)}
    Path(record).write_text(json.dumps(found))
