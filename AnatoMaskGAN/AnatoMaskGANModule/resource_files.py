"""Where the folder Resources lies: beside the module when installed, else one folder up."""

import pathlib

MODULE_FOLDER = pathlib.Path(__file__).resolve().parents[1]


def resourceFile(filename: str) -> str:
    """Path of a resource: beside the module when installed, one folder up in the source tree."""
    for folder in (MODULE_FOLDER, MODULE_FOLDER.parent):
        if (folder / "Resources").is_dir():
            return str(folder / "Resources" / filename)
    raise FileNotFoundError(
        f"The folder Resources is missing in {MODULE_FOLDER} or {MODULE_FOLDER.parent}. "
        "Install the extension again."
    )
