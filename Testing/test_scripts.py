"""The scripts of Resources/Scripts, run in the stand-in for Slicer, which has no window here."""

from __future__ import annotations

import runpy
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer  # noqa: E402
import slicer.util  # noqa: E402
from slicer_host.fixtures import model, module, scene, without_window  # noqa: E402, F401

from AnatoMaskGANLib.volumes import (  # noqa: E402
    LabelMap,
    Volume,
    read_volume,
    same_grid,
    write_label_map,
    write_volume,
)

SCRIPT = (
    Path(__file__).resolve().parents[1] / "Resources" / "Scripts" / "synthesize_segmentation.py"
)

pytestmark = pytest.mark.usefixtures("scene", "without_window")


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return ended.value.code


IJK_TO_RAS = np.diag([-2.0, -2.0, 2.0, 1.0])


@pytest.fixture
def segmentation_file(tmp_path: Path) -> Path:
    labels_kji = np.zeros((12, 16, 16), dtype=np.uint8)
    labels_kji[2:10, 2:14, 2:14] = 1
    labels_kji[4:8, 5:11, 5:11] = 2
    path = tmp_path / "case.seg.nrrd"
    write_label_map(LabelMap(labels_kji, IJK_TO_RAS, {1: "skin", 2: "bone"}), path)
    return path


def test_a_segmentation_file_becomes_a_volume_file_without_a_window(
    module: types.ModuleType,  # noqa: F811
    model: str,  # noqa: F811
    segmentation_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, reference = tmp_path / "synthetic.nrrd", tmp_path / "scan.nrrd"
    write_volume(Volume(np.zeros((14, 20, 18), np.float32), IJK_TO_RAS), reference)
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
