"""Label maps and volumes: containers, geometry, files, resampling and the names of labels."""

from typing import TYPE_CHECKING

from AnatoMaskGANLib.lazy_names import lazy_names
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_map import LabelMap
from AnatoMaskGANLib.volumes.label_matching import (
    LabelMatch,
    UnmatchedLabelsError,
    apply_matches,
    match_labels,
)
from AnatoMaskGANLib.volumes.label_table import (
    LabelTable,
    label_table_of_model,
    load_label_table,
)
from AnatoMaskGANLib.volumes.source_files import files_read_with
from AnatoMaskGANLib.volumes.volume import ChangedRegion, Volume, same_grid

if TYPE_CHECKING:
    from AnatoMaskGANLib.volumes.files import (
        read_label_map,
        read_volume,
        write_label_map,
        write_volume,
    )
    from AnatoMaskGANLib.volumes.resampling import (
        labels_on_grid_of,
        to_grid_of,
        to_model_grid,
        volume_to_model_grid,
    )

# The files that import SimpleITK.
__getattr__ = lazy_names(
    __name__,
    {
        "labels_on_grid_of": "resampling",
        "read_label_map": "files",
        "read_volume": "files",
        "to_grid_of": "resampling",
        "to_model_grid": "resampling",
        "volume_to_model_grid": "resampling",
        "write_label_map": "files",
        "write_volume": "files",
    },
)

__all__ = [
    "ChangedRegion",
    "LabelMap",
    "LabelMatch",
    "LabelTable",
    "UnmatchedLabelsError",
    "Volume",
    "VolumeError",
    "apply_matches",
    "files_read_with",
    "label_table_of_model",
    "labels_on_grid_of",
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
