"""The short run of `python -m Testing.faults`, and faults that need no killing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from AnatoMaskGANLib.synthesis.model_archive import install_model, verify_model
from Testing.tiny_models import write_tiny_model

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks, which this system has not")
@pytest.mark.parametrize("name", ["training", "preparation", "batch", "models"])
def test_what_was_killed_loses_nothing_and_goes_on(name: str) -> None:
    command = [sys.executable, "-m", "Testing.faults", "--kills", "6", "--only", name]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kills" in done.stdout


@pytest.mark.parametrize("failing", ["model.safetensors", "card.md"])
def test_a_model_stays_when_replacing_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    old = write_tiny_model(tmp_path / "old")
    install_model(old, target=tmp_path / "models")
    new = write_tiny_model(tmp_path / "new", description="Another one.")

    def fail(source: Path, target: Path) -> None:
        if Path(target).name == failing:
            raise OSError("the disk is gone")
        os.rename(source, target)

    monkeypatch.setattr("AnatoMaskGANLib.synthesis.model_archive.os.replace", fail)
    monkeypatch.setattr(Path, "rename", lambda source, target: fail(source, target))
    with pytest.raises(OSError, match="gone"):
        install_model(new, replace=True, target=tmp_path / "models")
    assert verify_model(tmp_path / "models" / "tiny").name == "tiny"
