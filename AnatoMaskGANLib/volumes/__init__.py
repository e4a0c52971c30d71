"""Label maps and volumes: containers, geometry, files, resampling and the names of labels."""

from .errors import VolumeError
from .files import read_label_map, read_volume, write_label_map, write_volume
from .label_map import LabelMap
from .resampling import to_grid_of, to_model_grid, volume_to_model_grid
from .volume import Volume, same_grid

__all__ = [
    "LabelMap",
    "Volume",
    "VolumeError",
    "read_label_map",
    "read_volume",
    "same_grid",
    "to_grid_of",
    "to_model_grid",
    "volume_to_model_grid",
    "write_label_map",
    "write_volume",
]
