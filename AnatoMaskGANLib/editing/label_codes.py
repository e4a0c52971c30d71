"""Short vectors for labels, so that hundreds of labels are registered as fast as four."""

from __future__ import annotations

import numpy as np

MOST_CODES = 4
"""Length of the vectors. Up to this many labels have an axis of their own."""

_ROUNDS = 300
_SHARPNESS = (8.0, 400.0)
_STEPS = (0.1, 0.01)


def label_codes(num_labels: int) -> np.ndarray:
    """Gives a vector of length 1 for each label, as [num_labels, F] float32. They are always the
    same: the axes if these are enough, else random vectors that were pushed apart from their
    nearest ones."""
    if num_labels <= MOST_CODES:
        return np.eye(num_labels, dtype=np.float32)
    codes = np.random.default_rng(0).standard_normal((num_labels, MOST_CODES)).astype(np.float32)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    own = 2 * np.eye(num_labels, dtype=np.float32)
    for fraction in np.linspace(0, 1, _ROUNDS):
        # vectors are pushed first by all others, then only by the nearest one, in ever smaller
        # steps
        sharpness = _SHARPNESS[0] * (_SHARPNESS[1] / _SHARPNESS[0]) ** fraction
        step = _STEPS[0] * (_STEPS[1] / _STEPS[0]) ** fraction
        likeness = codes @ codes.T - own
        weights = np.exp(sharpness * (likeness - likeness.max(axis=1, keepdims=True)))
        push = weights @ codes
        codes -= step * push / (np.linalg.norm(push, axis=1, keepdims=True) + 1e-6)
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return codes.astype(np.float32)
