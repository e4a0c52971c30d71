"""Segmentation node to label map and volume to node, on Slicer's own MRML libraries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")

import slicer_host

slicer_host.start()

import slicer  # noqa: E402
import slicer.util  # noqa: E402
import vtk  # noqa: E402
from slicer_host.nodes import (  # noqa: E402
    add_segmentation,
    add_transform,
    add_volume,
    box,
    compare_geometry,
    oriented_image,
)

from AnatoMaskGANLib.mrml import (  # noqa: E402
    compared_with,
    histogram_chart_of,
    histogram_labels,
    label_map_from_segmentation,
    label_map_of_entries,
    metrics_of,
    name_segments,
    place_beside,
    provenance_of,
    segment_entries,
    show_histogram,
    shown_label,
    update_edit_difference,
    update_histograms,
    update_metrics,
    update_scalar_volume,
    user_table,
    volume_for_file,
    volume_of_node,
)
from AnatoMaskGANLib.volumes import LabelTable, Volume, VolumeError, match_labels  # noqa: E402

SHAPE_KJI = (6, 5, 4)
LEFT_KIDNEY = (
    "List~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left~Codes~^^~^^"
)


def rotation_about_s(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def oblique_grid() -> np.ndarray:
    """Anisotropic, turned, left-handed, off the origin."""
    ijk_to_ras = rotation_about_s(30) @ np.diag([-0.7, 0.9, 2.5, 1.0])
    ijk_to_ras[:3, 3] = (12.5, -40.25, 7.75)
    return ijk_to_ras


@pytest.fixture(autouse=True)
def empty_scene() -> None:
    slicer.mrmlScene.Clear(0)


def masks() -> dict[str, np.ndarray]:
    return {
        "Liver": box(SHAPE_KJI, (1, 1, 1), (3, 3, 2)),
        "Spleen": box(SHAPE_KJI, (4, 0, 0), (4, 1, 1)),
    }


def test_each_voxel_gets_the_value_of_its_segment() -> None:
    node = add_segmentation(masks())
    export = label_map_from_segmentation(node)
    value = {entry.name: entry.label_value for entry in segment_entries(node)}
    expected = value["Liver"] * masks()["Liver"] + value["Spleen"] * masks()["Spleen"]
    np.testing.assert_array_equal(export.label_map.labels_kji, expected)
    assert export.label_map.names == {value["Liver"]: "Liver", value["Spleen"]: "Spleen"}
    assert export.empty_segments == ()


def test_label_values_do_not_follow_the_order_of_the_ids_asked_for() -> None:
    node = add_segmentation(masks())
    liver, spleen = node.GetSegmentation().GetSegmentIDs()
    a = label_map_from_segmentation(node, segment_ids=[liver, spleen]).label_map
    b = label_map_from_segmentation(node, segment_ids=[spleen, liver]).label_map
    np.testing.assert_array_equal(a.labels_kji, b.labels_kji)


def test_label_values_that_do_not_fit_are_numbered_from_one() -> None:
    node = add_segmentation(masks())
    node.GetSegmentation().GetNthSegment(0).SetLabelValue(614454277)  # as in the Allen atlas
    assert [entry.label_value for entry in segment_entries(node)] == [1, 2]


def test_only_the_chosen_segments_are_exported() -> None:
    node = add_segmentation(masks())
    _, spleen = node.GetSegmentation().GetSegmentIDs()
    label_map = label_map_from_segmentation(node, segment_ids=[spleen]).label_map
    np.testing.assert_array_equal(label_map.labels_kji != 0, masks()["Spleen"])
    assert list(label_map.names.values()) == ["Spleen"]


@pytest.mark.parametrize("has_reference_geometry", [True, False])
def test_nothing_is_cropped_to_the_painted_voxels(has_reference_geometry: bool) -> None:
    grid = oblique_grid()
    node = add_segmentation(masks(), grid, has_reference_geometry=has_reference_geometry)
    label_map = label_map_from_segmentation(node).label_map
    painted = masks()["Liver"] | masks()["Spleen"]
    # without a reference geometry Slicer pads by one voxel
    pad = 0 if has_reference_geometry else 1
    np.testing.assert_array_equal(label_map.labels_kji != 0, np.pad(painted, pad))
    first_voxel_ras = label_map.ijk_to_ras @ [pad, pad, pad, 1]
    np.testing.assert_allclose(first_voxel_ras, grid @ [0, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(label_map.ijk_to_ras[:3, :3], grid[:3, :3], atol=1e-6)


def test_a_reference_volume_gives_its_grid() -> None:
    node = add_segmentation(masks(), np.eye(4))
    finer = np.diag([0.5, 0.5, 0.5, 1.0])
    finer[:3, 3] = (-0.25, -0.25, -0.25)
    reference = add_volume((12, 10, 8), finer)
    export = label_map_from_segmentation(node, reference)
    painted = masks()["Liver"] | masks()["Spleen"]
    np.testing.assert_array_equal(
        export.label_map.labels_kji != 0, painted.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    )
    np.testing.assert_allclose(export.label_map.ijk_to_ras, finer, atol=1e-6)


@pytest.mark.parametrize("has_reference_geometry", [True, False])
def test_the_own_grid_grows_until_it_holds_segments_beyond_the_reference_geometry(
    has_reference_geometry: bool,
) -> None:
    grid = oblique_grid()
    node = add_segmentation(masks(), grid, has_reference_geometry=has_reference_geometry)
    tumor = box((9, 5, 8), (2, 1, 2), (7, 2, 6))  # three slices and three columns before
    shifted = grid.copy()
    shifted[:3, 3] -= grid[:3, :3] @ [3, 0, 3]
    image = oriented_image(tumor.astype(np.uint8), shifted)
    node.AddSegmentFromBinaryLabelmapRepresentation(image, "Tumor", [1, 0, 0], "tumor")
    export = label_map_from_segmentation(node)
    value = {entry.name: entry.label_value for entry in export.entries}
    labels = export.label_map.labels_kji
    assert np.count_nonzero(labels == value["Tumor"]) == tumor.sum()
    if has_reference_geometry:
        assert labels.shape == (7, 5, 5)  # a slice and a column more, where the tumor is
        expected = grid @ [-1, 0, -1, 1]
        np.testing.assert_allclose(export.label_map.ijk_to_ras[:, 3], expected, atol=1e-6)
    hidden = tumor[3:, :, 3:7] & (masks()["Liver"] | masks()["Spleen"])
    assert export.num_overlapping_voxels == hidden.sum() == 14
    alone = label_map_from_segmentation(node, segment_ids=["Liver", "Spleen"])
    if has_reference_geometry:  # an unasked for segment moves no edge
        assert alone.label_map.labels_kji.shape == SHAPE_KJI


@pytest.mark.parametrize("is_moved", [False, True])
def test_voxels_that_the_reference_volume_does_not_reach_are_counted(is_moved: bool) -> None:
    node, reference, larger = (
        add_segmentation(masks()),
        add_volume((3, 5, 4)),
        add_volume(SHAPE_KJI),
    )
    if is_moved:  # all, so that nothing changes
        turned = rotation_about_s(30)
        for each in (node, reference, larger):
            each.SetAndObserveTransformNodeID(add_transform(turned).GetID())
    export = label_map_from_segmentation(node, reference)
    assert export.label_map.labels_kji.shape == (3, 5, 4)
    assert export.voxels_left_out == {"Liver": 3 * 2}  # its last slice
    assert export.empty_segments == ("Spleen",)
    assert label_map_from_segmentation(node, larger).voxels_left_out == {}


def test_the_parent_transform_moves_the_label_map_in_the_world() -> None:
    node = add_segmentation(masks(), oblique_grid())
    turned = rotation_about_s(90)
    turned[:3, 3] = (5, 6, 7)
    transform = add_transform(turned)
    node.SetAndObserveTransformNodeID(transform.GetID())
    export = label_map_from_segmentation(node)
    np.testing.assert_allclose(export.label_map.ijk_to_ras, turned @ oblique_grid(), atol=1e-6)
    np.testing.assert_allclose(export.grid.ijk_to_node, oblique_grid(), atol=1e-6)
    assert export.grid.transform_node_id == transform.GetID()


def test_segmentation_and_reference_below_different_transforms_meet_in_the_world() -> None:
    node = add_segmentation(masks())
    forth, back = np.eye(4), np.eye(4)
    forth[0, 3], back[0, 3] = 1, -2
    node.SetAndObserveTransformNodeID(add_transform(forth).GetID())
    reference = add_volume((6, 5, 10))
    reference.SetAndObserveTransformNodeID(add_transform(back).GetID())
    labels = label_map_from_segmentation(node, reference).label_map.labels_kji
    painted = masks()["Liver"] | masks()["Spleen"]
    expected = np.zeros((6, 5, 10), dtype=bool)
    expected[:, :, 3:7] = painted  # one voxel forth, and the reference two voxels back
    np.testing.assert_array_equal(labels != 0, expected)


def test_a_shearing_transform_leaves_the_label_map_on_its_own_right_angled_grid() -> None:
    node = add_segmentation(masks(), oblique_grid())
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    node.SetAndObserveTransformNodeID(add_transform(sheared).GetID())
    label_map = label_map_from_segmentation(node).label_map
    np.testing.assert_allclose(label_map.ijk_to_ras, oblique_grid(), atol=1e-6)


def test_below_a_bent_transform_the_label_map_keeps_its_own_grid() -> None:
    node = add_segmentation(masks(), oblique_grid())
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (50, 50, 50)):
        source.InsertNextPoint(point)
        target.InsertNextPoint([value * 1.1 + (value > 0) for value in point])
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Bent")
    transform.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(transform.GetID())
    export = label_map_from_segmentation(node)
    np.testing.assert_allclose(export.label_map.ijk_to_ras, oblique_grid(), atol=1e-6)
    assert export.grid.transform_node_id == transform.GetID()


def test_where_segments_overlap_the_later_one_counts_and_the_voxels_are_reported() -> None:
    overlapping = {
        "Liver": box(SHAPE_KJI, (0, 0, 0), (3, 3, 3)),
        "Tumor": box(SHAPE_KJI, (2, 2, 2), (4, 4, 3)),
    }
    node = add_segmentation(overlapping)
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    export = label_map_from_segmentation(node)
    tumor = segment_entries(node)[1].label_value
    np.testing.assert_array_equal(export.label_map.labels_kji == tumor, overlapping["Tumor"])
    assert export.num_overlapping_voxels == 8


def test_segments_on_a_few_layers_that_share_no_voxel_do_not_overlap() -> None:
    node = add_segmentation(masks())
    node.GetSegmentation().SeparateSegmentLabelmap(node.GetSegmentation().GetNthSegmentID(0))
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    assert label_map_from_segmentation(node).num_overlapping_voxels == 0


def test_an_empty_segment_is_named() -> None:
    node = add_segmentation(masks())
    node.GetSegmentation().AddEmptySegment("cyst", "Cyst")
    assert label_map_from_segmentation(node).empty_segments == ("Cyst",)


def test_a_segmentation_without_segments_is_refused() -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Nothing")
    with pytest.raises(VolumeError, match="'Nothing' has no segments. Add at least one"):
        label_map_from_segmentation(node)


def test_a_segmentation_of_empty_segments_is_refused() -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Blank")
    node.GetSegmentation().AddEmptySegment("a", "Liver")
    with pytest.raises(VolumeError, match="no voxel"):
        label_map_from_segmentation(node)


def test_a_reference_volume_beside_the_segments_is_refused() -> None:
    node = add_segmentation(masks())
    far = np.eye(4)
    far[:3, 3] = 1000
    with pytest.raises(VolumeError, match="on the grid of 'Far away'"):
        label_map_from_segmentation(node, add_volume(SHAPE_KJI, far, "Far away"))


def test_a_reference_volume_without_voxels_is_refused() -> None:
    reference = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Hollow")
    with pytest.raises(VolumeError, match="'Hollow' has no voxels"):
        label_map_from_segmentation(add_segmentation(masks()), reference)


def test_an_unknown_segment_id_is_refused_with_the_known_ones() -> None:
    node = add_segmentation(masks())
    with pytest.raises(VolumeError, match="no segment 'kidney'"):
        label_map_from_segmentation(node, segment_ids=["kidney"])


def test_surfaces_become_voxels() -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surfaces")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(10)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.Update()
    segment = slicer.vtkSegment()
    segment.SetName("Ball")
    segment.AddRepresentation("Closed surface", sphere.GetOutput())
    node.GetSegmentation().AddSegment(segment)
    centered = np.eye(4)
    centered[:3, 3] = -15
    labels = label_map_from_segmentation(node, add_volume((31, 31, 31), centered)).label_map
    volume_mm3 = 4 / 3 * np.pi * 10**3
    assert np.count_nonzero(labels.labels_kji) == pytest.approx(volume_mm3, rel=0.05)


def test_terminology_becomes_a_code_and_slicers_own_default_does_not() -> None:
    node = add_segmentation(masks(), terminology={"Liver": LEFT_KIDNEY})
    liver, spleen = segment_entries(node)
    assert (liver.code, spleen.code) == ("SCT:64033007+SCT:7771000", "")
    assert label_map_from_segmentation(node).label_map.codes == {liver.label_value: liver.code}


def test_names_that_slicer_made_up_do_not_count_as_names() -> None:
    node = segmentation_of_file(1, 2)
    assert label_map_from_segmentation(node).label_map.names == {}


def segmentation_of_file(liver: int, spleen: int) -> slicer.vtkMRMLSegmentationNode:
    """As Slicer loads a file with these values and without names."""
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "File")
    voxels = np.int16(liver) * masks()["Liver"] + np.int16(spleen) * masks()["Spleen"]
    slicer.util.updateVolumeFromArray(labels, voxels)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "File")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, node)
    for segment in segments_of(node):
        segment.SetName(f"Segment_{segment.GetLabelValue()}")
    return node


def segments_of(node: slicer.vtkMRMLSegmentationNode) -> list[slicer.vtkSegment]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetSegment(segment_id) for segment_id in segmentation.GetSegmentIDs()]


def test_values_that_slicer_moved_or_nobody_gave_are_not_taken_for_those_of_a_file() -> None:
    table = LabelTable("organs", {1: "liver", 2: "spleen", 3: "kidney"}, {}, {}, {})

    def rules(node: slicer.vtkMRMLSegmentationNode) -> list[str]:
        matches = match_labels(label_map_of_entries(segment_entries(node)), table)
        return [f"{match.rule} {match.model_name}".strip() for match in matches]

    node = segmentation_of_file(2, 3)
    segmentation = node.GetSegmentation()
    assert rules(node) == ["value spleen", "value kidney"]
    segmentation.SeparateSegmentLabelmap(segmentation.GetNthSegmentID(0))
    assert segmentation.GetNthSegment(0).GetLabelValue() == 1  # Slicer's doing
    assert rules(node) == ["unmatched", "unmatched"]
    for first in (1, 2):
        names = [f"Segment_{first}", f"Segment_{first + 1}"]
        drawn = add_segmentation(dict(zip(names, masks().values(), strict=True)))
        assert [segment.GetLabelValue() for segment in segments_of(drawn)] == [1, 1]
        assert rules(drawn) == ["unmatched", "unmatched"]


def test_labels_can_be_matched_before_any_voxel_is_read() -> None:
    entries = segment_entries(add_segmentation(masks()))
    label_map = label_map_of_entries(entries)
    assert label_map.values == tuple(sorted(entry.label_value for entry in entries))
    assert set(label_map.names.values()) == {"Liver", "Spleen"}


def synthesized(export, window: tuple[float, float] = (0.0, 100.0), unit: str = "") -> Volume:
    voxels = (export.label_map.labels_kji * 10).astype(np.float32)
    return Volume(voxels, export.label_map.ijk_to_ras, window, unit, {"Seed": "7"})


@pytest.mark.parametrize("is_transformed", [False, True])
def test_the_output_lies_exactly_on_the_reference_grid(is_transformed: bool) -> None:
    node = add_segmentation(masks(), oblique_grid())
    reference = add_volume(SHAPE_KJI, oblique_grid())
    if is_transformed:
        turned = rotation_about_s(40)
        turned[:3, 3] = (1, 2, 3)
        transform = add_transform(turned)
        for each in (node, reference):
            each.SetAndObserveTransformNodeID(transform.GetID())
    export = label_map_from_segmentation(node, reference)
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    update_scalar_volume(output, synthesized(export), export.grid, {})
    assert output.GetTransformNodeID() == reference.GetTransformNodeID()
    # CompareVolumeGeometry finds a "Transform mismatch" of a transformed volume even with itself
    for each in (output, reference):
        each.SetAndObserveTransformNodeID(None)
    assert compare_geometry(output, reference) == ""
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(output), export.label_map.labels_kji * 10
    )


def test_the_output_carries_its_record() -> None:
    node = add_segmentation(masks())
    export = label_map_from_segmentation(node)
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    update_scalar_volume(output, synthesized(export), export.grid, {"Segmentation": "Case"})
    assert provenance_of(output) == {"SyntheticData": "YES", "Seed": "7", "Segmentation": "Case"}


def test_a_second_result_in_the_same_node_keeps_the_users_window() -> None:
    export = label_map_from_segmentation(add_segmentation(masks()))
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    update_scalar_volume(output, synthesized(export), export.grid, {})
    display = output.GetScalarVolumeDisplayNode()
    display.SetWindowLevelMinMax(20, 40)
    update_scalar_volume(output, synthesized(export), export.grid, {})
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (20, 40)


def test_hounsfield_units_are_written_into_the_node() -> None:
    export = label_map_from_segmentation(add_segmentation(masks()))
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    update_scalar_volume(output, synthesized(export, (-1000, 1000), "HU"), export.grid, {})
    assert output.GetVoxelValueUnits().GetCodeValue() == "[hnsf'U]"
    display = output.GetScalarVolumeDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-1000, 1000)


def test_a_volume_in_other_intensities_loses_the_unit_and_the_window_of_the_one_before() -> None:
    export = label_map_from_segmentation(add_segmentation(masks()))
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    update_scalar_volume(output, synthesized(export, (-1000, 1000), "HU"), export.grid, {})
    assert volume_for_file(output).unit == "HU"
    update_scalar_volume(output, synthesized(export, (0, 200)), export.grid, {})
    assert volume_for_file(output).unit == "" and output.GetVoxelValueQuantity() is None
    display = output.GetScalarVolumeDisplayNode()
    shown = []
    for key, value in (("Model", "a"), ("Model", "b"), ("Intensities", "window"), ("Seed", "8")):
        made = synthesized(export, (0, 200))
        record = {"Model": "b", **provenance_of(output), key: value}
        update_scalar_volume(output, replace(made, provenance=record), export.grid, {})
        shown.append((display.GetWindowLevelMin(), display.GetWindowLevelMax()))
        display.SetWindowLevelMinMax(20, 40)
    assert shown == [(0, 200), (0, 200), (20, 40), (20, 40)]
    one = replace(synthesized(export, (0, 1)), provenance=provenance_of(output))
    one.provenance["Intensities"] = "model"
    update_scalar_volume(output, one, export.grid, {})
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)


def test_an_mr_volume_is_shown_with_the_models_window_and_keeps_it() -> None:
    """Slicer's automatic window ends below the brightest tissue, which is then all white."""
    export = label_map_from_segmentation(add_segmentation(masks()))
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    volume = synthesized(export)
    update_scalar_volume(output, volume, export.grid, {})
    shown = output.GetScalarVolumeDisplayNode()
    assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == volume.window
    assert not shown.GetAutoWindowLevel()


