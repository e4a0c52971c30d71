"""Slicer's segmentation files: names, terminology and layers of segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from AnatoMaskGANLib.volumes import LabelMap, VolumeError, read_label_map, write_label_map
from AnatoMaskGANLib.volumes.terminology import code_of_terminology_entry, is_code

CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
ANATOMY = "SCT^123037004^Anatomical Structure"
LEFT_KIDNEY = f"{CONTEXT}~{ANATOMY}~SCT^64033007^Kidney~SCT^7771000^Left~Anatomic codes~^^~^^"


def _segmentation(path: Path, array: np.ndarray, segments: list[dict[str, str]]) -> Path:
    """A .seg.nrrd as Slicer writes it: [K,J,I], or [K,J,I,layers]."""
    image = SimpleITK.GetImageFromArray(array, isVector=array.ndim == 4)
    for index, fields in enumerate(segments):
        for key, value in fields.items():
            image.SetMetaData(f"Segment{index}_{key}", value)
    SimpleITK.WriteImage(image, str(path))
    return path


def test_names_and_codes_of_segments_come_from_the_header(tmp_path: Path) -> None:
    array = np.array([[[0, 1, 5]]], np.uint8)
    segments = [
        {"ID": "Segment_1", "Name": "kidney", "LabelValue": "1", "Layer": "0",
         "Tags": f"Segmentation.Status:completed|TerminologyEntry:{LEFT_KIDNEY}|"},
        {"ID": "Segment_2", "Name": "my tumor", "LabelValue": "5", "Layer": "0",
         "Tags": f"TerminologyEntry:{CONTEXT}~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~~^^~^^|"},
    ]  # fmt: skip
    labels = read_label_map(_segmentation(tmp_path / "a.seg.nrrd", array, segments))
    assert labels.names == {1: "kidney", 5: "my tumor"}
    assert labels.codes == {1: "SCT:64033007+SCT:7771000", 5: "SCT:85756007"}


def test_layers_that_do_not_overlap_become_one_label_map(tmp_path: Path) -> None:
    # two layers in which the value 1 is used twice
    array = np.zeros((1, 1, 4, 2), np.uint8)
    array[0, 0, 0, 0], array[0, 0, 1, 0], array[0, 0, 2, 1] = 1, 2, 1
    segments = [
        {"Name": "a", "LabelValue": "1", "Layer": "0"},
        {"Name": "b", "LabelValue": "2", "Layer": "0"},
        {"Name": "c", "LabelValue": "1", "Layer": "1"},
    ]
    labels = read_label_map(_segmentation(tmp_path / "a.seg.nrrd", array, segments))
    assert labels.labels_kji.tolist() == [[[1, 2, 3, 0]]]
    assert labels.names == {1: "a", 2: "b", 3: "c"}


def test_segments_that_overlap_are_refused_by_name(tmp_path: Path) -> None:
    array = np.ones((1, 1, 4, 2), np.uint8)
    segments = [
        {"Name": "liver", "LabelValue": "1", "Layer": "0"},
        {"Name": "tumor", "LabelValue": "1", "Layer": "1"},
    ]
    path = _segmentation(tmp_path / "a.seg.nrrd", array, segments)
    with pytest.raises(VolumeError, match="'liver' and 'tumor' overlap in 4 or more voxels"):
        read_label_map(path)


def test_a_segment_in_a_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    segments = [{"Name": "liver", "LabelValue": "1", "Layer": "2"}]
    path = _segmentation(tmp_path / "a.seg.nrrd", np.ones((1, 1, 4, 2), np.uint8), segments)
    with pytest.raises(VolumeError, match="'liver' belongs to layer 2"):
        read_label_map(path)


def test_voxels_of_no_segment_are_refused_in_layers(tmp_path: Path) -> None:
    array = np.zeros((1, 1, 4, 2), np.uint8)
    array[0, 0, :, 0], array[0, 0, 3, 1] = [0, 1, 2, 0], 3
    segments = [{"Name": "a", "LabelValue": "1", "Layer": "0"}]
    path = _segmentation(tmp_path / "a.seg.nrrd", array, segments)
    with pytest.raises(
        VolumeError, match=r"layer 0 of .* 1 voxels have values that belong to no segment \(2"
    ):
        read_label_map(path)
    segments += [{"Name": "b", "LabelValue": "2.0", "Layer": "0"}]
    path = _segmentation(tmp_path / "a.seg.nrrd", array, segments)
    with pytest.raises(
        VolumeError, match=r"layer 0 of .* 1 voxels have values that belong to no segment \(2"
    ):
        read_label_map(path)
    segments[1]["LabelValue"] = "2"
    path = _segmentation(tmp_path / "a.seg.nrrd", array, segments)
    with pytest.raises(
        VolumeError, match=r"layer 1 of .* 1 voxels have values that belong to no segment \(3"
    ):
        read_label_map(path)


def test_a_segment_of_the_value_of_background_is_refused_in_layers(tmp_path: Path) -> None:
    segments = [{"Name": "a", "LabelValue": "0", "Layer": "0"}]
    path = _segmentation(tmp_path / "a.seg.nrrd", np.zeros((1, 1, 4, 2), np.uint8), segments)
    with pytest.raises(VolumeError, match="'a' with the label value 0, which is background"):
        read_label_map(path)


def _parts_in_two_layers(path: Path, last_value: int) -> Path:
    """Part 2 before part 1, and the third one in a layer of its own."""
    array = np.zeros((1, 1, 4, 2), np.uint8)
    array[0, 0, :, 0], array[0, 0, 3, 1] = [0, 2, 1, 0], last_value
    segments = [
        {"Name": "part 2", "LabelValue": "2", "Layer": "0"},
        {"Name": "part 1", "LabelValue": "1", "Layer": "0"},
        {"Name": "part 3", "LabelValue": str(last_value), "Layer": "1"},
    ]
    return _segmentation(path, array, segments)


def test_a_table_names_the_values_that_stand_in_the_layers(tmp_path: Path) -> None:
    path = _parts_in_two_layers(tmp_path / "a.seg.nrrd", 3)
    table = tmp_path / "table.json"
    table.write_text('{"1": "one", "2": "two", "3": "three"}')
    for read, names in (
        (read_label_map(path), {1: "part 1", 2: "part 2", 3: "part 3"}),
        (read_label_map(path, table), {1: "one", 2: "two", 3: "three"}),
    ):
        assert read.labels_kji.tolist() == [[[0, 2, 1, 3]]]
        assert read.names == names


def test_a_table_cannot_name_values_that_two_layers_share(tmp_path: Path) -> None:
    path = _parts_in_two_layers(tmp_path / "a.seg.nrrd", 1)
    assert sorted(read_label_map(path).names.values()) == ["part 1", "part 2", "part 3"]
    (tmp_path / "table.json").write_text('{"1": "one", "2": "two"}')
    with pytest.raises(
        VolumeError, match="the same label value in different layers, which .*table.js"
    ):
        read_label_map(path, tmp_path / "table.json")


@pytest.mark.parametrize("num_layers", [1, 2])
def test_two_segments_of_one_layer_and_value_are_refused(tmp_path: Path, num_layers: int) -> None:
    array = np.ones((1, 1, 4) if num_layers == 1 else (1, 1, 4, num_layers), np.uint8)
    segments = [
        {"Name": "liver", "LabelValue": "1", "Layer": "0"},
        {"Name": "spleen", "LabelValue": "1", "Layer": "0"},
    ]
    path = _segmentation(tmp_path / "a.seg.nrrd", array, segments)
    with pytest.raises(
        VolumeError, match="'liver' and 'spleen' with the same label value, 1, in the same"
    ):
        read_label_map(path)


def test_without_keys_each_segment_has_a_layer_as_in_old_files_of_slicer(tmp_path: Path) -> None:
    array = np.zeros((1, 1, 4, 2), np.uint8)
    array[0, 0, 1, 0] = array[0, 0, 2, 1] = 1
    path = _segmentation(tmp_path / "a.seg.nrrd", array, [{"Name": "a"}, {"Name": "b"}])
    read = read_label_map(path)
    assert read.labels_kji.tolist() == [[[0, 1, 2, 0]]]
    assert read.names == {1: "a", 2: "b"}


def test_what_is_written_has_the_keys_of_slicer(tmp_path: Path) -> None:
    labels = LabelMap(
        np.array([[[0, 2]]], np.uint8), np.eye(4), {2: "kidney"}, {2: "SCT:64033007+SCT:7771000"}
    )
    write_label_map(labels, tmp_path / "a.seg.nrrd")
    image = SimpleITK.ReadImage(str(tmp_path / "a.seg.nrrd"))
    assert image.GetMetaData("Segment0_Name") == "kidney"
    assert image.GetMetaData("Segment0_LabelValue") == "2"
    entry = image.GetMetaData("Segment0_Tags").removeprefix("TerminologyEntry:").rstrip("|")
    assert code_of_terminology_entry(entry) == "SCT:64033007+SCT:7771000"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (LEFT_KIDNEY, "SCT:64033007+SCT:7771000"),
        (f"{CONTEXT}~{ANATOMY}~SCT^10200004^Liver~^^~~^^~^^", "SCT:10200004"),
        # a region says what a tissue is
        ("c~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~r~SCT^10200004^Liver~^^", "SCT:10200004"),
        # but a mass in the liver is no liver
        ("c~SCT^49755003^Abnormal~SCT^4147007^Mass~^^~r~SCT^10200004^Liver~^^", "SCT:4147007"),
        ("", ""),
        ("~~~~", ""),
        ("no entry at all", ""),
    ],
)
def test_the_code_of_an_entry_is_that_of_the_structure(entry: str, code: str) -> None:
    assert code_of_terminology_entry(entry) == code


def test_codes_have_one_spelling() -> None:
    assert is_code("SCT:10200004") and is_code("DCM:110700+SCT:7771000")
    assert not any(map(is_code, ["", "10200004", "SCT:", "SCT:1 2", "SCT:1+", "SCT:1+2"]))
