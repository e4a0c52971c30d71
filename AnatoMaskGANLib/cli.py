"""The program `anatomaskgan`: reads its arguments, runs a command, prints an error in one line."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.commands.calibrate import CalibrateModelOptions, calibrate_model
from AnatoMaskGANLib.commands.demo import DemoOptions, demo
from AnatoMaskGANLib.commands.edit import EditOptions, edit
from AnatoMaskGANLib.commands.errors import UsageError, error_line
from AnatoMaskGANLib.commands.evaluate.command import EvaluateOptions, evaluate
from AnatoMaskGANLib.commands.evaluate.edit import EditEvaluationOptions, evaluate_edit
from AnatoMaskGANLib.commands.evaluate.utility import UtilityOptions, evaluate_utility
from AnatoMaskGANLib.commands.models import (
    DownloadModelOptions,
    ExportModelOptions,
    InstallModelOptions,
    ListModelsOptions,
    RemoveModelOptions,
    ShowModelOptions,
    VerifyModelOptions,
    download_model,
    export_model,
    install_model,
    list_models,
    remove_model,
    show_model,
    verify_model,
)
from AnatoMaskGANLib.commands.options import (
    PlainHelp,
    add_options,
    number_lists,
    read_options,
    with_joined_numbers,
)
from AnatoMaskGANLib.commands.parent_process import EventLines, is_event, stop_with_input
from AnatoMaskGANLib.commands.prepare import PreparationSettings, prepare
from AnatoMaskGANLib.commands.printable_text import PrintableLines, printable
from AnatoMaskGANLib.commands.segment import SegmentOptions, segment
from AnatoMaskGANLib.commands.stop_signals import StoppedError, stop_signals_raise
from AnatoMaskGANLib.commands.synthesize import SynthesizeOptions, synthesize
from AnatoMaskGANLib.commands.train import TrainOptions, train

PROGRAM = "anatomaskgan"
USAGE_ERROR = 2
INTERRUPTED = 130
PIPE_CLOSED = 141
"""128 and the number of SIGPIPE, as of other programs before a closed pipe."""


@dataclass(frozen=True)
class Command:
    """A word of the command line: its options and what it runs."""

    options_type: type
    """Frozen dataclass of the options; its docstring is the command's help."""
    run: Callable[..., int]
    """Takes the options, gives back the exit code."""


