"""AnatoMaskGANLogic from a script, without a window, in the stand-in host."""

from __future__ import annotations

import shutil
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, scene, without_window  # noqa: F401
from slicer_host.nodes import (
    add_segmentation,
    add_transform,
    add_volume,
    box,
    compare_geometry,
    oriented_image,
)
from slicer_host.user import voxels

from AnatoMaskGANLib.synthesis import (
    DeviceError,
    SynthesisCancelledError,
    SynthesisOptions,
)
from AnatoMaskGANLib.volumes import UnmatchedLabelsError, VolumeError

pytestmark = pytest.mark.usefixtures("scene", "without_window")

SHAPE_KJI = (6, 20, 24)


@pytest.fixture
def logic(module: types.ModuleType, model: str):
    return module.AnatoMaskGANLogic()


def limb() -> dict[str, np.ndarray]:
    return {
        "skin": box(SHAPE_KJI, (0, 2, 2), (5, 17, 6)),
        "bone": box(SHAPE_KJI, (1, 4, 8), (4, 15, 14)),
        "marrow": box(SHAPE_KJI, (1, 6, 16), (4, 13, 20)),
    }


def oblique_grid() -> np.ndarray:
    """Anisotropic, turned, left-handed, off the origin."""
    angle = np.radians(25)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    ijk_to_ras = turn @ np.diag([-0.8, 1.1, 3.0, 1.0])
    ijk_to_ras[:3, 3] = (31.5, -12.25, 140.0)
    return ijk_to_ras


def test_a_script_needs_one_line(logic, model: str) -> None:
    segmentation = add_segmentation(limb(), oblique_grid())
    output = logic.synthesize(segmentation, model=model)
    assert output.IsA("vtkMRMLScalarVolumeNode")
    assert output.GetName() == "Case synthetic"
    assert voxels(output).shape == SHAPE_KJI
    assert voxels(output).std() > 0


@pytest.mark.parametrize("is_transformed", [False, True])
@pytest.mark.parametrize("has_reference", [False, True])
def test_the_output_lies_on_exactly_the_same_grid(
    logic,
    model: str,
    has_reference: bool,
    is_transformed: bool,
) -> None:
    segmentation = add_segmentation(limb(), oblique_grid())
    scan = add_volume(SHAPE_KJI, oblique_grid())
    if is_transformed:
        moved = np.eye(4)
        moved[:3] = [[0, -1, 0, 4], [1, 0, 0, 5], [0, 0, 1, 6]]
        transform = add_transform(moved)
        segmentation.SetAndObserveTransformNodeID(transform.GetID())
        scan.SetAndObserveTransformNodeID(transform.GetID())
    output = logic.synthesize(
        segmentation, referenceVolume=scan if has_reference else None, model=model
    )
    assert output.GetTransformNodeID() == scan.GetTransformNodeID()
    for node in (output, scan):  # CompareVolumeGeometry refuses any transformed volume
        node.SetAndObserveTransformNodeID(None)
    assert compare_geometry(output, scan) == ""


def test_a_finer_and_larger_reference_volume_gives_its_grid(logic, model: str) -> None:
    segmentation = add_segmentation(limb(), oblique_grid())
    finer = oblique_grid() @ np.diag([0.5, 0.5, 1.0, 1.0])
    finer[:3, 3] -= 3
    reference = add_volume((8, 50, 60), finer)
    output = logic.synthesize(segmentation, referenceVolume=reference, model=model)
    assert compare_geometry(output, reference) == ""


def test_a_sampling_setting_of_the_core_is_one_of_the_panel_that_its_form_shows(logic) -> None:
    from AnatoMaskGANModule.parameters import UnmatchedSegments
    from AnatoMaskGANModule.synthesis.request import samplingOfPanel, settingsOfPanel

    parameters = logic.getParameterNode()
    parameters.seed, parameters.noiseStrength, parameters.noiseLengthScale = 4, 0.5, 2.0
    parameters.unmatched = UnmatchedSegments.BACKGROUND
    options = SynthesisOptions(
        seeds=(4,), noise_strength=0.5, noise_length_scale=2.0, unmatched="background"
    )
    assert settingsOfPanel(parameters).options == options
    form = (Path(__file__).parents[1] / "Resources/UI/AnatoMaskGAN.ui").read_text()
    for name in samplingOfPanel(parameters):
        assert f'<string notr="true">{name}</string>' in form