def test_label_values_can_be_given() -> None:
    node = add_segmentation(masks())
    liver, spleen = node.GetSegmentation().GetSegmentIDs()
    export = label_map_from_segmentation(node, label_values={liver: 7, spleen: 3})
    np.testing.assert_array_equal(
        export.label_map.labels_kji, 7 * masks()["Liver"] + 3 * masks()["Spleen"]
    )
    assert export.label_map.names == {7: "Liver", 3: "Spleen"}


def test_a_volume_of_another_size_is_refused() -> None:
    export = label_map_from_segmentation(add_segmentation(masks()))
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    wrong = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4))
    with pytest.raises(VolumeError, match="needs"):
        update_scalar_volume(output, wrong, export.grid, {})


def test_the_output_joins_the_segmentations_folder_marked_synthetic() -> None:
    node = add_segmentation(masks())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    place_beside(output, node)
    item = hierarchy.GetItemByDataNode(output)
    assert hierarchy.GetItemParent(item) == folder
    assert hierarchy.GetItemAttribute(item, "AnatoMaskGAN.SyntheticData") == "YES"


def test_a_volume_that_the_user_sorted_elsewhere_stays_there() -> None:
    node = add_segmentation(masks())
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic")
    place_beside(output, node)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Mine")
    item = hierarchy.GetItemByDataNode(output)
    hierarchy.SetItemParent(item, folder)
    place_beside(output, node)
    assert hierarchy.GetItemParent(item) == folder