# A word of the command line -> what it does, or the words that may follow it.
COMMANDS: Mapping[str, Command | Mapping[str, Command]] = {
    "prepare": Command(PreparationSettings, prepare),
    "synthesize": Command(SynthesizeOptions, synthesize),
    "edit": Command(EditOptions, edit),
    "segment": Command(SegmentOptions, segment),
    "train": Command(TrainOptions, train),
    "evaluate": Command(EvaluateOptions, evaluate),
    "evaluate-utility": Command(UtilityOptions, evaluate_utility),
    "evaluate-edit": Command(EditEvaluationOptions, evaluate_edit),
    "models": {
        "list": Command(ListModelsOptions, list_models),
        "show": Command(ShowModelOptions, show_model),
        "verify": Command(VerifyModelOptions, verify_model),
        "install": Command(InstallModelOptions, install_model),
        "download": Command(DownloadModelOptions, download_model),
        "remove": Command(RemoveModelOptions, remove_model),
        "export": Command(ExportModelOptions, export_model),
        "calibrate": Command(CalibrateModelOptions, calibrate_model),
    },
    "demo": Command(DemoOptions, demo),
}
# Two words for one command: `evaluate utility`. A folder of that name is given as ./utility.
TWO_WORDS: dict[tuple[str, ...], str] = {
    ("evaluate", "utility"): "evaluate-utility",
    ("evaluate", "edit"): "evaluate-edit",
}
ATTACHED_HELP = (
    "For programs that start this one: print progress as JSON lines on standard output, "
    "and stop, as with Ctrl-C, when standard input ends."
)
GROUP_HELP = {
    "models": "List, show, verify, install, download, remove, export and calibrate models."
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 success, 1 failure, 2 wrong usage, 130 interrupted, 141 nobody reads on.

    Takes the program's own arguments when none are given. Stopped by another signal, it is 128 and
    the number of the signal.
    """
    try:
        with stop_signals_raise():
            code = _run(sys.argv[1:] if arguments is None else arguments)
            sys.stdout.flush()  # here and not at the end of Python, which would print a traceback
            return code
    except StoppedError as stopped:
        return _tell(f"stopped by {signal.Signals(stopped.number).name}", 128 + stopped.number)
    except KeyboardInterrupt:
        return _tell("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _write_to_nobody()
        return PIPE_CLOSED


def _write_to_nobody() -> None:
    """Standard output goes nowhere from now on: what reads it, such as `head`, has gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _run(arguments: Sequence[str]) -> int:
    """The exit code of these arguments."""
    let_output_take_every_name()
    try:
        os.getcwd()
    except OSError as error:  # without it no library loads
        return _tell(
            f"the current folder no longer exists ({error.strerror}); change to another one", 1
        )
    if any(re.fullmatch("|--[a-z0-9-]+=", argument) for argument in arguments):
        # an empty path would be the current folder
        text = "an argument is empty; expected a value (is a shell variable unset?)"
        return _tell(text, USAGE_ERROR)
    try:
        whole = with_joined_numbers(with_joined_words(arguments), _number_lists())
        namespace = build_parser().parse_args([in_unicode(argument) for argument in whole])
    except ArgumentError as error:
        message = " ".join(str(error).split())
        return _tell(f"{message} (see {PROGRAM} --help)", USAGE_ERROR)
    command, values = chosen_command(namespace)
    start_logging(values["debug"], values["attached"])
    if values["attached"]:
        stop_with_input(sys.stdin)
    try:
        return command.run(read_options(with_bytes_again(values), command.options_type))
    except BrokenPipeError:
        raise
    except Exception as error:
        if values["debug"]:
            raise
        return _tell(error_line(error), USAGE_ERROR if isinstance(error, UsageError) else 1)


# Bytes of file names that are no UTF-8, as those of Latin-1 disks, come as surrogates, which the
# parser of options cannot take; they go through it as characters of private use.
_FIRST_SURROGATE, _FIRST_PRIVATE, _NUM_BYTES = 0xDC80, 0xF0080, 128


def in_unicode(argument: str) -> str:
    """The argument with characters of private use for bytes that are no UTF-8."""
    shift = _FIRST_PRIVATE - _FIRST_SURROGATE
    table = {_FIRST_SURROGATE + n: _FIRST_SURROGATE + n + shift for n in range(_NUM_BYTES)}
    return argument.translate(table)


def with_bytes_again(values: Any) -> Any:
    """The parsed values with the bytes that `in_unicode` put aside."""
    shift = _FIRST_SURROGATE - _FIRST_PRIVATE
    table = {_FIRST_PRIVATE + n: _FIRST_PRIVATE + n + shift for n in range(_NUM_BYTES)}
    if isinstance(values, str):
        return values.translate(table)
    if isinstance(values, Path):
        return type(values)(str(values).translate(table))
    if isinstance(values, list | tuple):
        return type(values)(map(with_bytes_again, values))
    if isinstance(values, Namespace):
        return Namespace(**{key: with_bytes_again(value) for key, value in vars(values).items()})
    return values


def let_output_take_every_name() -> None:
    """Escape what the encoding of standard output lacks, so that no path makes a case fail."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def with_joined_words(arguments: Sequence[str]) -> list[str]:
    """The arguments with the two words of a command as its one name."""
    name = TWO_WORDS.get(tuple(arguments[:2]))
    return list(arguments) if name is None else [name, *arguments[2:]]


def _number_lists() -> set[str]:
    """The options of any command that take a fixed number of numbers."""
    entries = [e for entry in COMMANDS.values() for e in _each(entry)]
    return set().union(*(number_lists(entry.options_type) for entry in entries))


def _each(entry: Command | Mapping[str, Command]) -> list[Command]:
    return [entry] if isinstance(entry, Command) else list(entry.values())


def _tell(message: str, exit_code: int) -> int:
    print(printable(f"{PROGRAM}: error: {message}"), file=sys.stderr)
    return exit_code


def build_parser() -> ArgumentParser:
    """The parser of the whole command line; it raises ArgumentError where others would exit."""
    parser = _parser(
        "Synthetic volumes from segmentations. For research, never for diagnosis.",
        version=__version__,
        prog=PROGRAM,
    )
    _add_commands(parser, COMMANDS)
    return parser


def _parser(
    description: str | None, version: str | None = None, prog: str | None = None
) -> ArgumentParser:
    return ArgumentParser(
        description=description,
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=PlainHelp,
        version=version,
        prog=prog,
    )


def _add_commands(
    parser: ArgumentParser, commands: Mapping[str, Command | Mapping[str, Command]]
) -> None:
    subcommands = parser.add_subcommands(required=True, dest="command")
    for name, entry in commands.items():
        help_text = entry.options_type.__doc__ if isinstance(entry, Command) else GROUP_HELP[name]
        subparser = _parser(help_text)
        subcommands.add_subcommand(name, subparser, help=help_text)
        if isinstance(entry, Command):
            add_options(subparser, entry.options_type)
            debug_help = "Show where an error came from."
            subparser.add_argument("--debug", action="store_true", help=debug_help)
            subparser.add_argument("--attached", action="store_true", help=ATTACHED_HELP)
        else:
            _add_commands(subparser, entry)


def chosen_command(namespace: Namespace) -> tuple[Command, Namespace]:
    """The command that the words name, and the values of its options."""
    entry: Command | Mapping[str, Command | Mapping[str, Command]] = COMMANDS
    while not isinstance(entry, Command):
        word = namespace["command"]
        entry, namespace = entry[word], namespace[word]
    return entry, namespace


def start_logging(show_debug: bool, is_attached: bool = False) -> None:
    """Send the core's log to stderr, so that stdout holds only results, and events if attached."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableLines("%(message)s"))
    handler.addFilter(lambda record: not is_event(record))
    logger = logging.getLogger("AnatoMaskGANLib")
    logger.handlers = [handler, EventLines()] if is_attached else [handler]
    logger.setLevel(logging.DEBUG if show_debug else logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
