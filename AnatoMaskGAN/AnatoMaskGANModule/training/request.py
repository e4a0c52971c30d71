"""The request for a training, as the panel's choices or a script define it."""

import pathlib
import re
from dataclasses import dataclass

from slicer.i18n import tr as _

from AnatoMaskGANModule.host.resources import resourceFile
from AnatoMaskGANModule.parameters import HeldOut, LengthUnit, TrainingPreset


@dataclass(frozen=True)
class TrainingRequest:
    """A training of the cases of a folder."""

    casesFolder: pathlib.Path
    folder: pathlib.Path
    """The folder for the store of prepared cases and for the run."""
    preset: TrainingPreset = TrainingPreset.QUICK
    settingsFile: pathlib.Path | None = None
    """The file of settings for the preset FILE."""
    length: int = 1
    lengthUnit: LengthUnit = LengthUnit.PRESET
    heldOut: HeldOut = HeldOut.BOTH
    window: str = ""
    """Two intensities that become 0 and 1; empty for percentiles of each scan."""
    further: str = ""
    """Settings that replace the preset's, such as "data.flip=false losses.r1=1"."""
    device: str = "auto"

    @property
    def store(self) -> pathlib.Path:
        return self.folder / "store"

    @property
    def run(self) -> pathlib.Path:
        return self.folder / "run"

    @property
    def config(self) -> pathlib.Path:
        """The settings file."""
        if self.preset is TrainingPreset.FILE:
            assert self.settingsFile is not None  # else `check` has refused the request
            return self.settingsFile
        return pathlib.Path(resourceFile(f"Examples/{self.preset.value}"))

    def check(self) -> None:
        """Raises ValueError for what can be refused before anything starts."""
        if not self.casesFolder.is_dir():
            text = _("There is no folder {path}. Choose the folder of cases.")
            raise ValueError(text.format(path=self.casesFolder))
        if self.preset is TrainingPreset.FILE and not (
            self.settingsFile is not None and self.settingsFile.is_file()
        ):
            raise ValueError(_("Choose the settings file, or another preset."))
        self._windowNumbers()
        for setting in self.further.split():
            if "=" not in setting:
                text = _(
                    "{setting} is not a setting; write NAME=VALUE, for example data.flip=false."
                )
                raise ValueError(text.format(setting=setting))

    def _windowNumbers(self) -> list[float]:
        words = re.split(r"[\s,;]+", self.window.strip(" []()"))
        try:
            numbers = [float(word) for word in words if word]
        except ValueError:
            numbers = [0.0]
        if len(numbers) not in (0, 2) or (numbers and not numbers[0] < numbers[1]):
            text = _("The intensities are {text!r}; write two numbers, the lower one first.")
            raise ValueError(text.format(text=self.window))
        return numbers

    def prepareArguments(self) -> list[str]:
        """The command line that makes the store."""
        window = self._windowNumbers()
        return [
            *("prepare", "folder", str(self.casesFolder.resolve())),
            *("--output", str(self.store.resolve()), "--split", f"[{self.heldOut.value}]"),
            *(("--window", f"[{window[0]:g}, {window[1]:g}]") if window else ()),
        ]

    def trainArguments(self, isCheck: bool = False) -> list[str]:
        """The command line of the training. Call it when the store is there."""
        settings = [*self.preset.settings, *self._reportSettings(), *self.further.split()]
        return [
            *("train", "--config", str(self.config.resolve())),
            *("--store", str(self.store.resolve()), "--output", str(self.run.resolve())),
            *("--device", self.device, "--progress", "json"),
            *(
                ("--steps", str(self.numSteps()))
                if self.lengthUnit is not LengthUnit.PRESET
                else ()
            ),
            *(("--set", *settings) if settings else ()),
            *(("--check",) if isCheck else ()),
        ]

    def numSteps(self) -> int:
        """The length in steps; the store must be there. ValueError for settings that are wrong."""
        from AnatoMaskGANLib.commands.train import TrainOptions, run_settings
        from AnatoMaskGANLib.training.dry_run import steps_per_epoch
        from AnatoMaskGANLib.volumes.case_store import open_store

        if self.lengthUnit is LengthUnit.STEPS:
            return self.length
        further = (*self.preset.settings, *self.further.split())
        settings = run_settings(TrainOptions(self.config, self.store, self.run, set=further))
        if self.lengthUnit is LengthUnit.PRESET:
            return settings.optimizer.steps
        return self.length * steps_per_epoch(settings, open_store(self.store))

    def _reportSettings(self) -> list[str]:
        """Curves and pictures often enough for this length; an own file says it itself."""
        if self.preset is TrainingPreset.FILE:
            return []
        steps = self.numSteps()
        every = min(500, max(1, steps // 10))
        return [
            f"log_every={min(20, max(1, steps // 50))}",
            f"sheet_every={every}",
            f"checkpoint_every={every}",
            f"validation.every={every}",
        ]
