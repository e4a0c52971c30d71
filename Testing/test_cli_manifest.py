from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import label_map_of, random_labels, write_tiny_model

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.commands.manifest import Manifest, read_records
from AnatoMaskGANLib.commands.shards import Shard
from AnatoMaskGANLib.volumes import LabelMap, files, read_label_map, read_volume, write_label_map
from AnatoMaskGANLib.volumes.file_hash import file_sha256


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path / "model")
    for number in range(3):
        folder = tmp_path / "cases" / f"sub-{number}"
        folder.mkdir(parents=True)
        write_label_map(
            label_map_of(random_labels((3, 12, 12), seed=number)), folder / "seg.nii.gz"
        )
    return tmp_path / "cases"


def synthesize(cases: Path, *more: str) -> int:
    root = cases.parent
    options = ["--model", str(root / "model"), "--output", str(root / "out"), "--device", "cpu"]
    return main(["synthesize", str(cases), *options, *more])


def times_of(folder: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in folder.rglob("*.nii.gz")}


def test_a_target_is_done_while_recipe_and_bytes_are_the_same(tmp_path: Path) -> None:
    target = tmp_path / "scan.nii"
    target.write_bytes(b"voxels")
    manifest = Manifest(tmp_path, Shard())
    assert not manifest.is_done(target, {"seed": 1})
    manifest.add_done(target, {"seed": 1}, {target: file_sha256(target)}, seconds=2.5)
    for again in (manifest, Manifest(tmp_path, Shard(1, 2))):
        assert again.is_done(target, {"seed": 1})
        assert not again.is_done(target, {"seed": 2})
    target.write_bytes(b"other")
    assert not manifest.is_done(target, {"seed": 1})
    target.unlink()
    assert not manifest.is_done(target, {"seed": 1})


def test_a_target_is_done_only_with_what_was_made_beside_it(tmp_path: Path) -> None:
    target, beside = tmp_path / "image.nii", tmp_path / "seg.nii"
    target.write_bytes(b"voxels")
    beside.write_bytes(b"labels")
    manifest = Manifest(tmp_path, Shard())
    manifest.add_done(target, {"seed": 1}, {target: file_sha256(target)})
    assert manifest.is_done(target, {"seed": 1})
    assert not manifest.is_done(target, {"seed": 1}, [beside])
    both = {file: file_sha256(file) for file in (target, beside)}
    manifest.add_done(target, {"seed": 1}, both)
    for again in (manifest, Manifest(tmp_path, Shard())):
        assert again.is_done(target, {"seed": 1}, [beside])
    beside.write_bytes(b"other")
    assert not manifest.is_done(target, {"seed": 1}, [beside])
    beside.unlink()
    assert not manifest.is_done(target, {"seed": 1}, [beside])


def test_a_line_that_a_crash_cut_off_is_left_out_and_the_next_one_is_whole(
    tmp_path: Path,
) -> None:
    target = tmp_path / "scan.nii"
    target.write_bytes(b"voxels")
    Manifest(tmp_path, Shard()).add_done(target, {"seed": 1}, {target: "0" * 64})
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(path.read_bytes() + b'{"target": "scan.nii", "sta')
    Manifest(tmp_path, Shard()).add_failed(tmp_path / "b.nii", {"seed": 1}, "full disk")
    records = read_records(path)
    assert [record["status"] for record in records] == ["done", "failed"]
    path.write_bytes(b"[]\n\xff\n\n3\n" + path.read_bytes())
    assert len(read_records(path)) == 2


