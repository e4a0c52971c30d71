"""Options of the command line: their help, and those that take several numbers."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
from jsonargparse import ArgumentParser

from AnatoMaskGANLib.cli import COMMANDS, Command, build_parser, chosen_command, main
from AnatoMaskGANLib.commands.options import (
    TYPE_WORDS,
    PlainHelp,
    add_options,
    number_lists,
    read_options,
    with_joined_numbers,
)
from AnatoMaskGANLib.preparation.settings import PreparationSettings

ALL_COMMANDS = [
    command
    for entry in COMMANDS.values()
    for command in ([entry] if isinstance(entry, Command) else entry.values())
]


def test_the_options_of_several_numbers_are_found() -> None:
    assert {"--spacing-mm", "--window"} <= number_lists(PreparationSettings)
    assert "--output" not in number_lists(PreparationSettings)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--spacing-mm", "1", "1", "2.5", "x"], ["--spacing-mm", "[1, 1, 2.5]", "x"]),
        (["--spacing-mm", "[1, 1, 2.5]"], ["--spacing-mm", "[1, 1, 2.5]"]),
        (["--window", "-160", "240", "--unit", "HU"], ["--window", "[-160, 240]", "--unit", "HU"]),
        (["--other", "1", "2"], ["--other", "1", "2"]),
        (["--spacing-mm"], ["--spacing-mm"]),
    ],
)
def test_numbers_in_a_row_become_one_value(given: list[str], expected: list[str]) -> None:
    assert with_joined_numbers(given, {"--spacing-mm", "--window"}) == expected


def test_a_spacing_is_three_numbers_or_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    for given in (["1", "1.5", "2"], ["[1, 1.5, 2]"]):
        joined = with_joined_numbers(["--spacing-mm", *given], {"--spacing-mm"})
        arguments = ["prepare", "folder", "in", "--output", "out", *joined]
        command, values = chosen_command(build_parser().parse_args(arguments))
        options = read_options(values, command.options_type)
        assert options.spacing_mm == (1.0, 1.5, 2.0)
    assert main(["prepare", "folder", "in", "--output", "out", "--spacing-mm", "1", "2"]) == 2
    assert "spacing" in capsys.readouterr().err


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=lambda command: command.run.__name__)
def test_the_help_of_no_command_shows_types_of_python(command: Command) -> None:
    parser = ArgumentParser(formatter_class=PlainHelp)
    add_options(parser, command.options_type)
    shown = " ".join(parser.format_help().split())
    for word in ("<class", "Literal[", "Optional[", "tuple[", "null", "NonNegative", "Positive"):
        assert word not in shown


def test_the_help_says_the_kind_of_number_and_the_default() -> None:
    parser = ArgumentParser(formatter_class=PlainHelp)
    add_options(parser, PreparationSettings)
    shown = " ".join(parser.format_help().split())
    assert "taken over the voxels that are brighter than the mean of the image" in shown
    assert "(two numbers; default: 0.5 99.5)" in shown and "(three numbers)" in shown
    assert "Folder of the store." in shown and "(required)" in shown


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=lambda command: command.run.__name__)
def test_every_kind_of_number_has_words(command: Command) -> None:
    hints = get_type_hints(command.options_type).values()
    kinds = {kind for hint in hints for kind in (hint, *get_args(hint)) if isinstance(kind, type)}
    numbers = {kind for kind in kinds if issubclass(kind, (int, float)) and kind is not bool}
    assert numbers <= TYPE_WORDS.keys()
