"""The choices, besides the nodes, that a script makes by name when it calls the logic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from AnatoMaskGANModule.parameters import (
    DEFAULT_MARGIN_MM,
    DEFAULT_MODEL,
    MOST_SAMPLES,
    ManySamples,
)
from AnatoMaskGANModule.synthesis.request import (
    SynthesisSettings,
    VolumeSource,
    camelCase,
    samplingNames,
)
from AnatoMaskGANModule.synthesis.result import OutputStyle

AnyChoices = TypeVar("AnyChoices", bound="Choices")


@dataclass(frozen=True)
class Choices:
    """The choices for making volumes, of a whole segmentation or for an edit of a scan."""

    model: str = DEFAULT_MODEL
    device: str = "auto"
    seed: int = 0
    labels: Mapping[str, str] | None = None
    """Segment name -> label of the model that replaces the matching rules, "" for background."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """The core's `SamplingSettings`; a script gives each by its name, such as noiseStrength."""

    @classmethod
    def of(cls: type[AnyChoices], named: Mapping[str, Any]) -> AnyChoices:
        """The choices of these names; TypeError for an unknown name, with the closest ones."""
        from AnatoMaskGANLib.synthesis.options import closest_names

        own = [one.name for one in fields(cls) if one.name != "sampling"]
        sampling = {camelCase(name): name for name in samplingNames()}
        for name in named:
            if name not in own and name not in sampling:
                names = closest_names(name, [*own, *sampling])
                raise TypeError(f"There is no choice {name!r}; expected {names}.")
        return cls(
            **{name: value for name, value in named.items() if name in own},
            sampling={sampling[name]: named[name] for name in named if name in sampling},
        )

    @property
    def seeds(self) -> list[int]:
        """One seed for each volume."""
        return [self.seed]

    def settings(self) -> SynthesisSettings:
        """Raises ValueError for a setting that makes no sense."""
        from AnatoMaskGANLib.synthesis.options import SynthesisOptions

        options = SynthesisOptions(seeds=tuple(self.seeds), **self.sampling)
        return SynthesisSettings(self.model, self.device, options)

    def source(self, segmentationNode: Any, referenceVolume: Any) -> VolumeSource:
        """The source of a volume: all segments of a segmentation."""
        return self._source(segmentationNode, referenceVolume, None)

    def _source(
        self, segmentationNode: Any, referenceVolume: Any, segmentIDs: Sequence[str] | None
    ) -> VolumeSource:
        unmatched = self.settings().options.unmatched
        labels = dict(self.labels or {})
        return VolumeSource(segmentationNode, referenceVolume, segmentIDs, labels, unmatched)


@dataclass(frozen=True)
class SynthesisChoices(Choices):
    """The choices for `AnatoMaskGANLogic.synthesize`: making volumes, placing them in the scene."""

    samples: int = 1
    """Number of volumes, with the seeds seed, seed + 1, ..."""
    segmentIDs: Sequence[str] | None = None
    """The segments that are taken; None for all."""
    manySamples: ManySamples = ManySamples.SEQUENCE
    style: OutputStyle | None = None
    """The intensities, and how a new volume is shown."""

    @property
    def seeds(self) -> list[int]:
        """One seed for each volume; ValueError for an impossible number of samples."""
        if not (isinstance(self.samples, int) and 1 <= self.samples <= MOST_SAMPLES):
            raise ValueError(f"samples is {self.samples!r}; expected 1 to {MOST_SAMPLES}.")
        return [self.seed + number for number in range(self.samples)]

    def source(self, segmentationNode: Any, referenceVolume: Any) -> VolumeSource:
        """The source of a volume: the chosen segments of a segmentation."""
        return self._source(segmentationNode, referenceVolume, self.segmentIDs)


@dataclass(frozen=True)
class EditChoices(Choices):
    """The choices for `AnatoMaskGANLogic.editInPlace`: making an edit, joining it to the scan."""

    marginMm: float = DEFAULT_MARGIN_MM
    """The distance over which the edit fades out; beyond it every voxel stays as in the scan."""
    seam: str = "smooth"
    """The way in which the edit adapts to the scan's intensities: "smooth" with a line and a smooth
    field, "scaled" with the line alone, "none" not at all."""
