"""The Python packages that parts of the module need and Slicer does not bring.

They are installed on the user's click only, by Slicer's own pip: PyTorch through the PyTorch
extension, the others by a requirements file. With a folder of wheels nothing comes from elsewhere.
"""

import contextlib
import enum
import importlib.metadata
import importlib.util
import io
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.resources import resourceFile

# Packages of Slicer or its extensions; our installations never change their version.
KEPT_PACKAGES = ("numpy", "requests", "scipy", "SimpleITK", "torch", "vtk")


class Purpose(enum.Enum):
    """The part of the module that needs packages."""

    SYNTHESIS = "synthesis"
    BATCH = "batch"
    TRAINING = "training"
    COMPARISON = "comparison"


@dataclass(frozen=True)
class PackageGroup:
    """The packages that one part of the module needs."""

    title: str
    reason: str
    packages: dict[str, str]
    """Import name -> name and size, as a user reads it."""
    requirementsFile: str

    @property
    def missing(self) -> list[str]:
        """Import names of the packages that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]

    @property
    def missingText(self) -> str:
        return ", ".join(self.packages[name] for name in self.missing)


def packageGroup(purpose: Purpose) -> PackageGroup:
    """The packages that a part of the module needs."""
    commandLine = {
        "jsonargparse": "jsonargparse (1 MB)",
        "docstring_parser": "docstring-parser (1 MB)",
        "yaml": "PyYAML (1 MB)",
        "tqdm": "tqdm (1 MB)",
    }
    metrics = {"skimage": "scikit-image (20 MB)", "scipy": "SciPy (40 MB)"}
    if purpose is Purpose.SYNTHESIS:
        return PackageGroup(
            _("Synthesis"),
            _("PyTorch runs the network, safetensors reads the models."),
            {"torch": "PyTorch (up to 3 GB)", "safetensors": "safetensors (1 MB)"},
            "requirements.txt",
        )
    if purpose is Purpose.BATCH:
        return PackageGroup(
            _("Batch and downloads"),
            _("The command line, which processes folders and downloads models."),
            commandLine,
            "requirements-batch.txt",
        )
    if purpose is Purpose.TRAINING:
        return PackageGroup(
            _("Training"),
            _("The command line, medical image files, metrics and pictures of a training."),
            commandLine
            | {"nibabel": "nibabel (5 MB)", "matplotlib": "Matplotlib (10 MB)"}
            | {"psutil": "psutil (1 MB)"}
            | metrics,
            "requirements-train.txt",
        )
    return PackageGroup(
        _("Comparison"),
        _("The metrics of the comparison with a real scan."),
        metrics,
        "requirements-compare.txt",
    )


class InstallationError(RuntimeError):
    """Packages that could not be installed; the message says why, and what to do."""


def missingPackages() -> list[str]:
    """The import names of what has to be installed before the core can be used."""
    return packageGroup(Purpose.SYNTHESIS).missing


def installPackages(
    purpose: Purpose = Purpose.SYNTHESIS,
    wheelsFolder: str = "",
    onLog: Callable[[str], None] | None = None,
) -> None:
    """Install what is missing, without asking. Call it on the user's wish only.

    wheelsFolder: install from the wheels in it and from nowhere else. onLog gets what pip says.
    Raises InstallationError; what was installed before it stays, and calling again goes on.
    """
    group = packageGroup(purpose)
    missing = group.missing
    if not missing:
        return
    arguments: list[str] = []
    if wheelsFolder:
        _checkWheels(wheelsFolder)
        arguments = ["--no-index", "--find-links", wheelsFolder]
        if "torch" in missing:
            arguments.append("torch")
    elif "torch" in missing:
        _installPyTorch(onLog)
    if set(missing) != {"torch"} or wheelsFolder:
        _pipInstall([*arguments, "-r", resourceFile(group.requirementsFile)], onLog)
    importlib.invalidate_caches()
    if group.missing:
        raise InstallationError(
            f"Still missing after the installation: {', '.join(group.missing)}. Restart "
            "Slicer; if they are still missing, look at the log."
        )


def _checkWheels(folder: str) -> None:
    if not any(pathlib.Path(folder).glob("*.whl")):
        raise InstallationError(
            f"{folder} contains no wheels (.whl). Choose the folder that they were "
            "downloaded to, or no folder to install from the network."
        )


def _installPyTorch(onLog: Callable[[str], None] | None) -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise InstallationError(
            "PyTorch is installed by the PyTorch extension, which this Slicer does not have. "
            "Install it in the Extensions Manager and restart Slicer; or choose a folder of wheels."
        ) from error
    with _explained(onLog):
        if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False) is None:
            raise InstallationError(
                "The PyTorch extension did not install PyTorch. The reason is in the log "
                "and in Slicer's Python console; try again, or choose a folder of wheels."
            )


def _pipInstall(arguments: Sequence[str], onLog: Callable[[str], None] | None) -> None:
    """pip in a process that Slicer starts and waits for; Slicer's own packages stay as they are."""
    isOffline = "--no-index" in arguments
    with tempfile.TemporaryDirectory(prefix="anatomaskgan-") as folder:
        constraints = pathlib.Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in _keptVersions()), encoding="utf-8")
        with _explained(onLog, isOffline):
            slicer.util.pip_install([*arguments, "-c", str(constraints)])


def _keptVersions() -> Iterator[str]:
    for name in KEPT_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(name)
            yield f"{name}=={version}"


class _Lines(io.TextIOBase):
    """A text stream that hands out whole lines."""

    def __init__(self, onLine: Callable[[str], None]) -> None:
        self._onLine, self._rest = onLine, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._onLine(line)
        return len(text)


@contextlib.contextmanager
def _explained(onLog: Callable[[str], None] | None, isOffline: bool = False) -> Iterator[None]:
    """Hand on what is printed inside; turn pip's failure into one that says why."""
    said: list[str] = []

    def take(line: str) -> None:
        said.append(line)
        if onLog is not None:
            onLog(line)

    try:
        with contextlib.redirect_stdout(_Lines(take)):
            yield
    except InstallationError:
        raise
    except (subprocess.CalledProcessError, RuntimeError, OSError) as error:
        raise InstallationError(_whyItFailed(said, error, isOffline)) from error


def _whyItFailed(said: Sequence[str], error: Exception, isOffline: bool) -> str:
    """pip's own reason, and what helps."""
    errors = [line.strip() for line in said if line.strip().upper().startswith("ERROR")]
    text = " ".join([*said, str(error)]).lower()
    advice = _("Look at the log and press Install again; what is already installed is kept.")
    if "no space left" in text or "errno 28" in text:
        advice = _("The disk is full: free some space and press Install again.")
    elif "permission denied" in text or "errno 13" in text:
        advice = _(
            "Slicer's folder is not writable: install Slicer in a folder that you may write to."
        )
    elif "resolutionimpossible" in text:
        errors = errors[:1]
        advice = _(
            "They need other versions of packages that come with Slicer, and those are "
            "never replaced. Use packages made for this version of Slicer, or another "
            "version of Slicer."
        )
    elif isOffline and "no matching distribution" in text:
        advice = _(
            "No matching package was found: the folder of wheels must contain wheels for "
            "this computer's system and for Python {version}."
        ).format(version="{}.{}".format(*sys.version_info))
    elif any(words in text for words in ("connection", "no matching distribution", "timed out")):
        advice = _(
            "The package index could not be reached or has no matching package: check the "
            "network or proxy and press Install again, or choose a folder of wheels."
        )
    reason = errors[-1] if errors else str(error)
    return f"{reason.removeprefix('ERROR: ').rstrip('.')}. {advice}"
