"""The files in which programs keep the names of label values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from AnatoMaskGANLib.volumes import VolumeError, label_name_tables
from AnatoMaskGANLib.volumes.label_name_tables import read_name_table

LIVER = {1: "liver"}
BOTH = {1: "liver", 20: "left kidney"}


@pytest.mark.parametrize(
    "content",
    [
        {"1": "liver", "20": "left kidney"},
        {"liver": 1, "left kidney": 20},
        {"0": "background", "1": "liver", "20": "left kidney"},
        {"labels": {"background": 0, "liver": 1, "left kidney": 20}, "file_ending": ".nii.gz"},
        {"labels": {"liver": [1], "left kidney": 20, "both": [1, 20]}},
        {"1": {"name": "liver", "color": [1, 2, 3]}, "20": {"name": "left kidney"}},
        [{"value": 1, "name": "liver"}, {"value": 20, "name": "left kidney"}],
        [{"labels": [{"value": 1, "name": "liver"}, {"value": 20, "name": "left kidney"}]}],
        {
            "segmentAttributes": [
                [{"labelID": 1, "SegmentLabel": "liver"}],
                [{"labelID": 20, "SegmentDescription": "left kidney"}],
            ]
        },
    ],
    ids=["by value", "by name", "v1", "nnU-Net", "regions", "objects", "list", "MITK", "dcmqi"],
)
def test_json_names_values_in_every_form(tmp_path: Path, content: object) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps(content))
    assert read_name_table(path) == BOTH


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "LUT.txt",
            "#No. Label Name: R G B A\n\n0 Unknown 0 0 0 0\n1 liver 1 2 3 0\n"
            "20 left kidney 4 5 6 0\n",
        ),
        (
            "a.ctbl",
            "# Color table\n0 Background 0 0 0 0\n1 liver 9 9 9 255\n20 left kidney 9 9 9 255\n",
        ),
        (
            "snap.txt",
            '# ITK-SnAP\n 0 0 0 0 0 0 0 "Clear Label"\n 1 9 9 9 1 1 1 "liver"\n'
            ' 20 1 1 1 0.5 1 1 "left kidney"\n',
        ),
        (
            "a_dseg.tsv",
            "index\tname\tcolor\n0\tbackground\t#0\n1\tliver\t#1\n20\tleft kidney\t#2\n",
        ),
        ("a.csv", 'LabelValue,Name,Color_R\n1,liver,5\n20,"left kidney",5\n'),
        ("b.csv", "Structure;Label ID\nliver;1\nleft kidney;20\n"),
        ("wb.txt", "liver\n1 255 0 0 255\nleft kidney\n20 0 255 0 255\n"),
        ("plain.txt", "1: liver\n20: left kidney\n"),
    ],
)
def test_tables_of_text_name_values(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert read_name_table(path) == BOTH


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_byte_order_mark_is_no_part_of_the_names(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "names.json"
    path.write_text('{"1": "liver"}', encoding=encoding)
    assert read_name_table(path) == LIVER


def test_a_table_in_latin_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ctbl"
    path.write_bytes("1 Müller 1 2 3 255\n".encode("latin-1"))
    assert read_name_table(path) == {1: "Müller"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "not json", "cannot be read"),
        ("a.json", "5", "hold a int"),
        ("a.json", '["liver"]', "expected an object with a whole number and a name"),
        ("a.json", '{"1": 5}', "expected a whole number and a name"),
        ("a.json", '{"a": 1, "b": 1}', "call the value 1 both 'a' and 'b'"),
        ("a.txt", "nothing in here\n", "no line with a value and a name"),
    ],
)
def test_what_names_nothing_is_refused_in_words(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(VolumeError, match=words):
        read_name_table(path)


def test_a_file_that_is_no_table_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_name_tables, "_LARGEST_FILE", 10)
    (tmp_path / "a.txt").write_text("1 liver 0 0 0 0\n")
    with pytest.raises(VolumeError, match="larger than any table"):
        read_name_table(tmp_path / "a.txt")


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="cannot be read"):
        read_name_table(tmp_path / "none.txt")
