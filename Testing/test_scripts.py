"""The scripts of Resources/Scripts, run in the stand-in for Slicer, which has no window here."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from segmentation_files import (
    SEGMENTATION_GRID,
    write_damaged_folder,
    write_segmentation,
)
from slicer_host.fixtures import model, module, scene, without_window  # noqa: F401

from AnatoMaskGANLib.volumes import Volume, read_volume, same_grid, write_volume

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "Resources" / "Scripts"

pytestmark = pytest.mark.usefixtures("scene", "without_window")


def run_script(
    monkeypatch: pytest.MonkeyPatch,
    *arguments: object,
    script: Path = SCRIPTS / "synthesize_segmentation.py",
) -> int:
    monkeypatch.setattr("sys.argv", [str(script), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    return ended.value.code


@pytest.fixture
def segmentation_file(tmp_path: Path) -> Path:
    return write_segmentation(tmp_path / "case.seg.nrrd")


def test_a_segmentation_file_becomes_a_volume_file_without_a_window(
    module: types.ModuleType,  # noqa: F811
    model: str,  # noqa: F811
    segmentation_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, reference = tmp_path / "synthetic.nrrd", tmp_path / "scan.nrrd"
    write_volume(Volume(np.zeros((14, 20, 18), np.float32), SEGMENTATION_GRID), reference)
    options = ("--model", model, "--seed", 3, "--reference", reference)
    code = run_script(monkeypatch, segmentation_file, output, *options)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert printed.out.splitlines()[-1] == str(output)
    volume = read_volume(output)
    assert np.isfinite(volume.voxels_kji).all()
    assert volume.voxels_kji.std() > 0
    segmentation = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0]
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 2
    assert same_grid(volume, read_volume(reference), tolerance_mm=1e-3)
    assert (volume.provenance["SyntheticData"], volume.provenance["Seed"]) == ("YES", "3")


def test_a_script_that_fails_ends_with_exit_code_1_and_writes_nothing(
    module: types.ModuleType,  # noqa: F811
    model: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "synthetic.nrrd"
    code = run_script(monkeypatch, tmp_path / "none.seg.nrrd", output, "--model", model)
    assert code == 1
    assert "not synthesized" in capsys.readouterr().err
    assert not output.exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good cases and a damaged one between them."""
    return write_damaged_folder(tmp_path / "segmentations")


def test_a_folder_is_synthesized_in_slicer_and_a_bad_case_does_not_stop_it(
    module: types.ModuleType,  # noqa: F811
    model: str,  # noqa: F811
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = SCRIPTS / "synthesize_folder_in_slicer.py"
    output, log = tmp_path / "synthetic", tmp_path / "batch.log"
    arguments = (folder, output, "--model", model, "--log", log)
    assert run_script(monkeypatch, *arguments, script=script) == 1
    assert sorted(file.name for file in output.iterdir()) == ["a.nrrd", "c.nrrd"]
    first, bad, last, summary = log.read_text().splitlines()
    assert first.endswith("a.nrrd: made") and last.endswith("c.nrrd: made")
    assert "b.seg.nrrd: not synthesized" in bad
    assert summary == "2 of 3 are ready, 1 failed"
    assert read_volume(output / "a.nrrd").voxels_kji.std() > 0
    (folder / "b.seg.nrrd").unlink()
    assert run_script(monkeypatch, *arguments, script=script) == 0
    assert [line.split(": ")[-1] for line in log.read_text().splitlines()[:2]] == [
        "exists already",
        "exists already",
    ]


def test_a_folder_that_is_not_there_ends_slicer_with_exit_code_1(
    module: types.ModuleType,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = SCRIPTS / "synthesize_folder_in_slicer.py"
    assert run_script(monkeypatch, tmp_path / "none", tmp_path / "out", script=script) == 1


def test_a_folder_is_synthesized_in_plain_python(folder: Path, tiny_model: Path, tmp_path) -> None:
    output = tmp_path / "synthetic"
    script = SCRIPTS / "synthesize_folder.py"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(
        [sys.executable, str(script), str(folder), str(output), "--model", str(tiny_model)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert sorted(file.name for file in output.iterdir()) == ["a.nii.gz", "c.nii.gz"]
    assert "b.seg.nrrd: not synthesized" in ended.stderr
    assert same_grid(read_volume(output / "a.nii.gz"), read_volume(folder / "a.seg.nrrd"))