def test_the_difference_of_an_edit_joins_the_folder_of_the_edited_scan() -> None:
    edited, scan = add_volume(SHAPE_KJI, name="Edited"), add_volume(SHAPE_KJI, name="Scan")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    item = hierarchy.GetItemByDataNode(edited) or hierarchy.CreateItem(folder, edited)
    hierarchy.SetItemParent(item, folder)
    difference = update_edit_difference(edited, scan)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(difference)) == folder


def test_the_export_leaves_no_node_behind() -> None:
    node = add_segmentation(masks())
    before = slicer.mrmlScene.GetNumberOfNodes()
    label_map_from_segmentation(node)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def make_synthetic(name: str = "Made") -> slicer.vtkMRMLScalarVolumeNode:
    return slicer.util.addVolumeFromArray(np.zeros(SHAPE_KJI, np.float32), np.eye(4), name)


def make_histograms() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    centers = np.array([10.0, 20.0, 30.0])
    return {
        "Liver": (centers, np.array([50.0, 50, 0]), np.array([0.0, 25, 75])),
        "Spleen": (2 * centers, np.array([100.0, 0, 0]), np.array([90.0, 10, 0])),
    }


def series_values(chart: slicer.vtkMRMLPlotChartNode, number: int) -> tuple[list, list]:
    """What Slicer's plot view draws of a series: the columns that it names of its table."""
    series = chart.GetNthPlotSeriesNode(number)
    table = series.GetTableNode().GetTable()
    columns = (table.GetColumnByName(n) for n in (series.GetXColumnName(), series.GetYColumnName()))
    x, y = ([c.GetValue(row) for row in range(c.GetNumberOfTuples())] for c in columns)
    return x, y


