"""Conversion between arrays and tensors without PyTorch's NumPy bridge.

PyTorch 2.2, the last one for Macs with Intel processors, is built for NumPy 1 and has no bridge to
NumPy 2. Memory that both can read needs no bridge.
"""

from __future__ import annotations

import ctypes
import math

import numpy as np
import torch


def tensor_of(array: np.ndarray) -> torch.Tensor:
    """Gives a float32 tensor of the same shape with a copy of the values."""
    values = np.array(array, dtype=np.float32, order="C")
    return torch.frombuffer(values.reshape(-1), dtype=torch.float32).reshape(values.shape)


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """Gives a float32 array of the same shape with a copy of the values."""
    values = tensor.detach().to("cpu", torch.float32).contiguous()
    count = math.prod(values.shape)
    memory = (ctypes.c_float * count).from_address(values.data_ptr())
    return np.ctypeslib.as_array(memory).reshape(tuple(values.shape)).copy()
