from __future__ import annotations

import os
from pathlib import Path

import pytest

from AnatoMaskGANLib.commands.result_files import (
    Job,
    make_folder,
    plan_deformed_jobs,
    plan_jobs,
    plan_segmentations,
    volume_stem,
)


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def targets(output: Path, *label_maps: Path, seeds: tuple[int, ...] = (0,)) -> list[str]:
    jobs = plan_jobs(label_maps, output, seeds)
    return [
        target.relative_to(output).as_posix() for job in jobs for target in job.targets.values()
    ]


def test_one_label_map_may_get_a_file_as_output(tmp_path: Path) -> None:
    output = tmp_path / "scan.nrrd"
    (job,) = plan_jobs([tmp_path / "seg.nii.gz"], output, [7])
    assert job.targets == {7: output}


@pytest.mark.parametrize(("num_label_maps", "num_seeds"), [(2, 1), (1, 2)])
def test_several_results_do_not_fit_in_one_file(
    tmp_path: Path, num_label_maps: int, num_seeds: int
) -> None:
    label_maps = [tmp_path / f"{number}.nii" for number in range(num_label_maps)]
    with pytest.raises(ValueError, match="Give a folder as output"):
        plan_jobs(label_maps, tmp_path / "scan.nrrd", range(num_seeds))


def test_a_folder_with_a_dot_in_its_name_is_a_folder(tmp_path: Path) -> None:
    output = tmp_path / "results.nii"
    output.mkdir()
    assert targets(output, tmp_path / "seg.nii") == ["seg_synthetic.nii"]


def test_results_keep_the_folders_below_the_one_that_all_label_maps_share(tmp_path: Path) -> None:
    label_maps = (tmp_path / "sub-01" / "seg.nii.gz", tmp_path / "sub-02" / "seg.nii.gz")
    assert targets(tmp_path / "out", *label_maps) == [
        "sub-01/seg_synthetic.nii.gz",
        "sub-02/seg_synthetic.nii.gz",
    ]


def test_several_samples_have_their_seed_in_the_name(tmp_path: Path) -> None:
    assert targets(tmp_path / "out", tmp_path / "a.mha", seeds=(3, 4)) == [
        "a_synthetic_seed3.mha",
        "a_synthetic_seed4.mha",
    ]


def test_the_result_of_a_segmentation_file_is_a_plain_volume_file(tmp_path: Path) -> None:
    assert targets(tmp_path / "out", tmp_path / "case.seg.nrrd") == ["case_synthetic.nrrd"]
    assert volume_stem(Path("case.v2.NII.GZ")) == "case.v2"


def test_two_results_never_share_a_file(tmp_path: Path) -> None:
    label_maps = [tmp_path / "case.seg.nrrd", tmp_path / "case.nrrd"]
    with pytest.raises(ValueError, match="would both be written"):
        plan_jobs(label_maps, tmp_path / "out", [0])


def test_a_result_never_replaces_a_label_map(tmp_path: Path) -> None:
    label_map = tmp_path / "seg.nii.gz"
    with pytest.raises(ValueError, match="would replace a label map"):
        plan_jobs([label_map], tmp_path / "x" / ".." / "seg.nii.gz", [0])


def test_a_result_never_replaces_a_label_map_through_a_link(tmp_path: Path) -> None:
    label_map, link = tmp_path / "in" / "seg.nii.gz", tmp_path / "in" / "link.nii.gz"
    touch(label_map)
    link.symlink_to(label_map.name)
    (tmp_path / "folder").symlink_to("in")
    for source, output in (
        (label_map, link),
        (link, label_map),
        (label_map, tmp_path / "folder" / "seg.nii.gz"),
        (tmp_path / "folder" / "link.nii.gz", label_map),
    ):
        with pytest.raises(ValueError, match="would replace a label map"):
            plan_jobs([source], output, [0])


def test_a_file_with_two_names_is_one_label_map(tmp_path: Path) -> None:
    label_map, other_name = tmp_path / "seg.nii.gz", tmp_path / "other.nii.gz"
    touch(label_map)
    os.link(label_map, other_name)
    with pytest.raises(ValueError, match="would replace a label map"):
        plan_jobs([label_map], other_name, [0])


