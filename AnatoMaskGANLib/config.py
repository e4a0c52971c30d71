"""Settings: frozen dataclasses, read from and written to YAML and JSON by their field names."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")


class SettingsError(ValueError):
    """A setting that does not exist or has a value that makes no sense."""


GENERATOR_KINDS = ("anatomaskgan", "oasis", "unet", "segmenter")
DISCRIMINATOR_KINDS = ("patch", "segmentation", "wavelet")

# Bounds of what a settings file or the card of a model may ask for; ours, far beyond any use.
MOST_FEATURES = 8192
MOST_ROUNDS = 16
MOST_SLICES = 256
MOST_OCTAVES = 16
MOST_GAIN = 1000
NOISE_SIGMAS_MM = (0.01, 1000.0)

PATCH_SIZES = {10: 1, 16: 2, 34: 3, 70: 4, 142: 5, 286: 6}  # receptive field in pixels: num_layers


@dataclass(frozen=True)
class GeneratorSettings:
    """Shape of the generator; GENERATOR_PRESETS has sizes by name."""

    num_classes: int
    """Label classes, background (0) included."""
    kind: str = "anatomaskgan"
    """anatomaskgan (SPADE with slice-graph fusion and 3-D noise, each of which can be switched
    off), oasis (noise enters every SPADE layer together with the labels), unet (pix2pix) or
    segmenter (image to label map)."""
    channels: tuple[int, ...] = (160, 128, 96, 48, 24, 24)
    """Number of features at the coarse start and after every stage; there is one stage fewer
    than entries. Each stage doubles the grid of the one before, so the in-plane stride is 2 **
    (len(channels) - 2)."""
    spade_hidden: int = 32
    """Number of features between the two convolutions of a SPADE label branch (128 in Park et
    al.)."""
    separable: bool = False
    """Use depthwise-separable convolutions in the residual blocks."""
    norm: str = "batch"
    """Normalization inside SPADE: batch (its statistics can be frozen), group or instance."""
    use_gnn_fusion: bool = True
    """GNN-SIF, slice-graph fusion (paper, section III-A)."""
    fusion_stage: int = 1
    """Stage whose output is fused; its grid is 28x28 for images of 224x224 with the default
    channels."""
    fusion_rounds: int = 1
    """Rounds of message passing."""
    stack_radius: int = 4
    """Number of slices on either side that the stack node of a slice averages."""
    use_noise3d: bool = True
    """3D-SNI, spatial noise injection (paper, section III-B)."""
    noise_sigmas_mm: tuple[float, ...] = (0.7, 2.0, 6.0, 20.0)
    """Correlation lengths of the noise octaves in mm, for texture, shading and bias; ours."""
    context_radius: int = 2
    """Number of slices on either side whose labels the finer stages see; 0 turns this context
    off. A segmenter sees the gray values of as many slices."""
    spectral_norm: bool = False
    """Use spectral normalization for the convolutions of the residual blocks."""
    label_outputs: int = 0
    """Number of classes of a second head that makes a label map in addition to the image; 0 for
    none."""

    def __post_init__(self) -> None:
        require(self.kind in GENERATOR_KINDS, "kind", self.kind, ", ".join(GENERATOR_KINDS))
        require(2 <= self.num_classes <= 4096, "num_classes", self.num_classes, "2 to 4096")
        require(3 <= len(self.channels) <= 9, "channels", self.channels, "three to nine entries")
        for features in self.channels:
            _require_within("channels", features, 8, MOST_FEATURES)
        _require_within("spade_hidden", self.spade_hidden, 1, MOST_FEATURES)
        require(
            self.norm in ("batch", "group", "instance"), "norm", self.norm, "batch, group, instance"
        )
        stages = len(self.channels) - 1
        _require_within("fusion_stage", self.fusion_stage, 0, stages - 1)
        _require_within("fusion_rounds", self.fusion_rounds, 1, MOST_ROUNDS)
        _require_within("stack_radius", self.stack_radius, 0, MOST_SLICES)
        _require_within("context_radius", self.context_radius, 0, MOST_SLICES)
        shortest, longest = NOISE_SIGMAS_MM
        require(
            1 <= len(self.noise_sigmas_mm) <= MOST_OCTAVES
            and all(shortest <= sigma <= longest for sigma in self.noise_sigmas_mm),
            "noise_sigmas_mm",
            self.noise_sigmas_mm,
            f"1 to {MOST_OCTAVES} lengths from {shortest:g} to {longest:g} mm",
        )
        _require_within("label_outputs", self.label_outputs, 0, 4096)
        require(
            self.label_outputs == 0 or self.kind == "anatomaskgan",
            "label_outputs",
            self.label_outputs,
            f"0 for the kind {self.kind}; only anatomaskgan has a second head",
        )

    @property
    def stride(self) -> int:
        """In-plane size of a cell of the coarsest stage, in pixels."""
        return 2 ** (len(self.channels) - 2)


GENERATOR_PRESETS: dict[str, dict[str, Any]] = {
    # what ships: fast on two CPU cores
    "compact": {},
    # the size of the paper: ngf 64, six stages from 7x7 to 224x224, fusion at 28x28
    "paper": {
        "channels": (1024, 1024, 1024, 512, 256, 128, 64),
        "spade_hidden": 128,
        "separable": True,
        "fusion_stage": 2,
        "stack_radius": 8,
    },
}
"""Preset -> the settings that differ from the defaults. An entry here is a new preset."""


def preset_generator(preset: str, num_classes: int, **changes: Any) -> GeneratorSettings:
    """The settings of a preset, with changes."""
    return GeneratorSettings(num_classes=num_classes, **(GENERATOR_PRESETS[preset] | changes))


@dataclass(frozen=True)
class DiscriminatorSettings:
    """Shape of the discriminator; the default is the paper's multi-scale PatchGAN (Eq. 5)."""

    kind: str = "patch"
    """patch (one logit for each patch), segmentation (OASIS: a U-Net that classifies every pixel
    as one of the label classes or as "synthetic") or wavelet (one logit for each slice, from
    Haar sub-bands)."""
    channels: int = 64
    """Number of features of the first layer. Every further layer doubles it, up to eight times
    this number."""
    num_layers: int = 4
    """patch: number of convolutions before the last one; all but the last of these halve the
    grid. segmentation and wavelet: how often the grid is halved."""
    patch_size: int | None = None
    """patch: receptive field of a logit in pixels (10, 16, 34, 70, 142, 286); overrides
    num_layers."""
    num_scales: int = 2
    """patch: number of copies that judge the image at full, half, quarter ... resolution; N_D =
    2 in the paper."""
    conditional: bool = True
    """patch: judge the image together with its label map."""
    label_features: int = 8
    """patch: number of features of the label embedding that is judged with the image; with 0 the
    image is judged alone."""
    detail_gain: float = 8.0
    """Factor on the detail of the image (the image less its 5x5 mean). The detail is shown to
    the discriminator in addition to the image, so that it sees texture, a twentieth of the
    window, from the start; with 0 it sees the image alone."""
    slices_seen: int = 3
    """Number of neighboring slices that are judged together; with 1 every slice is judged by
    itself."""
    norm: str = "instance"
    """patch: normalization, instance, group or none."""
    spectral_norm: bool = True
    """Use spectral normalization for the convolutions. Switch it off for wavelet, which R1
    regularizes."""

    def __post_init__(self) -> None:
        kinds = ", ".join(DISCRIMINATOR_KINDS)
        require(self.kind in DISCRIMINATOR_KINDS, "kind", self.kind, kinds)
        _require_within("channels", self.channels, 4, MOST_FEATURES)
        require(1 <= self.num_layers <= 6, "num_layers", self.num_layers, "1 to 6")
        sizes = ", ".join(map(str, PATCH_SIZES))
        require(
            self.patch_size is None or self.patch_size in PATCH_SIZES,
            "patch_size",
            self.patch_size,
            f"{sizes}, or none",
        )
        require(1 <= self.num_scales <= 4, "num_scales", self.num_scales, "1 to 4")
        _require_within("label_features", self.label_features, 0, MOST_FEATURES)
        _require_within("detail_gain", self.detail_gain, 0, MOST_GAIN)
        require(
            1 <= self.slices_seen <= MOST_SLICES and self.slices_seen % 2 == 1,
            "slices_seen",
            self.slices_seen,
            f"an odd number up to {MOST_SLICES - 1}",
        )
        require(
            self.norm in ("instance", "group", "none"), "norm", self.norm, "instance, group, none"
        )

    @property
    def depth(self) -> int:
        """Convolutions before the last, from patch_size where that is given."""
        return self.num_layers if self.patch_size is None else PATCH_SIZES[self.patch_size]

    @property
    def condition_features(self) -> int:
        """Features of the label embedding; 0 where the image is judged alone."""
        return self.label_features if self.conditional else 0


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Raises SettingsError for the value of a setting unless its condition holds.

    allowed: the values that are, as the message lists them.
    """
    if not holds:
        raise SettingsError(f"{name} is {value!r}; allowed: {allowed}")


def _require_within(name: str, value: float, low: float, high: float) -> None:
    """Raises SettingsError for a number outside its bounds; a number that is none is outside."""
    require(low <= value <= high, name, value, f"{low} to {high}")


def settings_to_dict(settings: DataclassInstance) -> dict[str, Any]:
    """Plain dictionary of a settings object, tuples as lists, for JSON and YAML."""
    return {name: _plain(value) for name, value in asdict(settings).items()}


def settings_from_dict(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Settings object from a plain dictionary; unknown keys are refused with the closest names."""
    if not isinstance(values, Mapping):
        raise SettingsError(
            f"{kind.__name__} needs a mapping of settings, not {type(values).__name__} ({values!r})"
        )
    known = {f.name: f for f in fields(kind)}
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
            raise SettingsError(f"{kind.__name__} has no setting {key!r}; {hint}")
    missing = [
        name
        for name, f in known.items()
        if f.default is MISSING and f.default_factory is MISSING and name not in values
    ]
    if missing:
        raise SettingsError(
            f"{kind.__name__} needs {', '.join(missing)}, which are missing in the file"
        )
    hints = get_type_hints(kind)
    return kind(**{key: _typed(key, hints[key], value) for key, value in values.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _typed(name: str, hint: Any, value: Any) -> Any:
    """The value as its annotation asks for it, or SettingsError that names the setting.

    YAML and JSON know lists, mappings, numbers, texts and none. Tuples, settings within settings
    and the texts that a Literal allows are made of these.
    """
    if isinstance(hint, type) and is_dataclass(hint):
        return settings_from_dict(hint, value)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(name, arguments, value)
    if origin is tuple:
        return _tuple_of(name, arguments, value)
    if origin in (dict, Mapping):
        return dict(value)
    if origin is typing.Literal:
        return _literal_of(name, arguments, value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type):
        is_bool_for_int = hint is int and isinstance(value, bool)  # to Python, True is an int
        if is_bool_for_int or not isinstance(value, hint):
            raise SettingsError(
                f"{name} is {value!r} ({type(value).__name__}); expected {hint.__name__}"
            )
    return value


def _one_of(name: str, hints: tuple[Any, ...], value: Any) -> Any:
    """The value as the first of the annotations of a union that takes it; the last one's error."""
    if value is None and type(None) in hints:
        return None
    kept = [hint for hint in hints if hint is not type(None)]
    for hint in kept[:-1]:
        try:
            return _typed(name, hint, value)
        except SettingsError:
            continue
    return _typed(name, kept[-1], value)


def _tuple_of(name: str, hints: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    """A list as tuple[X, ...], of any length, or as tuple[X, Y], of exactly that length."""
    if not isinstance(value, list | tuple):
        raise SettingsError(f"{name} is {value!r}; expected a list")
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_typed(name, hints[0], entry) for entry in value)
    if len(value) != len(hints):
        raise SettingsError(f"{name} has {len(value)} entries; expected {len(hints)}")
    return tuple(_typed(name, hint, entry) for hint, entry in zip(hints, value, strict=True))


def _literal_of(name: str, allowed: tuple[Any, ...], value: Any) -> Any:
    """The value, if it is one of those allowed; 32 stands for "32", as YAML reads precision: 32."""
    if type(value) is int and str(value) in allowed:
        return str(value)
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; allowed: {', '.join(map(str, allowed))}")
    return value
