"""Draws Resources/Icons/AnatoMaskGAN.png: a brain, painted labels on the left, a scan on the right.

python Testing/draw_icon.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

ICON = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "AnatoMaskGAN.png"
SIZE = 128
OVERSAMPLING = 8

# Structure: color on the painted side, gray value on the scan's side.
BACKGROUND = ((20, 27, 38), 14)
CORTEX = ((226, 88, 96), 112)
WHITE_MATTER = ((245, 234, 208), 206)
VENTRICLE = ((120, 104, 214), 40)
THALAMUS = ((46, 160, 110), 142)
PUTAMEN = ((246, 168, 60), 134)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """[size, size] noise in about [-1, 1] whose grains are size / cells pixels wide."""
    grains = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(grains.resize((size, size), Image.Resampling.BICUBIC))


def structures(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, tuple]]:
    """Masks of an axial brain on coordinates in [-1, 1], the later ones on top."""
    angle, radius = np.arctan2(y, x), np.hypot(x / 0.80, y / 0.94)
    fold = 0.022 * np.abs(np.sin(9 * angle)) + 0.012 * np.sin(23 * angle + 1)
    inner_fold = 0.052 * np.sin(15 * angle) + 0.026 * np.sin(25 * angle + 1)
    fissure = (np.abs(x) < 0.016) & (np.abs(y) > 0.40)
    brain = (radius < 0.95 + fold) & ~fissure
    is_midline = (np.abs(x) < 0.045) & (np.abs(y) > 0.40)
    white = (radius < 0.76 + inner_fold) & ~is_midline

    def ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float) -> np.ndarray:
        turn = np.radians(degrees)
        dx, dy = np.abs(x) - cx, y - cy
        u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        return (u / rx) ** 2 + (v / ry) ** 2 < 1

    return [
        (brain, CORTEX),
        (white & brain, WHITE_MATTER),
        (ellipse(0.105, -0.21, 0.065, 0.20, -14), VENTRICLE),
        (ellipse(0.15, 0.36, 0.05, 0.17, 24), VENTRICLE),
        (ellipse(0.125, 0.10, 0.105, 0.165, -20), THALAMUS),
        (ellipse(0.36, -0.04, 0.075, 0.24, -16), PUTAMEN),
    ]


def draw() -> Image.Image:
    size = SIZE * OVERSAMPLING
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j] * 1.02
    rng = np.random.default_rng(4)
    painted = np.empty((size, size, 3), dtype=np.float32)
    painted[:] = BACKGROUND[0]
    gray = np.full((size, size), BACKGROUND[1], dtype=np.float32)
    for mask, (color, value) in structures(x, y):
        painted[mask], gray[mask] = color, value
    blurred = Image.fromarray(gray).resize((SIZE, SIZE), Image.Resampling.BOX)
    gray = np.asarray(blurred.resize((size, size), Image.Resampling.BICUBIC)).copy()
    inside = gray > 60
    gray += inside * (11 * smooth_noise(rng, size, 14) + 13 * smooth_noise(rng, size, 60))
    # The seam leans a little, so that the two halves read as one picture being turned into another.
    is_scan = x + 0.16 * y > 0
    picture = np.where(is_scan[..., None], gray[..., None], painted)
    picture[np.abs(x + 0.16 * y) < 0.018] = (255, 255, 255)
    corner = np.clip(
        np.hypot(np.maximum(np.abs(x) - 0.77, 0), np.maximum(np.abs(y) - 0.77, 0)), 0, 1
    )
    alpha = np.where(corner < 0.25, 255, 0)
    rgba = np.dstack([np.clip(picture, 0, 255), alpha]).astype(np.uint8)
    return Image.fromarray(rgba).resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw().save(ICON, optimize=True)
    print(f"wrote {ICON}")
