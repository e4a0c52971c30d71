"""Makes .venv ready for `make demo` or `make test`; run with any Python, it needs nothing else.

    python3 Testing/set_up_environment.py demo|test|test-oldest

The first run installs, which needs a network. A stamp file in .venv remembers what was installed,
so that later runs only compare the stamp. `test-oldest` has an environment of its own, with the
oldest PyTorch that is supported.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

TORCH = "torch==2.13.0"
OLDEST_TORCH = "torch==2.2.2"
# Packages that only a CUDA build of torch brings along.
CUDA_PACKAGE_PREFIXES = ("nvidia-", "cuda-")


@dataclass(frozen=True)
class Target:
    """What one of the Makefile's targets needs."""

    environment: Path
    torch: str
    extras: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    """What else may not be replaced by another version, as pip writes it."""
    newest_python: tuple[int, int] | None = None
    """The last Python that this torch was built for."""
    needs_gui: bool = False
    may_bring_cuda: bool = False
    """Whether a build with gigabytes of CUDA will do where the one for the CPU is out of reach."""

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.environment / "anatomaskgan-setup.json"

    @property
    def constraints(self) -> Path:
        return self.environment / "constraints.txt"


TARGETS = {
    "demo": Target(REPOSITORY / ".venv", TORCH),
    "test": Target(
        REPOSITORY / ".venv", TORCH, extras=("train", "slicer-test", "dev"), needs_gui=True
    ),
    "test-oldest": Target(
        REPOSITORY / ".venv-oldest",
        OLDEST_TORCH,
        extras=("train", "dev"),
        pins=("numpy<2",),  # torch 2.2 was built with NumPy 1
        newest_python=(3, 12),
        may_bring_cuda=True,
    ),
}
# Shared libraries that Qt and the off-screen views of the GUI tests load.
GUI_TEST_LIBRARIES = (
    "libegl1",
    "libgl1",
    "libxkbcommon-x11-0",
    "libxcb-cursor0",
    "libdbus-1-3",
    "libfontconfig1",
    "xvfb",
)


class SetUpError(RuntimeError):
    """Something that the user has to do; the message tells what."""


def say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def run(*command: str | Path) -> None:
    """Runs a command from the repository folder; raises CalledProcessError when it fails."""
    subprocess.run([str(part) for part in command], check=True, cwd=REPOSITORY)


def pip(target: Target, *arguments: str | Path) -> None:
    run(target.python, "-m", "pip", "--disable-pip-version-check", *arguments)


def use_supported_python(newest: tuple[int, int] | None) -> None:
    """Goes on in this Python when it is 3.10 up to `newest`, else restarts in one that is."""
    if (3, 10) <= sys.version_info[:2] <= (newest or sys.version_info[:2]):
        return
    for minor in (12, 11, 13, 10):
        executable = shutil.which(f"python3.{minor}")
        if executable is not None and (3, minor) <= (newest or (3, minor)):
            os.execv(executable, [executable, *sys.argv])
    wanted = "3.10 or later" if newest is None else f"3.10 to {newest[0]}.{newest[1]}"
    raise SetUpError(
        f"this is Python {sys.version.split()[0]}, and no Python {wanted} was found. "
        "Install one and run make with PYTHON=/path/to/python3.12"
    )


