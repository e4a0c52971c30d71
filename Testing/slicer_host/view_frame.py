"""What every view has: a bar with its name, and below it a canvas for a picture."""

from __future__ import annotations

import numpy as np

from slicer_host.pythonqt import qt

BAR_HEIGHT = 20
SMALLEST_CANVAS = 120
SMALLEST_PICTURE = 64


def add_bar_and_canvas(widget, text: str, color: str):
    """The two labels, put into a widget that is empty; a canvas takes what room it gets."""
    bar = qt.QLabel(f"  {text}")
    bar.setStyleSheet(f"background:{color}; color:black;")
    bar.setFixedHeight(BAR_HEIGHT)
    canvas = qt.QLabel()
    canvas.setMinimumSize(SMALLEST_CANVAS, SMALLEST_CANVAS)
    ignored = qt.QSizePolicy.Policy.Ignored
    canvas.setSizePolicy(ignored, ignored)
    layout = qt.QVBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    layout.addWidget(bar)
    layout.addWidget(canvas, 1)
    return bar, canvas


def picture_size(canvas) -> tuple[int, int]:
    """Width and height in pixels of the picture that fills a canvas."""
    return max(canvas.width, SMALLEST_PICTURE), max(canvas.height, SMALLEST_PICTURE)


def show_picture(canvas, pixels: np.ndarray) -> None:
    """pixels: bytes [height, width, 3], first row on top."""
    height, width, _ = pixels.shape
    kind = qt.QImage.Format.Format_RGB888
    image = qt.QImage(pixels.data, width, height, 3 * width, kind)
    canvas.setPixmap(qt.QPixmap.fromImage(image))
