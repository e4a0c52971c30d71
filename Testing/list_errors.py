"""Writes Documentation/errors.md: every error that the program raises, read from its syntax trees.

    python Testing/list_errors.py [--check]

--check writes nothing and ends with 1 when the document is not up to date.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENT = REPOSITORY / "Documentation" / "errors.md"

# Heading -> the files whose errors stand under it; the first pattern that fits counts.
GROUPS = {
    "Segment and volume files, label names (every command, and the module)": r"volumes/(?!case)",
    "Edits of a real scan": r"editing/",
    "`anatomaskgan prepare`, and the case store": r"preparation/|volumes/case_store|commands/prep",
    "`anatomaskgan train`, settings files and runs": r"training/|config|commands/(train|shards)",
    "`anatomaskgan models`, and loading a model": r"synthesis/models/|commands/models",
    "`anatomaskgan synthesize`, `segment`, and the module's Synthesize": r"synthesis/|commands/"
    r"(input|result|synth|segment|options|batch|manifest)",
    "`anatomaskgan evaluate`": r"evaluation/|commands/eval",
    "The rest of the command line": r"commands/|cli",
    "Editing a real scan in place": r"editing/",
    "The module in 3D Slicer": r"AnatoMaskGAN/|mrml/",
}

# What helps where a message does not say it.
CURES = {
    "CalibrationError": "Calibrate another model.",
    "CheckpointError": "Get the model again from its source, and compare its SHA-256.",
    "EditError": "Correct what the message names; nothing was changed.",
    "ExportError": "Give the missing text or folder; see `anatomaskgan models export --help`.",
    "FolderLockedError": "Wait until the other process has finished, or give another folder.",
    "MessageError": "The request comes from another version of the program. Restart Slicer.",
    "RunStateError": "Continue from another checkpoint (`--resume-from best`), or begin a new run.",
    "SettingsError": "Correct the setting; the message names it and what is allowed.",
    "StoreError": "Prepare the store again with `anatomaskgan prepare`.",
    "SynthesisCancelledError": "You cancelled it; nothing was written.",
    "VolumeError": "Correct or export the file again.",
    "OSError": "Choose another place or file type; the message around it names the file.",
    "PreparationError": "Correct the case or leave it out; the report names it.",
    "EOFError": "Copy or export the file again; the message around it names it.",
    "KeyError": "Select another one.",
    "TypeError": "Correct the label table; the message around it names it.",
    "_DamagedError": "Export the series again, or convert it to NIfTI.",
}

# What Python asks of a package for a name that it does not have; no user sees it.
_MISSPELLED = "AttributeError"

# A message that tells what to do and nothing else.
_DEMAND = r"(Choose|Give|Install|Say|Select|Tick)\b"

# Errors that no user sees by themselves: what stands around their text, and as which error.
WITHIN = {"_DamagedError": ("{path} cannot be read: ", "VolumeError")}
_HEAD = """# Errors: what they mean, and what to do

Every error says what came, what was expected and what to do. The command line prints it in one line
after `anatomaskgan: error:`, and with `--debug` shows where it came from; the module shows it in a
window. Words in {braces} stand for the values in your message. This list is read from the program
(`python Testing/list_errors.py`).

Exit codes: 0 success, 1 failure (in a batch: one or more cases failed; the others are made), 2
wrong usage, 130 interrupted with Ctrl-C.

## From the system

