"""The file that names a label map's values is found where programs leave it."""

from __future__ import annotations

from pathlib import Path

import pytest

from AnatoMaskGANLib.volumes.label_names import names_file_beside, stem_of_volume

JSON = '{"1": "liver"}'
TSV = "index\tname\n1\tliver\n"


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("case/labels.json", JSON),
        ("labels.json", JSON),
        ("dataset.json", '{"labels": {"background": 0, "liver": 1}}'),
        ("case/label_dict.json", '{"liver": 1}'),
        ("case/FreeSurferColorLUT.txt", "1 liver 0 0 0 0\n"),
        ("case/sub-01_dseg.tsv", TSV),
        ("case/sub-01_dseg.ctbl", "1 liver 0 0 0 255\n"),
        ("case/sub-01_ColorTable.csv", "LabelValue,Name\n1,liver\n"),
        ("case/sub-01.ctbl", "1 liver 0 0 0 255\n"),
        ("case/dseg.tsv", TSV),
    ],
)
def test_a_table_beside_or_above_is_found(tmp_path: Path, table: str, text: str) -> None:
    seg = tmp_path / "case" / "sub-01_dseg.nii.gz"
    seg.parent.mkdir()
    (tmp_path / table).write_text(text)
    assert names_file_beside(seg) == tmp_path / table


def test_a_bids_table_counts_for_the_files_below_that_have_its_entities(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    for name in ("desc-aseg_dseg.tsv", "desc-aparcaseg_dseg.tsv"):
        (tmp_path / name).write_text(TSV)
    folder = tmp_path / "sub-01" / "ses-1" / "anat"
    folder.mkdir(parents=True)
    aseg = folder / "sub-01_ses-1_desc-aseg_dseg.nii.gz"
    assert names_file_beside(aseg) == tmp_path / "desc-aseg_dseg.tsv"
    assert names_file_beside(folder / "sub-01_ses-1_dseg.nii.gz") is None


def test_beside_a_link_comes_before_beside_what_it_leads_to(tmp_path: Path) -> None:
    store, case = tmp_path / "store" / "key", tmp_path / "data" / "case"
    for folder in (store, case):
        folder.mkdir(parents=True)
        (folder / "labels.json").write_text(JSON)
    (store / "key.nii.gz").write_bytes(b"")
    (case / "seg.nii.gz").symlink_to(store / "key.nii.gz")
    assert names_file_beside(case / "seg.nii.gz") == case / "labels.json"
    (case / "labels.json").unlink()
    assert names_file_beside(case / "seg.nii.gz") == store / "labels.json"


def test_a_file_of_another_program_is_passed_over_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dataset.json").write_text('{"numTraining": 5, "channel_names": {"0": "CT"}}')
    assert names_file_beside(tmp_path / "seg.nii.gz") is None
    assert "passed over" in caplog.text and "dataset.json" in caplog.text


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.b.nii.gz", "a.b"), ("x.seg.nrrd", "x"), ("x.HDR", "x"), ("notes.txt", "notes.txt")],
)
def test_a_stem_is_the_name_without_the_format(name: str, stem: str) -> None:
    assert stem_of_volume(name) == stem