def apt_install(packages: tuple[str, ...] | list[str]) -> bool:
    """Whether the Debian packages could be installed; only root can."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    say(f"installing {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    update = ["apt-get", "update", "-qq"]
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    return all(
        subprocess.run(command, env=environment).returncode == 0 for command in (update, install)
    )


def is_installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f=${db:Status-Status}", package]
    answer = subprocess.run(query, capture_output=True, text=True)
    return answer.returncode == 0 and answer.stdout == "installed"


def install_gui_test_libraries() -> None:
    """Installs the missing system libraries where root can, else prints the line to run."""
    if shutil.which("dpkg-query") is None:
        say(f"not a Debian or Ubuntu; the GUI tests need what {GUI_TEST_LIBRARIES} hold there")
        return
    missing = [package for package in GUI_TEST_LIBRARIES if not is_installed(package)]
    if missing and not apt_install(missing):
        say("the GUI tests need system libraries that could not be installed from here. Run:")
        print(f"    sudo apt-get install -y --no-install-recommends {' '.join(missing)}")


def create_environment(target: Target) -> None:
    if target.python.exists():
        return
    try:
        import ensurepip  # noqa: F401  Debian leaves it out of python3 without python3-venv
    except ImportError:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not apt_install([package]):
            raise SetUpError(
                f"this Python cannot make virtual environments. Run: "
                f"sudo apt-get install -y --no-install-recommends {package}"
            ) from None
    say(f"creating {target.environment} with Python {sys.version.split()[0]}")
    run(sys.executable, "-m", "venv", target.environment)


def installed_version(target: Target, package: str) -> str | None:
    """The version of a package in the environment, None when it is absent."""
    code = (
        "import sys, importlib.metadata as metadata\n"
        "try: print(metadata.version(sys.argv[1]))\n"
        "except metadata.PackageNotFoundError: pass"
    )
    command = [str(target.python), "-c", code, package]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return answer.stdout.strip() or None


def upgrade_installers(target: Target) -> None:
    """A pip that can report what it would install, and the builder that pyproject.toml asks for."""
    for package, least in (("pip", 23), ("setuptools", 77)):
        version = installed_version(target, package)
        if version is None or int(version.split(".")[0]) < least:
            pip(target, "install", "--quiet", "--upgrade", f"{package}>={least}")


def brings_cuda(report: dict) -> bool:
    """Whether pip's installation report contains a CUDA package."""
    names = (item["metadata"]["name"].lower() for item in report["install"])
    return any(name.startswith(CUDA_PACKAGE_PREFIXES) for name in names)


def install_torch(target: Target) -> None:
    """Installs the pinned torch; without an NVIDIA GPU a build for the CPU, where there is one."""
    present = installed_version(target, "torch")
    if present is not None and present.split("+")[0] == target.torch.split("==")[1]:
        return
    report_file = target.environment / "torch-report.json"
    pip(target, "install", "--quiet", "--dry-run", "--report", report_file, target.torch)
    report = json.loads(report_file.read_text())
    if brings_cuda(report) and shutil.which("nvidia-smi") is None:
        say(f"installing {target.torch} for the CPU")
        pip(target, "install", "--quiet", "uv")
        uv_install = ("-m", "uv", "pip", "install", "--python", target.python)
        try:
            run(target.python, *uv_install, "--torch-backend=cpu", target.torch)
            return
        except subprocess.CalledProcessError:
            if not target.may_bring_cuda:
                raise
            say("no build for the CPU is in reach")
    say(f"installing {target.torch}{' with CUDA (5 GB)' if brings_cuda(report) else ''}")
    # what is so large and seldom used is not kept a second time in pip's cache
    options = ("--no-cache-dir",) if target.may_bring_cuda else ()
    pip(target, "install", "--quiet", *options, target.torch)


def install_project(target: Target) -> None:
    """Installs this repository, editable, with the target's extras; the pinned torch stays."""
    target.constraints.write_text("".join(f"{pin}\n" for pin in (target.torch, *target.pins)))
    extras = ", ".join(target.extras)
    say(f"installing the project{' and its extras ' + extras if extras else ''}")
    requirement = f"{REPOSITORY}[{','.join(target.extras)}]" if extras else str(REPOSITORY)
    # Without build isolation, so that a second installation needs no network.
    options = ("--quiet", "--no-build-isolation", "--constraint", target.constraints)
    pip(target, "install", *options, "--editable", requirement)


def setup_key() -> str:
    """Changes when anything changes that the environment was made from."""
    digest = hashlib.sha256()
    for file in (REPOSITORY / "pyproject.toml", Path(__file__)):
        digest.update(file.read_bytes())
    digest.update(str(REPOSITORY).encode())
    return digest.hexdigest()


def is_ready(target: Target) -> bool:
    """Whether the stamp says that this very set-up is installed with at least these extras."""
    if not target.stamp.exists() or not target.python.exists():
        return False
    try:
        stamp = json.loads(target.stamp.read_text())
    except ValueError:  # written while the machine went down
        return False
    return stamp["key"] == setup_key() and set(target.extras) <= set(stamp["extras"])


def set_up(target: Target) -> None:
    if target.needs_gui:
        install_gui_test_libraries()
    if is_ready(target):
        return
    create_environment(target)
    upgrade_installers(target)
    install_torch(target)
    install_project(target)
    target.stamp.write_text(json.dumps({"key": setup_key(), "extras": target.extras}))
    say("done")


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in TARGETS:
        print(f"usage: {sys.argv[0]} {'|'.join(TARGETS)}", file=sys.stderr)
        return 2
    target = TARGETS[sys.argv[1]]
    try:
        use_supported_python(target.newest_python)
        set_up(target)
    except SetUpError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"set-up: failed, see above: {subprocess.list2cmdline(error.cmd)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
