"""The marks by which a volume says where its voxels come from: a scanner, a model, or both.

A synthetic image that is taken for a scan falsifies what is measured with it: a model compared with
its own images is perfect. Our own files say it in their provenance, DICOM in Synthetic Data
(0008,001C).
"""

from __future__ import annotations

from collections.abc import Mapping

from AnatoMaskGANLib.volumes.volume import Volume

SYNTHETIC_MARK = "SyntheticData"
EDIT_MARKS = ("EditedScan", "EditedInPlace")


def origin_of(volume: Volume) -> str:
    """What the volume is marked as, in words; "" for one without a mark, such as a scan."""
    return origin_of_provenance(volume.provenance)


def origin_of_provenance(provenance: Mapping[str, str]) -> str:
    """What a volume with this provenance is marked as; see `origin_of`."""
    is_edited = any(provenance.get(mark) == "YES" for mark in EDIT_MARKS)
    is_synthetic = provenance.get(SYNTHETIC_MARK) == "YES"
    if not (is_edited or is_synthetic):
        return ""
    model = provenance.get("Model", "")
    by_model = f" by {model}" if model else ""
    if is_edited:
        return f"an edited scan, of which a part was made{by_model}"
    return f"a synthetic image, made{by_model or ' by a program'}"
