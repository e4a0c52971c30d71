"""DICOM segmentation objects are label maps: by segment, with names, codes and their place."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from AnatoMaskGANLib.volumes import LabelMap, VolumeError, read_label_map, read_volume
from AnatoMaskGANLib.volumes.dicom.files import is_segmentation_file
from Testing.dicom_objects import code, ct_slices, item, ras_of, segmentation, write_all

SHAPE = (5, 6, 8)


def _labels() -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:3, 1:4, 1:5] = 1
    labels[3:5, 2:5, 4:8] = 2
    return labels


def _sparse_frames(labels: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """Frames of all slices that a segment has, from the last to the first."""
    wanted = [(segment, k) for segment in (1, 2) for k in reversed(range(len(labels)))]
    frames = [(segment, k, labels[k] == segment) for segment, k in wanted]
    return [frame for frame in frames if frame[2].any()]


def _read(tmp_path: Path, data_set) -> LabelMap:
    data_set.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    return read_label_map(tmp_path / "seg.dcm")


def _refused(tmp_path: Path, data_set, match: str) -> None:
    with pytest.raises(VolumeError, match=match):
        _read(tmp_path, data_set)


def _lies_as_made(label_map: LabelMap, first_slice: int) -> bool:
    voxels = [(0, 0, 0), (7, 5, 0), (3, 2, 2)]
    return all(
        np.allclose(
            (label_map.ijk_to_ras @ (i, j, k, 1))[:3], ras_of(i, j, k + first_slice), atol=1e-4
        )
        for i, j, k in voxels
    )


def test_sparse_binary_segments_in_any_order_are_one_label_map_in_its_place(tmp_path: Path) -> None:
    label_map = _read(tmp_path, segmentation(_sparse_frames(_labels())))
    assert np.array_equal(label_map.labels_kji, _labels()[1:])
    assert _lies_as_made(label_map, 1)
    assert label_map.names == {1: "Left kidney", 2: "spleen"}
    # SNOMED's old code T-C3000 is today's 78961009
    assert label_map.codes == {1: "SCT:64033007+SCT:7771000", 2: "SCT:78961009"}


def test_names_that_are_given_name_the_segments_by_their_numbers(tmp_path: Path) -> None:
    segmentation(_sparse_frames(_labels())).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    label_map = read_label_map(tmp_path / "a.dcm", {1: "right kidney"})
    assert label_map.names == {1: "right kidney"} and label_map.codes == {}


def test_a_slice_between_without_any_frame_is_empty(tmp_path: Path) -> None:
    labels = _labels()
    labels[2] = 0
    label_map = _read(tmp_path, segmentation(_sparse_frames(labels)))
    assert np.array_equal(label_map.labels_kji, labels[1:])
    assert _lies_as_made(label_map, 1)


def test_without_a_spacing_in_the_file_the_smallest_gap_is_taken(tmp_path: Path) -> None:
    made = segmentation(_sparse_frames(_labels()))
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    del measures.SpacingBetweenSlices, measures.SliceThickness
    label_map = _read(tmp_path, made)
    assert np.array_equal(label_map.labels_kji, _labels()[1:])
    assert _lies_as_made(label_map, 1)


def test_a_fractional_voxel_belongs_to_the_largest_fraction_of_at_least_one_half(
    tmp_path: Path,
) -> None:
    one, two = np.zeros((2, 6, 8), dtype=np.uint8)
    one[0, :4] = (0, 99, 100, 200)
    two[0, :4] = (100, 150, 99, 0)
    label_map = _read(tmp_path, segmentation([(1, 0, one), (2, 0, two)], "FRACTIONAL"))
    assert label_map.labels_kji[0, 0, :5].tolist() == [2, 2, 1, 1, 0]


@pytest.mark.parametrize("packing", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_what_highdicom_writes_is_read_as_it_was(tmp_path: Path, kind: str, packing: str) -> None:
    if kind == "BINARY" and packing != ExplicitVRLittleEndian:
        pytest.skip("highdicom does not pack single bits in this way")
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=concept,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name, concept in ((1, "kidney", codes.SCT.Kidney), (2, "s", codes.SCT.Spleen))
    ]
    labels = _labels()
    pixels = labels
    if kind == "FRACTIONAL":
        pixels = np.stack([labels == 1, labels == 2], axis=-1).astype(np.float32)
    written = hd.seg.Segmentation(
        source_images=ct_slices(np.zeros(SHAPE)),
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=hd.UID(),
        series_number=2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=False,
        transfer_syntax_uid=packing,
    )
    written.save_as(tmp_path / "seg.dcm")
    label_map = read_label_map(tmp_path / "seg.dcm")
    assert np.array_equal(label_map.labels_kji, labels)
    assert label_map.names == {1: "kidney", 2: "s"}
    assert label_map.codes == {1: "SCT:64033007", 2: "SCT:78961009"}
    # highdicom's own reading of the place, in LPS and with the order of axes k, j, i
    volume = hd.seg.segread(tmp_path / "seg.dcm").get_volume(combine_segments=True)
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    for k, j, i in [(0, 0, 0), (4, 5, 7)]:
        ours = label_map.ijk_to_ras @ (i, j, k, 1)
        first, last = to_ras @ (k, j, i, 1), to_ras @ (4 - k, j, i, 1)
        assert np.allclose(ours, first, atol=1e-3) or np.allclose(ours, last, atol=1e-3)
        assert np.allclose(ours[:3], ras_of(i, j, k), atol=1e-3)


def test_a_generic_tissue_stands_back_behind_its_region(tmp_path: Path) -> None:
    made = segmentation(_sparse_frames(_labels()))
    first, second = made.SegmentSequence
    for segment in (first, second):
        segment.SegmentedPropertyTypeCodeSequence = code("85756007", "SCT", "Tissue")
    side = code("24028007", "SCT", "Right")
    first.AnatomicRegionSequence = code(
        "64033007", "SCT", "Kidney", AnatomicRegionModifierSequence=side
    )
    label_map = _read(tmp_path, made)
    assert label_map.codes == {1: "SCT:64033007+SCT:24028007"}


def test_a_segment_without_a_label_is_called_by_its_description_or_code(tmp_path: Path) -> None:
    made = segmentation(_sparse_frames(_labels()))
    first, second = made.SegmentSequence
    del second.SegmentLabel
    first.SegmentLabel, first.SegmentDescription = "", "the left one"
    assert _read(tmp_path, made).names == {1: "the left one", 2: "Spleen"}


def test_padding_and_background_of_a_label_map_object_are_no_labels(tmp_path: Path) -> None:
    labels = _labels()
    labels[0, 0, 0] = 255
    frames = [(0, k, labels[k]) for k in range(5)]
    made = segmentation(frames, "LABELMAP", PixelPaddingValue=255)
    made.SegmentSequence.append(item(SegmentNumber=0, SegmentLabel="Background"))
    label_map = _read(tmp_path, made)
    assert label_map.values == (1, 2) and set(label_map.names) == {1, 2}


def test_a_rim_that_segments_share_belongs_to_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = np.zeros((2, 40, 40), dtype=bool)
    one[:20], two[20:] = True, True
    two[19, 0] = True
    label_map = _read(tmp_path, segmentation([(1, 0, one), (2, 0, two)]))
    assert label_map.labels_kji[0, 19, 0] == 1
    assert "1 voxels of segment 2 belong to segment 1 as well" in caplog.text


def test_segments_that_overlap_much_are_refused(tmp_path: Path) -> None:
    frame = np.ones((6, 8), dtype=bool)
    made = segmentation([(1, 0, frame), (2, 0, frame)])
    _refused(tmp_path, made, "the segments 1 and 2 overlap in 48 voxels; expected one label")


def test_a_segmentation_object_is_no_scan(tmp_path: Path) -> None:
    segmentation(_sparse_frames(_labels())).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(VolumeError, match="is a DICOM segmentation object; expected a scan"):
        read_volume(tmp_path / "a.dcm")


def test_a_folder_with_the_one_object_is_read_as_it(tmp_path: Path) -> None:
    write_all([segmentation(_sparse_frames(_labels()))], tmp_path / "seg")
    assert read_label_map(tmp_path / "seg").values == (1, 2)


def test_a_folder_with_objects_among_other_files_is_refused(tmp_path: Path) -> None:
    objects = [segmentation(_sparse_frames(_labels())) for _ in range(2)]
    write_all([*objects, *ct_slices(np.zeros((1, 6, 8)))], tmp_path)
    with pytest.raises(VolumeError, match="holds 3 DICOM files, among them .* 002.dcm, 003.dcm"):
        read_label_map(tmp_path)


def test_files_without_a_suffix_are_known_by_their_content(tmp_path: Path) -> None:
    segmentation(_sparse_frames(_labels())).save_as(tmp_path / "IM_1.7", enforce_file_format=True)
    assert read_label_map(tmp_path / "IM_1.7").values == (1, 2)
    ct_slices(np.full((1, 4, 4), 7))[0].save_as(tmp_path / "IM2", enforce_file_format=True)
    assert np.array_equal(read_volume(tmp_path / "IM2").voxels_kji, np.full((1, 4, 4), 7))
    (tmp_path / "IM3").write_bytes(bytes(200))
    with pytest.raises(VolumeError, match="IM3 cannot be read: its file type is not supported"):
        read_volume(tmp_path / "IM3")


def test_segmentation_objects_are_told_from_other_files(tmp_path: Path) -> None:
    write_all([segmentation(_sparse_frames(_labels()))], tmp_path / "seg")
    write_all(ct_slices(np.zeros((1, 4, 4))), tmp_path / "ct")
    (tmp_path / "torn.dcm").write_bytes(b"\0" * 128 + b"DICMx")
    files = [tmp_path / "seg" / "001.dcm", tmp_path / "ct" / "001.dcm", tmp_path / "torn.dcm"]
    assert list(map(is_segmentation_file, files)) == [True, False, False]


def test_what_is_no_segmentation_of_voxels_is_refused_with_what_to_do(tmp_path: Path) -> None:
    made = segmentation(_sparse_frames(_labels()))
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    _refused(tmp_path, made, "is an RT structure set, which holds contours.*SlicerRT")
    with pytest.raises(VolumeError, match="RT structure set"):
        read_label_map(tmp_path)


def _frame_of(data_set, number: int):
    return data_set.PerFrameFunctionalGroupsSequence[number]


def test_frames_that_lie_on_no_grid_are_refused(tmp_path: Path) -> None:
    made = segmentation(_sparse_frames(_labels()))
    del _frame_of(made, 2).PlanePositionSequence
    _refused(tmp_path, made, "Frame 3 of .* does not say its ImagePositionPatient; expected 3")

    made = segmentation(_sparse_frames(_labels()))
    turned = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    _frame_of(made, 1).PlaneOrientationSequence = [turned]
    _refused(tmp_path, made, "has frames with different ImageOrientationPatient")

    made = segmentation(_sparse_frames(_labels()))
    shared = made.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 1, 0, 0]
    _refused(tmp_path, made, "expected two perpendicular directions")

    made = segmentation(_sparse_frames(_labels()))
    shared = made.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0, 1]
    _refused(tmp_path, made, "has the PixelSpacing .*expected more than zero")

    made = segmentation(_sparse_frames(_labels()))
    position = _frame_of(made, 0).PlanePositionSequence[0]
    position.ImagePositionPatient = [p + 1 for p in position.ImagePositionPatient]
    _refused(tmp_path, made, "slices from .* mm apart .*expected multiples of one distance")

    made = segmentation(_sparse_frames(_labels()))
    position = _frame_of(made, 0).PlanePositionSequence[0]
    across = position.ImagePositionPatient[1] + 0.8
    position.ImagePositionPatient[1] = across
    _refused(tmp_path, made, "mm from its position in an evenly spaced stack|multiples of one")


def test_a_frame_beside_the_stack_is_refused(tmp_path: Path) -> None:
    from Testing.dicom_objects import ROW

    made = segmentation(_sparse_frames(_labels()))
    position = _frame_of(made, 0).PlanePositionSequence[0]
    moved = np.array(position.ImagePositionPatient, dtype=float) + 3 * ROW
    position.ImagePositionPatient = [round(float(part), 6) for part in moved]
    _refused(tmp_path, made, "a frame 3.00 mm from its position in an evenly spaced stack")


def test_one_slice_needs_a_thickness(tmp_path: Path) -> None:
    made = segmentation(_sparse_frames(_labels())[:1])
    assert _read(tmp_path, made).shape_kji == (1, 6, 8)
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    del measures.SpacingBetweenSlices, measures.SliceThickness
    _refused(tmp_path, made, "has one slice and does not say how thick it is")


def test_damaged_objects_are_refused(tmp_path: Path) -> None:
    made = segmentation(_sparse_frames(_labels()), SegmentationType="VOLUME")
    _refused(tmp_path, made, "a DICOM segmentation of the type VOLUME; expected BINARY, FRACT")

    made = segmentation([(7, *frame[1:]) for frame in _sparse_frames(_labels())])
    _refused(tmp_path, made, "voxels of the segments 7, which it does not describe; expected only")

    frames = [(0, 0, _labels()[2]), (0, 0, _labels()[3])]
    _refused(tmp_path, segmentation(frames, "LABELMAP"), "several label frames in the same place")

    made = segmentation(_sparse_frames(_labels()))
    del _frame_of(made, 1).SegmentIdentificationSequence
    _refused(tmp_path, made, "cannot be read: AttributeError.*Expected a complete DICOM object")


def test_places_that_promise_more_voxels_than_any_scan_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from AnatoMaskGANLib.volumes.dicom import segmentation_reading

    monkeypatch.setattr(segmentation_reading, "LARGEST_FILE_VOXELS", 100)
    _refused(tmp_path, segmentation(_sparse_frames(_labels())), "promises 4 x 6 x 8 voxels")


@pytest.mark.parametrize("version", [None, "2.4.4"])
def test_without_pydicom_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    import sys
    from types import SimpleNamespace

    segmentation(_sparse_frames(_labels())).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    package = None if version is None else SimpleNamespace(__version__=version)
    monkeypatch.setitem(sys.modules, "pydicom", package)
    there = "is not installed" if version is None else "is 2.4"
    with pytest.raises(VolumeError, match=rf"needs the package pydicom.*{there}.*pip install"):
        read_label_map(tmp_path / "a.dcm")
