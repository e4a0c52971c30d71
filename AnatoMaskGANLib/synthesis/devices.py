"""The devices that a network can run on."""

from __future__ import annotations

import torch

from AnatoMaskGANLib.synthesis.errors import DeviceError


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name: auto (CUDA, else MPS, else CPU), cpu, cuda, cuda:N or mps.

    Raises DeviceError for one that is not there; nothing falls back to the CPU unasked.
    """
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(
            f"The device {name!r} is not known; choose auto, cpu, cuda, cuda:N or mps."
        ) from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(
                f"The device {name!r} does not exist: PyTorch {torch.__version__} sees "
                f"{count} CUDA devices. Choose cpu, or install a CUDA build of PyTorch "
                "and the NVIDIA driver."
            )
    elif device.type == "mps":
        if not has_mps:
            raise DeviceError("The device 'mps' does not exist; choose cpu.")
    elif device.type != "cpu":
        raise DeviceError(f"The device {name!r} is not supported; choose auto, cpu, cuda or mps.")
    return device


def half_precision_on(device: torch.device) -> torch.dtype | None:
    """The 16-bit type with which a device is faster, None where there is none.

    float16 on a GPU; bfloat16 on a CPU that multiplies it (AVX512-BF16 or AMX), for every other CPU
    takes many times longer with it than with float32.
    """
    if device.type == "cuda":
        return torch.float16
    # PyTorch reports it by these names only; a version without them stays with float32.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    has_bfloat16 = any(getattr(torch.cpu, name, lambda: False)() for name in names)
    return torch.bfloat16 if device.type == "cpu" and has_bfloat16 else None
