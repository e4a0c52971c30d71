"""The settings of one synthesis from a label map, and the callbacks that follow it.

These objects go from the command line, the panel and scripts down to the engine, and as JSON to the
synthesis process. Nothing here needs PyTorch, so that a command line and a panel start without it.
"""

from __future__ import annotations

import difflib
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from AnatoMaskGANLib.synthesis.errors import SynthesisCancelledError

Unmatched = Literal["stop", "surrounding", "background"]

Filler = Literal["moved", "model", "both"]
"""Who makes the voxels of an edit in a real scan: its own moved voxels, a model, or moved voxels
and the model where there are none to move."""

UserTable = Mapping[str, str | int | None]
"""Name or value of the map to name or value of the model, None for background."""

OnProgress = Callable[[float, str], None]
"""Called with the fraction that is done, in [0,1], and what is being done."""

IsCancelled = Callable[[], bool]
"""Asked between slices whether to stop."""

LAST_SEED = 2**63 - 1
"""The noise counts in 64 bits."""

MOST_NOISE = 100.0
"""Largest noise strength; ours: far beyond that of training, far below where numbers overflow."""

NOISE_LENGTH_SCALES = (0.25, 4.0)
"""Correlation lengths of the noise over those of the training; ours: beyond, no tissue is left."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """What all volumes of a synthesis share; the command line shows these texts as its help.

    Raises ValueError for values that make no sense.
    """

    noise_strength: float = 1.0
    """Factor on the noise. 1 is what the model was trained with; with 0 all samples are equal."""
    noise_length_scale: float = 1.0
    """Factor on the correlation lengths of the noise, 0.25 to 4. 1 is what the model was trained
    with; other values give a finer or coarser texture than that of the training scans."""
    unmatched: Unmatched = "stop"
    """What becomes of labels that the model does not know: stop ends with an error that lists
    them; surrounding makes each of their voxels the nearest label that the model knows, the tissue
    around them; background makes a hole of them, dark as air: it does not ignore them. In a file of
    names, the name surrounding or background says it for one label."""

    def __post_init__(self) -> None:
        ranges = {"noise_length_scale": NOISE_LENGTH_SCALES, "noise_strength": (0.0, MOST_NOISE)}
        for name, (low, high) in ranges.items():
            object.__setattr__(self, name, _checked_factor(name, getattr(self, name), low, high))
        if self.unmatched not in get_args(Unmatched):
            allowed = " or ".join(map(repr, get_args(Unmatched)))
            raise ValueError(f"unmatched is {self.unmatched!r}; expected {allowed}.")

    def for_seeds(
        self, seeds: Iterable[int], user_table: UserTable | None = None
    ) -> SynthesisOptions:
        """The same settings with seeds, and the user's table of labels."""
        shared = {option.name: getattr(self, option.name) for option in fields(SamplingSettings)}
        return SynthesisOptions(seeds=tuple(seeds), user_table=user_table, **shared)


@dataclass(frozen=True, kw_only=True)
class SynthesisOptions(SamplingSettings):
    """How volumes are made of one label map: same map, model and options, same volumes."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of the noise; each makes one volume."""
    user_table: UserTable | None = None
    """The user's own choice of labels, before all rules: name or value in the map -> name or value
    in the model, None for background."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "seeds", _checked_seeds(self.seeds))
        if self.user_table is not None:
            if not isinstance(self.user_table, Mapping):
                kind = type(self.user_table).__name__
                raise ValueError(f"user_table is a {kind}; expected a mapping of labels.")
            object.__setattr__(self, "user_table", dict(self.user_table))

    @classmethod
    def of(cls, options: SynthesisOptions | None, settings: Mapping[str, Any]) -> SynthesisOptions:
        """The options, or those of settings by name; `seed` stands for `seeds` of one.

        Raises TypeError for an unknown name, with the closest ones, and where both are given.
        """
        if options is not None:
            if not isinstance(options, SynthesisOptions):
                kind = type(options).__name__
                raise TypeError(f"options is a {kind}; expected SynthesisOptions, or seed=...")
            if settings:
                raise TypeError(
                    f"Both options and {', '.join(settings)} came; expected one of the two. Put "
                    "all settings into the options."
                )
            return options
        values = dict(settings)
        if "seed" in values:
            if "seeds" in values:
                raise TypeError("Both seed and seeds came; expected one of the two.")
            values["seeds"] = (values.pop("seed"),)
        known = [option.name for option in fields(cls)]
        for name in values:
            if name not in known:
                names = closest_names(name, [*known, "seed", "options", "progress"])
                raise TypeError(f"A synthesis has no setting {name!r}; expected {names}.")
        return cls(**values)

    def provenance(self, seed: int) -> dict[str, str]:
        """The provenance entries for these options and a seed; `from_provenance` reads them."""
        return {
            "Seed": str(seed),
            "NoiseStrength": repr(float(self.noise_strength)),
            "NoiseLengthScale": repr(float(self.noise_length_scale)),
        }

    @classmethod
    def from_provenance(cls, provenance: Mapping[str, str]) -> SynthesisOptions:
        """The options of the noise in a volume's provenance, which says nothing of its labels."""
        return cls(
            seeds=(int(provenance["Seed"]),),
            noise_strength=float(provenance["NoiseStrength"]),
            noise_length_scale=float(provenance.get("NoiseLengthScale", "1.0")),
        )


@dataclass(frozen=True)
class Progress:
    """The callbacks of a synthesis: one follows it, the other can end it."""

    report: OnProgress = lambda fraction, text: None
    is_cancelled: IsCancelled = lambda: False

    def stop_if_cancelled(self) -> None:
        """Raises SynthesisCancelledError once `is_cancelled` says so."""
        if self.is_cancelled():
            raise SynthesisCancelledError("The synthesis was cancelled.")

    def span(self, start: float, stop: float) -> Progress:
        """The callbacks for a part of the work, from one fraction of the whole to another."""
        return Progress(
            lambda fraction, text: self.report(start + (stop - start) * fraction, text),
            self.is_cancelled,
        )


def _checked_factor(name: str, value: Any, low: float, high: float) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_number and low <= value <= high):
        raise ValueError(
            f"{name} is {value}; expected a number from {low:g} to {high:g}. 1 is the noise "
            "of the training."
        )
    return float(value)


def _checked_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    try:
        checked = tuple(operator.index(seed) for seed in seeds)
    except TypeError as error:
        raise ValueError(f"seeds is {seeds!r}; expected whole numbers.") from error
    if not checked:
        raise ValueError("seeds is empty; expected one seed for every volume.")
    largest = max(checked, key=abs)
    if abs(largest) > LAST_SEED:
        raise ValueError(f"A seed is {largest}; expected {LAST_SEED} at most.")
    return checked


def closest_names(name: str, known: Sequence[str]) -> str:
    """The known names that are most like a wrong one, or all where none is, as a text."""
    return " or ".join(difflib.get_close_matches(name, known, cutoff=0.5) or known)
