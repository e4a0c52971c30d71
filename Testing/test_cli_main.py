from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from jsonargparse import Namespace

from AnatoMaskGANLib import __version__, cli
from AnatoMaskGANLib.cli import Command, main
from AnatoMaskGANLib.commands.options import positional

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class PaintOptions:
    """Paint something."""

    colors: tuple[str, ...] = positional()
    """Names of colors."""
    brush_width: float
    """In mm."""
    canvas: Path | None = None
    """File to
    paint on."""
    is_dry: bool = False
    """Whether to only pretend."""


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[PaintOptions]:
    """The options that the command `paint`, known to the program in this test only, ran with."""
    runs: list[PaintOptions] = []

    def paint(options: PaintOptions) -> int:
        runs.append(options)
        if "none" in options.colors:
            raise ValueError("no color came,\nexpected one: name it")
        if "stop" in options.colors:
            raise KeyboardInterrupt
        return 1 if "wrong" in options.colors else 0

    monkeypatch.setitem(cli.COMMANDS, "paint", Command(PaintOptions, paint))
    return runs


def test_options_become_the_fields_of_a_frozen_dataclass(painted: list[PaintOptions]) -> None:
    assert main(["paint", "red", "blue", "--brush-width", "2", "--canvas", "a b.png"]) == 0
    assert painted == [PaintOptions(("red", "blue"), 2.0, Path("a b.png"), False)]


def test_a_switch_is_on_when_it_is_given(painted: list[PaintOptions]) -> None:
    assert main(["paint", "red", "--brush-width", "2", "--is-dry"]) == 0
    assert painted == [PaintOptions(("red",), 2.0, None, True)]


def test_the_help_is_the_text_under_the_field(
    painted: list[PaintOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["paint", "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Paint something." in text
    assert "--canvas CANVAS File to paint on." in text


def test_the_exit_code_of_the_command_is_that_of_the_program(painted: list[PaintOptions]) -> None:
    assert main(["paint", "wrong", "--brush-width", "2"]) == 1


def test_an_error_is_one_line_on_stderr(
    painted: list[PaintOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", "none", "--brush-width", "2"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "anatomaskgan: error: no color came, expected one: name it\n"


def test_debug_shows_where_an_error_came_from(painted: list[PaintOptions]) -> None:
    with pytest.raises(ValueError, match="no color came"):
        main(["paint", "none", "--brush-width", "2", "--debug"])


def test_an_interrupt_ends_with_the_exit_code_of_interrupts(
    painted: list[PaintOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", "stop", "--brush-width", "2"]) == 130
    assert capsys.readouterr().err == "anatomaskgan: error: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "command"),
        (["fly"], "fly"),
        (["models"], "list,show"),
        (["paint", "red"], "brush_width"),
        (["paint", "--brush-width", "2"], "colors"),
        (["paint", "red", "--brush-width", "wide"], "wide"),
        (["paint", "red", "--brush-width", "2", "--brush", "3"], "--brush"),
        (["synthesize", "a.nii", "--output", "b.nii", "--device", "tpu"], "tpu"),
        (["synthesize", "a.nii", "--output", "b.nii", "--samples", "0"], "samples"),
        (["synthesize", "a.nii", "--output", "b.nii", "--seed", "-1"], "seed"),
        (["synthesize", "a.nii", "--output", "b.nii", "--noise-strength", "nan"], "nan"),
        (["synthesize", "a.nii", "--output", "b.nii", "--unmatched", "guess"], "guess"),
    ],
)
def test_wrong_usage_is_one_line_that_names_it(
    painted: list[PaintOptions],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    named: str,
) -> None:
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith("anatomaskgan: error: ")
    assert named in output.err
    assert output.err.count("\n") == 1
    assert painted == []


@pytest.mark.parametrize(
    "arguments", [["red", "--canvas", ""], ["red", "--canvas="], ["", "--canvas", "a.png"]]
)
def test_an_empty_argument_is_never_the_current_folder(
    painted: list[PaintOptions], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["paint", *arguments, "--brush-width", "2"]) == 2
    assert "an argument is empty" in capsys.readouterr().err
    assert painted == []


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that a program is in")
def test_a_current_folder_that_is_gone_is_told_in_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = (
        f"import os, sys; sys.path.insert(0, {str(REPOSITORY)!r}); os.rmdir({str(gone)!r}); "
        "from AnatoMaskGANLib.cli import main; sys.exit(main(['models', 'list']))"
    )
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, cwd=gone, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("anatomaskgan: error: the current folder no longer exists")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("ascii", b"gr\\xfcn \\udcff\n"), ("utf-8", "grün \\udcff\n".encode())],
)
def test_a_name_that_standard_output_cannot_spell_is_escaped(
    painted: list[PaintOptions],
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    printed: bytes,
) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr(sys, "stdout", output)
    paint = cli.COMMANDS["paint"].run

    def tell(options: PaintOptions) -> int:
        print(*options.colors)
        return paint(options)

    monkeypatch.setitem(cli.COMMANDS, "paint", Command(PaintOptions, tell))
    assert main(["paint", "grün", "\udcff", "--brush-width", "2"]) == 0
    output.flush()
    assert output.buffer.getvalue() == printed


def test_the_program_runs_as_a_module_and_tells_its_version() -> None:
    command = [sys.executable, "-m", "AnatoMaskGANLib.cli", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert answer.stdout.strip() == f"anatomaskgan {__version__}"


def test_the_program_starts_without_loading_torch() -> None:
    code = "import sys, AnatoMaskGANLib.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_bytes_of_a_name_that_are_no_utf_8_come_through_the_parser() -> None:
    name = os.fsdecode(b"M\xfcller.nii.gz")
    parsed = cli.in_unicode(name)
    parsed.encode()  # raises for a surrogate
    values = cli.with_bytes_again(
        Namespace(inputs=[Path(parsed)], output=parsed, seed=3, names=(parsed,))
    )
    assert values.inputs == [Path(name)]
    assert (values.output, values.seed, values.names) == (name, 3, (name,))
