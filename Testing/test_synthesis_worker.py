from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tiny_models import label_map_of, random_labels, tiny_synthesizer, write_tiny_model

from AnatoMaskGANLib.synthesis.worker import process as worker_module
from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
from AnatoMaskGANLib.synthesis.worker.exchange import LONGEST_LINE, ExchangeFolder, MessageError
from AnatoMaskGANLib.synthesis.worker.messages import (
    Cancelled,
    Failed,
    Finished,
    LogLine,
    Message,
    ModelChoice,
    ProgressMade,
    Superseded,
    VolumeChanged,
    VolumeMade,
)
from AnatoMaskGANLib.synthesis.worker.process import Worker

LAST = (Finished, Cancelled, Superseded, Failed)
SECONDS = 90


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def client() -> Iterator[WorkerClient]:
    with WorkerClient(environment={"OMP_NUM_THREADS": "1"}) as client:
        yield client


def until_ended(client: WorkerClient, number: int) -> list[Message]:
    """The messages up to the last one of the request."""
    messages: list[Message] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        messages += client.poll()
        if any(isinstance(m, LAST) and m.request == number for m in messages):
            return messages
        time.sleep(0.01)
    raise AssertionError(f"no end after {SECONDS} s: {messages}")


def of_kind(messages: list[Message], kind: type) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def wait_until(is_true: Any, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not is_true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_a_volume_of_the_process_equals_one_made_here(client: WorkerClient, model: str) -> None:
    label_map = label_map_of(random_labels((6, 20, 20)))
    number = client.synthesize(label_map, ModelChoice(model, "cpu"), seeds=[4, 5])
    assert client._requests
    messages = until_ended(client, number)
    made = of_kind(messages, VolumeMade)
    assert [m.seed for m in made] == [4, 5] and isinstance(messages[-1], Finished)
    for message in made:
        expected = tiny_synthesizer().synthesize(label_map, seed=message.seed)
        np.testing.assert_allclose(
            message.volume.voxels_kji, expected.voxels_kji, rtol=0, atol=1e-4
        )
        assert message.volume.window == (0.0, 100.0)
        assert message.volume.provenance["LabelMapSHA256"] == label_map.sha256()
    shares = [m.fraction for m in of_kind(messages, ProgressMade)]
    assert shares and shares == sorted(shares)
    assert not client._requests


def test_updates_follow_the_label_map_and_the_newest_one_wins(
    client: WorkerClient, model: str
) -> None:
    labels = random_labels((30, 20, 20))
    number = client.synthesize(label_map_of(labels), ModelChoice(model, "cpu"), live=True)
    (first,) = of_kind(until_ended(client, number), VolumeMade)
    voxels = first.volume.voxels_kji.copy()
    numbers = []
    for value in (1, 2, 3, 4):
        labels = labels.copy()
        labels[10:20, 4:12, 4:12] = value
        numbers.append(client.update(label_map_of(labels)))
    messages = until_ended(client, numbers[-1])
    for change in of_kind(messages, VolumeChanged):
        voxels[change.changed.slices] = change.voxels_kji
    expected = tiny_synthesizer().synthesize(label_map_of(labels)).voxels_kji
    np.testing.assert_allclose(voxels, expected, rtol=0, atol=1e-4)
    ended = {m.request: type(m) for m in messages if isinstance(m, LAST)}
    assert list(ended) == numbers and ended[numbers[-1]] is Finished
    assert set(ended.values()) <= {Finished, Superseded}


def test_a_request_that_comes_while_one_runs_waits_for_its_turn(
    client: WorkerClient, model: str
) -> None:
    maps = [label_map_of(random_labels(shape)) for shape in ((60, 40, 40), (3, 16, 16))]
    first = client.synthesize(maps[0], ModelChoice(model, "cpu"))
    wait_until(lambda: of_kind(client.poll(), ProgressMade), "no progress")
    second = client.synthesize(maps[1], ModelChoice(model, "cpu"), seeds=[2])
    messages = until_ended(client, second)
    made = of_kind(messages, VolumeMade)
    assert [m.request for m in made] == [first, second]
    assert [m.request for m in messages if isinstance(m, LAST)] == [first, second]
    expected = tiny_synthesizer().synthesize(maps[1], seed=2).voxels_kji
    np.testing.assert_allclose(made[1].volume.voxels_kji, expected, rtol=0, atol=1e-4)


def test_cancel_ends_running_and_waiting_requests(client: WorkerClient, model: str) -> None:
    label_map = label_map_of(random_labels((120, 40, 40)))
    numbers = [client.synthesize(label_map, ModelChoice(model, "cpu")) for _ in range(3)]
    wait_until(lambda: of_kind(client.poll(), ProgressMade), "no progress")
    client.cancel()
    messages = until_ended(client, numbers[-1])
    ended = [m for m in messages if isinstance(m, LAST)]
    assert [type(m) for m in ended] == [Cancelled] * 3
    number = client.synthesize(label_map_of(random_labels((2, 12, 12))), ModelChoice(model, "cpu"))
    assert isinstance(until_ended(client, number)[-1], Finished)


def test_one_request_is_cancelled_and_the_others_go_on(client: WorkerClient, model: str) -> None:
    label_map = label_map_of(random_labels((60, 40, 40)))
    numbers = [client.synthesize(label_map, ModelChoice(model, "cpu")) for _ in range(3)]
    client.cancel(numbers[1])
    messages = until_ended(client, numbers[2])
    assert [m.request for m in of_kind(messages, Cancelled)] == [numbers[1]]
    assert [m.request for m in of_kind(messages, Finished)] == [numbers[0], numbers[2]]


def test_an_update_after_another_synthesis_gives_the_whole_volume(
    client: WorkerClient, model: str
) -> None:
    labels = random_labels((8, 20, 20))
    until_ended(
        client, client.synthesize(label_map_of(labels), ModelChoice(model, "cpu"), live=True)
    )
    other = client.synthesize(label_map_of(random_labels((3, 16, 16))), ModelChoice(model, "cpu"))
    assert client.is_live
    labels[3:5, 4:12, 4:12] = 2
    whole = client.update(label_map_of(labels))
    labels[0, 4:12, 4:12] = 1
    messages = until_ended(client, client.update(label_map_of(labels)))
    assert [m.request for m in of_kind(messages, VolumeMade)] == [other, whole]
    voxels = of_kind(messages, VolumeMade)[1].volume.voxels_kji.copy()
    (change,) = of_kind(messages, VolumeChanged)
    voxels[change.changed.slices] = change.voxels_kji
    expected = tiny_synthesizer().synthesize(label_map_of(labels)).voxels_kji
    np.testing.assert_allclose(voxels, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "nothing"}, "CheckpointError"),
        ({"device": "cuda:77"}, "DeviceError"),
        ({"memory_limit_bytes": 1}, "MemoryLimitError"),
        ({"live": True, "seeds": [1, 2]}, "MessageError"),
    ],
)
def test_a_bad_request_fails_and_the_next_one_is_served(
    client: WorkerClient, model: str, change: dict[str, Any], error: str
) -> None:
    label_map = label_map_of(random_labels((2, 12, 12)))
    values = {"model": model, "device": "cpu"} | change
    choice = ModelChoice(
        **{one.name: values.pop(one.name, one.default) for one in fields(ModelChoice)}
    )
    (failed,) = of_kind(until_ended(client, client.synthesize(label_map, choice, **values)), Failed)
    assert failed.error == error and failed.text
    number = client.synthesize(label_map, ModelChoice(model, "cpu"))
    assert isinstance(until_ended(client, number)[-1], Finished)


