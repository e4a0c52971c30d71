from __future__ import annotations

from pathlib import Path

import pytest

from AnatoMaskGANLib.commands.input_files import find_label_maps
from AnatoMaskGANLib.commands.manifest import Manifest
from AnatoMaskGANLib.commands.shards import Shard


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_a_folder_stands_for_its_seg_files_and_not_for_the_scans_beside_them(
    tmp_path: Path,
) -> None:
    wanted = [tmp_path / "sub-01" / "seg.nii.gz", tmp_path / "sub-02" / "deep" / "seg.nrrd"]
    touch(*wanted, tmp_path / "sub-01" / "image.nii.gz", tmp_path / "labels.json")
    assert find_label_maps([tmp_path], tmp_path / "out") == wanted


def test_a_folder_without_seg_files_stands_for_all_its_volume_files(tmp_path: Path) -> None:
    wanted = [tmp_path / "a.nrrd", tmp_path / "b.MHA"]
    touch(*wanted, tmp_path / "notes.txt", tmp_path / "slice.dcm")
    assert find_label_maps([tmp_path], tmp_path / "out") == wanted


def test_a_folder_stands_for_cases_behind_links_and_not_for_hidden_ones(tmp_path: Path) -> None:
    wanted = [tmp_path / "in" / "a" / "seg.nii.gz", tmp_path / "in" / "x" / "seg.nii.gz"]
    touch(tmp_path / "case" / "seg.nii.gz", wanted[1], tmp_path / "in" / ".hidden" / "seg.nii.gz")
    wanted[0].parent.symlink_to(tmp_path / "case")
    assert find_label_maps([tmp_path / "in"], tmp_path / "out") == wanted


def test_a_file_that_is_named_twice_is_used_once_and_a_missing_one_is_kept(tmp_path: Path) -> None:
    file, missing = tmp_path / "a.nii", tmp_path / "missing.nii"
    touch(file)
    assert find_label_maps([file, tmp_path, missing, file], tmp_path / "out") == [file, missing]


def test_a_folder_without_any_volume_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains no volume file"):
        find_label_maps([tmp_path], tmp_path / "out")


def test_what_lies_in_an_output_folder_below_the_input_is_no_label_map(
    tmp_path: Path,
) -> None:
    wanted = [tmp_path / "in" / "a.nii.gz", tmp_path / "in" / "b.nii.gz"]
    touch(*wanted, tmp_path / "in" / "more" / "a_deform1" / "seg.nii.gz")
    assert find_label_maps([tmp_path / "in"], tmp_path / "in" / "more") == wanted
    (tmp_path / "link").symlink_to(tmp_path / "in" / "more")
    assert find_label_maps([tmp_path / "in"], tmp_path / "link") == wanted
    assert find_label_maps([tmp_path / "in" / "more"], tmp_path / "out") == [
        tmp_path / "in" / "more" / "a_deform1" / "seg.nii.gz"
    ]


@pytest.mark.parametrize("output", [".", "in"])
def test_what_the_manifest_of_the_inputs_folder_names_is_no_label_map(
    tmp_path: Path, output: str
) -> None:
    a, made = (tmp_path / "in" / name for name in ("a.nii.gz", "a_synthetic.nii.gz"))
    case = tmp_path / "in" / "a_deform1"
    touch(a, made, case / "image.nii.gz")
    manifest = Manifest(tmp_path / output, Shard())
    manifest.add_done(made, {"deformation": None}, {made: "of no account here"})
    manifest.add_failed(case / "image.nii.gz", {"deformation": 1}, "full disk")
    assert find_label_maps([tmp_path / "in"], tmp_path / output) == [a]
    touch(case / "seg.nii.gz")
    assert find_label_maps([tmp_path / "in"], tmp_path / output, deforms=True) == [a]
    assert find_label_maps([tmp_path / "in"], tmp_path / output) == [case / "seg.nii.gz"]


def test_a_folder_with_results_only_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "out" / "seg_synthetic.nii.gz")
    with pytest.raises(ValueError, match="results in the output folder are not counted"):
        find_label_maps([tmp_path], tmp_path / "out")


def test_what_slicer_saves_of_a_patient_is_one_label_map(tmp_path: Path) -> None:
    touch(*(tmp_path / "p1" / name for name in ("MRHead.nrrd", "MRHead.seg.nrrd", "scene.mrml")))
    assert find_label_maps([tmp_path], tmp_path / "out") == [tmp_path / "p1" / "MRHead.seg.nrrd"]


def test_names_that_end_like_a_segmentation_leave_the_scans_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = [tmp_path / "MRHead-label.nrrd", tmp_path / "sub-01_dseg.nii.gz"]
    touch(*wanted, tmp_path / "MRHead.nrrd", tmp_path / "sub-01_T1w.nii.gz")
    with caplog.at_level("INFO"):
        assert find_label_maps([tmp_path], tmp_path / "out") == wanted
    assert "2 others are left out" in caplog.text


def test_a_folder_of_masks_is_one_label_map(tmp_path: Path) -> None:
    touch(*(tmp_path / "s1" / "segmentations" / f"{n}.nii.gz" for n in ("liver", "spleen")))
    touch(tmp_path / "s1" / "ct.nii.gz")
    found = find_label_maps([tmp_path], tmp_path / "out")
    assert found == [tmp_path / "s1" / "ct.nii.gz", tmp_path / "s1" / "segmentations"]
    assert find_label_maps([found[1]], tmp_path / "out") == [found[1]]


def test_a_pair_is_there_once(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.hdr", "a.img", "b.hdr", "b.img.gz")))
    assert find_label_maps([tmp_path], tmp_path / "out") == [tmp_path / "a.hdr", tmp_path / "b.hdr"]
