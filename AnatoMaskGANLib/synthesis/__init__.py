"""From a label map to a synthetic volume with a trained model."""

from .errors import CheckpointError, DeviceError, SynthesisCancelledError
from .model_folder import ModelCard, list_models, read_model, user_models_folder, write_model
from .synthesizer import Synthesizer

__all__ = [
    "CheckpointError",
    "DeviceError",
    "ModelCard",
    "SynthesisCancelledError",
    "Synthesizer",
    "list_models",
    "read_model",
    "user_models_folder",
    "write_model",
]
