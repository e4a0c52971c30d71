"""`anatomaskgan models`: which models there are, and how they come and go."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.parent_process import report_event

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListModelsOptions:
    """List the models of this installation, one a line."""


@dataclass(frozen=True)
class ShowModelOptions:
    """Show a model's card: data, license, what it must not be used for, figures."""

    model: str = positional()
    """Name of a model, as the list gives it, or path of a model folder."""


@dataclass(frozen=True)
class VerifyModelOptions:
    """Read a whole model, check that its weights fit its card, and show its SHA-256."""

    model: str = positional()
    """Name of a model, as the list gives it, or path of a model folder."""
    sha256: str | None = None
    """What the weights' file must have; its first digits suffice, eight or more."""


@dataclass(frozen=True)
class InstallModelOptions:
    """Install a model from an archive that `models export --archive` wrote, or from a folder."""

    file: Path = positional()
    """Zip archive, model folder or weights' file."""
    sha256: str | None = None
    """What the weights' file must have; its first digits suffice, eight or more."""
    replace: bool = False
    """Takes the place of an installed model of the same name."""


@dataclass(frozen=True)
class DownloadModelOptions:
    """Download a model that a catalog file names, check its SHA-256, and install it."""

    catalog: Path = positional()
    """JSON file that names models with their address, size, license and SHA-256."""
    name: str = positional()
    """Name of the model in the catalog."""
    replace: bool = False
    """Takes the place of an installed model of the same name."""


@dataclass(frozen=True)
class RemoveModelOptions:
    """Remove a model that was installed; bundled ones stay."""

    model: str = positional()
    """Name of the model, as the list gives it."""


@dataclass(frozen=True)
class ExportModelOptions:
    """Make a model of a training run, from its averaged weights."""

    run: Path = positional()
    """Folder of the run."""
    name: str = positional()
    """Name of the model."""
    output: Path | None = None
    """Folder in which the model's folder is made; that of the installed models by default."""
    checkpoint: str = "latest"
    """latest, best or the step of a numbered checkpoint."""
    archive: Path | None = None
    """Zip file to write as well, for `models install` elsewhere."""
    description: str | None = None
    """What the model makes, instead of the run's card.description."""
    training_data: str | None = None
    """Which data under which terms, instead of the run's card.training_data."""
    licence: str | None = None
    """Of the weights, instead of the run's card.licence."""
    not_for: str | None = None
    """What it must not be used for, instead of the run's card.not_for."""
    store: Path | None = None
    """Where the run's case store lies now, if it was moved."""
    replace: bool = False
    """Takes the place of a model of the same name."""


def list_models(options: ListModelsOptions) -> int:
    """Returns 0; prints name and description of every model."""
    from AnatoMaskGANLib.synthesis import list_models as find_models

    cards = find_models()
    width = max((len(card.name) for card in cards), default=0)
    for card in cards:
        print(f"{card.name:{width}}  {card.description}")
    return 0


def show_model(options: ShowModelOptions) -> int:
    """Returns 0; prints the card. Raises CheckpointError for a place that holds no model."""
    from AnatoMaskGANLib.synthesis.models.folder import card_text, find_model, read_card

    print(card_text(read_card(find_model(options.model))))
    return 0


def verify_model(options: VerifyModelOptions) -> int:
    """Returns 0 for a whole model; prints its name and hash."""
    from AnatoMaskGANLib.synthesis.models.archive import verify_model as verify

    card = verify(options.model, options.sha256)
    print(f"{card.name} is whole; SHA-256 {card.sha256}")
    return 0


def install_model(options: InstallModelOptions) -> int:
    """Returns 0 when the model is installed; prints where."""
    from AnatoMaskGANLib.synthesis.models.archive import install_model as install

    card = install(options.file, options.sha256, options.replace)
    print(f"{card.name}: {card.path}")
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
    print(f"{card.name}: {card.path}")
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

    names = ("description", "training_data", "licence", "not_for")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    run = RunCheckpoint(options.run, options.checkpoint, options.store)
    texts = replace(card_texts_of(run), **given)
    target_folder = options.output or user_models_folder()
    folder = export_run(run, options.name, target_folder, texts, replace=options.replace)
    print(folder)
    if options.archive is not None:
        print(pack_model(folder, options.archive))
    return 0