def test_the_same_seed_makes_the_same_volume_and_another_one_another(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    first = logic.synthesize(segmentation, model=model, seed=3)
    again = logic.synthesize(segmentation, model=model, seed=3)
    other = logic.synthesize(segmentation, model=model, seed=4)
    np.testing.assert_array_equal(voxels(first), voxels(again))
    assert logic.provenance(first)["Seed"] == "3"
    assert (logic.provenance(first), logic.provenance(other)) != ({}, {})
    assert logic.provenance(other)["Seed"] == "4"


def test_several_samples_become_a_sequence_that_the_output_shows(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    shares = []
    output = logic.synthesize(
        segmentation,
        model=model,
        seed=7,
        samples=3,
        progressCallback=lambda share, text: shares.append(share),
    )
    sequence = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceNode")
    browser = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode")
    seeds = [sequence.GetNthIndexValue(index) for index in range(3)]
    assert seeds == ["7", "8", "9"]
    assert shares == sorted(shares) and shares[-1] == 1
    assert logic.provenance(output)["Seed"] == "7"
    browser.SetSelectedItemNumber(2)
    assert logic.provenance(output)["Seed"] == "9"
    single = logic.synthesize(segmentation, model=model, seed=9)
    np.testing.assert_array_equal(voxels(output), voxels(single))


def test_one_sample_into_the_same_output_removes_the_old_sequence(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    output = logic.synthesize(segmentation, model=model, samples=2)
    logic.synthesize(segmentation, output, model=model, seed=5)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceNode") is None
    assert logic.provenance(output)["Seed"] == "5"


def test_samples_of_an_imported_scene_outlive_a_volume_of_the_same_node_id(
    logic, model: str, tmp_path
) -> None:
    """Slicer gives the nodes that it imports new IDs; attributes are not renewed with them."""
    saved = logic.synthesize(add_segmentation(limb()), model=model, samples=3)
    for node in slicer.util.getNodesByClass("vtkMRMLSequence*Node"):
        node.SetAttribute("AnatoMaskGAN.Samples", saved.GetID())  # as scenes were saved before
    name, node_id = saved.GetName(), saved.GetID()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    segmentation = add_segmentation(limb(), name="Other")
    output = logic.synthesize(segmentation, model=model)
    assert output.GetID() == node_id
    shutil.unpack_archive(tmp_path / "scene.mrb", tmp_path, "zip")
    (unpacked,) = tmp_path.rglob("*.mrml")  # what is no bundle is imported, not opened
    slicer.util.loadNodeFromFile(str(unpacked), "SceneFile", {})
    logic.synthesize(segmentation, output, model=model, seed=5)
    imported = slicer.mrmlScene.GetFirstNodeByName(name)
    browser = logic.samplesBrowser(imported)
    assert browser.GetMasterSequenceNode().GetNumberOfDataNodes() == 3
    logic.synthesize(segmentation, imported, model=model)  # its own samples do go
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceNode") is None
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode") is None


def test_every_volume_says_that_it_is_synthetic_and_how_it_was_made(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    output = logic.synthesize(segmentation, model=model, seed=11)
    record = logic.provenance(output)
    assert record["SyntheticData"] == "YES"
    assert (record["Model"], record["Seed"], record["Segmentation"]) == (model, "11", "Case")
    assert len(record["ModelSHA256"]) == len(record["LabelMapSHA256"]) == 64
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(output)
    assert hierarchy.GetItemAttribute(item, "AnatoMaskGAN.SyntheticData") == "YES"


def test_the_record_is_saved_with_the_scene(logic, model: str, tmp_path) -> None:
    output = logic.synthesize(add_segmentation(limb()), model=model, seed=11)
    record = logic.provenance(output)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    slicer.util.loadNodeFromFile(str(tmp_path / "scene.mrb"), "SceneFile", {})
    restored = slicer.mrmlScene.GetFirstNodeByName("Case synthetic")
    assert logic.provenance(restored) == record


def test_a_volume_is_made_again_from_its_own_record_in_another_session(
    logic, module: types.ModuleType, model: str, tmp_path
) -> None:
    grid = oblique_grid() @ np.diag([-1, 1, 1, 1])  # Slicer's reader makes grids right-handed
    parts = limb() | {"antenna": box(SHAPE_KJI, (0, 18, 20), (1, 19, 22))}
    segmentation = add_segmentation(parts, grid)
    skin, bone, *_ = segmentation.GetSegmentation().GetSegmentIDs()
    ids = list(segmentation.GetSegmentation().GetSegmentIDs())
    scan = add_volume((8, 20, 24), grid)
    options = {"seed": 6, "noiseStrength": 0.7, "unmatched": "background", "labels": {"bone": ""}}
    first = logic.synthesize(
        segmentation, referenceVolume=scan, model=model, segmentIDs=[skin, bone, ids[3]], **options
    )
    made, record = voxels(first), logic.provenance(first)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    slicer.util.loadNodeFromFile(str(tmp_path / "scene.mrb"), "SceneFile", {})
    restored = slicer.mrmlScene.GetFirstNodeByName("Case synthetic")
    again = module.AnatoMaskGANLogic().makeAgain(restored)
    assert again is not restored
    np.testing.assert_array_equal(voxels(again), made)
    assert logic.provenance(again) == record


def test_each_sample_of_a_sequence_can_be_made_again(logic, model: str) -> None:
    output = logic.synthesize(add_segmentation(limb()), model=model, seed=7, samples=2)
    slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode").SetSelectedItemNumber(1)
    again = logic.makeAgain(output)
    assert logic.provenance(again)["Seed"] == "8"
    np.testing.assert_array_equal(voxels(again), voxels(output))


def test_what_cannot_be_made_again_is_told(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    output = logic.synthesize(segmentation, model=model)
    with pytest.raises(ValueError, match="'Scan' is not a synthetic volume"):
        logic.makeAgain(add_volume(SHAPE_KJI))
    grown = oriented_image(box(SHAPE_KJI, (0, 5, 16), (4, 13, 20)).astype(np.uint8), np.eye(4))
    slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
        grown,
        segmentation,
        "marrow",
        slicer.vtkSlicerSegmentationsModuleLogic.MODE_REPLACE,
        grown.GetExtent(),
    )
    with pytest.raises(ValueError, match="the segmentation 'Case' or its grid has changed"):
        logic.makeAgain(output)
    output.SetAttribute("AnatoMaskGAN.ModelSHA256", "f" * 64)
    with pytest.raises(ValueError, match="SHA-256 ffffffff"):
        logic.makeAgain(output)
    slicer.mrmlScene.RemoveNode(segmentation)
    with pytest.raises(ValueError, match="'Case' that 'Case synthetic' was made from"):
        logic.makeAgain(output)


def test_a_given_output_volume_is_filled_and_marked_by_its_name(logic, model: str) -> None:
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    assert logic.synthesize(add_segmentation(limb()), output, model=model) is output
    assert output.GetName() == "Mine (synthetic)"


def test_labels_are_matched_by_rules_and_by_the_users_word(logic, model: str) -> None:
    segmentation = add_segmentation(
        {"Skin": limb()["skin"], "cortical bone": limb()["bone"], "antenna": limb()["marrow"]}
    )
    rows = [(m.segmentName, m.modelLabel, m.rule) for m in logic.matchSegments(segmentation, model)]
    assert rows == [
        ("Skin", "skin", "name"),
        ("cortical bone", "bone", "alias"),
        ("antenna", "", "unmatched"),
    ]
    chosen = logic.matchSegments(segmentation, model, {"antenna": "marrow"})[2]
    assert (chosen.modelLabel, chosen.rule) == ("marrow", "user")
    dropped = logic.matchSegments(segmentation, model, {"antenna": ""})[2]
    assert (dropped.modelLabel, dropped.rule) == ("", "user")


def test_the_table_tells_how_the_taken_segments_are_matched_without_the_others(
    logic, model: str
) -> None:
    """One that Slicer named Segment_1 is shown by its value as soon as no other has a name.

    A run judges the voxels, which do not bear a single value out; a choice decides.
    """
    segmentation = add_segmentation({"Segment_1": limb()["skin"], "bone": limb()["bone"]})
    made_up = segmentation.GetSegmentation().GetNthSegmentID(0)
    rules = [match.rule for match in logic.matchSegments(segmentation, model)]
    assert rules == ["unmatched", "name"]
    first, second = logic.matchSegments(segmentation, model, takenIDs=[made_up])
    assert (first.rule, first.modelLabel, first.isTaken) == ("value", "skin", True)
    assert (second.rule, second.isTaken) == ("name", False)
    with pytest.raises(UnmatchedLabelsError, match="do not show what they are"):
        logic.synthesize(segmentation, model=model, segmentIDs=[made_up])
    chosen = {made_up: "skin"}
    output = logic.synthesize(segmentation, model=model, segmentIDs=[made_up], labels=chosen)
    assert "(user)" in logic.provenance(output)["LabelMatches"]
    assert not any(m.isTaken for m in logic.matchSegments(segmentation, model, takenIDs=[]))


def test_an_unknown_segment_stops_unless_it_is_dropped_or_mapped(logic, model: str) -> None:
    segmentation = add_segmentation({"skin": limb()["skin"], "antenna": limb()["marrow"]})
    with pytest.raises(UnmatchedLabelsError, match="antenna"):
        logic.synthesize(segmentation, model=model)
    notes = []
    dropped = logic.synthesize(
        segmentation, model=model, unmatched="background", logCallback=notes.append
    )
    assert notes == ["Treated as background: antenna."]
    mapped = logic.synthesize(segmentation, model=model, labels={"antenna": "marrow"})
    assert "unmatched" in logic.provenance(dropped)["LabelMatches"]
    assert "user" in logic.provenance(mapped)["LabelMatches"]


def test_empty_and_overlapping_segments_are_told(logic, model: str) -> None:
    parts = limb()
    parts["marrow"] = box(SHAPE_KJI, (2, 6, 10), (3, 13, 12))  # inside the bone
    segmentation = add_segmentation(parts)
    segmentation.GetSegmentation().AddEmptySegment("nothing", "skin graft")
    notes = []
    logic.synthesize(segmentation, model=model, unmatched="background", logCallback=notes.append)
    assert "skin graft" in notes[0]
    assert f"Segments overlap in {2 * 8 * 3} voxels" in notes[1]


def test_what_a_reference_volume_cuts_off_is_told(logic, model: str) -> None:
    notes = []
    logic.synthesize(
        add_segmentation(limb()),
        model=model,
        referenceVolume=add_volume((6, 20, 15)),
        logCallback=notes.append,
    )
    assert notes == ["Segments without any voxel on this grid: marrow."]
    notes.clear()
    logic.synthesize(
        add_segmentation(limb()),
        model=model,
        referenceVolume=add_volume((6, 20, 14)),
        logCallback=notes.append,
    )
    assert notes[1:] == [f"{4 * 12} voxels of bone are outside the grid and are left out."]


def test_three_hundred_segments_become_one_volume(logic, model: str) -> None:
    """A body atlas has as many; most of these the model does not know."""
    labels_kji = np.zeros(SHAPE_KJI, np.int64)
    labels_kji[:5] = 1 + np.arange(labels_kji[:5].size).reshape(5, *SHAPE_KJI[1:]) // 8
    names = ["skin", "bone", *(f"part {number}" for number in range(3, 301))]
    segmentation = add_segmentation(
        {name: labels_kji == value for value, name in enumerate(names, start=1)}
    )
    output = logic.synthesize(segmentation, model=model, unmatched="background")
    assert logic.provenance(output)["LabelMatches"].count("->") == 300
    assert voxels(output).std() > 0


def test_chosen_segments_only(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    ids = list(segmentation.GetSegmentation().GetSegmentIDs())
    output = logic.synthesize(segmentation, model=model, segmentIDs=ids[:1])
    assert logic.provenance(output)["LabelMatches"].count("->") == 1


def test_cancel_ends_the_run_and_leaves_the_scene_as_it_was(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    count = slicer.mrmlScene.GetNumberOfNodes()
    shares = []

    def cancel_soon(share: float, text: str) -> None:
        shares.append(share)
        if share > 0.3:
            logic.cancel()

    with pytest.raises(SynthesisCancelledError):
        logic.synthesize(segmentation, model=model, progressCallback=cancel_soon)
    assert max(shares) < 1
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    assert logic.synthesize(segmentation, model=model) is not None


@pytest.mark.parametrize("removed", ["segmentation", "output", "everything"])
def test_a_node_that_goes_while_running_is_told_and_nothing_is_made(
    logic,
    model: str,
    removed: str,
) -> None:
    segmentation = add_segmentation(limb())
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Out")
    node = {"segmentation": segmentation, "output": output, "everything": None}[removed]

    def remove(share: float, text: str) -> None:
        if share > 0.5 and slicer.mrmlScene.IsNodePresent(node or output):
            slicer.mrmlScene.RemoveNode(node) if node else slicer.mrmlScene.Clear(0)

    with pytest.raises(RuntimeError, match="removed during the synthesis"):
        logic.synthesize(segmentation, output, model=model, progressCallback=remove)
    assert not [
        v for v in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if logic.provenance(v)
    ]


def test_an_output_that_others_fill_while_running_is_left_to_them(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Filtered")

    def fill(share: float, text: str) -> None:
        if share > 0.5 and output.GetImageData() is None:
            slicer.util.updateVolumeFromArray(output, np.full((2, 3, 4), 7, np.int16))

    with pytest.raises(ValueError, match="'Filtered' contains an image that was not synthesized"):
        logic.synthesize(segmentation, output, model=model, progressCallback=fill)
    assert output.GetName() == "Filtered" and (voxels(output) == 7).all()
    output.SetAndObserveImageData(None)
    grown = add_segmentation(limb() | {"skin": box(SHAPE_KJI, (0, 2, 2), (5, 18, 6))})
    with pytest.raises(ValueError, match="'Filtered' contains an image that was not synthesized"):
        logic.editInPlace(
            add_volume(SHAPE_KJI), segmentation, grown, output, model=model, progressCallback=fill
        )
    assert (voxels(output) == 7).all()


def test_a_second_run_at_the_same_time_is_refused(logic, model: str) -> None:
    segmentation = add_segmentation(limb())
    errors = []

    def start_another(share: float, text: str) -> None:
        if not errors:
            with pytest.raises(RuntimeError, match="running already") as error:
                logic.synthesize(segmentation, model=model)
            errors.append(error)

    logic.synthesize(segmentation, model=model, progressCallback=start_another)
    assert errors


def test_an_image_that_was_not_synthesized_is_never_overwritten(logic, model: str) -> None:
    scan = add_volume(SHAPE_KJI)
    with pytest.raises(ValueError, match="'Scan' contains an image that was not synthesized"):
        logic.synthesize(add_segmentation(limb()), scan, model=model)
    assert voxels(scan).max() == 0


@pytest.mark.parametrize("kind", ["vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode"])
def test_a_volume_of_labels_or_vectors_is_never_filled(logic, model: str, kind: str) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass(kind, "Mine")
    with pytest.raises(ValueError, match=f"Expected a scalar volume node, got a {kind}. Select"):
        logic.synthesize(add_segmentation(limb()), node, model=model)
    assert node.GetName() == "Mine" and node.GetImageData() is None
    assert logic.provenance(node) == {}


def test_the_reference_volume_stays_as_it_is(logic, model: str) -> None:
    scan = add_volume(SHAPE_KJI)
    logic.synthesize(add_segmentation(limb()), referenceVolume=scan, model=model)
    assert scan.GetName() == "Scan" and voxels(scan).max() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"model": "nosuch"}, ValueError, "no model 'nosuch'"),
        ({"device": "cuda:77"}, DeviceError, "cuda:77"),
        ({"samples": 0}, ValueError, "samples is 0"),
        ({"noiseStrenght": 1}, TypeError, "no choice 'noiseStrenght'; expected noiseStrength"),
        ({"unmatched": "maybe"}, ValueError, "unmatched is 'maybe'"),
        ({"labels": {"skin": "hair"}}, VolumeError, "no label 'hair'"),
        ({"segmentIDs": ["nosuch"]}, VolumeError, "no segment 'nosuch'"),
        ({"noiseStrength": -1}, ValueError, "noise"),
    ],
)
def test_a_bad_request_is_refused_and_leaves_nothing_behind(
    logic,
    model: str,
    arguments: dict,
    error: type[Exception],
    words: str,
) -> None:
    segmentation = add_segmentation(limb())
    count = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(error, match=words):
        logic.synthesize(segmentation, **{"model": model, **arguments})
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_something_else_than_a_segmentation_is_refused(logic, model: str) -> None:
    with pytest.raises(ValueError, match="Expected a segmentation node"):
        logic.synthesize(None, model=model)
    with pytest.raises(ValueError, match="Expected a segmentation node"):
        logic.synthesize(add_volume(SHAPE_KJI), model=model)
    with pytest.raises(ValueError, match="Expected a scalar volume node"):
        logic.synthesize(add_segmentation(limb()), add_segmentation(limb()), model=model)
    with pytest.raises(
        ValueError, match="Expected a scalar volume node, got a vtkMRMLSegm.*Select"
    ):
        reference = add_segmentation(limb())
        logic.synthesize(add_segmentation(limb()), model=model, referenceVolume=reference)


def test_no_segments_and_no_voxels_are_told_apart(logic, model: str) -> None:
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Nothing")
    with pytest.raises(VolumeError, match="has no segments"):
        logic.synthesize(empty, model=model)
    empty.GetSegmentation().AddEmptySegment("skin", "skin")
    with pytest.raises(VolumeError, match="no voxel"):
        logic.synthesize(empty, model=model)


def test_the_sample_data_come_with_names_codes_and_the_real_scan(logic) -> None:
    segmentation, scan = logic.loadSampleData()
    names = [match.segmentName for match in logic.matchSegments(segmentation, "brain-t1")]
    labels = [match.modelLabel for match in logic.matchSegments(segmentation, "brain-t1")]
    assert "Brain-Stem" in names and names == labels
    segmentation_image = slicer.vtkOrientedImageData()
    segmentation.GetBinaryLabelmapRepresentation("Segment_13", segmentation_image)
    assert segmentation_image.GetDimensions() == scan.GetImageData().GetDimensions()


def test_the_sample_data_are_registered(module: types.ModuleType) -> None:
    (source,) = slicer.modules.sampleDataSources["AnatoMaskGAN"]
    assert source["sampleName"] == "AnatoMaskGANBrainT1"
    segmentation, scan = source["customDownloader"]()
    assert segmentation.GetSegmentation().GetNumberOfSegments() > 30


def test_scripts_for_earlier_versions_find_the_requests_where_they_were(module) -> None:
    from AnatoMaskGANModule.batch.job import BatchRequest
    from AnatoMaskGANModule.batch_job import BatchRequest as EarlierBatchRequest
    from AnatoMaskGANModule.training.request import TrainingRequest
    from AnatoMaskGANModule.training_request import TrainingRequest as EarlierTrainingRequest

    assert EarlierBatchRequest is BatchRequest
    assert EarlierTrainingRequest is TrainingRequest
