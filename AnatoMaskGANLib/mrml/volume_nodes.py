"""Synthetic volume to scalar volume node: voxels, grid, display and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import slicer
import slicer.util
import vtk

from AnatoMaskGANLib.mrml.label_map_export import NodeGrid
from AnatoMaskGANLib.volumes import Volume, VolumeError

# Every synthetic volume carries its provenance in node attributes of this prefix.
ATTRIBUTE_PREFIX = "AnatoMaskGAN."
SYNTHETIC_ATTRIBUTE = ATTRIBUTE_PREFIX + "SyntheticData"
# The attribute of the sequence and the browser that hold several samples of one volume.
SAMPLES_ATTRIBUTE = ATTRIBUTE_PREFIX + "Samples"
HOUNSFIELD_CODE = "[hnsf'U]"
# The parts of a provenance that say what the intensities mean.
INTENSITIES_KEYS = ("Model", "ModelSHA256", "Intensities", "EditedInPlace")


def update_scalar_volume(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    volume: Volume,
    grid: NodeGrid,
    attributes: Mapping[str, str],
) -> None:
    """Put a synthetic volume into a node: voxels, exactly this grid, display and provenance.

    The first time the display gets the volume's window, which holds the brightest tissue that the
    model can make; later the user's own setting stays, so that the gray of unchanged anatomy does
    not jump when a segment is edited, unless the new voxels are `in_other_intensities`.
    `attributes` join the volume's provenance in the node's attributes, where they replace an
    earlier provenance.
    """
    if volume.shape_kji != grid.shape_kji:
        raise VolumeError(
            f"The synthetic volume has {volume.shape_kji} voxels (KJI), but its node needs "
            f"{grid.shape_kji}. Resample it to the grid of the label map first."
        )
    is_shown_anew = in_other_intensities(volume_node, volume)
    with slicer.util.NodeModify(volume_node):
        volume_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(grid.ijk_to_node))
        volume_node.SetAndObserveTransformNodeID(grid.transform_node_id)
        slicer.util.updateVolumeFromArray(volume_node, volume.voxels_kji)
        for key in provenance_of(volume_node):  # the provenance is that of the last synthesis
            volume_node.RemoveAttribute(ATTRIBUTE_PREFIX + key)
        update_record(volume_node, {**volume.provenance, **attributes})
        volume_node.SetAttribute(SYNTHETIC_ATTRIBUTE, "YES")
        volume_node.SetDescription("Synthetic image made by AnatoMaskGAN; not for diagnosis")
        set_unit(volume_node, volume.unit)
    volume_node.CreateDefaultDisplayNodes()
    if is_shown_anew:
        display = volume_node.GetScalarVolumeDisplayNode()
        display.AutoWindowLevelOn()
        display.AutoWindowLevelOff()
        if volume.window is not None:
            display.SetWindowLevelMinMax(*volume.window)


def update_volume_samples(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    volumes: Sequence[Volume],
    seeds: Sequence[int],
    grid: NodeGrid,
    attributes: Mapping[str, str],
) -> None:
    """Put one synthetic volume into a node, or several into a sequence that the node shows.

    The sequence is indexed by the seed and starts with the first; one that the node showed before
    is replaced.
    """
    remove_samples(volume_node)
    scene, name = volume_node.GetScene(), volume_node.GetName()
    if len(volumes) == 1:
        update_scalar_volume(volume_node, volumes[0], grid, attributes)
        return
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name} samples")
    sequence.SetIndexName("seed")
    sequence.SetIndexUnit("")
    for seed, volume in zip(seeds, volumes, strict=True):
        update_scalar_volume(volume_node, volume, grid, attributes)
        sequence.SetDataNodeAtValue(volume_node, str(seed))
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    made_by_browser = browser.GetProxyNode(sequence)  # it makes one as soon as it has a sequence
    browser.AddProxyNode(volume_node, sequence, False)
    if made_by_browser is not None and made_by_browser is not volume_node:
        scene.RemoveNode(made_by_browser)
    browser.SetSelectedItemNumber(0)
    for node in (sequence, browser):
        node.SetAttribute(SAMPLES_ATTRIBUTE, "YES")


def samples_browser(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """The browser of the sequence that a volume node shows sample by sample; None without one."""
    scene = volume_node.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")
    for number in range(count):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        sequence = browser.GetMasterSequenceNode()
        is_ours = browser.GetAttribute(SAMPLES_ATTRIBUTE) is not None
        if is_ours and sequence is not None and browser.GetProxyNode(sequence) is volume_node:
            return browser
    return None


def volume_for_file(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The voxels of a node with its provenance, as `write_volume` puts them into a file.

    They lie on the node's own grid, without its parent transform, as Slicer itself saves volumes.
    Raises VolumeError for a node without voxels.
    """
    if volume_node.GetImageData() is None:
        raise VolumeError(
            f"The volume {volume_node.GetName()!r} has no voxels; expected a loaded or made one."
        )
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    voxels = np.array(slicer.util.arrayFromVolume(volume_node))
    return Volume(
        voxels,
        slicer.util.arrayFromVTKMatrix(matrix),
        None,
        unit_of(volume_node),
        provenance_of(volume_node),
    )