def test_an_update_without_a_live_synthesis_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no live synthesis"):
        WorkerClient().update(label_map_of(random_labels((2, 12, 12))))


def test_a_killed_process_is_restarted_once_with_its_requests(
    client: WorkerClient, model: str
) -> None:
    label_map = label_map_of(random_labels((120, 40, 40)))
    number = client.synthesize(label_map, ModelChoice(model, "cpu"))
    wait_until(lambda: of_kind(client.poll(), ProgressMade), "no progress")
    os.kill(client._process.pid, signal.SIGKILL)
    messages = until_ended(client, number)
    assert isinstance(messages[-1], Finished) and of_kind(messages, VolumeMade)
    assert any("started again" in m.text for m in of_kind(messages, LogLine))


def test_an_update_after_the_process_was_killed_gives_the_whole_volume(
    client: WorkerClient, model: str
) -> None:
    labels = random_labels((8, 20, 20))
    until_ended(
        client, client.synthesize(label_map_of(labels), ModelChoice(model, "cpu"), live=True)
    )
    os.kill(client._process.pid, signal.SIGKILL)
    labels[3:5, 4:12, 4:12] = 2
    messages = until_ended(client, client.update(label_map_of(labels)))
    (made,) = of_kind(messages, VolumeMade)
    expected = tiny_synthesizer().synthesize(label_map_of(labels)).voxels_kji
    np.testing.assert_allclose(made.volume.voxels_kji, expected, rtol=0, atol=1e-4)