def test_two_results_never_share_a_file_through_links(tmp_path: Path) -> None:
    label_maps = [tmp_path / "in" / name / "seg.nii.gz" for name in ("a", "b")]
    touch(*label_maps, tmp_path / "out" / "a" / "file")
    (tmp_path / "out" / "b").symlink_to("a")
    with pytest.raises(ValueError, match="would both be written"):
        plan_jobs(label_maps, tmp_path / "out", [0])
    (tmp_path / "out" / "b").unlink()
    assert targets(tmp_path / "out", *label_maps) == [
        "a/seg_synthetic.nii.gz",
        "b/seg_synthetic.nii.gz",
    ]


def test_label_maps_of_scans_keep_the_folders_of_the_scans(tmp_path: Path) -> None:
    scans = [tmp_path / "cases" / name / "image.nii.gz" for name in ("a", "b")]
    output = tmp_path / "out"
    assert plan_segmentations(scans, output) == {
        scans[0]: output / "a" / "image-seg.nii.gz",
        scans[1]: output / "b" / "image-seg.nii.gz",
    }
    scan = tmp_path / "q.nrrd"
    assert plan_segmentations([scan], output) == {scan: output / "q-seg.nii.gz"}


def test_the_label_map_of_a_dicom_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = tmp_path / "series"
    series.mkdir()
    monkeypatch.chdir(series)
    target = tmp_path / "out" / "series-seg.nii.gz"
    for scan in (series, Path(".")):
        assert plan_segmentations([scan], tmp_path / "out") == {scan: target}


def test_label_maps_of_scans_never_share_a_file_and_never_replace_a_scan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would both be written"):
        plan_segmentations([tmp_path / "q.nii.gz", tmp_path / "q.nrrd"], tmp_path / "out")
    with pytest.raises(ValueError, match="would replace a scan"):
        plan_segmentations([tmp_path / "q.nrrd", tmp_path / "q-seg.nii.gz"], tmp_path)


def test_the_result_of_a_file_type_that_cannot_be_written_is_nifti(tmp_path: Path) -> None:
    assert targets(tmp_path / "out", tmp_path / "aseg.mgz") == ["aseg_synthetic.nii.gz"]
    with pytest.raises(
        ValueError, match="its file type is not supported; expected a folder or a file"
    ):
        plan_jobs([tmp_path / "aseg.mgz"], tmp_path / "scan.mgz", [0])


@pytest.mark.parametrize("name", ["scan.png", "scan.nii.bz2", "scan.nii.gzip.zip"])
def test_the_name_of_another_file_is_no_folder(tmp_path: Path, name: str) -> None:
    output, label_maps = tmp_path / name, [tmp_path / "a.nii"]
    with pytest.raises(ValueError, match="cannot be written: its file type is not supported"):
        plan_jobs(label_maps, output, [0])
    with pytest.raises(ValueError, match="Give a folder as output"):
        plan_deformed_jobs(label_maps, output, 1, [0])
    with pytest.raises(ValueError, match="Give a folder as output"):
        plan_segmentations(label_maps, output)
    output.mkdir()
    assert targets(output, *label_maps) == ["a_synthetic.nii"]


def test_a_name_that_ends_in_dcm_is_one_series(tmp_path: Path) -> None:
    output, label_maps = tmp_path / "scan.DCM", [tmp_path / "a.nii"]
    for _ in range(2):
        assert plan_jobs(label_maps, output, [0]) == [Job(label_maps[0], {0: output})]
        with pytest.raises(ValueError, match="Give a folder as output"):
            plan_jobs(label_maps, output, [0, 1])
        with pytest.raises(ValueError, match="Give a folder as output"):
            plan_deformed_jobs(label_maps, output, 1, [0])
        output.mkdir(exist_ok=True)  # what a second run finds


@pytest.mark.parametrize("name", ["run.v2", "2026.11.21", "model.final", ".results"])
def test_a_folder_may_have_dots_in_its_name(tmp_path: Path, name: str) -> None:
    assert targets(tmp_path / name, tmp_path / "a.nii") == ["a_synthetic.nii"]


def test_a_volume_never_has_the_name_of_a_segmentation(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has the name of a segmentation"):
        plan_jobs([tmp_path / "a.nii"], tmp_path / "b.seg.nrrd", [0])


def test_a_folder_that_cannot_be_made_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file/out cannot be made: Not a directory"):
        make_folder(tmp_path / "file" / "out")


def test_a_folder_that_may_not_be_written_to_is_told_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="out cannot be written to. Choose another output"):
        make_folder(tmp_path / "out")
