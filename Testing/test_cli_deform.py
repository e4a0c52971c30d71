"""`anatomaskgan synthesize --deform N`: case folders of new anatomies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.commands.evaluate.cases import find_cases
from AnatoMaskGANLib.commands.result_files import plan_deformed_jobs
from AnatoMaskGANLib.volumes import (
    LabelMap,
    read_label_map,
    read_volume,
    same_grid,
    write_label_map,
)

IJK_TO_RAS = np.diag([2.0, 2.0, 2.0, 1.0])


def limb() -> LabelMap:
    labels = np.zeros((16, 40, 40), dtype=np.uint8)
    labels[2:14, 6:34, 6:34] = 1
    labels[4:12, 12:28, 12:28] = 2
    labels[6:10, 16:24, 16:24] = 3
    return LabelMap(labels, IJK_TO_RAS, {1: "skin", 2: "bone", 3: "marrow"})


def synthesize(model: Path, source: Path, output: Path, *arguments: str) -> int:
    places = ["synthesize", str(source), "--output", str(output)]
    return main([*places, "--model", str(model), "--device", "cpu", *arguments])


def test_each_deformation_is_a_case_that_evaluate_and_prepare_can_read(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sub-1").mkdir()
    write_label_map(limb(), tmp_path / "sub-1" / "seg.nii.gz")
    output = tmp_path / "made"
    assert synthesize(tiny_model, tmp_path / "sub-1", output, "--deform", "2") == 0
    cases = find_cases(output)
    assert [case.name for case in cases] == ["sub-1_deform1", "sub-1_deform2"]
    maps = [read_label_map(case.label_map) for case in cases]
    for case, label_map in zip(cases, maps, strict=True):
        assert same_grid(read_volume(case.image), label_map)
        assert same_grid(label_map, limb())
        assert label_map.names == limb().names
        assert not np.array_equal(label_map.labels_kji, limb().labels_kji)
    assert not np.array_equal(maps[0].labels_kji, maps[1].labels_kji)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(case.image) for case in cases]
    # A second run finds them made.
    assert synthesize(tiny_model, tmp_path / "sub-1", output, "--deform", "2") == 0
    assert capsys.readouterr().err.count("is already there and up to date") == 2


def test_each_case_of_a_batch_is_bent_in_its_own_way(tiny_model: Path, tmp_path: Path) -> None:
    """Two cases of which one is the other with a mark: the same warp would move them alike."""
    marked = limb()
    marked.labels_kji[7, 8, 8] = 3
    for name, label_map in (("sub-1", limb()), ("sub-2", marked)):
        (tmp_path / "in" / name).mkdir(parents=True)
        write_label_map(label_map, tmp_path / "in" / name / "seg.nii.gz")
    assert synthesize(tiny_model, tmp_path / "in", tmp_path / "a", "--deform", "1") == 0
    first, second = (
        read_label_map(tmp_path / "a" / f"sub-{n}_deform1" / "seg.nii.gz").labels_kji > 0
        for n in (1, 2)
    )
    assert (first != second).sum() > 0.05 * first.sum()
    # In another folder, under another name and alone, a case is bent as before.
    (tmp_path / "moved" / "x").mkdir(parents=True)
    write_label_map(marked, tmp_path / "moved" / "x" / "seg.nii.gz")
    assert synthesize(tiny_model, tmp_path / "moved", tmp_path / "b", "--deform", "1") == 0
    again = read_label_map(tmp_path / "b" / "x_deform1" / "seg.nii.gz").labels_kji > 0
    assert np.array_equal(again, second)


@pytest.fixture
def made_case(tiny_model: Path, tmp_path: Path) -> Path:
    """The folder of a deformed case; its label map lies in `in`."""
    (tmp_path / "in").mkdir()
    write_label_map(limb(), tmp_path / "in" / "seg.nii.gz")
    assert synthesize(tiny_model, tmp_path / "in", tmp_path / "made", "--deform", "1") == 0
    return tmp_path / "made" / "in_deform1"


def test_a_case_stays_as_it_was_when_its_new_image_cannot_be_made(
    tiny_model: Path, made_case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    before = {file.name: file.read_bytes() for file in made_case.iterdir()}
    monkeypatch.setattr("AnatoMaskGANLib.synthesis.Synthesizer.synthesize_samples", fail)
    place = made_case.parents[1]
    options = ("--deform", "1", "--seed", "1")
    assert synthesize(tiny_model, place / "in", place / "made", *options) == 1
    assert {file.name: file.read_bytes() for file in made_case.iterdir()} == before


@pytest.mark.parametrize("failing", ["write_label_map", "write_volume"])
def test_a_new_label_map_never_lies_beside_an_older_image(
    tiny_model: Path, made_case: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    old = (made_case / "seg.nii.gz").read_bytes()
    monkeypatch.setattr(f"AnatoMaskGANLib.volumes.{failing}", fail)
    place = made_case.parents[1]
    options = ("--deform", "1", "--seed", "1")
    assert synthesize(tiny_model, place / "in", place / "made", *options) == 1
    assert [file.name for file in made_case.iterdir()] == ["seg.nii.gz"]
    is_new = (made_case / "seg.nii.gz").read_bytes() != old
    assert is_new == (failing == "write_volume")
    monkeypatch.undo()
    assert synthesize(tiny_model, place / "in", place / "made", *options) == 0
    (case,) = find_cases(place / "made")
    record = read_volume(case.image).provenance
    assert record["LabelMapSHA256"] == read_label_map(case.label_map).sha256()


def test_an_image_that_cannot_be_replaced_leaves_the_label_map_as_it_was(
    tiny_model: Path, made_case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = (made_case / "seg.nii.gz").read_bytes()
    (made_case / "image.nii.gz").unlink()
    (made_case / "image.nii.gz").mkdir()
    place = made_case.parents[1]
    options = ("--deform", "1", "--seed", "1")
    assert synthesize(tiny_model, place / "in", place / "made", *options) == 1
    assert "is a folder; expected the name of a file" in capsys.readouterr().err
    assert (made_case / "seg.nii.gz").read_bytes() == old


def test_all_samples_of_a_run_have_the_anatomy_of_its_first_seed(
    tiny_model: Path, made_case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = made_case.parents[1]
    for first in ("4", "5"):
        options = ("--deform", "1", "--seed", first, "--samples", "2")
        assert synthesize(tiny_model, place / "in", place / "made", *options) == 0
    assert "is already there and up to date" not in capsys.readouterr().err
    of_4, of_5, of_6 = (
        (place / "made" / f"in_deform1_seed{seed}" / "seg.nii.gz").read_bytes()
        for seed in (4, 5, 6)
    )
    assert of_5 == of_6 != of_4


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_case_without_its_label_map_is_made_again(
    tiny_model: Path, made_case: Path, damage: Callable[[Path], object]
) -> None:
    place, labels = made_case.parents[1], made_case / "seg.nii.gz"
    before = labels.read_bytes()
    damage(labels)
    assert synthesize(tiny_model, place / "in", place / "made", "--deform", "1") == 0
    assert labels.read_bytes() == before


def test_a_file_as_output_is_refused_for_deformations(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_label_map(limb(), tmp_path / "seg.nii.gz")
    assert synthesize(tiny_model, tmp_path, tmp_path / "out.nii.gz", "--deform", "1") == 1
    assert "Give a folder as output" in capsys.readouterr().err


def folders_of(output: Path, *label_maps: Path, seeds: tuple[int, ...] = (0,)) -> list[str]:
    jobs = plan_deformed_jobs(label_maps, output, 1, seeds)
    return [t.parent.relative_to(output).as_posix() for job in jobs for t in job.targets.values()]


def test_case_folders_are_named_by_the_case_or_the_file(tmp_path: Path) -> None:
    root, output = tmp_path / "in", tmp_path / "out"
    assert folders_of(output, root / "a" / "seg.nii.gz") == ["a_deform1"]
    pair = (root / "x" / "a" / "seg.nii.gz", root / "y" / "a" / "seg.nii.gz")
    assert folders_of(output, *pair) == ["x/a_deform1", "y/a_deform1"]
    assert folders_of(output, root / "liver.mha", seeds=(3, 4)) == [
        "liver_deform1_seed3",
        "liver_deform1_seed4",
    ]


def test_a_deformed_label_map_never_replaces_a_label_map(tmp_path: Path) -> None:
    source = tmp_path / "a" / "seg.nii.gz"
    inside = tmp_path / "a_deform1" / "seg.nii.gz"
    with pytest.raises(ValueError, match="would replace a label map"):
        plan_deformed_jobs([source, inside], tmp_path, 1, (0,))
