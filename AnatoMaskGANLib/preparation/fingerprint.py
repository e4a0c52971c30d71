"""One hash of everything that the arrays of a case depend on: its files and the settings."""

from __future__ import annotations

import hashlib
import json

from AnatoMaskGANLib.preparation.archives import CaseFiles
from AnatoMaskGANLib.preparation.plan import Plan
from AnatoMaskGANLib.volumes.case_store import STORE_VERSION
from AnatoMaskGANLib.volumes.file_hash import file_sha256
from AnatoMaskGANLib.volumes.source_files import files_read_with

# Raised when the same inputs and settings give other arrays than before.
_METHOD_VERSION = 3


def fingerprint(plan: Plan, files: CaseFiles) -> str:
    """SHA-256 of the content of a case's files and of the settings that its arrays depend on."""
    settings = plan.settings
    guidance = (
        None
        if settings.guidance == "none"
        else [
            settings.superpixel_mode,
            settings.num_superpixels,
            settings.compactness,
            settings.superpixel_step,
        ]
    )
    made_with = {
        "versions": [STORE_VERSION, _METHOD_VERSION],
        "source_table": plan.classes.source.to_dict(),
        "class_of": sorted(plan.classes.class_of.items()),
        "has_table_of_files": plan.has_table_of_files,
        "unmatched": settings.unmatched,
        "slips": sorted(plan.slips.items()),
        "spacing_mm": plan.spacing_mm,
        "window": plan.window_for(files) or ["percentiles", *settings.percentiles],
        "unit": settings.unit,
        "background": [settings.body_threshold] if settings.remove_background else None,
        "guidance": guidance,
    }
    digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode())
    for path in (files.image, files.labels):
        for file in files_read_with(path) if path is not None else ():
            digest.update(b"\0" + file.name.encode() + b"\0")
            digest.update(bytes.fromhex(file_sha256(file)))
    return digest.hexdigest()
