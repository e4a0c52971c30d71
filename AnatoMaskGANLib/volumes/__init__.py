"""Label maps and volumes: containers, geometry, files, resampling and the names of labels."""

from .companion_files import files_read_with
from .errors import VolumeError
from .files import read_label_map, read_volume, write_label_map, write_volume
from .label_map import LabelMap
from .label_matching import LabelMatch, UnmatchedLabelsError, apply_matches, match_labels
from .label_table import LabelTable, load_label_table
from .resampling import to_grid_of, to_model_grid, volume_to_model_grid
from .volume import Volume, same_grid

__all__ = [
    "LabelMap",
    "LabelMatch",
    "LabelTable",
    "UnmatchedLabelsError",
    "Volume",
    "VolumeError",
    "apply_matches",
    "files_read_with",
    "load_label_table",
    "match_labels",
    "read_label_map",
    "read_volume",
    "same_grid",
    "to_grid_of",
    "to_model_grid",
    "volume_to_model_grid",
    "write_label_map",
    "write_volume",
]
