"""Cases of any folder: by patterns, by case folders, as DICOM series, with a mask file an organ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_archives

from AnatoMaskGANLib.preparation.archives import CaseFiles
from AnatoMaskGANLib.preparation.case_folders import (
    find_by_patterns,
    find_case_folders,
    neighbors_of_two_subjects,
    stem_of,
    subject_of,
    with_subject,
)
from AnatoMaskGANLib.preparation.settings import PreparationError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_case_folder_has_an_image_and_a_label_map_of_any_file_type(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "image.nii.gz", tmp_path / "a" / "seg.nrrd")
    touch(tmp_path / "b" / "CT.mha", tmp_path / "b" / "Segmentation.seg.nrrd")
    touch(tmp_path / "b" / "notes.txt")
    a, b = find_case_folders(tmp_path)
    assert (a.name, a.image.name, a.labels.name) == ("a", "image.nii.gz", "seg.nrrd")
    assert (b.image.name, b.labels.name) == ("CT.mha", "Segmentation.seg.nrrd")


def test_sessions_of_a_bids_subject_are_cases_of_one_subject(tmp_path: Path) -> None:
    for session in ("ses-1", "ses-2"):
        folder = tmp_path / "sub-01" / session
        touch(folder / "image.nii.gz", folder / "seg.nii.gz")
    cases = find_case_folders(tmp_path)
    assert [case.name for case in cases] == ["sub-01_ses-1", "sub-01_ses-2"]
    assert {case.subject for case in cases} == {"sub-01"}


def test_a_dicom_series_pairs_with_the_label_file_of_its_case_folder(tmp_path: Path) -> None:
    image = tiny_archives.image_of(tiny_archives.anatomy((1, 2)), -100, 100)
    tiny_archives.dicom_series(tmp_path / "inside" / "series", image, (1, 1, 2))
    touch(tmp_path / "inside" / "seg.nii.gz")
    tiny_archives.dicom_series(tmp_path / "beside", image, (1, 1, 2))
    touch(tmp_path / "beside" / "label.nii.gz")
    beside, inside = find_case_folders(tmp_path)
    assert inside.image == tmp_path / "inside" / "series"
    assert inside.labels == tmp_path / "inside" / "seg.nii.gz"
    assert beside.image == tmp_path / "beside" and beside.labels.name == "label.nii.gz"


def test_dicom_files_are_known_without_a_suffix(tmp_path: Path) -> None:
    image = tiny_archives.image_of(tiny_archives.anatomy((1, 2)), -100, 100)
    series = tmp_path / "case" / "IM"
    tiny_archives.dicom_series(series, image, (1, 1, 2))
    for file in list(series.iterdir()):
        file.rename(file.with_suffix(""))
    touch(tmp_path / "case" / "seg.nii.gz")
    (case,) = find_case_folders(tmp_path)
    assert case.image == series


def test_a_folder_of_masks_beside_the_image_is_its_label_map(tmp_path: Path) -> None:
    case = tmp_path / "s0011"
    touch(case / "ct.nii.gz", case / "segmentations" / "liver.nii.gz")
    touch(case / "segmentations" / "spleen.nii.gz")
    (found,) = find_case_folders(tmp_path)
    assert found.image == case / "ct.nii.gz" and found.labels == case / "segmentations"


def test_a_link_that_leads_back_up_is_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "image.nii.gz", tmp_path / "a" / "seg.nii.gz")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert [case.name for case in find_case_folders(tmp_path)] == ["a"]


def test_a_folder_with_two_images_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "image.nii.gz", tmp_path / "a" / "image.mha")
    with pytest.raises(PreparationError, match="image.mha and image.nii.gz; expected one image"):
        find_case_folders(tmp_path)


def test_patterns_pair_files_by_the_case_that_they_name(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "p1_ct.nii.gz", tmp_path / "images" / "p2_ct.nii.gz")
    touch(tmp_path / "labels" / "p1_seg.nrrd", tmp_path / "labels" / "p3_seg.nrrd")
    cases = find_by_patterns(tmp_path, "images/{case}_ct.nii.gz", "labels/{case}_seg.nrrd")
    assert [(case.name, bool(case.image), bool(case.labels)) for case in cases] == [
        ("p1", True, True),
        ("p2", True, False),
        ("p3", False, True),
    ]


def test_patterns_find_no_hidden_files(tmp_path: Path) -> None:
    touch(tmp_path / "p1.nii.gz", tmp_path / "._p1.nii.gz")
    (case,) = find_by_patterns(tmp_path, "{case}.nii.gz", None)
    assert case.name == "p1"


def test_patterns_may_name_the_subject_and_any_part_of_a_path(tmp_path: Path) -> None:
    touch(tmp_path / "site" / "anna" / "t1" / "anna-2.nii", tmp_path / "seg" / "anna-2.nii")
    (case,) = find_by_patterns(tmp_path, "**/{subject}/*/{case}.nii", "seg/{case}.nii")
    assert (case.name, case.subject) == ("anna-2", "anna")


def test_a_pattern_that_finds_two_files_for_a_case_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "x" / "1.nii", tmp_path / "y" / "1.nii")
    with pytest.raises(PreparationError, match="finds both .* for the case '1'"):
        find_by_patterns(tmp_path, "*/{case}.nii", None)


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("site1-sub-01_run-1", "sub-01"),
        ("site1/sub-01_run-2", "sub-01"),
        ("lesub-01", "lesub-01"),
        ("case1_deform3", "case1"),
        ("case1_deform12_seed7", "case1"),
        ("case1_deform1_seed0_deform2", "case1"),
        ("a/case1_deform1/t1", "a_case1_t1"),
        ("case1_deformed", "case1_deformed"),
    ],
)
def test_what_is_made_or_scanned_of_one_subject_is_its(name: str, subject: str) -> None:
    assert subject_of(name) == subject


def test_a_deformed_case_is_of_the_subject_that_it_was_made_of(tmp_path: Path) -> None:
    made = ("made/y/a_deform1", "made/b_deform1_seed2", "made/c_deform1", "made/z_deform1/a")
    for name in ("x/a", "y/a", "b", *made):
        touch(tmp_path / name / "image.nii.gz", tmp_path / name / "seg.nii.gz")
    cases = find_case_folders(tmp_path)
    assert {case.name: case.subject for case in cases} == {
        "b": "b",
        "x_a": "x_a",
        "y_a": "y_a",
        "made_y_a_deform1": "y_a",
        "made_b_deform1_seed2": "b",
        "made_c_deform1": "made_c",
        "made_z_deform1_a": "made_z_a",
    }
    assert neighbors_of_two_subjects(tmp_path, cases) is None


def test_case_folders_within_others_may_be_of_one_subject(tmp_path: Path) -> None:
    for name in ("patient1/visit1", "patient1/visit2", "patient2/visit1"):
        touch(tmp_path / name / "image.nii.gz", tmp_path / name / "seg.nii.gz")
    first, second = neighbors_of_two_subjects(tmp_path, find_case_folders(tmp_path))
    assert (first.name, second.name) == ("patient1_visit1", "patient1_visit2")
    # the one folder that holds all cases is nobody's
    assert neighbors_of_two_subjects(tmp_path / "patient1", [first, second]) is None
    assert neighbors_of_two_subjects(tmp_path, [first, second]) is None
    same = [replace(case, subject="patient1") for case in (first, second)]
    third = find_case_folders(tmp_path)[2]
    assert neighbors_of_two_subjects(tmp_path, [*same, third]) is None


def test_the_subject_comes_from_the_name_or_from_a_given_expression() -> None:
    case = CaseFiles("pat07_scan2", "pat07_scan2", None, None)
    assert subject_of("sub-03/ses-1") == "sub-03" and subject_of("case 7") == "case_7"
    assert with_subject(case, r"(pat\d+)_").subject == "pat07"
    assert with_subject(case, r"pat\d+").subject == "pat07"
    with pytest.raises(PreparationError, match="finds no subject in the case name 'pat07_scan2'"):
        with_subject(case, r"sub-\d+")
    with pytest.raises(PreparationError, match="not a valid regular expression"):
        with_subject(case, "(")


def test_the_stem_of_a_file_is_what_stands_before_its_type() -> None:
    names = ["Image.NII.gz", "x.seg.nrrd", "a.b.mha", "readme.txt"]
    assert [stem_of(Path(name)) for name in names] == ["image", "x", "a.b", ""]
    assert np.all([stem_of(Path(f"seg{suffix}")) == "seg" for suffix in (".nii", ".mhd")])


def test_a_pair_of_header_and_voxels_is_one_image(tmp_path: Path) -> None:
    touch(
        *(tmp_path / "a" / f"{stem}.{end}" for stem in ("image", "seg") for end in ("hdr", "img"))
    )
    (case,) = find_case_folders(tmp_path)
    assert (case.image.name, case.labels.name) == ("image.hdr", "seg.hdr")
