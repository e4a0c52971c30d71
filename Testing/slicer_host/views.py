"""Slice views drawn off screen by Slicer's own displayable managers."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)


class SliceView:
    """One slice view of the scene; `picture` draws it."""

    def __init__(self, app, name: str, orientation: str):
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._actor.VisibilityOff()
        renderer = vtk.vtkRenderer()
        # The image must be the first prop, else it is painted over the segmentation.
        renderer.AddViewProp(self._actor)
        renderer.GetActiveCamera().ParallelProjectionOn()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.ShowWindowOff()
        self._window.SetMultiSamples(0)
        self._window.AddRenderer(renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)

        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.SetRenderer(renderer)
        self._managers.Initialize(factory, renderer)

        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(app.applicationLogic())
        app.applicationLogic().GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(app.scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self._managers.SetMRMLDisplayableNode(self.node)

    def picture(self, width: int, height: int) -> np.ndarray:
        """The view as it looks now, [height, width, 3] bytes, first row on top."""
        self._window.SetSize(width, height)
        self.logic.ResizeSliceNode(width, height)
        image = self.logic.GetImageDataConnection()
        self._mapper.SetInputConnection(image)
        self._actor.SetVisibility(image is not None)
        self._window.Render()
        return pixels_of(self._window)

    def fit(self) -> None:
        """Show the whole background volume, the middle of a voxel layer in the view's plane."""
        self.logic.FitSliceToBackground()
        self.logic.SnapSliceOffsetToIJK()


def pixels_of(render_window) -> np.ndarray:
    """What was rendered off screen, [height, width, 3] bytes, first row on top."""
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(render_window)
    grabber.ReadFrontBufferOff()
    grabber.Update()
    columns, rows, _ = grabber.GetOutput().GetDimensions()
    pixels = vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars())
    return np.ascontiguousarray(pixels.reshape(rows, columns, 3)[::-1])
