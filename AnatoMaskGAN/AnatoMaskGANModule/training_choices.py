"""The choices of a training: where its cases come from, with which settings, how long."""

import enum

from slicer.i18n import tr as _


class TrainingSource(enum.Enum):
    """Where the cases come from."""

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
        """What the example is changed by: the paper's perceptual loss needs a downloaded file."""
        return ("losses.perceptual=0",) if self is TrainingPreset.PAPER else ()


class LengthUnit(enum.Enum):
    """What the length of a training counts."""

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
    """Which subjects the training does not see."""

    BOTH = "0.7, 0.15, 0.15"
    VALIDATION = "0.85, 0.15, 0"
    NOTHING = "1, 0, 0"

    def label(self) -> str:
        return {
            HeldOut.BOTH: _("15 % for validation, 15 % for a test"),
            HeldOut.VALIDATION: _("15 % for validation"),
            HeldOut.NOTHING: _("None: train on all"),
        }[self]
