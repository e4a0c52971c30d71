"""A stand-in for the 3D Slicer application, for the tests. It is not the application.

The MRML scene, the segmentation, volume and subject hierarchy logics and the slice views are
Slicer's own libraries (the `slicer-core` package). The window is PySide6 taught PythonQt's dialect,
and the `ctk`, `qMRML` and `slicer` classes that no package offers are written here, only as large
as our module needs. Not covered: PythonQt's own threads and object ownership, the Segment Editor's
effects, the DICOM and command line modules, the Extensions Manager, and the installation.

    import slicer_host
    slicer_host.start()              # a scene without a window, then `import slicer` as in Slicer
    slicer_host.start_window()       # the same, with Qt, a module panel and slice views
"""

from slicer_host.scene import start

__all__ = ["start", "start_window"]


def start_window(views=None):
    """The running application with a window; Qt is imported only here."""
    from slicer_host import window

    return window.start_window(views)
