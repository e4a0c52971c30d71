"""From a label map to a synthetic volume with a trained model."""

from .edit_in_place import blend_edit, edit_in_place
from .errors import CheckpointError, DeviceError, MemoryLimitError, SynthesisCancelledError
from .model_folder import ModelCard, list_models, read_model, user_models_folder, write_model
from .session import ChangedRegion, SynthesisSession
from .synthesizer import Synthesizer

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
