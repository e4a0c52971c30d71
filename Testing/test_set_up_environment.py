"""The set-up script, with pip and apt-get replaced by recorders: nothing is installed here."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import set_up_environment as set_up_module

CUDA_REPORT = ["torch", "sympy", "nvidia-cudnn-cu13", "cuda-toolkit"]
CPU_REPORT = ["torch", "sympy", "networkx"]


class Recorder:
    """Stands for the environment: notes pip and other commands, answers for pip's dry run."""

    def __init__(self, folder: Path, would_install: list[str], has_gpu: bool) -> None:
        self.folder = folder
        self.would_install = would_install
        self.has_gpu = has_gpu
        self.commands: list[str] = []
        self.unreachable = ""

    def pip(self, target: set_up_module.Target, *arguments: str | Path) -> None:
        self.commands.append(" ".join(["pip", *map(str, arguments)]))
        if "--dry-run" in arguments:
            report = {"install": [{"metadata": {"name": name}} for name in self.would_install]}
            Path(arguments[arguments.index("--report") + 1]).write_text(json.dumps(report))

    def run(self, *command: str | Path) -> None:
        self.commands.append(" ".join(map(str, command)))
        if self.unreachable and self.unreachable in self.commands[-1]:
            raise subprocess.CalledProcessError(1, list(map(str, command)))

    def which(self, name: str) -> str | None:
        return "/usr/bin/nvidia-smi" if name == "nvidia-smi" and self.has_gpu else None

    def target(self, name: str) -> set_up_module.Target:
        """A target of the Makefile, with its environment in the recorder's folder."""
        return replace(set_up_module.TARGETS[name], environment=self.folder)

    @property
    def installs(self) -> list[str]:
        return [command for command in self.commands if "--dry-run" not in command]


def record(
    monkeypatch: pytest.MonkeyPatch, folder: Path, would_install: list[str], has_gpu: bool = False
) -> Recorder:
    recorder = Recorder(folder, would_install, has_gpu)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").touch()
    monkeypatch.setattr(set_up_module, "install_gui_test_libraries", lambda: None)
    monkeypatch.setattr(set_up_module, "pip", recorder.pip)
    monkeypatch.setattr(set_up_module, "run", recorder.run)
    monkeypatch.setattr(set_up_module.shutil, "which", recorder.which)
    monkeypatch.setattr(set_up_module, "installed_version", lambda target, package: None)
    return recorder


def test_a_machine_without_gpu_gets_no_cuda(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = record(monkeypatch, tmp_path, CUDA_REPORT)
    target = recorder.target("test")
    set_up_module.install_torch(target)
    assert recorder.installs == [
        "pip install --quiet uv",
        f"{target.python} -m uv pip install --python {target.python} "
        f"--torch-backend=cpu {set_up_module.TORCH}",
    ]


def test_where_no_build_for_the_cpu_is_in_reach_only_the_oldest_torch_may_bring_cuda(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = record(monkeypatch, tmp_path, CUDA_REPORT)
    recorder.unreachable = "--torch-backend=cpu"
    with pytest.raises(subprocess.CalledProcessError):
        set_up_module.install_torch(recorder.target("test"))
    assert not recorder.installs[-1].startswith("pip")
    set_up_module.install_torch(recorder.target("test-oldest"))
    assert recorder.installs[-1] == (
        f"pip install --quiet --no-cache-dir {set_up_module.OLDEST_TORCH}"
    )


@pytest.mark.parametrize(("would_install", "has_gpu"), [(CUDA_REPORT, True), (CPU_REPORT, False)])
def test_pip_installs_torch_where_there_is_a_gpu_or_no_cuda_would_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, would_install: list[str], has_gpu: bool
) -> None:
    recorder = record(monkeypatch, tmp_path, would_install, has_gpu)
    set_up_module.install_torch(recorder.target("demo"))
    assert recorder.installs == [f"pip install --quiet {set_up_module.TORCH}"]


def test_a_cpu_build_of_the_pinned_torch_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = record(monkeypatch, tmp_path, CUDA_REPORT)
    pinned = set_up_module.TORCH.split("==")[1]
    monkeypatch.setattr(set_up_module, "installed_version", lambda target, package: f"{pinned}+cpu")
    set_up_module.install_torch(recorder.target("test"))
    assert recorder.commands == []


def test_nothing_that_is_installed_later_replaces_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = record(monkeypatch, tmp_path, CPU_REPORT)
    set_up_module.install_project(recorder.target("test-oldest"))
    (install,) = recorder.installs
    assert f"--constraint {tmp_path / 'constraints.txt'}" in install
    assert install.endswith(f"{set_up_module.REPOSITORY}[train,dev]")
    pins = (tmp_path / "constraints.txt").read_text()
    assert pins == f"{set_up_module.OLDEST_TORCH}\nnumpy<2\n"


def test_a_python_that_this_torch_was_not_built_for_gives_way_to_one_that_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restarts: list[str] = []
    monkeypatch.setattr(set_up_module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(set_up_module.os, "execv", lambda path, _: restarts.append(path))
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    set_up_module.use_supported_python(None)
    assert restarts == []
    with pytest.raises(set_up_module.SetUpError):  # as the recorder comes back and execv does not
        set_up_module.use_supported_python((3, 12))
    assert restarts == [f"/usr/bin/python3.{minor}" for minor in (12, 11, 10)]


def test_a_second_run_installs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recorder = record(monkeypatch, tmp_path, CPU_REPORT)
    set_up_module.set_up(recorder.target("test"))
    num_commands = len(recorder.commands)
    assert num_commands > 0
    set_up_module.set_up(recorder.target("test"))
    set_up_module.set_up(recorder.target("demo"))
    assert len(recorder.commands) == num_commands


def test_the_tests_need_more_than_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recorder = record(monkeypatch, tmp_path, CPU_REPORT)
    set_up_module.set_up(recorder.target("demo"))
    assert set_up_module.is_ready(recorder.target("demo"))
    assert not set_up_module.is_ready(recorder.target("test"))


def test_an_interrupted_set_up_is_done_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = record(monkeypatch, tmp_path, CPU_REPORT)

    def fail(target: set_up_module.Target) -> None:
        raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(set_up_module, "install_project", fail)
    with pytest.raises(subprocess.CalledProcessError):
        set_up_module.set_up(recorder.target("demo"))
    assert not set_up_module.is_ready(recorder.target("demo"))


def test_who_is_not_root_is_told_the_exact_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(set_up_module.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(set_up_module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(set_up_module, "is_installed", lambda package: package == "libgl1")
    set_up_module.install_gui_test_libraries()
    assert (
        "sudo apt-get install -y --no-install-recommends libegl1 libxkbcommon-x11-0 "
        "libxcb-cursor0 libdbus-1-3 libfontconfig1 xvfb\n"
    ) in capsys.readouterr().out


def test_a_stamp_that_is_damaged_counts_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = record(monkeypatch, tmp_path, CPU_REPORT).target("demo")
    target.stamp.write_text("{")
    assert not set_up_module.is_ready(target)
