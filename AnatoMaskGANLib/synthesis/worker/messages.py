"""The requests to the synthesis process and its answers, as objects.

On the pipe each is one line of JSON (`exchange.py`). A request's keys are the fields of
`SynthesizeRequest`: of the model's choice, of the options, and `live`; those of an edit are in
`edit_messages.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from AnatoMaskGANLib.synthesis.options import SynthesisOptions
from AnatoMaskGANLib.synthesis.worker.edit_messages import ScanEdited, scan_edited
from AnatoMaskGANLib.synthesis.worker.exchange import ExchangeFolder, MessageError
from AnatoMaskGANLib.volumes import ChangedRegion, Volume


@dataclass(frozen=True)
class ModelChoice:
    """The model to load, and how it runs; the fields are those of `Synthesizer`."""

    model: str = "brain-t1"
    """Name of a model, or path of a model folder."""
    device: str = "auto"
    half_precision: bool = False
    memory_limit_bytes: int | None = None
    """Memory limit of the process; None for the program's own limit."""


@dataclass(frozen=True)
class SynthesizeRequest:
    """A request for a volume of every seed."""

    choice: ModelChoice = field(default_factory=ModelChoice)
    options: SynthesisOptions = field(default_factory=SynthesisOptions)
    live: bool = False
    """Whether the volume, of one seed, can be updated afterwards."""

    def to_message(self) -> dict[str, Any]:
        """The request's part of a message."""
        return asdict(self.choice) | asdict(self.options) | {"live": self.live}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> SynthesizeRequest:
        """The request of such a part.

        Raises MessageError for a name that is no field and for a live request of several seeds,
        ValueError for a value that makes no sense.
        """
        choice, options = (
            {one.name: message[one.name] for one in fields(kind) if one.name in message}
            for kind in (ModelChoice, SynthesisOptions)
        )
        unknown = message.keys() - choice.keys() - options.keys() - {"live"}
        if unknown:
            raise MessageError(f"Synthesis has no option {sorted(unknown)[0]!r}")
        request = cls(
            ModelChoice(**choice), SynthesisOptions(**options), bool(message.get("live", False))
        )
        if request.live and len(request.options.seeds) != 1:
            raise MessageError(f"A live synthesis has one seed, not {len(request.options.seeds)}")
        return request


@dataclass(frozen=True)
class ProgressMade:
    """The fraction of a request that is done, in [0,1], and what is being done."""

    request: int
    fraction: float
    text: str


@dataclass(frozen=True)
class VolumeMade:
    """A whole volume of a request; one for every seed."""

    request: int
    seed: int
    volume: Volume


@dataclass(frozen=True)
class VolumeChanged:
    """The voxels that an update changed, in the box `changed`; None where nothing changed."""

    request: int
    changed: ChangedRegion | None
    voxels_kji: np.ndarray | None
    provenance: Mapping[str, str]


@dataclass(frozen=True)
class Finished:
    """A request that is done; its volumes came before."""

    request: int


@dataclass(frozen=True)
class Cancelled:
    """A request that `cancel` ended."""

    request: int


@dataclass(frozen=True)
class Superseded:
    """An update that a newer one replaced."""

    request: int


@dataclass(frozen=True)
class Failed:
    """A request that ended with an error; request is None for one of no request."""

    request: int | None
    error: str
    """Name of the error's type, such as "UnmatchedLabelsError"."""
    text: str


@dataclass(frozen=True)
class LogLine:
    """Something the process logged."""

    level: str
    text: str


Message = (
    ProgressMade
    | VolumeMade
    | VolumeChanged
    | ScanEdited
    | Finished
    | Cancelled
    | Superseded
    | Failed
    | LogLine
)
"""Finished, Cancelled, Superseded and Failed are the last message of a request."""


def message_of(answer: Mapping[str, Any], exchange: ExchangeFolder) -> Message | None:
    """The message of a decoded answer, None for one that says nothing, such as `ready`.

    Raises MessageError, KeyError, TypeError or ValueError for an answer that is damaged.
    """
    kind = answer["kind"]
    if kind == "log":
        return LogLine(answer["level"], answer["text"])
    if kind == "failed":
        return Failed(answer["request"], answer["error"], answer["text"])
    if kind == "finished":
        return Finished(answer["request"])
    if kind == "cancelled":
        return Cancelled(answer["request"])
    if kind == "superseded":
        return Superseded(answer["request"])
    if kind == "progress":
        return ProgressMade(answer["request"], answer["share"], answer["text"])
    if kind == "volume":
        volume = exchange.take_volume(answer["volume"])
        return VolumeMade(answer["request"], answer["seed"], volume)
    if kind == "changed":
        return _volume_changed(answer, exchange)
    if kind == "edited":
        return scan_edited(answer, exchange)
    return None


def _volume_changed(answer: Mapping[str, Any], exchange: ExchangeFolder) -> VolumeChanged:
    if answer["box"] is None:
        return VolumeChanged(answer["request"], None, None, answer["provenance"])
    start, stop = answer["box"]
    box = ChangedRegion(tuple(start), tuple(stop))
    voxels = exchange.take_array(answer["array"])
    return VolumeChanged(answer["request"], box, voxels, answer["provenance"])
