"""The packages that synthesis needs and Slicer does not bring; installed on the user's click."""

import importlib.util
import pathlib

import slicer

from .resource_files import resourceFile

# Import name, and what a user reads of it.
PACKAGES = {"torch": "PyTorch (up to 3 GB)", "safetensors": "safetensors (1 MB)"}
# What the comparison with a real scan needs beside these.
COMPARE_PACKAGES = ("skimage", "scipy")


def missingPackages() -> list[str]:
    """The import names of what has to be installed before the core can be used."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def installComparePackages() -> None:
    """Install what only the comparison needs, if it is missing; Slicer asks the user before."""
    if any(importlib.util.find_spec(name) is None for name in COMPARE_PACKAGES):
        _install("requirements-compare.txt")


def installPackages() -> None:
    """Install what is missing; Slicer asks the user before. Call it on the user's wish only.

    Raises RuntimeError when PyTorch cannot be installed or the user declined.
    """
    if "torch" in missingPackages():
        try:
            import PyTorchUtils
        except ModuleNotFoundError as error:
            raise RuntimeError(
                "PyTorch is installed by the PyTorch extension, which this Slicer does not "
                "have. Install it in the Extensions Manager and restart Slicer."
            ) from error
        if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True) is None:
            raise RuntimeError("PyTorch was not installed, so nothing can be synthesized yet.")
    _install("requirements.txt")


def _install(requirementsFile: str) -> None:
    requirements = pathlib.Path(resourceFile(requirementsFile))
    if hasattr(slicer, "packaging"):  # Slicer 5.12 and later
        slicer.packaging.pip_ensure(requirements, prompt_install=True, requester="AnatoMaskGAN")
    else:
        slicer.util.pip_install(["-r", str(requirements)])
    importlib.invalidate_caches()
