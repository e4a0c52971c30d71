"""A short vector for every label, so that hundreds of labels are registered as fast as four."""

from __future__ import annotations

import numpy as np

MOST_CODES = 4
"""Length of the vectors: up to this many labels have an axis of their own."""

_ROUNDS = 200


def label_codes(num_labels: int) -> np.ndarray:
    """[num_labels, F] float32 vectors of length 1, always the same ones: the axes where these are
    enough, else vectors that were drawn and then pushed apart from their nearest ones."""
    if num_labels <= MOST_CODES:
        return np.eye(num_labels, dtype=np.float32)
    codes = np.random.default_rng(0).standard_normal((num_labels, MOST_CODES)).astype(np.float32)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    for _ in range(_ROUNDS):
        likeness = codes @ codes.T - 2 * np.eye(num_labels, dtype=np.float32)
        push = np.exp(8 * likeness) @ codes
        codes -= 0.05 * push / (np.linalg.norm(push, axis=1, keepdims=True) + 1e-6)
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return codes
