"""Label maps and volumes: containers, geometry, files, resampling and the names of labels."""

from .errors import VolumeError
from .label_map import LabelMap
from .resampling import to_grid_of, to_model_grid, volume_to_model_grid
from .volume import Volume, same_grid

__all__ = [
    "LabelMap",
    "Volume",
    "VolumeError",
    "same_grid",
    "to_grid_of",
    "to_model_grid",
    "volume_to_model_grid",
]