def test_a_chart_shows_the_histograms_of_one_label_and_of_another_when_told() -> None:
    chart = update_histograms(make_synthetic(), make_histograms(), "HU")
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    assert (shown_label(chart), histogram_labels(chart)) == ("Liver", ["Liver", "Spleen"])
    assert series_values(chart, 1) == ([10, 20, 30], [0, 25, 75])
    assert chart.GetXAxisTitle() == "Intensity (HU)"
    show_histogram(chart, "Spleen")
    assert series_values(chart, 0) == ([20, 40, 60], [100, 0, 0])
    with pytest.raises(KeyError, match="Kidney"):
        show_histogram(chart, "Kidney")


def test_histograms_of_different_numbers_of_bins_are_columns_of_one_length() -> None:
    short = tuple(np.array([1.0, 2.0]) * factor for factor in (1, 10, 20))
    chart = update_histograms(make_synthetic(), {"Gland": short} | make_histograms(), "")
    assert series_values(chart, 0) == ([1, 2, 2], [10, 20, 20])
    show_histogram(chart, "Liver")
    assert series_values(chart, 0) == ([10, 20, 30], [50, 50, 0])


def test_histograms_and_figures_made_once_more_fill_the_same_nodes() -> None:
    made, real = make_synthetic(), make_synthetic("Scan")
    chart = update_histograms(made, make_histograms(), "")
    update_metrics(made, real, {"psnr": 30.5, "ssim": 0.9})
    count = slicer.mrmlScene.GetNumberOfNodes()
    assert update_histograms(made, make_histograms(), "") is chart
    update_metrics(made, real, {"psnr": 31.5})
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    assert metrics_of(made) == {"psnr": 31.5}
    assert compared_with(made) is real
    assert metrics_of(real) == {}