| What you see | Cause | What to do |
|---|---|---|
| could not be written: No space left on device | The disk is full; an existing file is unchanged. \
| Free some space and run the same command again: finished work is kept. |
| no permission, Read-only file system | The folder cannot be written. | Choose another output. |
| MemoryError, out of memory, CUDA out of memory | The label map or batch is too large. | Lower \
`--memory-limit`, crop the label map, or use `--device cpu`. |
| The synthesis process ended twice without an answer | The system ended it, mostly because there \
was too little memory. | As above; its last message is part of the error. |
| The training process ended unexpectedly, the process ended unexpectedly (Train, Batch) | The \
system ended it, mostly because there was too little memory. | Use smaller crops or a smaller \
batch; Start continues from the last checkpoint, or after the last case. |
| pip's message, then what to do (InstallationError) | Packages could not be installed: the \
network, the disk, permissions, or versions that do not fit together. | Do what the last sentence \
says; without a network choose a folder of wheels. |
| The losses are not finite (TrainingDivergedError) | Training diverged. | Continue from an \
earlier checkpoint with lower learning rates. |
| The model does not know labels of the map (UnmatchedLabelsError) | No rule matches these names \
or values; the message lists them. | Map them in the module's label table, name them with \
`--labels`, or use `--unmatched surrounding` (the tissue around them) or `--unmatched background` \
(a hole of air). |
| The label map has no names, and its values do not show what they are | Several \
tables number alike, and sizes and places fit none clearly. | Give `--labels` the table that the \
message names, if it is right, or a file of names; see `label-tables.md`. |
| Killed, power lost | | Run the same command again: files are replaced whole or not at all, and \
training continues from its last checkpoint. |
"""


@dataclass(frozen=True, order=True)
class Raised:
    """One place that raises an error."""

    file: str
    line: int
    error: str
    text: str


def raised_errors() -> Iterator[Raised]:
    """Every `raise` of the program whose text is the program's own, in whatever way it is put
    together: told at once, translated, filled in later, or by a function of the same file."""
    for raised in raise_statements():
        is_error = re.fullmatch(r"_?[A-Z]\w*Error", raised.error) and raised.error != _MISSPELLED
        if is_error and re.search(r"\w{3}", re.sub(r"{[^}]*}", "", raised.text)):
            yield raised


def raise_statements() -> Iterator[Raised]:
    """Every `raise` of the program that names what it raises; `raise` alone passes one on."""
    for folder in ("AnatoMaskGANLib", "AnatoMaskGAN"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
            for node in ast.walk(tree):
                if isinstance(node, ast.Raise) and node.exc is not None:
                    around = [f for f in functions if f.lineno <= node.lineno <= f.end_lineno]
                    error, text = _error_and_text(node.exc, around, functions)
                    yield Raised(path.relative_to(REPOSITORY).as_posix(), node.lineno, error, text)


def _error_and_text(
    node: ast.expr, around: Sequence[ast.FunctionDef], functions: Sequence[ast.FunctionDef]
) -> tuple[str, str]:
    """Name and text of what is raised.

    around: the functions that hold the statement. functions: those of the file, for errors that one
    of them gives back.
    """
    if not isinstance(node, ast.Call):
        return ast.unparse(node), ""
    name = ast.unparse(node.func).removeprefix("self.")
    for function in functions:
        if function.name == name:
            last = function.body[-1]
            if isinstance(last, ast.Return) and isinstance(last.value, ast.Call):
                return _error_and_text(last.value, [function], [])
    texts = {}
    for part in (part for function in around for part in ast.walk(function)):
        if isinstance(part, ast.Assign) and part.lineno < node.lineno:
            texts[ast.unparse(part.targets[0])] = part.value
    return name, text_of(node.args[0], texts) if node.args else ""


def text_of(node: ast.AST, texts: Mapping[str, ast.expr] | None = None) -> str:
    """The text of a string or f-string, with {short names} for its values.

    texts: name -> what was assigned to it.
    """
    if isinstance(node, ast.Constant):
        return re.sub(r"{(\w+)![rs]}", r"{\1}", str(node.value))
    if isinstance(node, ast.BinOp):
        return text_of(node.left, texts) + text_of(node.right, texts)
    if isinstance(node, ast.Name) and texts and node.id in texts:
        return text_of(texts[node.id])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return text_of(node.func.value, texts) if node.func.attr == "format" else ""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "_":  # Slicer's translation
        return text_of(node.args[0], texts)
    if not isinstance(node, ast.JoinedStr):
        return ""
    parts = []
    for value in node.values:
        if isinstance(value, ast.FormattedValue):
            names = re.findall(r"[A-Za-z_]{3,}", ast.unparse(value.value))
            name = re.sub(r"^Get|(?<=[a-z])(?=[A-Z])", " ", names[-1] if names else "value")
            parts.append("{" + " ".join(name.replace("_", " ").lower().split()) + "}")
        else:
            parts.append(str(value.value))
    return "".join(parts)


def cause_and_cure(raised: Raised) -> tuple[str, str]:
    """The message up to its first full stop or semicolon, and what it says to do."""
    cause, _, cure = raised.text.partition("; ")
    if not cure:
        cause, _, cure = raised.text.partition(". ")
    if not cure and re.match(_DEMAND, cause):
        cure = "Do what the message says, then press the button again."
    elif not cure and "case_store" in raised.file:
        cure = CURES["StoreError"]
    cure = cure.strip() or CURES.get(raised.error, "Correct what the message names.")
    return cause.strip(" .:"), cure[0].upper() + cure[1:]


def document() -> str:
    """The whole document."""
    groups: dict[str, list[tuple[str, str]]] = {heading: [] for heading in GROUPS}
    for raised in sorted(raised_errors()):
        file = raised.file.removeprefix("AnatoMaskGANLib/")
        for heading, pattern in GROUPS.items():
            if re.match(pattern, file):
                cause, cure = cause_and_cure(raised)
                before, error = WITHIN.get(raised.error, ("", raised.error))
                groups[heading].append((f"{before}{cause} ({error})", cure))
                break
    lines = [_HEAD]
    for heading, rows in groups.items():
        if rows:
            lines += [f"## {heading}", "", "| What it says | What to do |", "|---|---|"]
            rows = dict.fromkeys(rows)  # what several places raise stands once
            lines += [f"| {_cell(cause)} | {_cell(cure)} |" for cause, cure in rows]
            lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def main() -> int:
    """1 when the document is not up to date and was not written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        is_same = DOCUMENT.is_file() and DOCUMENT.read_text(encoding="utf-8") == document()
        return 0 if is_same else 1
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(DOCUMENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
