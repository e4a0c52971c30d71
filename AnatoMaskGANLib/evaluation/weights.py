"""Weights of feature extractors: local files that are checked by their hash. No downloads.

Publishers hand out pickles (.pth), which are not read here: reading one can run any program, and a
hash proves whose file it is, not that it is harmless. Documentation/training.md has the one line
that turns a pickle into a safetensors file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.volumes.file_hash import file_sha256


class WeightsError(ValueError):
    """A weights file is missing or is not the file that was named."""


def read_weights(path: str | Path, sha256: str | None = None) -> dict[str, Any]:
    """The tensors of a safetensors file, by name, after `checked_weights`.

    Raises WeightsError for a file that is absent, another or damaged, and for a pickle.
    """
    if Path(path).suffix != ".safetensors":
        raise WeightsError(
            f"The weights file {path} is not a .safetensors file; expected one, because "
            "reading a pickle (.pth) could run any program. Documentation/training.md "
            "explains how to convert it."
        )
    import safetensors.torch

    content = checked_weights(path, sha256).read_bytes()
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(
            f"The weights file {path} is not a complete safetensors file ({error}); "
            "convert it again."
        ) from error


def checked_weights(path: str | Path, sha256: str | None = None) -> Path:
    """The path, after checking that its content has the SHA-256, or begins with these digits of it.

    Without `sha256` the hash is read from the file's name, as in "vgg19-0123abcd.safetensors". A
    metric computed with other weights than it says is worse than none, so a file that cannot be
    checked is refused. Raises WeightsError.
    """
    path = Path(path)
    if sha256 is None:
        in_name = re.search(r"-([0-9a-f]{8,64})\.\w+$", path.name)
        if in_name is None:
            raise WeightsError(
                f"The weights '{path.name}' have no hash; expected a SHA-256, or a file "
                "name that ends with one, such as 'vgg19-0123abcd.safetensors'. Give the "
                "SHA-256 that the publisher of the weights states."
            )
        sha256 = in_name.group(1)
    if not re.fullmatch(r"[0-9a-f]{8,64}", sha256.lower()):
        raise WeightsError(f"'{sha256}' is not a SHA-256; expected 8 to 64 hexadecimal digits.")
    if not path.is_file():
        raise WeightsError(
            f"The weights file {path} does not exist. Nothing is downloaded: get it from "
            "its publisher and put it there, or leave this metric out."
        )
    found = file_sha256(path)
    if not found.startswith(sha256.lower()):
        raise WeightsError(
            f"The weights file {path} has SHA-256 {found}; expected {sha256}. It is another "
            "file, or it is damaged: get it again."
        )
    return path
