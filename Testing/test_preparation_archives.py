"""The public archives are found with exactly the folders and names that they are published with."""

from __future__ import annotations

from pathlib import Path

import pytest

from AnatoMaskGANLib.preparation.archives import (
    ARCHIVES,
    find_btcv,
    find_l2r_images,
    find_l2r_oasis,
    find_mm_whs,
)
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.volumes import load_label_table


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_oasis_takes_the_aligned_pair_of_each_session(tmp_path: Path) -> None:
    folder = tmp_path / "OASIS_OAS1_0001_MR1"
    for name in ("norm", "orig", "seg4", "seg35", "aligned_norm", "aligned_seg35", "slice_norm"):
        touch(folder / f"{name}.nii.gz")
    (case,) = find_l2r_oasis(tmp_path)
    assert case.image == folder / "aligned_norm.nii.gz"
    assert case.labels == folder / "aligned_seg35.nii.gz"
    assert (case.name, case.subject) == ("OASIS_OAS1_0001_MR1", "OAS1_0001")


def test_two_sessions_of_an_oasis_subject_are_one_subject(tmp_path: Path) -> None:
    for session in ("MR1", "MR2"):
        folder = tmp_path / "archive" / f"OASIS_OAS1_0061_{session}"
        touch(folder / "norm.nii.gz", folder / "seg35.nii.gz")
    cases = find_l2r_oasis(tmp_path)
    assert len(cases) == 2 and {case.subject for case in cases} == {"OAS1_0061"}
    assert cases[0].image.name == "norm.nii.gz" and cases[0].labels.name == "seg35.nii.gz"


def test_oasis_in_the_naming_of_learn2reg_is_found_too(tmp_path: Path) -> None:
    touch(tmp_path / "OASIS" / "imagesTr" / "OASIS_0001_0000.nii.gz")
    touch(tmp_path / "OASIS" / "labelsTr" / "OASIS_0001_0000.nii.gz")
    (case,) = find_l2r_oasis(tmp_path)
    assert case.name == "OASIS_0001" and case.labels is not None


@pytest.mark.parametrize("label_name", ["AbdomenCT_0001_0000.nii.gz", "AbdomenCT_0001.nii.gz"])
def test_abdomen_ct_pairs_images_and_labels_by_number(tmp_path: Path, label_name: str) -> None:
    touch(tmp_path / "imagesTr" / "AbdomenCT_0001_0000.nii.gz", tmp_path / "labelsTr" / label_name)
    touch(tmp_path / "imagesTs" / "AbdomenCT_0031_0000.nii.gz")
    touch(tmp_path / "masksTr" / "AbdomenCT_0001_0000.nii.gz")
    training, test = find_l2r_images(tmp_path)
    assert (training.name, training.labels.name) == ("AbdomenCT_0001", label_name)
    assert not training.is_test and test.is_test and test.labels is None


def test_the_hidden_companions_that_macos_packs_with_each_file_are_no_cases(tmp_path: Path) -> None:
    for name in ("AbdomenCT_0001_0000.nii.gz", "._AbdomenCT_0001_0000.nii.gz"):
        touch(tmp_path / "imagesTr" / name, tmp_path / "labelsTr" / name)
    assert [case.name for case in find_l2r_images(tmp_path)] == ["AbdomenCT_0001"]


def test_btcv_pairs_img_and_label_folders_and_knows_its_test_images(tmp_path: Path) -> None:
    training = tmp_path / "Abdomen" / "RawData" / "Training"
    touch(training / "img" / "img0001.nii.gz", training / "label" / "label0001.nii.gz")
    touch(training / "img" / "img0002.nii.gz")
    touch(tmp_path / "Abdomen" / "RawData" / "Testing" / "img" / "img0061.nii.gz")
    found = {case.name: case for case in find_btcv(tmp_path)}
    assert found["btcv-0001"].labels == training / "label" / "label0001.nii.gz"
    assert found["btcv-0002"].labels is None and not found["btcv-0002"].is_test
    assert found["btcv-0061"].is_test


def test_mm_whs_pairs_by_name_and_refuses_two_modalities_at_once(tmp_path: Path) -> None:
    ct = tmp_path / "ct_train"
    touch(ct / "ct_train_1001_image.nii.gz", ct / "ct_train_1001_label.nii.gz")
    touch(tmp_path / "ct_test" / "ct_test_2001_image.nii.gz")
    training, test = sorted(find_mm_whs(tmp_path), key=lambda case: case.is_test)
    assert training.labels.name == "ct_train_1001_label.nii.gz" and training.modality == "ct"
    assert test.is_test and test.labels is None
    touch(tmp_path / "mr_train" / "mr_train_1001_image.nii.gz")
    with pytest.raises(PreparationError, match="CT and MR.*such as ct_train"):
        find_mm_whs(tmp_path)


def test_every_archive_has_a_bundled_label_table() -> None:
    num_labels = {
        name: len(load_label_table(archive.table).labels) for name, archive in ARCHIVES.items()
    }
    assert num_labels == {"l2r-oasis": 35, "l2r-abdomen-ct": 13, "btcv": 13, "mm-whs": 7}
    assert set(load_label_table("mm-whs").labels) == {205, 420, 500, 550, 600, 820, 850}
