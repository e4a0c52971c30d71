"""The parameter node: what the panel shows, saved with the scene; and its choices."""

import enum
from typing import TYPE_CHECKING, Annotated, Any

from slicer import (
    vtkMRMLScalarVolumeNode,
    vtkMRMLScriptedModuleNode,
    vtkMRMLSegmentationNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


class TrainingSource(enum.Enum):
    """The source of the cases."""

    FOLDER = "folder"
    SCENE = "scene"

    def label(self) -> str:
        if self is TrainingSource.FOLDER:
            return _("A folder of cases")
        return _("The open scene")


class TrainingPreset(enum.Enum):
    """The settings file that a training begins from."""

    QUICK = "mouse-brain-quick.yaml"
    COMPACT = "brain-t1.yaml"
    PAPER = "paper-l2r-oasis.yaml"
    FILE = ""

    def label(self) -> str:
        return {
            TrainingPreset.QUICK: _("Quick test: a small network, minutes on a CPU"),
            TrainingPreset.COMPACT: _("Compact: like the bundled model, hours on a CPU"),
            TrainingPreset.PAPER: _("The paper's size: for a large GPU"),
            TrainingPreset.FILE: _("My settings file"),
        }[self]

    @property
    def settings(self) -> tuple[str, ...]:
        """Changes to the example: the paper's perceptual loss needs a downloaded file."""
        return ("losses.perceptual=0",) if self is TrainingPreset.PAPER else ()


class LengthUnit(enum.Enum):
    """The unit of a training's length."""

    PRESET = "preset"
    EPOCHS = "epochs"
    STEPS = "steps"

    def label(self) -> str:
        return {
            LengthUnit.PRESET: _("as the preset says"),
            LengthUnit.EPOCHS: _("epochs"),
            LengthUnit.STEPS: _("steps"),
        }[self]


class HeldOut(enum.Enum):
    """The subjects that the training does not see."""

    BOTH = "0.7, 0.15, 0.15"
    VALIDATION = "0.85, 0.15, 0"
    NOTHING = "1, 0, 0"

    def label(self) -> str:
        return {
            HeldOut.BOTH: _("15 % for validation, 15 % for a test"),
            HeldOut.VALIDATION: _("15 % for validation"),
            HeldOut.NOTHING: _("None: train on all"),
        }[self]


class Intensities(enum.Enum):
    """The numbers that the voxels get."""

    MODEL = "model"
    WINDOW = "window"

    def label(self) -> str:
        if self is Intensities.MODEL:
            return _("Same as the model's training scans")
        return _("0 to 1 (fraction of the model's window)")


class DisplayPreset(enum.Enum):
    """How a new volume is shown at first; later the user's own window stays."""

    MODEL = "model"
    REFERENCE = "reference"
    AUTO = "auto"
    CT_ABDOMEN = "CT_ABDOMEN"
    CT_BONE = "CT_BONE"
    CT_BRAIN = "CT_BRAIN"
    CT_LUNG = "CT_LUNG"

    def label(self) -> str:
        texts = {
            DisplayPreset.MODEL: _("The model's window"),
            DisplayPreset.REFERENCE: _("Same as the reference volume"),
            DisplayPreset.AUTO: _("Automatic, from its intensities"),
        }
        return texts.get(self) or _("Preset {name}").format(name=self.value.replace("_", " "))


DEFAULT_MODEL = "brain-t1"
DEFAULT_MARGIN_MM = 4.0
LARGEST_SEED = 2**31 - 1
MOST_SAMPLES = 100
LONGEST_TRAINING = 10_000_000


class UnmatchedSegments(enum.Enum):
    """The treatment of segments that the model does not know."""

    STOP = "stop"
    BACKGROUND = "background"

    def label(self) -> str:
        if self is UnmatchedSegments.STOP:
            return _("Stop until each one has a model label")
        return _("Treat them as background")


class SegmentChoice(enum.Enum):
    """The segments that are taken."""

    ALL = "all"
    VISIBLE = "visible"
    CHOSEN = "chosen"

    def label(self) -> str:
        return {
            SegmentChoice.ALL: _("All"),
            SegmentChoice.VISIBLE: _("Visible"),
            SegmentChoice.CHOSEN: _("Ticked in the table"),
        }[self]


class OutputMode(enum.Enum):
    """The place for the volumes of a synthesis."""

    SELECTED = "selected"
    NEW = "new"

    def label(self) -> str:
        if self is OutputMode.SELECTED:
            return _("The selected volume")
        return _("Always a new volume")


class ManySamples(enum.Enum):
    """The nodes that several samples become."""

    SEQUENCE = "sequence"
    VOLUMES = "volumes"

    def label(self) -> str:
        if self is ManySamples.SEQUENCE:
            return _("One sequence, to browse by seed")
        return _("One volume for each sample")


class Seam(enum.Enum):
    """The way in which an edit adapts to the intensities of the scan around it."""

    SMOOTH = "smooth"
    SCALED = "scaled"
    NONE = "none"

    def label(self) -> str:
        return {
            Seam.SMOOTH: _("Scaled and smoothly corrected"),
            Seam.SCALED: _("Scaled only"),
            Seam.NONE: _("As the model made it"),
        }[self]


class EditModality(enum.Enum):
    """Kind of a scan that is edited."""

    AUTO = ""
    CT = "ct"
    T1 = "t1"
    T2 = "t2"

    def label(self) -> str:
        return {
            EditModality.AUTO: _("Automatic (CT is recognized, else MR T1)"),
            EditModality.CT: _("CT"),
            EditModality.T1: _("MR T1"),
            EditModality.T2: _("MR T2"),
        }[self]


class Device(enum.Enum):
    """The device that the network runs on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"

    def label(self) -> str:
        return {
            Device.AUTO: _("Automatic (GPU if there is one)"),
            Device.CPU: _("CPU"),
            Device.CUDA: _("NVIDIA GPU (CUDA)"),
            Device.MPS: _("Apple GPU (MPS)"),
        }[self]


@parameterNodeWrapper
class AnatoMaskGANParameterNode:
    """The settings that the panel shows; they are saved with the scene."""

    if TYPE_CHECKING:  # parameterNodeWrapper adds these

        def __init__(self, node: vtkMRMLScriptedModuleNode) -> None: ...
        def connectGui(self, gui: Any) -> Any: ...
        def disconnectGui(self, tag: Any) -> None: ...

    inputSegmentation: vtkMRMLSegmentationNode
    segmentChoice: SegmentChoice = SegmentChoice.ALL
    # IDs of the segments that are not ticked; counts for the choice CHOSEN only
    leftOutSegments: list[str]
    # The segmentation that the segments not ticked and the user's labels belong to, once it is
    # known: a scene saved by an earlier version does not say it.
    choicesOf: vtkMRMLSegmentationNode
    areChoicesOwned: bool = False
    # gives the output its grid; none: the segmentation's own
    referenceVolume: vtkMRMLScalarVolumeNode
    # without one, a new volume is made and selected
    outputVolume: vtkMRMLScalarVolumeNode
    # the volume that the output is compared with
    realVolume: vtkMRMLScalarVolumeNode
    # the scan that follows its segments, and its edited copy; none: a new volume
    followedScan: vtkMRMLScalarVolumeNode
    followedOutput: vtkMRMLScalarVolumeNode
    # segment name -> what a new one looks like, and what takes the place of a removed one
    editLooks: dict[str, str]
    editFills: dict[str, str]
    editModality: EditModality = EditModality.AUTO
    # the real scan that a model edits in place, and its segments before the edits
    editedScan: vtkMRMLScalarVolumeNode
    segmentationBefore: vtkMRMLSegmentationNode
    # the distance over which an edit fades out into the scan
    marginMm: Annotated[float, WithinRange(0.0, 20.0)] = DEFAULT_MARGIN_MM
    seam: Seam = Seam.SMOOTH
    model: str = DEFAULT_MODEL
    # segment name -> model label that the user chose; "" is background
    userLabels: dict[str, str]
    unmatched: UnmatchedSegments = UnmatchedSegments.STOP
    seed: Annotated[int, WithinRange(0, LARGEST_SEED)] = 0
    # number of volumes, with the seeds seed, seed + 1, ...
    samples: Annotated[int, WithinRange(1, MOST_SAMPLES)] = 1
    # 0 gives the one deterministic image
    noiseStrength: Annotated[float, WithinRange(0.0, 2.0)] = 1.0
    # factor on the training's correlation lengths
    noiseLengthScale: Annotated[float, WithinRange(0.25, 4.0)] = 1.0
    device: Device = Device.AUTO
    outputMode: OutputMode = OutputMode.SELECTED
    manySamples: ManySamples = ManySamples.SEQUENCE
    intensities: Intensities = Intensities.MODEL
    displayPreset: DisplayPreset = DisplayPreset.MODEL
    # folders of the batch
    batchInput: str
    batchOutput: str
    # The training, its cases and its folder. The settings file and further settings are not kept:
    # they can name programs, and a scene may come from anywhere.
    trainSource: TrainingSource = TrainingSource.FOLDER
    trainCases: str
    trainFolder: str
    trainPreset: TrainingPreset = TrainingPreset.QUICK
    trainLength: Annotated[int, WithinRange(1, LONGEST_TRAINING)] = 10
    trainLengthUnit: LengthUnit = LengthUnit.PRESET
    trainHeldOut: HeldOut = HeldOut.BOTH
    trainWindow: str
    # the card of the trained model
    trainModelName: str
    trainDescription: str
    trainTrainingData: str
    trainLicence: str