def test_requests_outlive_a_cleaned_folder_of_temporary_files(
    client: WorkerClient, model: str
) -> None:
    labels = random_labels((8, 20, 20))
    until_ended(
        client, client.synthesize(label_map_of(labels), ModelChoice(model, "cpu"), live=True)
    )
    shutil.rmtree(client._folder)
    lost = client._process
    labels[3:5, 4:12, 4:12] = 2
    messages = until_ended(client, client.update(label_map_of(labels)))
    (made,) = of_kind(messages, VolumeMade)
    expected = tiny_synthesizer().synthesize(label_map_of(labels)).voxels_kji
    np.testing.assert_allclose(made.volume.voxels_kji, expected, rtol=0, atol=1e-4)
    assert any("lost its temporary files; started" in m.text for m in of_kind(messages, LogLine))
    assert lost.poll() is not None and client._folder.is_dir()


def test_a_process_that_dies_twice_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such thing >&2\nexit 7\n")
    broken.chmod(0o755)
    with WorkerClient(executable=broken) as client:
        number = client.synthesize(label_map_of(random_labels((2, 12, 12))), ModelChoice("tiny"))
        (failed,) = of_kind(until_ended(client, number), Failed)
        assert failed.error == "WorkerDiedError"
        assert "exit code 7" in failed.text and "no such thing" in failed.text
        assert not client._requests


def test_close_ends_the_process_at_once_and_removes_the_folder(model: str) -> None:
    client = WorkerClient()
    client.synthesize(label_map_of(random_labels((200, 40, 40))), ModelChoice(model, "cpu"))
    process, folder = psutil.Process(client._process.pid), client._folder
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 3
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert not folder.exists()
    client.close()


def test_the_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = tmp_path / "parent.py"
    parent.write_text(
        textwrap.dedent("""
        import time
        from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
        client = WorkerClient()
        client.start()
        print(client._process.pid, flush=True)
        time.sleep(600)
        """)
    )
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        [sys.executable, str(parent)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root), "TMPDIR": str(tmp_path)},
    )
    worker = psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.wait()
    wait_until(
        lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE,
        "the worker outlives its parent",
    )