def test_what_a_comparison_made_is_saved_with_the_scene(tmp_path) -> None:
    made, real = make_synthetic(), make_synthetic("Scan")
    update_histograms(made, make_histograms(), "HU")
    update_metrics(made, real, {"psnr": 30.5})
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    slicer.util.loadNodeFromFile(str(tmp_path / "scene.mrb"), "SceneFile", {})
    restored = slicer.mrmlScene.GetFirstNodeByName("Made")
    assert metrics_of(restored) == {"psnr": 30.5}
    assert compared_with(restored).GetName() == "Scan"
    chart = histogram_chart_of(restored)
    assert series_values(chart, 1) == ([10, 20, 30], [0, 25, 75])


def test_named_segments_get_slicers_terminology_with_the_side_in_words() -> None:
    node = add_segmentation({"Segment_1": masks()["Liver"]})
    table = LabelTable("organs", {1: "Left kidney"}, {1: "SCT:64033007+SCT:7771000"}, {}, {})
    name_segments(node, table, {"Left kidney": "#ff0000"})
    (entry,) = segment_entries(node)
    assert (entry.name, entry.code, entry.color[0]) == ("Left kidney", table.codes[1], 1)
    fields = node.GetSegmentation().GetNthSegment(0).GetTerminology().split("~")
    assert fields[2:4] == ["SCT^64033007^Left kidney", "SCT^7771000^Left"]


