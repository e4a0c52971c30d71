"""Pictures of the sections for models, batch, training and packages; for take_screenshots.py."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import slicer.util
from model_server import ModelServer
from slicer_host.user import wait
from window_pictures import only, save

from AnatoMaskGANLib.synthesis.models.archive import pack_model
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    read_label_map,
    read_volume,
    to_model_grid,
    volume_to_model_grid,
    write_label_map,
    write_volume,
)

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE = REPOSITORY / "Resources" / "SampleData" / "brain-t1-sub-19"
NUM_CASES = 6
SPACING_MM = (2.0, 2.0, 2.0)
FIRST_SLICE, NUM_SLICES = 22, 8  # of the first case, and of each
QUICK_SETTINGS = "data.crop=[96,96] data.stack_size=4 optimizer.adversarial_start=20"


def write_cases(folder: Path, label_maps_only: bool = False) -> Path:
    """Cases that are slabs of the sample at 2 mm: enough for a picture."""
    whole = to_model_grid(read_label_map(SAMPLE / "seg.nii.gz"), SPACING_MM)
    image = volume_to_model_grid(read_volume(SAMPLE / "image.nii.gz"), whole)
    for number in range(NUM_CASES):
        first = FIRST_SLICE + number * NUM_SLICES // 2
        part = slice(first, first + NUM_SLICES)
        grid = whole.ijk_to_ras.copy()
        grid[:3, 3] += first * grid[:3, 2]
        label_map = LabelMap(whole.labels_kji[part].copy(), grid, whole.names, whole.codes)
        if label_maps_only:
            folder.mkdir(parents=True, exist_ok=True)
            write_label_map(label_map, folder / f"patient-{number + 1:02d}.seg.nrrd")
            continue
        case = folder / f"patient-{number + 1:02d}"
        case.mkdir(parents=True)
        write_label_map(label_map, case / "seg.nii.gz")
        shutil.copy(SAMPLE / "labels.json", case)
        write_volume(Volume(image.voxels_kji[part].copy(), grid), case / "image.nii.gz")
    return folder


def take_work_pictures(panel) -> None:
    """Train, make a batch, look for models and install packages, with a picture of each state."""
    log = panel.ui.logText
    with tempfile.TemporaryDirectory() as name, settings_of_this_run(Path(name)) as folder:
        take_training(panel)
        log.clear()
        take_batch(panel)
        take_models(panel, folder)
        log.clear()
        take_packages(panel, folder)


@contextmanager
def settings_of_this_run(folder: Path) -> Iterator[Path]:
    """The user agrees to everything; installed models go into the folder."""
    before, ask = dict(os.environ), slicer.util.confirmOkCancelDisplay
    os.environ |= {"ANATOMASKGAN_MODELS": str(folder / "models"), "no_proxy": "127.0.0.1"}
    slicer.util.confirmOkCancelDisplay = lambda *texts: True
    place = os.getcwd()
    os.chdir(folder)  # short paths in the pictures
    yield folder
    os.chdir(place)
    slicer.util.confirmOkCancelDisplay = ask
    os.environ.clear()
    os.environ |= before


def take_training(panel) -> None:
    ui, training = panel.ui, panel.trainPanel
    only(panel, "trainCollapsibleButton")
    ui.trainCasesEdit.setText(str(write_cases(Path("brain-study/cases"))))
    ui.trainFolderEdit.setText("brain-study/training")
    ui.trainFurtherEdit.setText(QUICK_SETTINGS)
    ui.trainLengthUnitComboBox.setCurrentIndex(1)
    ui.trainLengthSpinBox.setValue(10)
    ui.trainStartButton.click()
    wait(lambda: training.job.steps > 20 and training.job.step > 0.7 * training.job.steps, 900)
    save("AnatoMaskGAN-train")
    wait(lambda: not training.isRunning, 900)
    only(panel, "trainCollapsibleButton", "trainInstallCollapsibleButton")
    for edit, text in (
        (ui.trainModelNameEdit, "my-brain"),
        (ui.trainDescriptionEdit, "T1-weighted brain MRI, a first try"),
        (ui.trainTrainingDataEdit, "six slabs of the bundled sample"),
        (ui.trainLicenceEdit, "CC BY-NC-SA 3.0"),
    ):
        edit.setText(text)
        edit.setCursorPosition(0)
    ui.trainInstallButton.click()
    wait(lambda: ui.trainStateLabel.text.startswith("Installed"))
    save("AnatoMaskGAN-trained")
    panel._parameterNode.model = "brain-t1"


def take_batch(panel) -> None:
    ui, batch = panel.ui, panel.batchPanel
    only(panel, "batchCollapsibleButton")
    inputs = write_cases(Path("ward-7/segmentations"), label_maps_only=True)
    damaged = inputs / "patient-02.seg.nrrd"
    damaged.write_bytes(damaged.read_bytes()[:500])
    ui.batchInputEdit.setText(str(inputs))
    ui.batchOutputEdit.setText("ward-7/volumes")
    ui.batchStartButton.click()
    wait(lambda: len(batch.job.cases) > 3 and batch.job.cases[3].share > 0.3)
    save("AnatoMaskGAN-batch")
    ui.batchCancelButton.click()
    wait(lambda: not batch.job.isRunning)


def take_models(panel, folder: Path) -> None:
    ui, models = panel.ui, panel.modelsPanel
    only(panel, "modelsCollapsibleButton")
    archive = pack_model("my-brain", folder / "knee-mri.zip")
    with ModelServer(archive, slow_seconds=0.05) as server:
        knee = server.entry(
            "slow/",
            description="Proton-density knee MRI from bones, cartilage and menisci.",
            licence="CC BY 4.0",
            training_data="an example of a catalog; there is no such model",
            not_for="Diagnosis, treatment, or passing an image off as a real scan.",
        )
        other = knee | {"name": "ct-abdomen", "description": "CT of the abdomen."}
        catalog = server.write_catalog(Path("catalog.json"), knee, other)
        ui.modelCatalogEdit.setText(str(catalog))
        ui.modelSearchEdit.setText("mri")
        names = [ui.modelsTable.item(row, 0).text() for row in range(ui.modelsTable.rowCount)]
        ui.modelsTable.selectRow(names.index(knee["name"]))
        ui.downloadModelButton.click()
        wait(lambda: models.download.share > 0.4)
        save("AnatoMaskGAN-models")
        ui.cancelDownloadButton.click()
        wait(lambda: not models._timer.active)
    ui.modelSearchEdit.setText("")
    ui.modelCatalogEdit.setText("")


def take_packages(panel, folder: Path) -> None:
    """As on a computer without network: a try that fails, with its reason."""
    ui = panel.ui
    only(panel, "packagesCollapsibleButton")
    program = folder / "bin" / "PythonSlicer"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    os.environ |= {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "1",
        "PIP_TARGET": str(folder / "packages"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    hidden = {name: sys.modules.pop(name, None) for name in ("jsonargparse", "docstring_parser")}
    sys.modules.update(dict.fromkeys(hidden))
    panel.packagesPanel.update()
    ui.packagesTable.selectRow(1)
    ui.installPackagesButton.click()
    save("AnatoMaskGAN-packages")
    for name, loaded in hidden.items():
        del sys.modules[name]
        if loaded is not None:
            sys.modules[name] = loaded
    panel.packagesPanel.update()
