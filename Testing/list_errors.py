"""Writes Documentation/errors.md: every error that the program raises, read from its syntax trees.

    python Testing/list_errors.py [--check]

--check writes nothing and ends with 1 when the document is not up to date.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENT = REPOSITORY / "Documentation" / "errors.md"

# Heading -> the files whose errors stand under it; the first pattern that fits counts.
GROUPS = {
    "Segment and volume files, label names (every command, and the module)": r"volumes/(?!case)",
    "`anatomaskgan prepare`, and the case store": r"preparation/|volumes/case_store|commands/prep",
    "`anatomaskgan train`, settings files and runs": r"training/|config|commands/(train|shards)",
    "`anatomaskgan models`, and loading a model": r"synthesis/(model_|size)|commands/models",
    "`anatomaskgan synthesize`, `segment`, and the module's Synthesize": r"synthesis/|commands/"
    r"(result|synth|segment|options|batch|manifest)",
    "`anatomaskgan evaluate`": r"evaluation/|commands/eval",
    "The rest of the command line": r"commands/|cli",
    "The module in 3D Slicer": r"AnatoMaskGAN/|mrml/",
}

# What helps where a message does not say it.
CURES = {
    "CheckpointError": "Get the model again from where it came, and compare its SHA-256.",
    "ExportError": "Give the missing text or folder; see `anatomaskgan models export --help`.",
    "FolderLockedError": "Wait for the other process, or give another folder.",
    "MessageError": "A request of another version of the program; restart Slicer.",
    "RunStateError": "Go on from another checkpoint (`--resume-from best`), or begin a new run.",
    "SettingsError": "Correct the setting; the message names it and what is allowed.",
    "StoreError": "Prepare the store again with `anatomaskgan prepare`.",
    "SynthesisCancelledError": "You asked for it; nothing was written.",
    "VolumeError": "Correct or export the file again.",
    "PreparationError": "Correct the case or leave it out; the report names it.",
}
_HEAD = """# Errors: what they mean, and what to do

Every error names what came, what was expected and what to do. The command line prints it in one
line after `anatomaskgan: error:` and shows with `--debug` where it came from; the module shows it
in a window. Words in {braces} stand for what your message has in their place. This list is read
from the program (`python Testing/list_errors.py`).

Exit codes: 0 done, 1 failed (in a batch: one case or more; the others are made), 2 wrong usage,
130 interrupted with Ctrl-C.

## Of the system

| What you see | Cause | What to do |
|---|---|---|
| could not be written: No space left on device | The disk is full; what stood there is unchanged. \
| Free space, run the same command again: what is done stays done. |
| no permission, Read-only file system | The folder cannot be written. | Choose another output. |
| MemoryError, out of memory, CUDA out of memory | The label map or batch is too large. | Lower \
`--memory-limit`, crop the label map, or take `--device cpu`. |
| The synthesis process ended twice without an answer | The system ended it, mostly for want of \
memory. | As above; its last words stand in the message. |
| The loss is no number (TrainingDivergedError) | Training diverged. | Go on from an earlier \
checkpoint with lower learning rates. |
| The model does not know labels of the map (UnmatchedLabelsError) | Names or values that no rule \
matches; the message lists them. | Map them in the module's label table, name them with \
`--labels`, or take `--unmatched background`. |
| Killed, power lost | | Run the same command again: files are replaced whole or not at all, and \
training goes on from its last checkpoint. |
"""


@dataclass(frozen=True, order=True)
class Raised:
    """One place that raises an error."""

    file: str
    line: int
    error: str
    text: str


def raised_errors() -> Iterator[Raised]:
    """Every `raise Error("text")` of the program whose text is the program's own."""
    for folder in ("AnatoMaskGANLib", "AnatoMaskGAN"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                    continue
                name = ast.unparse(node.exc.func)
                text = text_of(node.exc.args[0]) if node.exc.args else ""
                if re.fullmatch(r"[A-Z]\w*Error", name) and re.search(r"\w{3}", _bare(text)):
                    file = str(path.relative_to(REPOSITORY))
                    yield Raised(file, node.lineno, name, text)


def text_of(node: ast.AST) -> str:
    """The text of a string or f-string, with {short names} for its values."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
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
    cure = cure.strip() or CURES.get(raised.error, "Correct what the message names.")
    return cause.strip(" .:"), cure[0].upper() + cure[1:]


def document() -> str:
    """The whole document."""
    groups: dict[str, dict[str, str]] = {heading: {} for heading in GROUPS}
    for raised in sorted(raised_errors()):
        file = raised.file.removeprefix("AnatoMaskGANLib/")
        for heading, pattern in GROUPS.items():
            if re.match(pattern, file):
                cause, cure = cause_and_cure(raised)
                groups[heading][f"{cause} ({raised.error})"] = cure
                break
    lines = [_HEAD]
    for heading, rows in groups.items():
        if rows:
            lines += [f"## {heading}", "", "| What it says | What to do |", "|---|---|"]
            lines += [f"| {_cell(cause)} | {_cell(cure)} |" for cause, cure in rows.items()]
            lines.append("")
    return "\n".join(lines)


def _bare(text: str) -> str:
    return re.sub(r"{[^}]*}", "", text)


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
