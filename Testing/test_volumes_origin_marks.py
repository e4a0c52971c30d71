"""Synthetic images and edited scans are told where a scan is expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli_evaluate import write_case

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.volumes import Volume, read_volume, write_volume
from AnatoMaskGANLib.volumes.case_store import open_store
from AnatoMaskGANLib.volumes.origin_marks import origin_of_provenance

SYNTHETIC = {"SyntheticData": "YES", "Model": "brain-t1", "Seed": "7"}


@pytest.mark.parametrize(
    ("provenance", "origin"),
    [
        ({}, ""),
        ({"SyntheticData": "NO"}, ""),
        ({"SyntheticData": "YES"}, "a synthetic image, made by a program"),
        (SYNTHETIC, "a synthetic image, made by brain-t1"),
        ({"EditedScan": "YES"}, "an edited scan, of which a part was made"),
        (
            SYNTHETIC | {"EditedInPlace": "YES"},
            "an edited scan, of which a part was made by brain-t1",
        ),
    ],
)
def test_marks_are_told_in_words(provenance: dict[str, str], origin: str) -> None:
    assert origin_of_provenance(provenance) == origin


def mark(image: Path, provenance: dict[str, str] = SYNTHETIC) -> None:
    volume = read_volume(image)
    write_volume(Volume(volume.voxels_kji, volume.ijk_to_ras, provenance=provenance), image)


@pytest.mark.parametrize("provenance", [SYNTHETIC, {"EditedScan": "YES"}])
def test_evaluate_refuses_what_is_no_scan_as_one(
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    provenance: dict[str, str],
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    mark(tmp_path / "cases" / "sub-1" / "image.nii.gz", provenance)
    output = tmp_path / "figures"
    arguments = ["evaluate", str(tmp_path / "cases"), "--model", str(tiny_model), "--device", "cpu"]
    arguments += ["--output", str(output)]
    assert main(arguments) == 1
    assert "was given as a real scan" in capsys.readouterr().err
    assert not list(output.glob("*.csv"))
    assert main([*arguments, "--take-marked"]) == 0
    assert "taken as real" in capsys.readouterr().err
    assert any("taken as real" in page.read_text() for page in output.glob("*.html"))


def test_prepare_takes_synthetic_images_for_training_alone_and_the_store_says_so(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        write_case(tmp_path / "cases" / name)
    mark(tmp_path / "cases" / "a" / "image.nii.gz")

    def prepare(store: str, split: dict[str, list[str]], *more: str) -> int:
        path = tmp_path / "split.json"
        path.write_text(json.dumps(split))
        places = [str(tmp_path / "cases"), "--output", str(tmp_path / store)]
        return main(["prepare", "folder", *places, "--split-file", str(path), *more])

    in_training = {"train": ["a", "b"], "validation": ["c"], "test": []}
    assert prepare("good", in_training) == 0
    origins = {case.name: case.origin for case in open_store(tmp_path / "good").cases}
    assert origins == {"a": "a synthetic image, made by brain-t1", "b": "", "c": ""}
    assert "the image is a synthetic image" in capsys.readouterr().err
    measured_on = {"train": ["b"], "validation": ["c"], "test": ["a"]}
    # also when it was prepared before, for another split
    for store in ("new", "good"):
        assert prepare(store, measured_on) == 1
        assert "would be measured on as a scan (test)" in capsys.readouterr().err
    assert prepare("good", measured_on, "--marked", "keep") == 0
    assert prepare("none", in_training, "--marked", "refuse") == 1
    capsys.readouterr()
    arguments = ["evaluate", str(tmp_path / "good"), "--model", str(tiny_model), "--device", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "figures")]) == 1
    assert "a is a synthetic image, made by brain-t1, and was given as a real scan" in (
        capsys.readouterr().err
    )
