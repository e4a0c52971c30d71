"""The panel with its synthesis process, in the stand-in host, which is not the application."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import psutil
import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel_with_process, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, box
from slicer_host.pythonqt import qt
from slicer_host.user import voxels, wait, when_bar_reaches

SHAPE_KJI = (24, 40, 48)


def limb() -> dict[str, np.ndarray]:
    return {
        "skin": box(SHAPE_KJI, (0, 2, 2), (23, 36, 12)),
        "bone": box(SHAPE_KJI, (1, 4, 16), (20, 30, 28)),
    }


@pytest.fixture
def ready_panel(panel_with_process):
    panel_with_process.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel_with_process.ui.synthesizeButton.enabled)
    return panel_with_process


def process_of(panel) -> psutil.Process:
    return psutil.Process(panel.logic.backend.client._process.pid)


def test_the_window_works_on_while_the_process_synthesizes(ready_panel) -> None:
    ticks = []
    timer = qt.QTimer()
    timer.setInterval(20)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start()
    ready_panel.ui.synthesizeButton.click()
    timer.stop()
    assert "Made 'Case synthetic'" in ready_panel.ui.statusLabel.text
    assert np.diff(ticks).max() < 1.0
    first = voxels(ready_panel._parameterNode.outputVolume)
    process = process_of(ready_panel)
    ready_panel.ui.synthesizeButton.click()  # by the same process, with the model still loaded
    again = voxels(ready_panel._parameterNode.outputVolume)
    np.testing.assert_array_equal(first, again)
    assert process_of(ready_panel) == process
    ready_panel.cleanup()
    assert not process.is_running()


def test_a_click_on_cancel_ends_the_process_with_all_it_started(ready_panel) -> None:
    count = slicer.mrmlScene.GetNumberOfNodes()
    processes = []

    def cancel() -> None:
        process = process_of(ready_panel)
        processes.extend([process, *process.children(recursive=True)])
        ready_panel.ui.cancelButton.click()

    ready_panel._parameterNode.samples = 20
    when_bar_reaches(1, ready_panel.ui.progressBar, cancel)
    ready_panel.ui.synthesizeButton.click()
    assert ready_panel.ui.statusLabel.text == "Cancelled; nothing was changed."
    assert processes and not any(process.is_running() for process in processes)
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_process_that_dies_is_started_again_once(ready_panel) -> None:
    def kill() -> None:
        os.kill(process_of(ready_panel).pid, signal.SIGKILL)

    ready_panel._parameterNode.samples = 3
    seen = when_bar_reaches(1, ready_panel.ui.progressBar, kill)
    ready_panel.ui.synthesizeButton.click()
    assert seen
    assert "Made" in ready_panel.ui.statusLabel.text


def test_volumes_that_a_restarted_process_makes_again_count_once(monkeypatch, module) -> None:
    from AnatoMaskGANLib.synthesis import SynthesisOptions
    from AnatoMaskGANLib.synthesis.worker import messages
    from AnatoMaskGANModule.synthesis.backends import ProcessBackend
    from AnatoMaskGANModule.synthesis.request import SynthesisRequest

    class RestartedClient:
        def synthesize(self, *arguments, **keywords) -> int:
            return 1

        def poll(self) -> list:
            made = [messages.VolumeMade(1, seed, f"volume {seed}") for seed in (4, 4, 5, 6)]
            return [*made, messages.Finished(1)]

    monkeypatch.setattr(ProcessBackend, "client", RestartedClient())
    request = SynthesisRequest(None, SynthesisOptions(seeds=(4, 5, 6)), "", "cpu")
    volumes = ProcessBackend().synthesize(request, lambda share, text: None, lambda: False)
    assert volumes == ["volume 4", "volume 5", "volume 6"]


def test_a_run_whose_process_others_end_is_cancelled(module) -> None:
    from AnatoMaskGANLib.synthesis import SynthesisCancelledError, SynthesisOptions
    from AnatoMaskGANModule.synthesis.backends import ProcessBackend
    from AnatoMaskGANModule.synthesis.request import SynthesisRequest

    class EndedClient:
        def synthesize(self, *arguments, **keywords) -> int:
            return 1

        def poll(self) -> list:
            backend.close()
            return []

        def close(self) -> None:
            pass

    backend = ProcessBackend()
    backend._client = EndedClient()
    request = SynthesisRequest(None, SynthesisOptions(), "", "cpu")
    with pytest.raises(SynthesisCancelledError, match="was cancelled"):
        backend.synthesize(request, lambda share, text: None, lambda: False)


def test_each_request_gets_the_answers_to_itself_whoever_asks_first(module) -> None:
    from AnatoMaskGANLib.synthesis import SynthesisOptions
    from AnatoMaskGANLib.synthesis.worker import messages
    from AnatoMaskGANModule.synthesis.backends import ProcessBackend
    from AnatoMaskGANModule.synthesis.request import SynthesisRequest

    class BusyClient:
        numbers = iter([1, 2])
        incoming = [
            messages.Finished(7),  # of a request that nobody waits for
            messages.LogLine("INFO", "hello"),
            messages.ProgressMade(1, 0.5, "half"),
            messages.Finished(2),
            messages.Failed(None, "MessageError", "damaged"),
        ]

        def synthesize(self, *arguments, **keywords) -> int:
            return next(self.numbers)

        def poll(self) -> list:
            incoming, self.incoming = self.incoming, []
            return incoming

        def close(self) -> None:
            pass

    backend, lines = ProcessBackend(), []
    backend._client = BusyClient()
    backend.onLog = lines.append
    request = SynthesisRequest(None, SynthesisOptions(), "", "cpu")
    first, second = backend.ask(request), backend.ask(request)
    damaged = messages.Failed(None, "MessageError", "damaged")
    assert backend.answers(second) == [messages.Finished(2), damaged]
    assert backend.answers(first) == [messages.ProgressMade(1, 0.5, "half"), damaged]
    assert lines == ["info: hello"]
    backend.close()
    assert backend.answers(first) == [messages.Cancelled(1)]
    assert backend.answers(first) == []


def test_an_error_of_the_process_is_told_in_the_panel(ready_panel, monkeypatch) -> None:
    ready_panel.ui.deviceComboBox.currentIndex = 2  # a GPU
    ready_panel.ui.synthesizeButton.click()
    text = ready_panel.ui.statusLabel.text
    if "Made" in text:
        pytest.skip("this machine has a GPU")
    assert "cuda" in text.lower()
