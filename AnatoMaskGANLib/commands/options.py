"""A command's options: a frozen dataclass, turned into command-line options with their help."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from AnatoMaskGANLib.commands import bounded_numbers

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

# How the help calls a type; those that are not here need no words.
TYPE_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    NonNegativeInt: "a whole number, 0 or more",
    PositiveInt: "a whole number, 1 or more",
    float: "a number",
    NonNegativeFloat: "a number, 0 or more",
    PositiveFloat: "a number above 0",
    **bounded_numbers.IN_WORDS,
}
_COUNTS = {2: "two", 3: "three"}


class PlainHelp(DefaultHelpFormatter):
    """Shows the help of an option as `add_options` wrote it, without types of Python."""

    def _get_help_string(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._HelpAction):
            return super()._get_help_string(action)
        return action.help or ""


def positional() -> Any:
    """A dataclass field for values without an option's name; a tuple takes one or more of them."""
    return field(metadata={"positional": True})


def add_options(parser: ArgumentParser, options_type: type) -> None:
    """Adds an option for every field: `noise_strength` becomes `--noise-strength`.

    The help is the text under the field. A field without a default is required, a `bool` is a
    switch that is off by default, a tuple takes one value or more, which replace its default.
    Inherited fields come last.
    """
    types, help_texts = get_type_hints(options_type), _help_texts(options_type)
    own = vars(options_type).get("__annotations__", {})
    for option in sorted(fields(options_type), key=lambda option: option.name not in own):
        _add_option(parser, option, types[option.name], help_texts[option.name])


def _help_texts(options_type: type) -> dict[str, str]:
    """Field -> the text under it, in this class or in one that it inherits from."""
    texts = {}
    for parent in reversed(options_type.__mro__[:-1]):
        for entry in docstring_parser.parse_from_object(parent).params:
            texts[entry.arg_name] = " ".join((entry.description or "").split())
    return texts


def _add_option(parser: ArgumentParser, option: Field, value_type: Any, help_text: str) -> None:
    is_required = option.default is MISSING
    help_text += _notes(value_type, option)
    if option.metadata.get("positional"):
        is_tuple = get_args(value_type)[1:] == (Ellipsis,)
        if is_tuple:
            item_type = get_args(value_type)[0]
            parser.add_argument(option.name, type=item_type, nargs="+", help=help_text)
        else:
            parser.add_argument(option.name, type=value_type, help=help_text)
        return
    name = f"--{option.name.replace('_', '-')}"
    if value_type is bool:
        parser.add_argument(name, action="store_true", help=help_text)
    elif get_args(value_type)[1:] == (Ellipsis,):
        item_type = get_args(value_type)[0]
        default: list[Any] = [] if option.default is MISSING else list(option.default)
        parser.add_argument(name, type=item_type, nargs="+", default=default, help=help_text)
    elif is_required:
        parser.add_argument(name, type=value_type, required=True, help=help_text)
    else:
        parser.add_argument(name, type=value_type, default=option.default, help=help_text)


def _notes(value_type: Any, option: Field) -> str:
    """What follows the text in brackets: kind of number, whether it is required, the default."""
    is_positional = bool(option.metadata.get("positional"))
    notes = [words] if (words := _type_words(value_type)) else []
    if option.default is MISSING:
        notes += [] if is_positional else ["required"]
    elif option.default is not None and option.default != () and value_type is not bool:
        default = option.default
        values = default if isinstance(default, tuple) else (default,)
        notes.append(f"default: {' '.join(map(str, values))}")
    return f" ({'; '.join(notes)})" if notes else ""


def _type_words(value_type: Any) -> str:
    """What values an option takes, in words, where that is a number or several; else empty."""
    if value_type in TYPE_WORDS:
        return TYPE_WORDS[value_type]
    kinds = get_args(value_type)
    if get_origin(value_type) is tuple and kinds[1:] == (Ellipsis,):
        return _type_words(kinds[0])
    if get_origin(value_type) is tuple and set(kinds) == {float}:
        return f"{_COUNTS[len(kinds)]} numbers"
    if get_origin(value_type) is not Literal and type(None) in kinds:
        return next((words for kind in kinds if (words := _type_words(kind))), "")
    return ""


def read_options(namespace: Namespace, options_type: type[Options]) -> Options:
    """The parsed values as the command's own options; lists become tuples."""
    values = {option.name: namespace[option.name] for option in fields(options_type)}
    frozen = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    return options_type(**frozen)


def number_lists(options_type: type) -> set[str]:
    """The options that take a fixed number of numbers, such as `--spacing-mm`."""
    types = get_type_hints(options_type)
    return {
        f"--{option.name.replace('_', '-')}"
        for option in fields(options_type)
        for kind in (types[option.name], *get_args(types[option.name]))
        if get_origin(kind) is tuple and set(get_args(kind)) == {float}
    }


def with_joined_numbers(arguments: Sequence[str], names: Collection[str]) -> list[str]:
    """The arguments with `--spacing-mm 1 1 2.5` as `--spacing-mm [1, 1, 2.5]`, which both are
    understood."""
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        joined.append(rest.pop(0))
        if joined[-1] in names:
            numbers = list(takewhile(_is_number, rest))
            if numbers:
                joined.append(f"[{', '.join(numbers)}]")
                rest = rest[len(numbers) :]
    return joined


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
