"""The short run of `python -m Testing.faults`, and faults that need no killing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.commands.result_files import check_output
from AnatoMaskGANLib.synthesis import CheckpointError
from AnatoMaskGANLib.synthesis.models.archive import LOCK, install_model, verify_model
from AnatoMaskGANLib.synthesis.models.catalog import CatalogEntry
from AnatoMaskGANLib.synthesis.models.download import download_model
from AnatoMaskGANLib.volumes import Volume, VolumeError, write_volume
from AnatoMaskGANLib.volumes.atomic_writing import check_can_be_written
from AnatoMaskGANLib.volumes.folder_lock import hold_lock
from Testing.tiny_models import write_tiny_model

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(sys.platform != "linux", reason="kills forks and reads memory from /proc")
@pytest.mark.parametrize(
    ("name", "kills"),
    [
        ("models", 6),
        ("batch", 3),
        pytest.param("preparation", 6, marks=pytest.mark.slow),
        pytest.param("training", 6, marks=pytest.mark.slow),
    ],
)
def test_what_was_killed_or_hindered_loses_nothing_and_goes_on(name: str, kills: int) -> None:
    command = [sys.executable, "-m", "Testing.faults", "--kills", str(kills), "--only", name]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in done.stdout
    assert done.stdout.count("times, as it should be") + done.stdout.count("not tried") == 5


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

    monkeypatch.setattr("AnatoMaskGANLib.synthesis.models.archive.os.replace", fail)
    monkeypatch.setattr(Path, "rename", lambda source, target: fail(source, target))
    with pytest.raises(OSError, match="gone"):
        install_model(new, replace=True, target=tmp_path / "models")
    assert verify_model(tmp_path / "models" / "tiny").name == "tiny"


def test_what_a_killed_installation_or_download_left_is_removed_by_the_next(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in (".installing-abc", ".downloading-abc"):
        (models / name).mkdir(parents=True)
        (models / name / "lock").write_text("")
    install_model(write_tiny_model(tmp_path / "tiny"), target=models)
    assert not (models / ".installing-abc").exists()
    with pytest.raises(CheckpointError, match="could not be downloaded"):
        download_model(
            CatalogEntry("other", "", "MIT", "http://127.0.0.1:9/x.zip", "0" * 64, 10),
            target=models,
        )
    assert sorted(path.name for path in models.iterdir()) == [LOCK, "tiny"]


def test_a_second_installation_at_the_same_time_is_refused(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny")
    with hold_lock(tmp_path / "models" / LOCK), pytest.raises(CheckpointError, match="wait until"):
        install_model(model, target=tmp_path / "models")


def test_a_models_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(CheckpointError, match="cannot be written"):
        install_model(write_tiny_model(tmp_path / "tiny"), target=tmp_path / "models")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("file/out", "is a file; expected a folder"),
        ("file/a.nii.gz", "is a file; expected a folder"),
        ("made.nii.gz/out", "is a file; expected a folder"),
        ("folder.nii.gz", "is a folder"),
    ],
)
def test_results_that_cannot_be_written_are_refused_before_anything_is_computed(
    tmp_path: Path, output: str, message: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "made.nii.gz").write_text("")
    (tmp_path / "folder.nii.gz").mkdir()
    if output == "folder.nii.gz":
        with pytest.raises(VolumeError, match=message):
            check_can_be_written(tmp_path / output)
        return
    with pytest.raises(ValueError, match=message):
        check_output(tmp_path / output)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_leaves_the_old_volume_and_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    path = tmp_path / "a.nrrd"
    volume = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4))
    write_volume(volume, path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("AnatoMaskGANLib.volumes.atomic_writing.os.replace", fail)
    with pytest.raises(VolumeError, match=f"{os.strerror(error)}. What stood there is unchanged"):
        write_volume(volume, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