def update_record(
    volume_node: slicer.vtkMRMLScalarVolumeNode, provenance: Mapping[str, str]
) -> None:
    """Write into the node's attributes how its voxels were made."""
    for key, value in provenance.items():
        volume_node.SetAttribute(ATTRIBUTE_PREFIX + key, str(value))


def is_synthetic(volume_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether the volume was made by this program."""
    return volume_node.GetAttribute(SYNTHETIC_ATTRIBUTE) is not None


def in_other_intensities(volume_node: slicer.vtkMRMLScalarVolumeNode, volume: Volume) -> bool:
    """Whether the node's display window does not apply to a new volume that is put into it.

    It does not apply to the first volume, and to one in another unit, of another model or in other
    intensities than the node's provenance says.
    """
    provenance = provenance_of(volume_node)
    return (
        not is_synthetic(volume_node)
        or unit_of(volume_node) != volume.unit
        or any(
            key in provenance and provenance[key] != volume.provenance.get(key)
            for key in INTENSITIES_KEYS
        )
    )


def provenance_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> dict[str, str]:
    """The provenance of a synthetic volume node, without the prefix; empty for a real one."""
    return {
        name.removeprefix(ATTRIBUTE_PREFIX): volume_node.GetAttribute(name)
        for name in volume_node.GetAttributeNames()
        if name.startswith(ATTRIBUTE_PREFIX)
    }


def place_beside(
    volume_node: slicer.vtkMRMLScalarVolumeNode, neighbor_node: slicer.vtkMRMLNode
) -> None:
    """Put the volume into the other node's folder of the subject hierarchy, marked synthetic.

    This is done once: where the user moves it later, it stays.
    """
    scene = volume_node.GetScene()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(volume_node)
    if not item:
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume_node)
    if hierarchy.GetItemAttribute(item, SYNTHETIC_ATTRIBUTE):
        return
    neighbor = hierarchy.GetItemByDataNode(neighbor_node)
    if neighbor:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(neighbor))
    hierarchy.SetItemAttribute(item, SYNTHETIC_ATTRIBUTE, "YES")


def remove_samples(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Remove the sequence that the node shows; it is found by its browser, which imports keep."""
    scene, browser = volume_node.GetScene(), samples_browser(volume_node)
    if browser is None:
        return
    sequence = browser.GetMasterSequenceNode()
    scene.RemoveNode(browser)
    if sequence.GetAttribute(SAMPLES_ATTRIBUTE) is not None:
        scene.RemoveNode(sequence)


def unit_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The unit of the voxels: "HU", or empty for anything else."""
    units = volume_node.GetVoxelValueUnits()
    return "HU" if units is not None and units.GetCodeValue() == HOUNSFIELD_CODE else ""


def set_unit(volume_node: slicer.vtkMRMLScalarVolumeNode, unit: str) -> None:
    """Mark the voxels as Hounsfield units, or take an earlier mark away."""
    quantity, code = None, None
    if unit == "HU":
        quantity, code = slicer.vtkCodedEntry(), slicer.vtkCodedEntry()
        quantity.SetValueSchemeMeaning("112031", "DCM", "Attenuation Coefficient")
        code.SetValueSchemeMeaning(HOUNSFIELD_CODE, "UCUM", "Hounsfield unit")
    volume_node.SetVoxelValueQuantity(quantity)
    volume_node.SetVoxelValueUnits(code)
