"""A synthetic volume in Slicer's 3-D view."""

import slicer
from slicer.i18n import tr as _

# Gray values by the window of the slice views: right for any model, whatever its intensities.
AS_IN_SLICES = ""
# Of Slicer's own presets, those for what models make; all are made for certain intensities.
PRESETS = ("MR-Default", "MR-T2-Brain", "CT-Bone", "CT-Soft-Tissue", "CT-Cardiac", "CT-Lung")


def showInThreeD(volumeNode, preset: str = AS_IN_SLICES):
    """The volume rendering display node, shown; a volume has one, also after several calls.

    preset: of Slicer's presets, or AS_IN_SLICES. Raises ValueError for one that is not there.
    """
    logic = slicer.modules.volumerendering.logic()
    found = None if preset == AS_IN_SLICES else logic.GetPresetByName(preset)
    if found is None and preset != AS_IN_SLICES:
        text = _("This Slicer has no volume rendering preset {name}. Choose another.")
        raise ValueError(text.format(name=preset))
    display = logic.GetFirstVolumeRenderingDisplayNode(volumeNode)
    if display is None:
        display = logic.CreateDefaultVolumeRenderingNodes(volumeNode)
    if found is None:
        logic.CopyDisplayToVolumeRenderingDisplayNode(display)
    else:
        display.GetVolumePropertyNode().Copy(found)
    display.SetVisibility(True)
    return display


def hideInThreeD(volumeNode) -> None:
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(volumeNode)
    if display is not None:
        display.SetVisibility(False)


def isInThreeD(volumeNode) -> bool:
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(volumeNode)
    return display is not None and bool(display.GetVisibility())
