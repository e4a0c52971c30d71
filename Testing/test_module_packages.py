"""Packages installed, failed and installed again from the panel, with real pip, in the host."""

from __future__ import annotations

import importlib.util
import os
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401

PACKAGE = "anatomaskgan_test_package"
COLUMN_STATE = 2


def write_wheel(folder: Path, requires: str = "", version: str = "1.0") -> Path:
    """A wheel of one empty module."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{PACKAGE}-{version}-py3-none-any.whl"
    info = f"{PACKAGE}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{PACKAGE}.py", "")
        file.writestr(f"{info}/METADATA", metadata)
        file.writestr(f"{info}/WHEEL", wheel)
        file.writestr(f"{info}/RECORD", f"{PACKAGE}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return path


@pytest.fixture
def slicer_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PythonSlicer whose pip installs into a folder of this test."""
    if sys.platform == "win32":
        pytest.skip("the stand-in for PythonSlicer is a shell script")
    program = tmp_path / "bin" / "PythonSlicer"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    target = tmp_path / "site-packages"
    target.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PIP_TARGET", str(target))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody answers there
    monkeypatch.syspath_prepend(target)
    return target


@pytest.fixture
def missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of the module needs a package that is not there."""
    from AnatoMaskGANModule.packages import job as packages
    from AnatoMaskGANModule.packages import panel as packages_panel

    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{PACKAGE}\n")
    group = packages.PackageGroup(
        "Batch", "For the test.", {PACKAGE: "test package (1 MB)"}, str(requirements)
    )
    for place in (packages, packages_panel):
        monkeypatch.setattr(place, "packageGroup", lambda purpose: group)


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user was asked; the answer is always OK."""
    asked: list[str] = []
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda text, *more: asked.append(text) or True
    )
    return asked


@pytest.fixture
def section(panel, slicer_python: Path, missing_package: None):
    """The section of packages, with the line of the batch selected."""
    panel.packagesPanel.update()
    panel.ui.packagesTable.selectRow(1)
    yield panel
    panel.ui.wheelsEdit.setText("")


def state(section) -> str:
    return section.ui.packagesTable.item(1, COLUMN_STATE).text()


def test_packages_are_installed_offline_from_a_folder_of_wheels(
    section, questions: list[str], tmp_path: Path
) -> None:
    write_wheel(tmp_path / "wheels")
    assert state(section) == "missing"
    assert "test package (1 MB)" in section.ui.packageDetailsLabel.text
    section.ui.wheelsEdit.setText(str(tmp_path / "wheels"))
    section.ui.installPackagesButton.click()
    assert state(section) == "installed"
    assert importlib.util.find_spec(PACKAGE) is not None
    assert "all packages are installed" in section.ui.packagesStateLabel.text
    assert "Successfully installed" in section.ui.logText.toPlainText()
    assert not section.ui.installPackagesButton.enabled
    (question,) = questions
    assert "test package (1 MB)" in question and "For the test." in question
    assert str(tmp_path / "wheels") in question


def test_a_failed_installation_is_explained_and_works_when_tried_again(
    section, questions: list[str], tmp_path: Path
) -> None:
    section.ui.installPackagesButton.click()  # from an index that does not answer
    explained = section.ui.packagesStateLabel.text
    assert "No matching distribution" in explained and "could not be reached" in explained
    assert "wheels" in explained
    assert state(section) == "missing" and section.ui.installPackagesButton.enabled
    assert not section.ui.logCollapsibleButton.collapsed
    assert "ERROR" in section.ui.logText.toPlainText()
    (tmp_path / "wheels").mkdir()
    section.ui.wheelsEdit.setText(str(tmp_path / "wheels"))
    section.ui.installPackagesButton.click()
    assert "contains no wheels" in section.ui.packagesStateLabel.text
    write_wheel(tmp_path / "wheels")
    section.ui.installPackagesButton.click()
    assert state(section) == "installed"
    assert len(questions) == 3


def test_wheels_of_something_else_are_told_with_what_is_needed(
    section, questions: list[str], tmp_path: Path
) -> None:
    write_wheel(tmp_path / "wheels").rename(tmp_path / "wheels" / "other-1.0-py3-none-any.whl")
    section.ui.wheelsEdit.setText(str(tmp_path / "wheels"))
    section.ui.installPackagesButton.click()
    explained = section.ui.packagesStateLabel.text
    version = "{}.{}".format(*sys.version_info)
    assert "No matching distribution" in explained and f"Python {version}" in explained


def test_packages_of_slicer_are_never_replaced(
    section, questions: list[str], tmp_path: Path
) -> None:
    write_wheel(tmp_path / "wheels", requires="numpy<1.0")
    section.ui.wheelsEdit.setText(str(tmp_path / "wheels"))
    section.ui.installPackagesButton.click()
    assert state(section) == "missing"
    assert (
        "that come with Slicer, and those are never replaced" in section.ui.packagesStateLabel.text
    )