def answers_to(folder: Path, lines: bytes) -> list[dict[str, Any]]:
    """What a worker in this process answers to these lines."""
    answers: list[dict[str, Any]] = []
    worker = Worker(folder, answers.append)
    worker.read(io.BytesIO(lines))
    assert worker.serve() == 0
    return answers


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"kind": "synthesize"}\n',
        b'{"kind": "synthesize", "request": true}\n',
        b'{"kind": "format the disk", "request": 1}\n',
        b'{"kind": "synthesize", "request": 1}\n',
        b'{"kind": "synthesize", "request": 1, "label_map": {"array": "../secret.npy"}}\n',
        b'{"kind": "synthesize", "request": 1, "label_map": {"array": "/etc/passwd"}}\n',
        b'{"kind": "synthesize", "request": 1, "label_map": {"array": "none.npy"}}\n',
        b'{"kind": "update", "request": 1, "label_map": 3}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (LONGEST_LINE * 2 + 7) + b"\n",
    ],
)
def test_lines_that_make_no_sense_are_answered_and_survived(tmp_path: Path, line: bytes) -> None:
    secret = tmp_path / "secret.npy"
    np.save(secret, np.ones(3))
    folder = tmp_path / "exchange"
    folder.mkdir()
    more = b'\n{"kind": "again", "request": 2}\n'
    answers = answers_to(folder, line + more)
    assert [answer["kind"] for answer in answers if answer["kind"] != "failed"] == []
    assert answers[-1]["text"] or answers[0]["text"]
    assert any("'again'" in answer["text"] for answer in answers)
    assert secret.exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"noise_strength": -1.0}, "noise_strength is -1.0"),
        ({"noise_strength": "loud"}, "noise_strength is loud"),
        ({"noise_length_scale": None}, "noise_length_scale is None"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": 3}, "seeds is 3; expected whole numbers"),
        ({"seeds": [2**63]}, f"A seed is {2**63}"),
        ({"unmatched": "explode"}, "unmatched is 'explode'; expected 'stop' or"),
        ({"user_table": [1]}, "user_table is a list"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_the_process(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    part = ExchangeFolder(tmp_path).label_map_message(label_map_of(random_labels((2, 8, 8))))
    request = {"kind": "synthesize", "request": 1, "label_map": part} | change
    (answer,) = answers_to(tmp_path, json.dumps(request).encode() + b"\n")
    assert told in answer["text"] and answer["kind"] == "failed"


def test_an_unknown_option_is_refused_with_its_name(tmp_path: Path) -> None:
    part = ExchangeFolder(tmp_path).label_map_message(label_map_of(random_labels((2, 8, 8))))
    request = {"kind": "synthesize", "request": 1, "label_map": part, "sead": 3}
    (answer,) = answers_to(tmp_path, json.dumps(request).encode() + b"\n")
    assert "sead" in answer["text"] and answer["request"] == 1


def test_a_gpu_that_fails_is_told_and_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(worker_module.Synthesizer, "from_checkpoint", fail)
    part = ExchangeFolder(tmp_path).label_map_message(label_map_of(random_labels((2, 8, 8))))
    line = json.dumps({"kind": "synthesize", "request": 1, "label_map": part}).encode() + b"\n"
    answers: list[dict[str, Any]] = []
    worker = Worker(tmp_path, answers.append)
    worker.read(io.BytesIO(line))
    assert worker.serve() == worker_module.GPU_FAILED
    assert answers[-1]["kind"] == "failed" and "CUDA error" in answers[-1]["text"]
    assert "choose the device cpu" in answers[-1]["text"]


def test_after_a_gpu_vanished_a_new_process_serves_what_waited(tmp_path: Path, model: str) -> None:
    patched = tmp_path / "patched.py"
    patched.write_text(
        textwrap.dedent(f"""
        import runpy, sys
        from pathlib import Path
        from AnatoMaskGANLib.synthesis import synthesizer

        def vanish(*arguments, **options):
            raise RuntimeError("CUDA error: device lost")

        first = Path({str(tmp_path / "first")!r})
        if not first.exists():
            first.touch()
            synthesizer.Synthesizer.synthesize_samples = vanish
        sys.argv = ["worker", sys.argv[-1]]
        runpy.run_module("AnatoMaskGANLib.synthesis.worker.process", run_name="__main__")
        """)
    )
    executable = tmp_path / "python"
    executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{patched}" "$@"\n')
    executable.chmod(0o755)
    root = str(Path(__file__).resolve().parents[1])
    label_map = label_map_of(random_labels((2, 12, 12)))
    with WorkerClient(executable=executable, environment={"PYTHONPATH": root}) as client:
        numbers = [client.synthesize(label_map, ModelChoice(model, "cpu")) for _ in range(2)]
        messages = until_ended(client, numbers[1])
    (failed,) = of_kind(messages, Failed)
    assert failed.request == numbers[0] and "device lost" in failed.text
    assert any("exit code 3" in m.text for m in of_kind(messages, LogLine))
    assert messages[-1] == Finished(numbers[1]) and of_kind(messages, VolumeMade)


def test_arrays_go_through_the_folder_once_and_pickles_do_not(tmp_path: Path) -> None:
    exchange = ExchangeFolder(tmp_path)
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    name = exchange.write_array(array)
    np.testing.assert_array_equal(exchange.take_array(name), array)
    assert not list(tmp_path.iterdir())
    with pytest.raises(MessageError):
        exchange.take_array(name)
    np.save(tmp_path / "bad.npy", np.array([object()]), allow_pickle=True)
    (tmp_path / "link.npy").symlink_to(__file__)
    for bad in ("bad.npy", "link.npy", "", "..", None, 3, "a/b.npy"):
        with pytest.raises(MessageError):
            exchange.take_array(bad)
    assert Path(__file__).exists()


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("update", {}, "no live synthesis to update; synthesize with live"),
        ("synthesize", {"names": 3}, "message of a label map is damaged"),
        ("synthesize", {"ijk_to_ras": None}, "geometry is an array of shape"),
    ],
)
def test_a_request_that_another_version_would_make_is_answered_with_what_is_wrong(
    tmp_path: Path, kind: str, changes: dict[str, Any], told: str
) -> None:
    part = ExchangeFolder(tmp_path).label_map_message(label_map_of(random_labels((2, 8, 8))))
    request = {"kind": kind, "request": 1, "label_map": part | changes}
    (answer,) = answers_to(tmp_path, json.dumps(request).encode() + b"\n")
    assert told in answer["text"] and answer["kind"] == "failed"


def test_a_killed_parent_leaves_no_exchange_folder(tmp_path: Path, model: str) -> None:
    """The script prints where its folder is and waits to be killed."""
    script = textwrap.dedent(
        f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from tiny_models import label_map_of, random_labels
        from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
        from AnatoMaskGANLib.synthesis.worker.messages import Finished, ModelChoice
        client = WorkerClient()
        choice = ModelChoice({model!r}, "cpu")
        client.synthesize(label_map_of(random_labels((6, 20, 20))), choice, seeds=[1])
        while not any(isinstance(message, Finished) for message in client.poll()):
            time.sleep(0.01)
        print(client._folder, flush=True)
        time.sleep(600)
        """
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    folder = Path(parent.stdout.readline().strip())
    assert folder.parent == tmp_path and folder.is_dir()
    parent.kill()
    parent.wait()
    wait_until(lambda: not folder.exists(), "the folder of a killed parent stays")
