"""Model folders: `model.safetensors` with weights and card, and `card.md` for people.

The card travels inside the weights' file, so that one cannot be separated from the other. Nothing
is ever unpickled. Cards are listed and read without importing PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from AnatoMaskGANLib.config import (
    settings_from_dict,
    settings_to_dict,
)
from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis.errors import CheckpointError
from AnatoMaskGANLib.synthesis.models.model_card import ModelCard, check_card
from AnatoMaskGANLib.synthesis.models.weights_file import WeightsFile, read_weights_file
from AnatoMaskGANLib.volumes.atomic_writing import replacing, write_bytes

if TYPE_CHECKING:
    from torch import nn

WEIGHTS_FILE = "model.safetensors"
FORMAT = "anatomaskgan-model"
FORMAT_VERSION = 1


def bundled_models_folder() -> Path:
    """The folder of the models that come with the program."""
    return resources_folder() / "Models"


def user_models_folder() -> Path:
    """The folder of models that the user installs (ANATOMASKGAN_MODELS, else the user's data).

    Raises CheckpointError for a user without a home folder, as a container may have.
    """
    chosen = os.environ.get("ANATOMASKGAN_MODELS")
    if chosen:
        return Path(chosen)
    try:
        if os.name == "nt":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "AnatoMaskGAN" / "Models"
        return Path.home() / ".local" / "share" / "anatomaskgan" / "models"
    except RuntimeError as error:
        raise CheckpointError(
            "this user has no home folder, so there is no place for installed models; name one in "
            "ANATOMASKGAN_MODELS"
        ) from error


def model_folders() -> list[Path]:
    """The folders with models: the bundled ones, and the user's if there is a home folder."""
    try:
        return [bundled_models_folder(), user_models_folder()]
    except CheckpointError:
        return [bundled_models_folder()]


def list_models() -> list[ModelCard]:
    """Cards of the bundled and the installed models, each under the name of its folder, by which it
    is found; unreadable ones are left out."""
    cards: dict[str, ModelCard] = {}
    for folder in model_folders():
        for weights in sorted(folder.glob(f"*/{WEIGHTS_FILE}")):
            name = weights.parent.name
            try:
                cards.setdefault(name, replace(read_card(weights.parent), name=name))
            except CheckpointError:
                continue
    return [cards[name] for name in sorted(cards)]


def find_model(name_or_path: str | Path) -> Path:
    """The folder of a model by its name or its path, or the path of its weights' file.

    A text without a separator is the name of a bundled or installed model first, so that a folder
    of that name in the current one changes nothing; a `Path` is a path first.
    """
    path = Path(name_or_path)
    named = _model_named(str(name_or_path))
    if named is not None and not isinstance(name_or_path, Path):
        return named
    if path.name == WEIGHTS_FILE and path.is_file():
        return path.parent
    if path.is_dir():
        if not (path / WEIGHTS_FILE).is_file():
            raise CheckpointError(
                f"The folder {path} does not contain {WEIGHTS_FILE}. Give a model folder, "
                "or the name of a model (see: anatomaskgan models list)."
            )
        return path
    if path.is_file():
        raise CheckpointError(
            f"{path} is not a model: expected a folder with {WEIGHTS_FILE}. Pickled "
            "checkpoints (.pt, .pth, .ckpt) are never read, because reading them could "
            "run any program."
        )
    if named is not None:
        return named
    names = ", ".join(card.name for card in list_models()) or "none"
    raise CheckpointError(
        f"There is no model {str(name_or_path)!r}. Known: {names}. The path of a model "
        "folder works too."
    )


def _model_named(name: str) -> Path | None:
    """The folder of the bundled or installed model of that name."""
    if Path(name).name != name or name in ("", ".", ".."):
        return None
    places = (folder / name for folder in model_folders())
    return next((place for place in places if (place / WEIGHTS_FILE).is_file()), None)


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder, without loading its weights."""
    return _card_of(folder, read_weights_file(folder / WEIGHTS_FILE, with_content=False))


def _card_of(folder: Path, file: WeightsFile) -> ModelCard:
    path, header = folder / WEIGHTS_FILE, file.metadata
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file of another program: its header does not say {FORMAT}."
        )
    if header.get("version") != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path} is of format version {header.get('version')}, but this program reads "
            f"version {FORMAT_VERSION}. Use a matching version of AnatoMaskGAN."
        )
    try:
        values = parse_json(header["card"])
        json.dumps(values, ensure_ascii=False).encode()  # no halves of characters
        card = settings_from_dict(ModelCard, values)
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"The card in {path} cannot be read: {error}") from error
    check_card(card, path)
    return replace(card, sha256=file.sha256, path=str(folder))


def read_model(name_or_path: str | Path) -> tuple[ModelCard, nn.Module]:
    """Card and generator (on the CPU, in evaluation mode) of a model.

    Raises CheckpointError for anything that is not exactly a whole model of this program.
    """
    card, generator, _ = read_model_file(name_or_path)
    return card, generator


def read_model_file(name_or_path: str | Path) -> tuple[ModelCard, nn.Module, bytes]:
    """Reads card and generator as `read_model` does, with the bytes of the weights' file.

    The file is opened once, so that the three belong together even if it is replaced meanwhile.
    """
    import safetensors.torch

    from AnatoMaskGANLib.networks.generator import build_generator
    from AnatoMaskGANLib.synthesis.models.size_limit import AtMostNumbers

    folder = find_model(name_or_path)
    path = folder / WEIGHTS_FILE
    try:
        # load_file would keep some bytes for every tensor of the memory that it maps the file to.
        file = read_weights_file(path, with_content=True)
        card = _card_of(folder, file)
        tensors = safetensors.torch.load(file.content)
    except CheckpointError:
        raise
    except (MemoryError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    # Twice: a network also has constants, and initial values, that are not in its file.
    most_numbers = 2 * sum(tensor.numel() for tensor in tensors.values()) + 2**20
    try:
        with AtMostNumbers(most_numbers):
            generator = build_generator(card.generator)
        generator.load_state_dict(tensors, strict=True)
    except (RuntimeError, MemoryError, OverflowError, CheckpointError) as error:
        raise CheckpointError(
            f"The weights in {path} do not match their card; the file was changed or "
            f"damaged: {error}"
        ) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(f"{path}: {name} contains values that are not numbers")
        if name.endswith("running_var") and (tensor < 0).any():
            raise CheckpointError(f"{path}: {name} contains variances below 0")
    return card, generator.eval().requires_grad_(False), file.content


def write_model(folder: Path, card: ModelCard, generator: nn.Module) -> Path:
    """Writes a model folder, whole or not at all; returns the weights' path."""
    import safetensors.torch

    check_card(card, folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()
    }
    not_in_file = {"sha256": "", "path": ""}
    values = asdict(card) | not_in_file | {"generator": settings_to_dict(card.generator)}
    header = {"format": FORMAT, "version": str(FORMAT_VERSION), "card": json.dumps(values)}
    path = folder / WEIGHTS_FILE
    with replacing(path, ".safetensors") as temporary:
        # save_file would leave behind the file that it was writing when it is killed.
        content = safetensors.torch.save(tensors, header)
        temporary.write_bytes(content)
    written = replace(card, sha256=hashlib.sha256(content).hexdigest(), path=str(folder))
    write_bytes(folder / "card.md", ".md", lambda: card_text(written).encode())
    return path


def card_text(card: ModelCard) -> str:
    """The card as Markdown."""
    labels = ", ".join(f"{value} {name}" for value, name in card.label_table["labels"].items())
    lines = [
        f"# {card.name}",
        "",
        card.description,
        "",
        f"**Not for:** {card.not_for}",
        "",
        f"- License of the weights: {card.licence}",
        f"- Training data: {card.training_data}",
        f"- Grid: axial slices, {' x '.join(f'{s:g}' for s in card.spacing_ijk_mm)} mm (I, J, K)",
        f"- Intensities: {card.window[0]:g} to {card.window[1]:g} {card.unit}".rstrip(),
        f"- Labels ({card.label_table['name']}): {labels}",
        f"- SHA-256 of `{WEIGHTS_FILE}`: `{card.sha256}`",
    ]
    if card.metrics:
        lines += ["", "## Measured", "", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in card.metrics.items()]
    if card.training:
        lines += ["", "## Training", ""]
        lines += [f"- {name}: {value}" for name, value in card.training.items()]
    return "\n".join(lines) + "\n"
