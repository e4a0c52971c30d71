"""`anatomaskgan models calibrate`: a model whose labels have the texture of its training scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse.typing import PositiveFloat, PositiveInt
from tqdm import tqdm

from AnatoMaskGANLib.commands.bounded_numbers import RoundCount
from AnatoMaskGANLib.commands.evaluate.cases import (
    check_prepared_for,
    stored_label_map,
    stored_volume,
)
from AnatoMaskGANLib.commands.options import positional
from AnatoMaskGANLib.commands.printable_text import printable
from AnatoMaskGANLib.commands.synthesize import Device

if TYPE_CHECKING:
    from AnatoMaskGANLib.training.noise_calibration import Case, LabelTexture
    from AnatoMaskGANLib.volumes.case_store import CaseStore, StoredCase


@dataclass(frozen=True)
class CalibrateModelOptions:
    """Make a new model from another one, in which the noise of each label is adjusted until its
    standard deviation equals that of the training scans. Measure the new model again."""

    store: Path
    """Case store that the model was trained on. Only its training split is used."""
    model: str = positional()
    """Name of a model with 3-D noise, or path of its model folder."""
    name: str = positional()
    """Name of the new model."""
    output: Path | None = None
    """Folder in which the model folder is made; by default the folder of installed models."""
    cases: PositiveInt | None = None
    """Largest number of training cases to use; by default all of them."""
    tolerance: PositiveFloat = 0.05
    """Labels whose standard deviation differs from the scans' by no more than this fraction are not
    changed."""
    rounds: RoundCount = 3
    """How often the noise is changed and measured. Each round makes one volume for every case."""
    device: Device = "auto"
    """Device on which the network runs; auto takes a GPU if there is one."""
    replace: bool = False
    """Replace a model that has the new name."""


def calibrate_model(options: CalibrateModelOptions) -> int:
    """Returns 0 when the model is made; prints each label before and after, and the folder."""
    from AnatoMaskGANLib.synthesis.devices import pick_device
    from AnatoMaskGANLib.synthesis.models.archive import (
        check_model_name,
        refuse_bundled_name,
        refuse_taken_place,
    )
    from AnatoMaskGANLib.synthesis.models.folder import read_model, user_models_folder, write_model
    from AnatoMaskGANLib.training.noise_calibration import calibrate_noise
    from AnatoMaskGANLib.volumes.case_store import open_store

    target_folder = options.output or user_models_folder()
    refuse_bundled_name(check_model_name(options.name), target_folder)
    folder = target_folder / options.name
    refuse_taken_place(folder, options.replace)
    card, generator = read_model(options.model)
    store = open_store(options.store)
    check_prepared_for(card, store)
    chosen = [
        case
        for case in store.of_split("train")
        if case.image_sjk is not None and case.labels_sjk is not None
    ][: options.cases]
    with tqdm(total=1.0, bar_format="{percentage:3.0f}%|{bar}| {elapsed}", disable=None) as bar:

        def show(fraction: float) -> None:
            bar.n = fraction
            bar.refresh()

        calibrated = calibrate_noise(
            card,
            generator,
            [_reader(store, case) for case in chosen],
            options.tolerance,
            options.rounds,
            str(pick_device(options.device)),
            show,
        )
    moved = [label for label, texture in calibrated.textures.items() if texture.shift]
    how = (
        f"noise gates of the labels {', '.join(map(str, moved)) or 'none'} adjusted to "
        f"the mean standard deviation in {', '.join(case.name for case in chosen)}"
    )
    changed = replace(
        card, name=options.name, metrics={}, training={**card.training, "noise calibration": how}
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_model(folder, changed, calibrated.generator)
    names = {int(value): name for value, name in card.label_table["labels"].items()}
    print(printable(texture_text(calibrated.textures, names)))
    print(folder)
    return 0


def _reader(store: CaseStore, case: StoredCase) -> Case:
    return lambda: (stored_label_map(store, case), stored_volume(store, case))


def texture_text(textures: Mapping[int, LabelTexture], names: Mapping[int, str]) -> str:
    """One line per label: the ratio of synthetic and real standard deviation before and after, and
    the shift of the gates."""
    width = max((len(names[label]) for label in textures), default=0)
    lines = [f"{'label':{width}}  cases  before  after  gates"]
    lines += [
        f"{names[label]:{width}}  {texture.num_cases:5}  {texture.before:6.2f}  "
        f"{texture.after:5.2f}  {texture.shift:+5.2f}"
        for label, texture in textures.items()
    ]
    return "\n".join(lines)
