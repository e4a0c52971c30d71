"""No file of a user or of the network is unpickled or run: held against the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAM = ("AnatoMaskGANLib", "AnatoMaskGAN", "Resources")
PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
RUNNING = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
_VERBS = ("run", "Popen", "call", "check_call", "check_output")
STARTING = {f"subprocess.{verb}" for verb in _VERBS}
LOADING = (
    *("torch.load", "torch.hub.load", "pandas.read_pickle"),
    *("yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.Loader", "yaml.UnsafeLoader"),
)
EXTRACTING = {"extractall", "unpack_archive", "extract"}
# Weights that a user names for a figure or loss, compared with a SHA-256 before they are read.
BY_HASH = {
    "commands/evaluate/networks.py",
    "evaluation/metrics/features.py",
}


def dotted(node: ast.AST) -> str:
    """`torch.jit.load` of such an expression, "" for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def keyword(call: ast.Call, name: str) -> object:
    """The constant that the call gives for a keyword, None without one."""
    values = [k.value for k in call.keywords if k.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def _is_list(node: ast.AST) -> bool:
    """Whether an argument may be a list: no text, in whatever way it is put together."""
    return not isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)


def dangers_in(code: str, is_by_hash: bool = False) -> Iterator[str]:
    """What the code does that could run a file, with the line's number."""
    for node in ast.walk(ast.parse(code)):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        if PICKLING & {module.split(".")[0] for module in modules}:
            yield f"line {node.lineno} imports {modules}"
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        base = name.rpartition(".")[2]
        is_danger = (
            name in RUNNING
            or name in LOADING
            or base in EXTRACTING
            or (name == "torch.jit.load" and not is_by_hash)
            or (name in STARTING and node.args and not _is_list(node.args[0]))
            or (name in ("np.load", "numpy.load") and keyword(node, "allow_pickle") is not False)
            or (name in ("np.save", "numpy.save") and keyword(node, "allow_pickle") is not False)
            or any(k.arg == "shell" for k in node.keywords)
        )
        if is_danger:
            yield f"line {node.lineno} calls {ast.unparse(node):.99}"


@pytest.mark.parametrize(
    "path",
    sorted(path for folder in PROGRAM for path in (REPOSITORY / folder).rglob("*.py")),
    ids=lambda path: str(path.relative_to(REPOSITORY)),
)
def test_no_file_of_the_program_unpickles_or_runs_what_it_reads(path: Path) -> None:
    is_by_hash = path.as_posix().endswith(tuple(BY_HASH))
    assert list(dangers_in(path.read_text(encoding="utf-8"), is_by_hash)) == []


@pytest.mark.parametrize("name", sorted(BY_HASH))
def test_weights_of_others_are_read_after_their_hash_was_compared(name: str) -> None:
    code = (REPOSITORY / "AnatoMaskGANLib" / name).read_text(encoding="utf-8")
    assert "sha256" in code and "checked_weights" in code


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "eval(text)",
        "subprocess.run(line, shell=True)",
        "archive.extractall(folder)",
        "os.system('ls')",
        "subprocess.run('ls')",
        "subprocess.Popen(f'ls {folder}')",
        "pandas.read_pickle(path)",
    ],
)
def test_each_kind_of_danger_is_seen(code: str) -> None:
    assert list(dangers_in(code))
    assert not list(dangers_in("network.eval(); np.load(p, allow_pickle=False); yaml.safe_load(t)"))
