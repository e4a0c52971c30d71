"""`anatomaskgan models`: which models there are, and how they come and go."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.parent_process import report_event
from AnatoMaskGANLib.commands.printable_text import printable

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListModelsOptions:
    """List the installed and bundled models, one a line."""


@dataclass(frozen=True)
class ShowModelOptions:
    """Show a model's card: training data, license, what it must not be used for, metrics."""

    model: str = positional()
    """Name of a model, as the list gives it, or path of a model folder."""


@dataclass(frozen=True)
class VerifyModelOptions:
    """Read a whole model, check that its weights match its card, and show its SHA-256."""

    model: str = positional()
    """Name of a model, as the list gives it, or path of a model folder."""
    sha256: str | None = None
    """SHA-256 that the weights file must have; its first eight digits or more are enough."""


@dataclass(frozen=True)
class InstallModelOptions:
    """Install a model from an archive that `models export --archive` wrote, or from a folder."""

    file: Path = positional()
    """Zip archive, model folder or weights file."""
    sha256: str | None = None
    """SHA-256 that the weights file must have; its first eight digits or more are enough."""
    replace: bool = False
    """Replace an installed model of the same name."""


@dataclass(frozen=True)
class DownloadModelOptions:
    """Download a model that a catalog lists, check its SHA-256, and install it."""

    catalog: Path = positional()
    """JSON file that lists models with their address, size, license and SHA-256."""
    name: str = positional()
    """Name of the model in the catalog."""
    replace: bool = False
    """Replace an installed model of the same name."""


@dataclass(frozen=True)
class RemoveModelOptions:
    """Remove an installed model. Bundled models cannot be removed."""

    model: str = positional()
    """Name of the model, as the list gives it."""


@dataclass(frozen=True)
class ExportModelOptions:
    """Make a model from a training run, with its averaged weights."""

    run: Path = positional()
    """Folder of the run."""
    name: str = positional()
    """Name of the model."""
    output: Path | None = None
    """Folder in which the model folder is made; by default the folder of installed models."""
    checkpoint: str = "latest"
    """Checkpoint to export: latest, best, or the step of a numbered checkpoint."""
    archive: Path | None = None
    """Zip file to write in addition, to be installed elsewhere with `models install`."""
    description: str | None = None
    """What the model makes; overrides card.description of the run."""
    training_data: str | None = None
    """The training data and their terms of use; overrides card.training_data of the run."""
    license: str | None = None
    """License of the weights; overrides card.licence of the run."""
    licence: str | None = None
    """Earlier spelling of --license, which still works."""
    not_for: str | None = None
    """What the model must not be used for; overrides card.not_for of the run."""
    store: Path | None = None
    """Where the case store of the run is now, if it was moved."""
    replace: bool = False
    """Replace a model of the same name."""


def list_models(options: ListModelsOptions) -> int:
    """Returns 0; prints name and description of every model."""
    from AnatoMaskGANLib.synthesis import list_models as find_models

    cards = find_models()
    width = max((len(card.name) for card in cards), default=0)
    for card in cards:
        print(printable(f"{card.name:{width}}  {card.description}"))
    return 0


def show_model(options: ShowModelOptions) -> int:
    """Returns 0; prints the card. Raises CheckpointError for a place that holds no model."""
    from AnatoMaskGANLib.synthesis.models.folder import card_text, find_model, read_card

    print(printable(card_text(read_card(find_model(options.model)))))
    return 0


def verify_model(options: VerifyModelOptions) -> int:
    """Returns 0 for a whole model; prints its name and hash."""
    from AnatoMaskGANLib.synthesis.models.archive import verify_model as verify

    card = verify(options.model, options.sha256)
    print(printable(f"{card.name} is complete and undamaged; SHA-256 {card.sha256}"))
    return 0


def install_model(options: InstallModelOptions) -> int:
    """Returns 0 when the model is installed; prints where."""
    from AnatoMaskGANLib.synthesis.models.archive import install_model as install

    card = install(options.file, options.sha256, options.replace)
    print(printable(f"{card.name}: {card.path}"))
    return 0


def download_model(options: DownloadModelOptions) -> int:
    """Returns 0 when the model is installed; prints where."""
    from AnatoMaskGANLib.synthesis.models.catalog import find_entry
    from AnatoMaskGANLib.synthesis.models.download import download_model as download

    entry = find_entry(options.catalog, options.name)
    _log.info("%s: %.1f MB from %s", entry.name, entry.size_bytes / 2**20, entry.url)
    layout = "{desc}: {percentage:3.0f}%|{bar}| {postfix}"
    with tqdm(total=1.0, desc=entry.name, bar_format=layout, disable=None) as bar:

        def on_progress(fraction: float, text: str) -> None:
            bar.n = fraction
            bar.set_postfix_str(text)
            report_event("share", share=round(fraction, 3), text=text)

        card = download(entry, on_progress, replace=options.replace)
    print(printable(f"{card.name}: {card.path}"))
    return 0


def remove_model(options: RemoveModelOptions) -> int:
    """Returns 0 when the model is removed; prints where it was."""
    from AnatoMaskGANLib.synthesis.models.archive import remove_model as remove

    print(f"removed {remove(options.model)}")
    return 0


def export_model(options: ExportModelOptions) -> int:
    """Returns 0 when the model is made; prints its folder."""
    from AnatoMaskGANLib.synthesis.models.archive import pack_model
    from AnatoMaskGANLib.synthesis.models.folder import user_models_folder
    from AnatoMaskGANLib.training.export import RunCheckpoint, card_texts_of, export_run

    if options.licence is not None:
        _log.info("--licence is now spelled --license; the old spelling still works")
    overrides = {
        "description": options.description,
        "training_data": options.training_data,
        "licence": options.licence if options.license is None else options.license,
        "not_for": options.not_for,
    }
    given = {name: text for name, text in overrides.items() if text is not None}
    run = RunCheckpoint(options.run, options.checkpoint, options.store)
    texts = replace(card_texts_of(run), **given)
    target_folder = options.output or user_models_folder()
    folder = export_run(run, options.name, target_folder, texts, replace=options.replace)
    print(folder)
    if options.archive is not None:
        print(pack_model(folder, options.archive))
    return 0
