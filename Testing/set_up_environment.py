"""Makes .venv ready for `make demo` or `make test`; run with any Python, it needs nothing else.

    python3 Testing/set_up_environment.py demo|test

The first run installs, which needs a network. A stamp file in .venv remembers what was installed,
so that later runs only compare the stamp.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = REPOSITORY / ".venv"
ENVIRONMENT_PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "anatomaskgan-setup.json"
CONSTRAINTS = ENVIRONMENT / "constraints.txt"

TORCH = "torch==2.13.0"
# Packages that only a CUDA build of torch brings along.
CUDA_PACKAGE_PREFIXES = ("nvidia-", "cuda-")
EXTRAS = {"demo": (), "test": ("train", "slicer-test", "dev")}
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


def pip(*arguments: str | Path) -> None:
    run(ENVIRONMENT_PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments)


def use_supported_python() -> None:
    """Goes on in this Python when it is 3.10 or later, else restarts in one that is."""
    if sys.version_info >= (3, 10):
        return
    for name in ("python3.12", "python3.11", "python3.13", "python3.10"):
        executable = shutil.which(name)
        if executable is not None:
            os.execv(executable, [executable, *sys.argv])
    raise SetUpError(
        f"Python {sys.version.split()[0]} is too old and no python3.10 or later was found. "
        "Install one and run: make PYTHON=/path/to/python3.12 test"
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


def create_environment() -> None:
    if ENVIRONMENT_PYTHON.exists():
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
    say(f"creating {ENVIRONMENT} with Python {sys.version.split()[0]}")
    run(sys.executable, "-m", "venv", ENVIRONMENT)


def installed_version(package: str) -> str | None:
    """The version of a package in the environment, None when it is absent."""
    code = (
        "import sys, importlib.metadata as metadata\n"
        "try: print(metadata.version(sys.argv[1]))\n"
        "except metadata.PackageNotFoundError: pass"
    )
    command = [str(ENVIRONMENT_PYTHON), "-c", code, package]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return answer.stdout.strip() or None


def upgrade_installers() -> None:
    """A pip that can report what it would install, and the builder that pyproject.toml asks for."""
    for package, least in (("pip", 23), ("setuptools", 77)):
        version = installed_version(package)
        if version is None or int(version.split(".")[0]) < least:
            pip("install", "--quiet", "--upgrade", f"{package}>={least}")


def brings_cuda(report: dict) -> bool:
    """Whether pip's installation report contains a CUDA package."""
    names = (item["metadata"]["name"].lower() for item in report["install"])
    return any(name.startswith(CUDA_PACKAGE_PREFIXES) for name in names)


def install_torch() -> None:
    """Installs the pinned torch; without an NVIDIA GPU never one that brings CUDA along."""
    wanted = TORCH.split("==")[1]
    present = installed_version("torch")
    if present is not None and present.split("+")[0] == wanted:
        return
    report_file = ENVIRONMENT / "torch-report.json"
    pip("install", "--quiet", "--dry-run", "--report", report_file, TORCH)
    report = json.loads(report_file.read_text())
    if brings_cuda(report) and shutil.which("nvidia-smi") is None:
        say(f"installing {TORCH} for the CPU")
        pip("install", "--quiet", "uv")
        uv_install = ("-m", "uv", "pip", "install", "--python", ENVIRONMENT_PYTHON)
        run(ENVIRONMENT_PYTHON, *uv_install, "--torch-backend=cpu", TORCH)
    else:
        say(f"installing {TORCH}")
        pip("install", "--quiet", TORCH)


def install_project(extras: tuple[str, ...]) -> None:
    """Installs this repository, editable, with its extras; the pinned torch stays."""
    CONSTRAINTS.write_text(f"{TORCH}\n")
    requirement = f"{REPOSITORY}[{','.join(extras)}]" if extras else str(REPOSITORY)
    say(f"installing the project{' and its extras ' + ', '.join(extras) if extras else ''}")
    # Without build isolation, so that a second installation needs no network.
    options = ("--quiet", "--no-build-isolation", "--constraint", CONSTRAINTS)
    pip("install", *options, "--editable", requirement)


def setup_key() -> str:
    """Changes when anything changes that the environment was made from."""
    digest = hashlib.sha256()
    for file in (REPOSITORY / "pyproject.toml", Path(__file__)):
        digest.update(file.read_bytes())
    digest.update(str(REPOSITORY).encode())
    return digest.hexdigest()


def is_ready(extras: tuple[str, ...]) -> bool:
    """Whether the stamp says that this very set-up is installed with at least these extras."""
    if not STAMP.exists() or not ENVIRONMENT_PYTHON.exists():
        return False
    try:
        stamp = json.loads(STAMP.read_text())
    except ValueError:  # written while the machine went down
        return False
    return stamp["key"] == setup_key() and set(extras) <= set(stamp["extras"])


def set_up(target: str) -> None:
    extras = EXTRAS[target]
    if target == "test":
        install_gui_test_libraries()
    if is_ready(extras):
        return
    create_environment()
    upgrade_installers()
    install_torch()
    install_project(extras)
    STAMP.write_text(json.dumps({"key": setup_key(), "extras": extras}))
    say("done")


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in EXTRAS:
        print(f"usage: {sys.argv[0]} {'|'.join(EXTRAS)}", file=sys.stderr)
        return 2
    try:
        use_supported_python()
        set_up(sys.argv[1])
    except SetUpError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"set-up: failed, see above: {subprocess.list2cmdline(error.cmd)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
