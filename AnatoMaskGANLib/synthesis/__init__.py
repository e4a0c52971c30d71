"""From a label map to a synthetic volume with a trained model."""

from AnatoMaskGANLib.synthesis.edit_in_place import blend_edit, edit_in_place
from AnatoMaskGANLib.synthesis.errors import (
    CheckpointError,
    DeviceError,
    MemoryLimitError,
    SynthesisCancelledError,
)
from AnatoMaskGANLib.synthesis.models.folder import (
    ModelCard,
    list_models,
    read_model,
    user_models_folder,
    write_model,
)
from AnatoMaskGANLib.synthesis.session import ChangedRegion, SynthesisSession
from AnatoMaskGANLib.synthesis.synthesizer import Synthesizer

__all__ = [
    "ChangedRegion",
    "CheckpointError",
    "DeviceError",
    "MemoryLimitError",
    "ModelCard",
    "SynthesisCancelledError",
    "SynthesisSession",
    "Synthesizer",
    "blend_edit",
    "edit_in_place",
    "list_models",
    "read_model",
    "user_models_folder",
    "write_model",
]