def test_what_is_done_is_skipped_and_what_is_damaged_is_made_again(
    cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = cases.parent / "out"
    assert synthesize(cases, "--samples", "2") == 0
    before, printed = times_of(out), capsys.readouterr().out
    assert len(before) == 6
    damaged = out / "sub-1" / "seg_synthetic_seed1.nii.gz"
    whole = read_volume(damaged).voxels_kji
    damaged.write_bytes(damaged.read_bytes()[:100])
    (out / "sub-2" / "seg_synthetic_seed0.nii.gz").unlink()
    assert synthesize(cases, "--samples", "2") == 0
    after = times_of(out)
    assert {Path(f).parent.name for f in after if after[f] != before[f]} == {"sub-1", "sub-2"}
    assert sum(after[file] != before[file] for file in after) == 2
    np.testing.assert_allclose(read_volume(damaged).voxels_kji, whole, atol=1e-3)
    assert sorted(capsys.readouterr().out.split()) == sorted(printed.split())


def test_another_seed_strength_or_label_map_is_made_again(cases: Path) -> None:
    out = cases.parent / "out"
    synthesize(cases)
    before = times_of(out)
    write_label_map(label_map_of(random_labels((3, 12, 12), seed=9)), cases / "sub-0/seg.nii.gz")
    synthesize(cases)
    after = times_of(out)
    assert [Path(f).parent.name for f in after if after[f] != before[f]] == ["sub-0"]
    synthesize(cases, "--noise-strength", "0.5")
    assert all(time != after[file] for file, time in times_of(out).items())


def test_other_label_names_beside_the_label_map_make_its_volume_again(cases: Path) -> None:
    out = cases.parent / "out"
    label_map = read_label_map(cases / "sub-0" / "seg.nii.gz")
    for number in range(3):
        path = cases / f"sub-{number}" / "seg.nii.gz"
        write_label_map(replace(read_label_map(path), names={}), path)
    names = {str(value): f"part {value}" for value in label_map.values}
    for folder in (cases, cases / "sub-0"):  # the one above is for the others
        (folder / "labels.json").write_text(json.dumps(names))
    assert synthesize(cases) == 0
    before = times_of(out)
    first, second, *rest = names
    swapped = names | {first: names[second], second: names[first]}
    (cases / "sub-0" / "labels.json").write_text(json.dumps(swapped))
    for _ in range(2):
        assert synthesize(cases) == 0
        after = times_of(out)
        assert [Path(f).parent.name for f in after if after[f] != before[f]] == ["sub-0"]


def test_another_data_file_of_a_header_makes_its_volume_again(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")
    (tmp_path / "cases").mkdir()
    header, data = tmp_path / "cases" / "seg.mhd", tmp_path / "cases" / "seg.raw"
    labels = random_labels((3, 12, 12))
    header.write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 12 12 3\nElementSpacing = 1 1 2\n"
        "ElementType = MET_UCHAR\nElementDataFile = seg.raw\n"
    )
    data.write_bytes(labels.tobytes())
    target = tmp_path / "out" / "seg_synthetic.nii.gz"
    assert synthesize(tmp_path / "cases", "--labels", "model") == 0
    before = read_volume(target).provenance["LabelMapSHA256"]
    data.write_bytes(labels[:, ::-1].tobytes())
    assert synthesize(tmp_path / "cases", "--labels", "model") == 0
    assert read_volume(target).provenance["LabelMapSHA256"] != before


def test_shards_make_everything_once_and_keep_manifests_of_their_own(cases: Path) -> None:
    out = cases.parent / "out"
    for number in range(2):
        assert synthesize(cases, "--shard", f"{number}/2") == 0
    names = sorted(file.name for file in out.glob("*.jsonl"))
    assert names == ["manifest-0-of-2.jsonl", "manifest-1-of-2.jsonl"]
    assert len(times_of(out)) == 3
    before = times_of(out)
    assert synthesize(cases) == 0
    assert times_of(out) == before


def test_a_record_holds_hashes_seed_and_time_and_a_failure_its_error(cases: Path) -> None:
    (cases / "sub-1" / "seg.nii.gz").write_bytes(b"nothing")
    assert synthesize(cases, "--seed", "7") == 1
    lines = (cases.parent / "out" / "manifest.jsonl").read_text().splitlines()
    records = {record["target"]: record for record in map(json.loads, lines)}
    assert len(records) == 3
    done, failed = (records[f"sub-{number}/seg_synthetic.nii.gz"] for number in (0, 1))
    assert done["status"] == "done" and done["seed"] == 7 and done["seconds"] >= 0
    for key in ("source_sha256", "target_sha256", "model_sha256", "label_map_sha256"):
        assert len(done[key]) == 64
    assert failed["status"] == "failed" and failed["error"]


def test_the_manifest_tells_of_what_was_written_and_not_of_what_another_process_put_there(
    cases: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process with another seed writes the same file before this one notes its own."""
    out = cases.parent / "out"
    assert synthesize(cases, "--seed", "8") == 0
    others = {file: Path(file).read_bytes() for file in times_of(out)}
    add_done = Manifest.add_done

    def note_after_the_other(self: Manifest, target: Path, *rest: Any, **more: Any) -> None:
        target.write_bytes(others[str(target)])
        add_done(self, target, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Manifest, "add_done", note_after_the_other)
        assert synthesize(cases, "--seed", "7") == 0
    capsys.readouterr()
    assert synthesize(cases, "--seed", "7") == 0
    assert "already there" not in capsys.readouterr().err
    for file in others:
        assert read_volume(file).provenance["Seed"] == "7"


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_writing_gives_the_hash_of_what_lies_there(tmp_path: Path, suffix: str) -> None:
    label_map = label_map_of(random_labels((3, 12, 12)))
    path = tmp_path / f"seg{suffix}"
    assert write_label_map(label_map, path) == file_sha256(path)
    volume = read_volume(path)
    assert files.write_volume(volume, path) == file_sha256(path)


def test_a_label_map_that_changes_while_it_is_read_makes_no_volume(
    cases: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = cases / "sub-0" / "seg.nii.gz"
    other = label_map_of(random_labels((3, 12, 12), seed=9))
    read = files.read_label_map

    def read_while_it_changes(path: Path, *rest: Any) -> LabelMap:
        label_map = read(path, *rest)
        if Path(path) == source:
            write_label_map(other, source)
        return label_map

    monkeypatch.setattr("AnatoMaskGANLib.volumes.read_label_map", read_while_it_changes)
    assert synthesize(cases) == 1
    assert f"{source} changed while it was read" in capsys.readouterr().err
    assert not (cases.parent / "out" / "sub-0" / "seg_synthetic.nii.gz").exists()


def test_a_case_whose_two_files_are_of_two_processes_is_told(
    cases: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = files.write_volume

    def write_after_the_other(volume: Any, path: Path) -> str:
        write_label_map(
            label_map_of(random_labels((3, 12, 12), seed=9)), path.parent / "seg.nii.gz"
        )
        return write(volume, path)

    monkeypatch.setattr("AnatoMaskGANLib.volumes.write_volume", write_after_the_other)
    assert synthesize(cases, "--deform", "1") == 1
    assert "at the same time" in capsys.readouterr().err