def test_contours_that_slicer_cannot_turn_into_voxels_are_refused() -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Contours")
    node.GetSegmentation().SetSourceRepresentationName("Planar contour")
    segment = slicer.vtkSegment()
    segment.SetName("Liver")
    segment.AddRepresentation("Planar contour", vtk.vtkPolyData())
    node.GetSegmentation().AddSegment(segment)
    message = "'Contours' is stored as 'Planar contour' and cannot be turned .* Convert it to a bin"
    with pytest.raises(VolumeError, match=message):
        label_map_from_segmentation(node)


@pytest.mark.parametrize("read", [volume_of_node, volume_for_file])
def test_a_volume_without_voxels_is_refused(read) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Hollow")
    with pytest.raises(VolumeError, match="'Hollow' has no voxels; expected a loaded"):
        read(node)


def test_an_edited_scan_on_another_grid_than_the_scan_is_refused() -> None:
    edited, scan = add_volume(SHAPE_KJI, name="Edited"), add_volume((3, 3, 3), name="Scan")
    with pytest.raises(VolumeError, match="'Edited' is not on the grid of 'Scan'.*Select"):
        update_edit_difference(edited, scan)


def surface(radius: float, name: str = "Ball") -> slicer.vtkMRMLSegmentationNode:
    """A segmentation of one sphere as a surface, without a reference geometry."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surfaces")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(radius)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.Update()
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.AddRepresentation("Closed surface", sphere.GetOutput())
    node.GetSegmentation().AddSegment(segment)
    return node


def test_surfaces_without_a_reference_volume_get_voxels_of_a_millimeter() -> None:
    node = surface(10)
    labels = label_map_from_segmentation(node).label_map
    assert np.allclose(labels.spacing_ijk_mm, 1)
    assert np.count_nonzero(labels.labels_kji) == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.05)
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    assert node.GetSegmentation().GetConversionParameter(name) == ""


def test_surfaces_too_large_for_voxels_of_a_millimeter_ask_for_a_reference_volume() -> None:
    with pytest.raises(VolumeError, match="Select a reference volume"):
        label_map_from_segmentation(surface(500))


def test_labelmaps_too_fine_for_the_memory_ask_for_a_reference_volume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = surface(10)
    label_map_from_segmentation(node)
    monkeypatch.setattr("AnatoMaskGANLib.mrml.own_grid.MOST_VOXELS", 1000)
    with pytest.raises(VolumeError, match="expected at most .* million. Select a reference volume"):
        label_map_from_segmentation(node)


def test_a_choice_belongs_to_the_segment_and_not_to_its_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = add_segmentation(masks())
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        node.GetSegmentation().GetSegment(segment_id).SetName("Left")
    first, second = segment_entries(node)
    assert user_table([first, second], {second.segment_id: "a"}) == {str(second.label_value): "a"}
    assert not caplog.text
    assert user_table([first, second], {"Left": ""}) == {str(first.label_value): None}
    assert "first of 2 segments of this name" in caplog.text


def test_a_kind_of_segments_that_nothing_turns_into_voxels_is_told() -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Odd")
    node.GetSegmentation().SetSourceRepresentationName("Sketch")
    segment = slicer.vtkSegment()
    segment.SetName("sketch")
    segment.AddRepresentation("Sketch", vtk.vtkPolyData())
    node.GetSegmentation().AddSegment(segment)
    with pytest.raises(VolumeError, match="'Sketch' and cannot be turned into voxels"):
        label_map_from_segmentation(node)
