"""Makes a synthetic volume from a label map, with a trained model."""

from typing import TYPE_CHECKING

from AnatoMaskGANLib.lazy_names import lazy_names
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
from AnatoMaskGANLib.synthesis.options import Progress, SynthesisOptions
from AnatoMaskGANLib.volumes import ChangedRegion

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis.session import SynthesisSession
    from AnatoMaskGANLib.synthesis.synthesizer import Synthesizer

# The files that import PyTorch.
__getattr__ = lazy_names(__name__, {"SynthesisSession": "session", "Synthesizer": "synthesizer"})

__all__ = [
    "ChangedRegion",
    "CheckpointError",
    "DeviceError",
    "MemoryLimitError",
    "ModelCard",
    "Progress",
    "SynthesisCancelledError",
    "SynthesisOptions",
    "SynthesisSession",
    "Synthesizer",
    "blend_edit",
    "edit_in_place",
    "list_models",
    "read_model",
    "user_models_folder",
    "write_model",
]
