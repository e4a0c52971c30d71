"""Shows how much of this computer's memory a synthesis will take, before it runs."""

from __future__ import annotations

import os
import pathlib
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis import ModelCard
    from AnatoMaskGANLib.synthesis.engine.memory_plan import MemoryNeed

GIB = 2**30
# Files that the drivers of NVIDIA (on Linux, in WSL, on Windows) and AMD create.
GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "C:/Windows/System32/nvcuda.dll", "/dev/kfd")


@dataclass(frozen=True)
class Advice:
    """The advice that the user reads under the choice of the device."""

    text: str
    isWarning: bool = False


def memoryAdvice(
    segmentationNode: slicer.vtkMRMLSegmentationNode | None,
    referenceVolume: slicer.vtkMRMLScalarVolumeNode | None,
    card: ModelCard,
    device: str,
) -> Advice:
    """The memory that the segments need on the device, by the box around them; reads no voxel.

    device: as `AnatoMaskGANLogic.synthesize` takes it. PyTorch, which takes long to import, is
    asked only where there may be a GPU, and not before there is something to synthesize.
    """
    from AnatoMaskGANLib.synthesis import DeviceError
    from AnatoMaskGANLib.synthesis.engine.memory_plan import DEFAULT_LIMIT_BYTES

    shape_sjk = regionShape(segmentationNode, card)
    isCPU = device == "cpu" or (device == "auto" and not mayHaveGPU())
    if not isCPU and shape_sjk is None:
        return Advice(_("Runs on the GPU if PyTorch can use it."))
    try:
        chosen = None if isCPU else _pickedDevice(device)
    except DeviceError as error:
        return Advice(str(error), isWarning=True)
    name = deviceName(chosen)
    if shape_sjk is None or card.generator.kind != "anatomaskgan":
        return Advice(_("Runs on the {device}.").format(device=name))
    need = _need(shape_sjk, referenceVolume, card)
    whole = need.fixed + shape_sjk[0] * need.per_slice
    values = {"device": name, "need": f"{min(whole, DEFAULT_LIMIT_BYTES) / GIB:.1f}"}
    if need.least > DEFAULT_LIMIT_BYTES:
        text = _(
            "These segments need {least:.1f} GiB, more than the {limit:.0f} GiB that a "
            "synthesis may use: choose fewer segments, or a reference volume with larger "
            "voxels."
        )
        least, limit = need.least / GIB, DEFAULT_LIMIT_BYTES / GIB
        return Advice(text.format(least=least, limit=limit), isWarning=True)
    free = freeMemory(chosen)
    if free is None:
        return Advice(_("Runs on the {device}, with up to {need} GiB of memory.").format(**values))
    text = _("Runs on the {device}, with up to {need} GiB of memory; {free:.1f} GiB are free.")
    isTight = min(whole, DEFAULT_LIMIT_BYTES) > free
    if isTight:
        text += " " + _("Close other programs, or choose fewer segments.")
    return Advice(text.format(free=free / GIB, **values), isTight)


def mayHaveGPU() -> bool:
    """Whether PyTorch may find a GPU in this computer; found out without PyTorch."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return any(os.path.exists(driver) for driver in GPU_DRIVERS)


def _pickedDevice(device: str) -> Any:
    """The `torch.device` of a name; None for the CPU, DeviceError for one that is not there."""
    from AnatoMaskGANLib.synthesis.devices import pick_device

    chosen = pick_device(device)
    return None if chosen.type == "cpu" else chosen


def regionShape(
    segmentationNode: slicer.vtkMRMLSegmentationNode | None, card: ModelCard
) -> tuple[int, int, int] | None:
    """About how many slices, rows and columns of the model's grid hold segments; None: no segment.

    The segments' box along right, anterior and superior; the axes of an oblique grid differ a
    little.
    """
    if segmentationNode is None or segmentationNode.GetSegmentation().GetNumberOfSegments() == 0:
        return None
    bounds = [0.0] * 6
    segmentationNode.GetRASBounds(bounds)
    lengths_mm = [bounds[2 * axis + 1] - bounds[2 * axis] for axis in range(3)]
    if min(lengths_mm) <= 0:
        return None
    stride = card.generator.stride
    columns, rows, slices = (
        length / spacing for length, spacing in zip(lengths_mm, card.spacing_ijk_mm, strict=True)
    )
    # The synthesis box consists of whole cells of the network's coarsest grid.
    rows, columns = (stride * (int(size / stride) + 2) for size in (rows, columns))
    return int(slices) + 1, rows, columns


def deviceName(device: Any) -> str:
    """A `torch.device`, None for the CPU, in words for the user."""
    if device is None:
        return _("CPU")
    if device.type == "cuda":
        import torch

        return _("GPU {name}").format(name=torch.cuda.get_device_name(device))
    return _("GPU (Apple)")


def freeMemory(device: Any) -> int | None:
    """Bytes that are free on the device; None for the CPU, and where that is not known."""
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    try:
        import psutil

        return psutil.virtual_memory().available
    except ImportError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows and macOS have no such number
        return None


def _need(
    shape_sjk: tuple[int, int, int],
    referenceVolume: slicer.vtkMRMLScalarVolumeNode | None,
    card: ModelCard,
) -> MemoryNeed:
    from AnatoMaskGANLib.synthesis.engine.memory_plan import memory_need

    slices, rows, columns = shape_sjk
    numVoxels = slices * rows * columns
    image = referenceVolume.GetImageData() if referenceVolume is not None else None
    if image is not None:
        numVoxels = max(numVoxels, image.GetNumberOfPoints())
    threads = min(os.cpu_count() or 1, 8)
    weights = sum(file.stat().st_size for file in pathlib.Path(card.path).glob("*.safetensors"))
    return memory_need(card.generator, shape_sjk, numVoxels, threads, weights)
