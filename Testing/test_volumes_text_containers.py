"""NRRD and MetaImage files as people have them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from AnatoMaskGANLib.volumes import VolumeError, read_label_map
from AnatoMaskGANLib.volumes.mitk_labels import names_of_mitk
from AnatoMaskGANLib.volumes.nrrd_space import place_in_nrrd_space

LABELS = np.zeros((6, 5, 4), np.uint8)
LABELS[2:4, 1:3, 1] = 13
METAIMAGE = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = True
{more}TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1 1 1
DimSize = 4 5 6
ElementType = MET_UCHAR
ElementDataFile = {data}
"""


def _metaimage(folder: Path, size: int | None, data: str = "LOCAL") -> Path:
    packed = zlib.compress(LABELS.tobytes())
    more = "" if size is None else f"CompressedDataSize = {len(packed) + size}\n"
    header = METAIMAGE.format(more=more, data=data).encode()
    path = folder / ("a.mha" if data == "LOCAL" else "a.mhd")
    path.write_bytes(header + (packed if data == "LOCAL" else b""))
    if data != "LOCAL":
        (folder / data).write_bytes(packed)
    return path


def test_packed_voxels_behind_a_header_need_their_size(tmp_path: Path) -> None:
    assert np.array_equal(read_label_map(_metaimage(tmp_path, 0)).labels_kji, LABELS)
    with pytest.raises(VolumeError, match="no CompressedDataSize"):
        read_label_map(_metaimage(tmp_path, None))


def test_a_size_that_cuts_packed_voxels_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="cannot be read"):
        read_label_map(_metaimage(tmp_path, -5))


def test_packed_voxels_in_a_file_of_their_own_need_no_size(tmp_path: Path) -> None:
    path = _metaimage(tmp_path, None, "a.zraw")
    assert np.array_equal(read_label_map(path).labels_kji, LABELS)


def test_a_skip_before_too_few_voxels_is_refused(tmp_path: Path) -> None:
    header = METAIMAGE.replace("CompressedData = True\n", "HeaderSize = 50\n")
    path = tmp_path / "a.mhd"
    path.write_text(header.format(more="", data="a.raw"))
    (tmp_path / "a.raw").write_bytes(LABELS.tobytes())
    with pytest.raises(VolumeError, match="header promises"):
        read_label_map(path)


def _nrrd(folder: Path, space: str, directions: str, origin: str) -> Path:
    path = folder / f"{space}.nrrd"
    header = (
        f"NRRD0004\ntype: unsigned char\ndimension: 3\nspace: {space}\nsizes: 4 5 6\n"
        f"space directions: {directions}\nkinds: domain domain domain\nencoding: raw\n"
        f"space origin: {origin}\n\n"
    )
    path.write_bytes(header.encode() + LABELS.tobytes())
    return path


@pytest.mark.parametrize("space", ["left-anterior-superior", "LAS"])
def test_the_place_in_las_is_that_of_the_header(tmp_path: Path, space: str) -> None:
    path = _nrrd(tmp_path, space, "(2,0,0) (0,3,0) (0,0,4)", "(10,20,30)")
    expected = np.diag([-2.0, 3, 4, 1])
    expected[:3, 3] = (-10, 20, 30)
    assert np.allclose(read_label_map(path).ijk_to_ras, expected)
    wrong = np.diag([2.0, -3, 4, 1])  # as SimpleITK before 2.5.6 has it
    assert np.allclose(place_in_nrrd_space(path, wrong), expected)


def test_other_spaces_are_left_to_the_library(tmp_path: Path) -> None:
    path = _nrrd(tmp_path, "left-posterior-superior", "(2,0,0) (0,3,0) (0,0,4)", "(10,20,30)")
    place = np.diag([5.0, 5, 5, 1])
    assert place_in_nrrd_space(path, place) is place


@pytest.mark.parametrize("directions", ["(2,0,0) (0,3,0)", "(2,0,0) (0,x,0) (0,0,4)"])
def test_a_place_without_three_vectors_is_refused(tmp_path: Path, directions: str) -> None:
    path = _nrrd(tmp_path, "las", directions, "(10,20,30)")
    with pytest.raises(VolumeError, match="expected three vectors and one"):
        place_in_nrrd_space(path, np.eye(4))


GROUPS = json.dumps([{"labels": [{"value": 13, "name": "liver"}]}])


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ({"org.mitk.multilabel.segmentation.labelgroups": GROUPS}, {13: "liver"}),
        ({"org_mitk_multilabel_segmentation_labelgroups": GROUPS}, {13: "liver"}),
        ({"layer_000": '<Layer><Label name="liver" value="13"/></Layer>'}, {13: "liver"}),
        (
            {
                "layer_000": '<Layer><Label><property key="name"><string value="liver"/></property>'
                '<property key="value"><int value="13"/></property></Label></Layer>'
            },
            {13: "liver"},
        ),
        ({"org.mitk.multilabel.segmentation.labelgroups": "[{}, {}]"}, {}),
        ({"org.mitk.multilabel.segmentation.labelgroups": "["}, {}),
        ({"layer_000": "<Layer>"}, {}),
        ({"layer_000": "<!DOCTYPE a><Layer/>"}, {}),
        ({"layers": "1"}, {}),
    ],
)
def test_names_of_mitk_are_read(header: dict[str, str], names: dict[int, str]) -> None:
    assert names_of_mitk(Path("a.nrrd"), header) == names


def test_names_of_mitk_reach_the_label_map(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(LABELS)
    image.SetMetaData("org.mitk.multilabel.segmentation.labelgroups", GROUPS)
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"))
    assert read_label_map(tmp_path / "a.nrrd").names == {13: "liver"}
