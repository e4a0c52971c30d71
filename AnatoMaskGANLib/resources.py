"""Where the bundled files lie: models, label tables and sample data."""

from __future__ import annotations

from pathlib import Path


def resources_folder() -> Path:
    """The `Resources` folder: inside the package in a wheel, beside it in a clone and in Slicer."""
    package_folder = Path(__file__).resolve().parent
    inside = package_folder / "Resources"
    return inside if inside.is_dir() else package_folder.parent / "Resources"
