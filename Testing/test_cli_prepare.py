"""`anatomaskgan prepare` from end to end: public layouts, bad cases, runs that go on."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tiny_archives
from tiny_archives import write_nifti

from AnatoMaskGANLib.cli import build_parser, main
from AnatoMaskGANLib.commands.options import read_options
from AnatoMaskGANLib.preparation import prepared_case
from AnatoMaskGANLib.preparation.one_writer import one_writer
from AnatoMaskGANLib.preparation.settings import PreparationError, PreparationSettings
from AnatoMaskGANLib.training.settings import DataSettings
from AnatoMaskGANLib.training.stacks import StackSampler
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store


def prepare(layout: str, folder: Path, *options: str) -> int:
    command = ["prepare", layout, str(folder / "in"), "--output", str(folder / "out"), *options]
    return main(command)


def store_in(folder: Path) -> CaseStore:
    return open_store(folder / "out")


def report_of(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "out" / "report.csv", newline="") as file:
        return {line["case"]: line for line in csv.DictReader(file)}


def arrays_in(folder: Path) -> dict[str, int]:
    """Every array file of the store with the time of its last change."""
    files = sorted((folder / "out").rglob("*.npy"))
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in files}


@pytest.mark.parametrize(
    ("layout", "make", "num_classes", "num_cases", "spacing", "window"),
    [
        ("l2r-oasis", tiny_archives.l2r_oasis, 36, 4, (1, 1, 1), None),
        ("l2r-abdomen-ct", tiny_archives.l2r_abdomen_ct, 14, 4, (2, 2, 2), (-160, 240)),
        ("btcv", tiny_archives.btcv, 14, 3, (1.5, 1.5, 3), (-160, 240)),
        ("mm-whs", tiny_archives.mm_whs, 8, 3, (1, 1, 1), (-200, 600)),
    ],
)
def test_a_public_archive_becomes_a_store_that_gives_stacks(
    tmp_path: Path, layout: str, make, num_classes: int, num_cases: int, spacing, window
) -> None:
    make(tmp_path / "in")
    assert prepare(layout, tmp_path) == 0
    store = store_in(tmp_path)
    assert store.num_classes == num_classes and len(store.cases) == num_cases
    assert store.spacing_ijk_mm == spacing
    assert window is None or store.window == window
    assert {case.split for case in store.cases} == {"train", "validation", "test"}
    for case in store.cases:
        assert case.labels_sjk.max() == num_classes - 1
        assert case.shape_kji == (20, 22, 24)
    data = DataSettings("store", stack_size=8, crop=(16, 16))
    batch = StackSampler(store, "train", data, halo=2, seed=0).batch(0)
    assert batch.labels.max() > 0 and batch.images.std() > 0


def test_every_case_is_reported_and_a_bad_one_does_not_stop_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_archives.case_folders(tmp_path / "in", 20)
    broken = tmp_path / "in" / "sub-05" / "image.nii.gz"
    broken.write_bytes(broken.read_bytes()[:200])
    labels = tiny_archives.anatomy((1, 2, 3, 9))
    write_nifti(tmp_path / "in" / "sub-07" / "seg.nii.gz", labels, dtype=np.uint8)
    write_nifti(tmp_path / "in" / "sub-09" / "seg.nii.gz", labels[:-1], dtype=np.uint8)
    (tmp_path / "in" / "sub-11" / "seg.nii.gz").unlink()
    assert prepare("folder", tmp_path) == 1
    report = report_of(tmp_path)
    bad = {name for name, line in report.items() if line["status"] == "failed"}
    assert bad == {"sub-05", "sub-07", "sub-09", "sub-11"}
    assert "cannot be read" in report["sub-05"]["notes"]
    assert "labels 9, which the table 'in' does not have" in report["sub-07"]["notes"]
    assert "different grids" in report["sub-09"]["notes"]
    assert "has no label map" in report["sub-11"]["notes"]
    assert len(store_in(tmp_path).cases) == 16
    errors = capsys.readouterr().err
    assert "16 of 20 succeeded, 4 failed" in errors
    assert "sub-08: 24 x 22 x 20 voxels, 3 labels" in errors


def test_labels_outside_the_table_can_be_dropped(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 3)
    labels = tiny_archives.anatomy((1, 2, 3, 9))
    write_nifti(tmp_path / "in" / "sub-02" / "seg.nii.gz", labels, dtype=np.uint8)
    assert prepare("folder", tmp_path, "--unmatched", "background") == 0
    assert "have labels outside the table: background" in report_of(tmp_path)["sub-02"]["notes"]


def test_running_again_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_archives.case_folders(tmp_path / "in", 4)
    assert prepare("folder", tmp_path) == 0
    arrays, index = arrays_in(tmp_path), (tmp_path / "out" / "store.json").read_bytes()
    capsys.readouterr()
    assert prepare("folder", tmp_path) == 0
    assert arrays_in(tmp_path) == arrays
    assert (tmp_path / "out" / "store.json").read_bytes() == index
    assert capsys.readouterr().err.count("unchanged") == 4


def test_a_run_that_was_stopped_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_archives.case_folders(tmp_path / "in", 5)
    written = []
    real = prepared_case.write_case

    def write_two(*arguments: object) -> dict:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments[1])
        return real(*arguments)

    monkeypatch.setattr(prepared_case, "write_case", write_two)
    assert prepare("folder", tmp_path) == 130
    assert not (tmp_path / "out" / "store.json").exists()
    arrays = arrays_in(tmp_path)
    monkeypatch.setattr(prepared_case, "write_case", real)
    assert prepare("folder", tmp_path) == 0
    after = arrays_in(tmp_path)
    assert {name: after[name] for name in arrays} == arrays
    assert len(store_in(tmp_path).cases) == 5


def test_a_run_killed_at_any_moment_leaves_nothing_that_is_read_as_good(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 6)
    command = [sys.executable, "-m", "AnatoMaskGANLib.cli", "prepare", "folder"]
    command += [str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    for number in range(3):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while len(list((tmp_path / "out").rglob("*.npy"))) < 3 * number + 1:
            if process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert prepare("folder", tmp_path) == 0
    store = store_in(tmp_path)
    assert len(store.cases) == 6 and not list((tmp_path / "out").rglob(".*"))
    for number, case in enumerate(store.cases, start=1):
        labels = tiny_archives.anatomy((1, 2, 3), number)
        assert np.array_equal(case.labels_sjk, labels.transpose(2, 1, 0))


def test_two_runs_do_not_write_one_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_archives.case_folders(tmp_path / "in", 3)
    with one_writer(tmp_path / "out"):
        assert prepare("folder", tmp_path) == 1
    assert "Another anatomaskgan prepare is writing" in capsys.readouterr().err
    assert prepare("folder", tmp_path) == 0


def test_only_a_case_whose_files_changed_is_made_again(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 4)
    prepare("folder", tmp_path)
    before = arrays_in(tmp_path)
    labels = tiny_archives.anatomy((1, 2, 3), 99)
    write_nifti(tmp_path / "in" / "sub-03" / "seg.nii.gz", labels, dtype=np.uint8)
    assert prepare("folder", tmp_path) == 0
    after = arrays_in(tmp_path)
    changed = {
        name.split("/")[2][:6] for name in before.items() ^ after.items() for name in name[:1]
    }
    assert changed == {"sub-03"} and len(after) == len(before)


def test_other_settings_make_a_new_store_and_take_the_old_arrays_away(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 3)
    prepare("folder", tmp_path)
    own = tmp_path / "out" / "cases" / "notes-0123456789ab"
    own.mkdir()
    (own / "mine.txt").write_text("keep")
    assert prepare("folder", tmp_path, "--window", "[0, 800]") == 0
    assert store_in(tmp_path).window == (0.0, 800.0)
    assert len(list((tmp_path / "out" / "cases").glob("sub-*"))) == 3
    assert (own / "mine.txt").read_text() == "keep"


def test_added_subjects_leave_the_split_of_the_others(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 6)
    prepare("folder", tmp_path)
    before = {case.subject: case.split for case in store_in(tmp_path).cases}
    tiny_archives.case_folders(tmp_path / "in", 12)
    assert prepare("folder", tmp_path) == 0
    after = {case.subject: case.split for case in store_in(tmp_path).cases}
    assert {subject: after[subject] for subject in before} == before
    written = json.loads((tmp_path / "out" / "split.json").read_text())
    assert sorted(written["train"]) == sorted(s for s, split in after.items() if split == "train")


def test_sessions_of_a_subject_are_never_in_two_splits(tmp_path: Path) -> None:
    for number in range(1, 7):
        for session in ("ses-1", "ses-2"):
            labels = tiny_archives.anatomy((1, 2), number)
            folder = tmp_path / "in" / f"sub-{number}" / session
            write_nifti(folder / "image.nii.gz", tiny_archives.image_of(labels, 0, 900))
            write_nifti(folder / "seg.nii.gz", labels, dtype=np.uint8)
    assert prepare("folder", tmp_path) == 0
    splits: dict[str, set[str]] = {}
    for case in store_in(tmp_path).cases:
        splits.setdefault(case.subject, set()).add(case.split)
    assert len(splits) == 6 and all(len(found) == 1 for found in splits.values())


def test_a_given_split_is_used(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 4)
    lists = {"train": ["sub-04"], "validation": ["sub-01"], "test": ["sub-02"]}
    given = tmp_path / "given.json"
    given.write_text(json.dumps(lists | {"left_out": ["sub-03"]}))
    assert prepare("folder", tmp_path, "--split-file", str(given)) == 0
    splits = {case.name: case.split for case in store_in(tmp_path).cases}
    assert splits == {"sub-04": "train", "sub-01": "validation", "sub-02": "test"}


def test_one_subject_only_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_archives.case_folders(tmp_path / "in", 1)
    assert prepare("folder", tmp_path) == 1
    assert '--split "[1, 0, 0]"' in capsys.readouterr().err
    assert prepare("folder", tmp_path, "--split", "[1, 0, 0]") == 0


def test_a_split_that_stays_empty_fails_and_leaves_the_earlier_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_archives.case_folders(tmp_path / "in", 4)
    prepare("folder", tmp_path)
    before = (tmp_path / "out" / "store.json").read_bytes()
    (test_case,) = store_in(tmp_path).of_split("test")
    (tmp_path / "in" / test_case.name / "image.nii.gz").write_bytes(b"no image")
    assert prepare("folder", tmp_path) == 1
    assert "No case of the split test could be prepared" in capsys.readouterr().err
    assert (tmp_path / "out" / "store.json").read_bytes() == before
    assert len(store_in(tmp_path).cases) == 4


def test_a_store_of_an_older_version_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_archives.case_folders(tmp_path / "in", 3)
    (tmp_path / "out").mkdir()
    old = '{"format": "anatomaskgan-case-store", "version": 1, "cases": []}'
    (tmp_path / "out" / "store.json").write_text(old)
    assert prepare("folder", tmp_path) == 1
    assert "store of version 1" in capsys.readouterr().err
    assert (tmp_path / "out" / "store.json").read_text() == old


def test_a_full_disk_fails_the_cases_and_keeps_the_earlier_store(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    tiny_archives.case_folders(tmp_path / "in", 3)
    prepare("folder", tmp_path)
    before = (tmp_path / "out" / "store.json").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, limits[1]))  # an image needs 21 kB
    try:
        assert prepare("folder", tmp_path, "--window", "[0, 700]") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "out" / "store.json").read_bytes() == before
    assert store_in(tmp_path).cases[0].image_sjk.max() > 0
    assert not [path for path in (tmp_path / "out").rglob(".*")]
    assert prepare("folder", tmp_path, "--window", "[0, 700]") == 0


def test_labels_are_chosen_and_merged_from_the_command_line(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 3)
    merge = '{"lungs": ["left lung", "right lung"]}'
    assert prepare("folder", tmp_path, "--labels", "heart", "lungs", "--merge", merge) == 0
    assert store_in(tmp_path).label_table["labels"] == {"1": "heart", "2": "lungs"}


def test_a_store_of_one_side_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_archives.case_folders(tmp_path / "in", 3)
    assert prepare("folder", tmp_path, "--labels", "heart", "left lung") == 0
    assert "train with flip: false" in capsys.readouterr().err
    assert store_in(tmp_path).preparation["one_sided"] == ["left lung"]


def test_patterns_find_pairs_of_any_file_type(tmp_path: Path) -> None:
    import SimpleITK

    for number in range(3):
        labels = tiny_archives.anatomy((1, 2), number)
        write_nifti(tmp_path / "x.nii", tiny_archives.image_of(labels, 0, 900))
        write_nifti(tmp_path / "y.nii", labels, dtype=np.uint8)
        for name, target in (("x", f"scans/p{number}.mha"), ("y", f"masks/p{number}-seg.nrrd")):
            path = tmp_path / "in" / target
            path.parent.mkdir(parents=True, exist_ok=True)
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / f"{name}.nii")), str(path))
    options = ["--images", "scans/{case}.mha", "--label-files", "masks/{case}-seg.nrrd"]
    assert prepare("folder", tmp_path, *options) == 0
    store = store_in(tmp_path)
    assert [case.name for case in store.cases] == ["p0", "p1", "p2"]
    assert store.label_table["labels"] == {"1": "label 1", "2": "label 2"}


def test_one_mask_file_an_organ_becomes_one_label_map(tmp_path: Path) -> None:
    for number in range(3):
        labels = tiny_archives.anatomy((1, 2, 3), number)
        case = tmp_path / "in" / f"s{number:04d}"
        write_nifti(case / "ct.nii.gz", tiny_archives.image_of(labels, -100, 200))
        for value, organ in enumerate(("kidney_left", "kidney_right", "liver"), start=1):
            write_nifti(case / "segmentations" / f"{organ}.nii.gz", labels == value)
    assert prepare("folder", tmp_path, "--window", "[-160, 240]", "--unit", "HU") == 0
    store = store_in(tmp_path)
    assert store.label_table["labels"] == {"1": "kidney_left", "2": "kidney_right", "3": "liver"}
    assert store.swaps == {1: 2, 2: 1} and store.unit == "HU"


def test_dicom_series_with_label_files_become_a_store(tmp_path: Path) -> None:
    for number in range(3):
        labels = tiny_archives.anatomy((1, 2), number)
        case = tmp_path / "in" / f"patient-{number}"
        image = tiny_archives.image_of(labels, -100, 200)
        tiny_archives.dicom_series(case / "ct", image, (1, 1, 2))
        write_nifti(case / "seg.nii.gz", labels, (1, 1, 2), dtype=np.uint8)
    assert prepare("folder", tmp_path, "--window", "[-160, 240]") == 0
    store = store_in(tmp_path)
    assert store.unit == "HU" and store.spacing_ijk_mm == (1.0, 1.0, 2.0)
    for number, case in enumerate(store.cases):
        labels = tiny_archives.anatomy((1, 2), number)
        assert np.array_equal(case.labels_sjk, labels.transpose(2, 1, 0))
        expected = tiny_archives.image_of(labels, -100, 200).astype(np.int16).transpose(2, 1, 0)
        whole = slice(None)
        assert np.abs(case.image(whole, whole, whole) * 400 - 160 - expected).max() < 0.1


def test_the_data_sets_of_the_project_become_stores(data_folder: Path, tmp_path: Path) -> None:
    for name in ("mouse-brain", "hippocampus"):
        source, output = data_folder / name, tmp_path / name
        assert main(["prepare", "folder", str(source), "--output", str(output)]) == 0
        assert len(open_store(output).cases) == len(list(source.glob("sub-*")))


def documented_commands() -> list[list[str]]:
    text = (Path(__file__).resolve().parents[1] / "Documentation" / "preparing-data.md").read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("arguments", documented_commands(), ids=" ".join)
def test_every_command_of_the_documentation_is_understood(arguments: list[str]) -> None:
    values = build_parser().parse_args(arguments)
    assert read_options(values["prepare"], PreparationSettings).layout == arguments[1]


def test_the_documentation_names_every_data_setting() -> None:
    text = (Path(__file__).resolve().parents[1] / "Documentation" / "preparing-data.md").read_text()
    missing = [field.name for field in fields(DataSettings) if f"`{field.name}`" not in text]
    assert missing in ([], ["store"])


def test_an_output_that_is_no_folder_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(PreparationError, match="cannot be written: .*Choose another"),
        one_writer(tmp_path / "file" / "out"),
    ):
        pass
