"""No password, key or token is told, and the synthesis process cannot be reached from outside."""

from __future__ import annotations

import logging
from pathlib import Path

import psutil
import pytest

from AnatoMaskGANLib.synthesis import CheckpointError
from AnatoMaskGANLib.synthesis.models.catalog import CatalogEntry, check_url, shown_url
from AnatoMaskGANLib.synthesis.models.download import download_model
from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
from AnatoMaskGANLib.synthesis.worker.messages import Finished, ModelChoice
from Testing.tiny_models import label_map_of, random_labels, write_tiny_model


def test_names_passwords_and_tokens_of_an_address_are_not_told() -> None:
    url = "https://me:s3cret@example.org/models/tiny.zip?token=s3cret#s3cret"
    assert shown_url(url) == "https://example.org/models/tiny.zip"
    with pytest.raises(CheckpointError) as raised:
        check_url(url)
    assert "s3cret" not in str(raised.value)


def test_a_failed_download_tells_and_logs_no_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    entry = CatalogEntry(
        "tiny", "", "MIT", "http://127.0.0.1:9/tiny.zip?token=s3cret", "0" * 64, 10
    )
    with pytest.raises(CheckpointError, match="could not be downloaded") as raised:
        download_model(entry, target=tmp_path / "models")
    assert "s3cret" not in str(raised.value) + caplog.text


def test_the_synthesis_process_listens_on_no_port_and_has_a_private_folder(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny")
    with WorkerClient(environment={"OMP_NUM_THREADS": "1"}) as client:
        number = client.synthesize(
            label_map_of(random_labels((3, 12, 12))), ModelChoice(str(model), "cpu")
        )
        ended = False
        while not ended:
            ended = any(m == Finished(number) for m in client.poll())
        process = psutil.Process(client._process.pid)
        for one in (process, *process.children(recursive=True)):
            assert one.net_connections(kind="inet") == []
        assert Path(process.cwd()).stat().st_mode & 0o077 == 0
