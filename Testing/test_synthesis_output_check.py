"""No volume of values that are not numbers leaves a model, whoever asks for it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from tiny_models import (
    label_map_of,
    random_labels,
    tiny_card,
    tiny_generator,
    tiny_settings,
    write_tiny_model,
)

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter
from AnatoMaskGANLib.networks.label_grids import NUM_LEVELS
from AnatoMaskGANLib.synthesis import CheckpointError, Synthesizer, read_model, write_model
from AnatoMaskGANLib.synthesis.models.archive import verify_model
from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE
from AnatoMaskGANLib.synthesis.models.trial_pass import try_model
from AnatoMaskGANLib.synthesis.output_check import MOST_OUTSIDE, check_image
from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
from AnatoMaskGANLib.synthesis.worker.messages import Failed, ModelChoice, VolumeMade
from AnatoMaskGANLib.volumes import Volume, write_label_map, write_volume

NOT_NUMBERS = "makes values that are not numbers"


def with_huge_weights(folder: Path) -> Path:
    """A model whose weights are finite, and whose numbers overflow on their way."""
    write_tiny_model(folder)
    path = folder / WEIGHTS_FILE
    with safetensors.safe_open(path, "pt") as file:
        header = dict(file.metadata())
    tensors = safetensors.torch.load_file(path)
    for name, tensor in tensors.items():
        if name.startswith(("start.", "stages.")) and name.endswith("weight"):
            tensor.mul_(1e30)
    safetensors.torch.save_file(tensors, path, header)
    (folder / "card.md").unlink()  # it names the checksum of the weights before
    return folder


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_huge_weights(tmp_path_factory.mktemp("models") / "huge")


def test_the_weights_of_the_huge_model_are_finite(huge: Path) -> None:
    _, generator = read_model(huge)
    assert all(value.isfinite().all() for value in generator.state_dict().values())


def test_no_file_is_written_of_a_model_that_overflows(
    huge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "seg.nii.gz", tmp_path / "synthetic.nii.gz"
    write_label_map(label_map_of(random_labels((3, 12, 12))), source)
    arguments = ["synthesize", str(source), "--model", str(huge), "--output", str(target)]
    assert main([*arguments, "--device", "cpu"]) == 1
    assert NOT_NUMBERS in capsys.readouterr().err
    assert not target.exists()


def test_neither_synthesizer_nor_session_give_such_a_volume(huge: Path) -> None:
    synthesizer = Synthesizer.from_checkpoint(huge, "cpu")
    label_map = label_map_of(random_labels((3, 12, 12)))
    for make in (synthesizer.synthesize, synthesizer.session):
        with pytest.raises(CheckpointError, match=NOT_NUMBERS):
            make(label_map)


def test_the_process_of_the_panel_gives_no_such_volume(huge: Path) -> None:
    with WorkerClient(environment={"OMP_NUM_THREADS": "1"}) as client:
        label_map = label_map_of(random_labels((3, 12, 12)))
        client.synthesize(label_map, ModelChoice(str(huge), "cpu"), seeds=[4])
        messages: list = []
        end = time.monotonic() + 90
        while not any(isinstance(message, Failed) for message in messages):
            assert time.monotonic() < end
            messages += client.poll()
            time.sleep(0.02)
    assert not any(isinstance(message, VolumeMade) for message in messages)
    assert NOT_NUMBERS in next(m.text for m in messages if isinstance(m, Failed))


def test_an_evaluation_of_such_a_model_gives_no_figures(
    huge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = tmp_path / "cases" / "sub-1"
    case.mkdir(parents=True)
    label_map = label_map_of(random_labels((3, 12, 12)))
    write_label_map(label_map, case / "seg.nii.gz")
    write_volume(
        Volume(label_map.labels_kji.astype(np.float32) * 10, label_map.ijk_to_ras),
        case / "image.nii.gz",
    )
    arguments = ["evaluate", str(tmp_path / "cases"), "--model", str(huge)]
    output = tmp_path / "figures"
    assert main([*arguments, "--output", str(output), "--device", "cpu"]) == 1
    assert NOT_NUMBERS in capsys.readouterr().err
    assert not (output / "metrics.csv").exists()


def test_models_verify_tells_of_a_model_that_overflows(
    huge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "verify", str(huge)]) == 1
    assert NOT_NUMBERS in capsys.readouterr().err


def test_negative_variances_are_refused(tmp_path: Path) -> None:
    generator = tiny_generator()
    for name, buffer in generator.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(-3.0)
    write_model(tmp_path / "model", tiny_card(), generator)
    with pytest.raises(CheckpointError, match="variances below 0"):
        read_model(tmp_path / "model")


def test_a_segmenter_that_overflows_makes_no_label_map(tmp_path: Path) -> None:
    settings = tiny_settings(kind="segmenter")
    torch.manual_seed(0)
    network = Segmenter(settings).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1e30)
    card = tiny_card(settings)
    volume = Volume(np.ones((3, 12, 12), np.float32), np.eye(4))
    with pytest.raises(CheckpointError, match="scores that are not numbers"):
        VolumeSegmenter(card, network, torch.device("cpu")).segment(volume)
    write_model(tmp_path / "segmenter", card, network)
    with pytest.raises(CheckpointError, match="scores that are not numbers"):
        verify_model(tmp_path / "segmenter")


@pytest.mark.parametrize("kind", ["anatomaskgan", "oasis", "unet", "segmenter"])
def test_a_whole_model_of_every_kind_passes_verify(kind: str, tmp_path: Path) -> None:
    from AnatoMaskGANLib.networks.generator import build_generator

    settings = tiny_settings(kind=kind)
    torch.manual_seed(0)
    write_model(tmp_path / kind, tiny_card(settings), build_generator(settings).eval())
    assert verify_model(tmp_path / kind).name == "tiny"


def test_a_model_of_two_heads_passes_verify(tmp_path: Path) -> None:
    settings = tiny_settings(label_outputs=4, num_classes=NUM_LEVELS)
    table = {"name": "found", "labels": {"1": "one", "2": "two", "3": "three"}}
    card = tiny_card(settings, output_labels=table)
    write_model(tmp_path / "two", card, tiny_generator(settings))
    assert verify_model(tmp_path / "two").name == "tiny"


def test_a_model_that_cannot_make_its_slices_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(Synthesizer, "synthesize", fail)
    with pytest.raises(CheckpointError, match="cannot make three small slices: no such kernel"):
        try_model(tiny_card(), tiny_generator())


@pytest.mark.parametrize(
    ("value", "passes"),
    [(0.0, True), (1.0, True), (1 + MOST_OUTSIDE / 2, True), (-0.01, False), (1.01, False)],
)
def test_the_bound_beyond_the_window_is_the_stated_one(value: float, passes: bool) -> None:
    image = np.full((2, 2), 0.5, np.float32)
    image[1, 1] = value
    if passes:
        check_image(tiny_card(), image)
    else:
        with pytest.raises(CheckpointError, match="expected 0 to 1"):
            check_image(tiny_card(), image)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_no_number_is_found(value: float) -> None:
    image = np.full((8, 8), 0.5, np.float32)
    image[3, 5] = value
    with pytest.raises(CheckpointError, match=NOT_NUMBERS):
        check_image(tiny_card(), image)
