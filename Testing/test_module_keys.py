"""The keys of Synthesize and Cancel, pressed. In a process of its own: Qt gives a key to one window
only, and in the application no panels of other tests have been before."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, box
from slicer_host.user import wait

ALONE = "ANATOMASKGAN_TEST_ALONE"
SHAPE_KJI = (6, 20, 24)


def limb() -> dict[str, np.ndarray]:
    return {"skin": box(SHAPE_KJI, (0, 2, 2), (5, 17, 6))}


@pytest.mark.skipif(ALONE in os.environ, reason="this is the process of its own")
def test_the_keys_work_in_a_window_of_their_own() -> None:
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    done = subprocess.run(
        [sys.executable, *words, "-k", "synthesize_and_cancel"],
        env=os.environ | {ALONE: "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout


@pytest.mark.skipif(ALONE not in os.environ, reason="runs in a process of its own")
def test_synthesize_and_cancel_have_keys(panel) -> None:
    from PySide6.QtTest import QTest
    from slicer_host.pythonqt import qt

    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel.ui.synthesizeButton.enabled)
    main_window = slicer.util.mainWindow()
    main_window.activateWindow()
    assert QTest.qWaitForWindowActive(main_window, 20000)
    control = qt.Qt.KeyboardModifier.ControlModifier

    pressed = []

    def cancel(value: int) -> None:
        if value > 10 and not pressed:  # a second press would begin the button's blink anew
            pressed.append(value)
            QTest.keyClick(main_window, qt.Qt.Key.Key_Period, control)
            wait(lambda: not panel.ui.cancelButton.down)

    panel.ui.progressBar.valueChanged.connect(cancel)
    QTest.keyClick(main_window, qt.Qt.Key.Key_Return, control)
    wait(lambda: "Cancelled" in panel.ui.statusLabel.text)
    panel.ui.progressBar.valueChanged.disconnect(cancel)
    assert panel.ui.statusLabel.text == "Cancelled; nothing was changed."
    QTest.keyClick(main_window, qt.Qt.Key.Key_Return, control)
    wait(lambda: "Made 'Case synthetic'" in panel.ui.statusLabel.text)
    assert "Made 'Case synthetic'" in panel.ui.statusLabel.text
