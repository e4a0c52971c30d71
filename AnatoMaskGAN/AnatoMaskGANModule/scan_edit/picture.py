"""Makes a picture of a scan before and after an edit, for teaching, and marks it as edited."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

if TYPE_CHECKING:
    from AnatoMaskGANLib.volumes import Volume

# Sizes in pixels: the longest side of the scan, the gap between pictures, the height of a line of
# text, and the font.
LONGEST = 460
GAP = 6
LINE = 30
FONT = 20
# The color of texts that say that something is not as measured, as red, green, blue.
MARK = (255, 190, 60)


def editPicture(
    scan: Volume, edited: Volume, window: tuple[float, float], title: str
) -> np.ndarray:
    """Draws the axial and the coronal slice that changed most, each before, after, and as a
    difference. Gives [H,W,3] uint8.

    window gives the intensities of black and white. title is written below. Raises ValueError if
    both scans are the same everywhere.
    """
    before, sizes = _inRas(scan)
    after, _sizes = _inRas(edited)
    change = np.abs(after - before)
    if not change.any():
        raise ValueError(
            "The edited scan is the same as the scan, so there is nothing to show. Edit the scan "
            "first."
        )
    rows, scale = [], LONGEST / max(sizes)
    for axis in (2, 1):  # axial, then coronal
        most = int(np.argmax(change.sum(axis=tuple(a for a in range(3) if a != axis))))
        width, height = (sizes[a] for a in range(3) if a != axis)
        slices = [np.take(array, most, axis) for array in (before, after)]
        limit = (window[1] - window[0]) / 2
        shown = [
            *(_gray(one, *window) for one in slices),
            _gray(slices[1] - slices[0], -limit, limit),
        ]
        shape = (max(round(scale * height), 2 * LINE), max(round(scale * width), 1))
        rows.append([_upright(one, shape) for one in shown])
    return _composed(rows, title)


def savePicture(
    scanNode: slicer.vtkMRMLScalarVolumeNode,
    editedNode: slicer.vtkMRMLScalarVolumeNode,
    path: str,
) -> None:
    """Write the picture of two nodes with the scan's window. Raises OSError if it cannot be
    written."""
    from AnatoMaskGANLib.mrml import scan_of_node

    scan, edited = scan_of_node(scanNode), scan_of_node(editedNode)
    display = scanNode.GetScalarVolumeDisplayNode()
    low, high = (float(limit) for limit in np.percentile(scan.voxels_kji, (1, 99.5)))
    if display is not None:
        middle, width = display.GetLevel(), display.GetWindow()
        low, high = middle - width / 2, middle + width / 2
    title = _("{name}: an edited scan, not as measured; not for diagnosis")
    pixels = editPicture(scan, edited, (low, high), title.format(name=scanNode.GetName()))
    _write(pixels, path)


def _inRas(volume: Volume) -> tuple[np.ndarray, list[float]]:
    """Gives the voxels with axes that are as near as possible to right, anterior and superior, and
    the lengths along these axes in mm."""
    voxels = volume.voxels_kji.transpose(2, 1, 0).astype(np.float32)
    directions = volume.ijk_to_ras[:3, :3]
    spacing = np.linalg.norm(directions, axis=0)
    shares = directions / spacing
    order: list[int] = []  # the voxel axis of each axis of the world
    for world in range(3):
        free = [axis for axis in range(3) if axis not in order]
        order.append(free[int(np.argmax([abs(shares[world, axis]) for axis in free]))])
    turned = voxels.transpose(order)
    flips = tuple(world for world in range(3) if shares[world, order[world]] < 0)
    sizes = [float(spacing[axis] * voxels.shape[axis]) for axis in order]
    return np.flip(turned, flips), sizes


def _gray(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(255 * (values - low) / max(high - low, 1e-6), 0, 255).astype(np.uint8)


def _upright(gray: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Gives a slice [right, up] in so many pixels, with the patient's right on the left and up at
    the top."""
    lines, columns = (
        ((np.arange(count) + 0.5) * size / count).astype(int)
        for count, size in zip(shape, gray.shape[::-1], strict=True)
    )
    return gray.T[::-1, ::-1][lines][:, columns]


def _composed(rows: list[list[np.ndarray]], title: str) -> np.ndarray:
    widths = [max(row[column].shape[1] for row in rows) for column in range(3)]
    heights = [row[0].shape[0] for row in rows]
    height = 2 * LINE + sum(heights) + GAP * len(rows)
    canvas = np.zeros((height, sum(widths) + 2 * GAP, 3), dtype=np.uint8)
    heads = (_("Scan"), _("EDITED SCAN"), _("Difference"))
    left = 0
    for column, head in enumerate(heads):
        _writeText(canvas, head, (left + GAP, GAP), (255, 255, 255) if column == 0 else MARK)
        top = LINE
        for row in rows:
            shown = row[column]
            bottom = top + shown.shape[0]
            middle = left + (widths[column] - shown.shape[1]) // 2
            canvas[top:bottom, middle : middle + shown.shape[1]] = shown[..., None]
            if column == 1:  # the text is in the image itself, where nobody can cut it off
                _writeText(canvas, head, (middle + GAP, bottom - LINE), MARK)
            top = bottom + GAP
        left += widths[column] + GAP
    _writeText(canvas, title, (GAP, canvas.shape[0] - LINE + GAP), MARK)
    return canvas


def _writeText(
    canvas: np.ndarray, text: str, place: tuple[int, int], color: tuple[int, int, int]
) -> None:
    """Write a line of text into the canvas. place is its upper left corner (right, down)."""
    properties = vtk.vtkTextProperty()
    properties.SetFontSize(FONT)
    properties.SetColor(*(channel / 255 for channel in color))
    image, dots = vtk.vtkImageData(), 72
    vtk.vtkTextRenderer.GetInstance().RenderString(properties, text, image, [0, 0], dots)
    columns, lines, _one = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(lines, columns, -1)[::-1]
    isDrawn = pixels[..., 3] > 0
    drawn = [np.flatnonzero(isDrawn.any(axis=axis)) for axis in (1, 0)]
    pixels = pixels[drawn[0][0] : drawn[0][-1] + 1, drawn[1][0] : drawn[1][-1] + 1]
    left, top = place
    pixels = pixels[: canvas.shape[0] - top, : canvas.shape[1] - left]
    part = canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    fraction = pixels[..., 3:] / 255
    part[:] = (fraction * pixels[..., :3] + (1 - fraction) * part).astype(np.uint8)


def _write(pixels: np.ndarray, path: str) -> None:
    if not Path(path).resolve().parent.is_dir():
        raise OSError(f"The folder of {path} is not there. Choose a folder that is.")
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    colors = numpy_to_vtk(np.ascontiguousarray(pixels[::-1]).reshape(-1, 3), deep=True)
    image.GetPointData().SetScalars(colors)
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(path)
    writer.SetInputData(image)
    writer.Write()
    if writer.GetErrorCode():
        raise OSError(f"The picture {path} could not be written. Choose another file.")
