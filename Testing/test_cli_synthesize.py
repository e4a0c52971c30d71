from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.volumes import (
    LabelMap,
    read_label_map,
    read_volume,
    same_grid,
    write_label_map,
)

NAMES = {1: "Skin", 2: "cortical bone", 3: "marrow"}


def limb(names: dict[int, str] = NAMES) -> LabelMap:
    """A box in a box in a box, on an oblique grid that is not RAS and has three spacings."""
    labels_kji = np.zeros((10, 18, 14), dtype=np.uint8)
    labels_kji[1:9, 2:16, 2:12] = 1
    labels_kji[2:8, 5:13, 4:10] = 2
    labels_kji[3:7, 7:11, 5:9] = 3
    angle = np.deg2rad(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.vstack([turn, [0, 0, 1]]) @ np.diag([-1.5, 2.0, 3.0])
    ijk_to_ras[:3, 3] = (40, -10, 25)
    return LabelMap(labels_kji, ijk_to_ras, names)


@pytest.fixture
def label_map_file(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "seg.nii.gz"
    path.parent.mkdir()
    write_label_map(limb(), path)
    return path


def synthesize(tiny_model: Path, *arguments: str | Path) -> int:
    options = ["--model", str(tiny_model), "--device", "cpu"]
    return main(["synthesize", *map(str, arguments), *options])


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan.nrrd", "scan.mha"])
def test_the_volume_lies_on_the_grid_of_the_label_map(
    tiny_model: Path, label_map_file: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "new folder" / name
    assert synthesize(tiny_model, label_map_file, "--output", output) == 0
    volume = read_volume(output)
    assert same_grid(volume, limb(), tolerance_mm=1e-3)
    assert np.isfinite(volume.voxels_kji).all()
    assert volume.voxels_kji.std() > 0
    assert volume.provenance["Model"] == "tiny"
    assert volume.provenance["Seed"] == "0"


def test_stdout_holds_the_paths_of_the_results_and_stderr_how_labels_were_matched(
    tiny_model: Path, label_map_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert synthesize(tiny_model, label_map_file, "--output", output, "--samples", 2) == 0
    printed = capsys.readouterr()
    files = [output / f"seg_synthetic_seed{seed}.nii.gz" for seed in (0, 1)]
    assert printed.out.splitlines() == [str(file) for file in files]
    assert all(file.is_file() for file in files)
    assert printed.err.count("3 of 3 labels matched (2 by name, 1 by alias)") == 1


def test_the_same_seed_gives_the_same_volume_and_another_seed_another(
    tiny_model: Path, label_map_file: Path, tmp_path: Path
) -> None:
    synthesize(tiny_model, label_map_file, "--output", tmp_path / "a", "--samples", 2)
    synthesize(tiny_model, label_map_file, "--output", tmp_path / "b.nii.gz", "--seed", 1)
    first = read_volume(tmp_path / "a" / "seg_synthetic_seed0.nii.gz").voxels_kji
    second = read_volume(tmp_path / "a" / "seg_synthetic_seed1.nii.gz").voxels_kji
    again = read_volume(tmp_path / "b.nii.gz").voxels_kji
    assert np.array_equal(second, again)
    assert not np.array_equal(first, second)


def test_without_noise_all_seeds_give_the_same_volume(
    tiny_model: Path, label_map_file: Path, tmp_path: Path
) -> None:
    options = ("--output", tmp_path, "--samples", 2, "--noise-strength", 0)
    assert synthesize(tiny_model, label_map_file, *options) == 0
    first, second = (
        read_volume(tmp_path / f"seg_synthetic_seed{seed}.nii.gz").voxels_kji for seed in (0, 1)
    )
    assert np.array_equal(first, second)


def test_one_bad_file_does_not_stop_the_folder(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases, output = tmp_path / "cases", tmp_path / "out"
    for name in ("sub-1", "sub-2", "sub-3"):
        (cases / name).mkdir(parents=True)
        write_label_map(limb(), cases / name / "seg.nii.gz")
    whole = (cases / "sub-2" / "seg.nii.gz").read_bytes()
    (cases / "sub-2" / "seg.nii.gz").write_bytes(whole[: len(whole) // 2])
    assert synthesize(tiny_model, cases, "--output", output) == 1
    printed = capsys.readouterr()
    made = sorted(file.relative_to(output).as_posix() for file in output.rglob("*.gz"))
    assert made == ["sub-1/seg_synthetic.nii.gz", "sub-3/seg_synthetic.nii.gz"]
    assert "2 of 3 succeeded, 1 failed:" in printed.err
    assert "sub-2" in printed.err.splitlines()[-1]


@pytest.mark.parametrize("deform", [0, 1])
def test_a_second_run_into_a_folder_below_the_input_finds_everything_made(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], deform: int
) -> None:
    for name in ("a", "b"):
        write_label_map(limb(), tmp_path / f"{name}.nii.gz")
    for _ in range(2):
        arguments = ("--output", tmp_path / "more", "--deform", deform)
        assert synthesize(tiny_model, tmp_path, *arguments) == 0
    assert capsys.readouterr().err.count("is already there and up to date") == 2
    assert len(list((tmp_path / "more").rglob("*.nii.gz"))) == 2 + 2 * deform


def test_a_missing_file_is_told_in_one_line_and_nothing_is_written(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "scan.nii.gz"
    assert synthesize(tiny_model, tmp_path / "none.nii.gz", "--output", output) == 1
    printed = capsys.readouterr()
    assert "none.nii.gz does not exist" in printed.err
    assert "Traceback" not in printed.err
    assert not output.parent.exists()


def test_labels_that_the_model_does_not_know_need_a_decision(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "seg.nrrd", tmp_path / "scan.nrrd"
    write_label_map(limb({**NAMES, 3: "gallbladder"}), path)
    assert synthesize(tiny_model, path, "--output", output) == 1
    assert "gallbladder" in capsys.readouterr().err
    assert not output.exists()
    assert synthesize(tiny_model, path, "--output", output, "--unmatched", "background") == 0
    assert "the model does not know: 3 gallbladder" in capsys.readouterr().err
    assert output.exists()


def test_a_table_names_the_values_of_a_file_that_does_not(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output, table = tmp_path / "seg.mha", tmp_path / "scan.mha", tmp_path / "names.json"
    label_map = limb({})
    write_label_map(LabelMap(label_map.labels_kji * 10, label_map.ijk_to_ras), path)
    assert synthesize(tiny_model, path, "--output", output) == 1
    table.write_text(json.dumps({"10": "skin", "20": "bone", "30": "marrow"}))
    assert synthesize(tiny_model, path, "--output", output, "--labels", table) == 0
    assert "3 of 3 labels matched (3 by name)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "no-such-model"], "no model 'no-such-model'"),
        (["--device", "cuda"], "The device 'cuda' does not exist"),
        (["--output", "scan.mgz"], "cannot be written"),
    ],
)
def test_what_cannot_work_stops_before_any_case(
    tiny_model: Path,
    label_map_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has the device that must be missing")
    chosen = {"--output": str(tmp_path / "scan.nii"), "--model": str(tiny_model)}
    chosen.update(dict([arguments]))
    line = ["synthesize", str(label_map_file)]
    assert main([*line, *(word for pair in chosen.items() for word in pair)]) == 1
    assert told in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--seed", "18446744073709551615"],
            "The last seed is 18446744073709551615; expected 9223",
        ),
        (["--seed", str(2**63 - 1), "--samples", "2"], f"The last seed is {2**63}"),
        (["--memory-limit", "inf"], "The memory limit is inf GiB"),
        (["--memory-limit", "1e300"], "The memory limit is 1e+300 GiB"),
        (["--shard", "2/2"], "The shard is '2/2'"),
        (["--noise-strength", "1e30"], "noise_strength is 1e+30"),
        (["--noise-length-scale", "9"], "noise_length_scale is 9"),
    ],
)
def test_numbers_that_no_label_map_can_have_are_wrong_usage(
    tiny_model: Path,
    label_map_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    assert synthesize(tiny_model, label_map_file, "--output", tmp_path / "out", *arguments) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_last_seed_and_the_largest_memory_limit_are_taken(
    tiny_model: Path, label_map_file: Path, tmp_path: Path
) -> None:
    options = ("--seed", 2**63 - 1, "--memory-limit", 2**20)
    assert synthesize(tiny_model, label_map_file, "--output", tmp_path / "a.nii", *options) == 0
    assert read_volume(tmp_path / "a.nii").provenance["Seed"] == str(2**63 - 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_told(
    tiny_model: Path, label_map_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert synthesize(tiny_model, label_map_file, "--output", folder) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_an_existing_result_stays_when_the_new_one_fails(tiny_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "scan.nii.gz"
    output.write_bytes(b"old")
    assert synthesize(tiny_model, tmp_path / "none.nii.gz", "--output", output) == 1
    assert output.read_bytes() == b"old"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_brain_of_the_data_gets_a_finite_volume_on_its_own_grid(
    data_folder: Path, tmp_path: Path
) -> None:
    brains = data_folder / "brain-t1"
    assert main(["synthesize", str(brains), "--output", str(tmp_path)]) == 0
    segmentations = sorted(brains.glob("*/seg.nii.gz"))
    assert segmentations
    for segmentation in segmentations:
        volume = read_volume(tmp_path / segmentation.parent.name / "seg_synthetic.nii.gz")
        label_map = read_label_map(segmentation)
        assert volume.shape_kji == label_map.shape_kji
        assert np.abs(volume.ijk_to_ras - label_map.ijk_to_ras).max() <= 1e-6
        assert np.isfinite(volume.voxels_kji).all()


def test_labels_that_a_model_does_not_know_become_the_tissue_around_them(
    tiny_model: Path, label_map_file: Path, tmp_path: Path
) -> None:
    label_map = read_label_map(label_map_file)
    names = {value: str(name) for value, name in label_map.names.items()}
    last = max(label_map.values)
    write_label_map(replace(label_map, names=names | {last: "tumor"}), tmp_path / "seg.nii.gz")
    line = ["synthesize", str(tmp_path / "seg.nii.gz"), "--model", str(tiny_model), "--output"]
    target = tmp_path / "out" / "scan.nii.gz"
    assert main([*line, str(target)]) == 1
    assert main([*line, str(target), "--unmatched", "surrounding"]) == 0
    matches = read_volume(target).provenance["LabelMatches"]
    assert f"{last}->as the tissue around it (unmatched)" in matches


def test_the_word_model_stands_for_the_numbers_of_the_model(
    tiny_model: Path, label_map_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label_map = read_label_map(label_map_file)
    write_label_map(replace(label_map, names={}, codes={}), tmp_path / "seg.nii.gz")
    line = ["synthesize", str(tmp_path / "seg.nii.gz"), "--model", str(tiny_model), "--output"]
    target = tmp_path / "out" / "scan.nii.gz"
    assert main([*line, str(target)]) == 1
    assert "--labels model" in capsys.readouterr().err
    assert main([*line, str(target), "--labels", "model"]) == 0
    matches = read_volume(target).provenance["LabelMatches"].split("; ")
    assert matches == [f"{value}->{value} (name)" for value in label_map.values]


def test_a_folder_of_masks_becomes_one_volume_and_its_files_name_the_labels(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for value, name in enumerate(("femur_left", "femur_right"), start=1):
        mask = np.zeros((8, 16, 16), np.uint8)
        mask[2:6, 4:12, 8 * value - 8 : 8 * value - 2] = 1
        (tmp_path / "masks").mkdir(exist_ok=True)
        write_label_map(LabelMap(mask, np.diag([2.0, 2, 2, 1])), tmp_path / f"masks/{name}.nii.gz")
    line = ["synthesize", str(tmp_path / "masks"), "--output", str(tmp_path / "out")]
    line += ["--model", str(tiny_model), "--labels", "model"]
    assert main(line) == 1
    assert "named by their files, not by --labels" in caplog.text
    assert "1 femur_left, 2 femur_right" in caplog.text