def test_nothing_is_installed_when_the_user_declines(
    section, slicer_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *texts: False)
    write_wheel(tmp_path / "wheels")
    section.ui.wheelsEdit.setText(str(tmp_path / "wheels"))
    section.ui.installPackagesButton.click()
    section.ui.batchInputEdit.setText(str(tmp_path))
    section.ui.batchOutputEdit.setText(str(tmp_path.parent / "volumes"))
    section.ui.batchStartButton.click()  # needs them, and asks as well
    assert list(slicer_python.iterdir()) == []
    assert "Install the packages" in section.ui.batchStateLabel.text


def test_the_real_groups_name_what_their_requirements_files_do(
    module,
) -> None:
    from AnatoMaskGANModule.host.resources import resourceFile
    from AnatoMaskGANModule.packages.job import Purpose, packageGroup

    for purpose in Purpose:
        group = packageGroup(purpose)
        lines = Path(resourceFile(group.requirementsFile)).read_text().splitlines()
        required = {line.split(">=")[0] for line in lines if line and not line.startswith("#")}
        named = {text.split(" (")[0].lower() for text in group.packages.values()}
        assert {name.lower() for name in required} == named - {"pytorch"}


def test_a_package_that_is_missing_after_its_installation_is_told(
    section, questions: list[str], tmp_path: Path
) -> None:
    wheel = write_wheel(tmp_path / "wheels")
    with zipfile.ZipFile(wheel) as file:
        rest = {name: file.read(name) for name in file.namelist() if name != f"{PACKAGE}.py"}
    with zipfile.ZipFile(wheel, "w") as file:
        for name, content in rest.items():
            file.writestr(name, content)
    section.ui.wheelsEdit.setText(str(tmp_path / "wheels"))
    section.ui.installPackagesButton.click()
    told = section.ui.packagesStateLabel.text
    assert f"Still missing after the installation: {PACKAGE}. Restart Slicer" in told


@pytest.mark.parametrize(
    ("extension", "told"),
    [
        (None, "PyTorch extension, which this Slicer does not have. Install it in the Extensions"),
        (SimpleNamespace(installTorch=lambda askConfirmation: None), "did not install PyTorch"),
    ],
)
def test_pytorch_that_its_extension_does_not_install_is_told(
    module,
    monkeypatch: pytest.MonkeyPatch,
    extension: object,
    told: str,
) -> None:
    from AnatoMaskGANModule.packages import job as packages

    group = SimpleNamespace(missing=["torch"], requirementsFile="")
    monkeypatch.setattr(packages, "packageGroup", lambda purpose: group)
    fake = extension and SimpleNamespace(PyTorchUtilsLogic=lambda: extension)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", fake)
    with pytest.raises(packages.InstallationError, match=told):
        packages.installPackages()


def test_a_module_without_its_resources_tells_to_install_it_again(
    module,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from AnatoMaskGANModule.host import resources

    monkeypatch.setattr(resources, "MODULE_FOLDER", tmp_path / "AnatoMaskGAN")
    with pytest.raises(
        FileNotFoundError, match="folder Resources is missing in .*Install the extension"
    ):
        resources.resourceFile("requirements.txt")


@pytest.mark.parametrize("first", ["SYNTHESIS", "BATCH"])
def test_a_batch_without_its_packages_is_not_started(
    panel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    first: str,
) -> None:
    (tmp_path / "in").mkdir()
    panel.ui.batchInputEdit.setText(str(tmp_path / "in"))
    panel.ui.batchOutputEdit.setText(str(tmp_path / "out"))
    packages = panel.packagesPanel
    monkeypatch.setattr(packages, "ensure", lambda purpose: purpose.name != first)
    panel.ui.batchStartButton.click()
    told = {"SYNTHESIS": "packages for synthesis first", "BATCH": "packages for batches first"}
    assert told[first] in panel.ui.batchStateLabel.text


def test_a_training_without_its_packages_or_beside_another_one_is_not_started(
    panel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from AnatoMaskGANModule.training.job import TrainingJob

    (tmp_path / "cases").mkdir()
    panel.ui.trainCasesEdit.setText(str(tmp_path / "cases"))
    panel.ui.trainFolderEdit.setText(str(tmp_path / "training"))
    with monkeypatch.context() as changed:
        changed.setattr(panel.packagesPanel, "ensure", lambda purpose: False)
        panel.ui.trainStartButton.click()
    assert "Install the packages for training first" in panel.ui.trainStateLabel.text
    with monkeypatch.context() as changed:
        changed.setattr(TrainingJob, "found", staticmethod(lambda request, onLog=None: object()))
        panel.ui.trainStartButton.click()
    assert "Another training is running in this folder" in panel.ui.trainStateLabel.text
