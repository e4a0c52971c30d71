"""Opening the panel is cheap: PyTorch is not imported before something is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

REPOSITORY = Path(__file__).resolve().parents[1]

OPEN = """
import sys
from pathlib import Path

from slicer_host import scene, window

app = window.start_window()
window.load_module(Path(sys.argv[1]))
scene.start().completeStartup()
app.window.show()
panel = window.show_module(app.modules.anatomaskgan)
assert panel.ui.modelComboBox.currentText == "brain-t1"
assert panel.ui.deviceAdviceLabel.text
print("opened", "torch" in sys.modules)

from AnatoMaskGANModule.models import memory_advice

memory_advice.GPU_DRIVERS = ()  # a computer without a GPU
panel.ui.sampleDataButton.click()
panel.updateFromScene()
assert panel.ui.synthesizeButton.enabled, panel.ui.statusLabel.text
assert "Runs on the CPU, with up to" in panel.ui.deviceAdviceLabel.text
print("ready", "torch" in sys.modules)
"""


def test_opening_the_panel_and_loading_a_segmentation_import_no_pytorch() -> None:
    paths = [str(REPOSITORY / "Testing"), str(REPOSITORY)]
    module = REPOSITORY / "AnatoMaskGAN" / "AnatoMaskGAN.py"
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(module)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    said = [line for line in done.stdout.splitlines() if line.startswith(("opened", "ready"))]
    assert said == ["opened False", "ready False"]
