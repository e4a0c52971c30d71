from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import tiny_card, tiny_generator, tiny_settings
from tiny_runs import LABEL_TABLE, SPACING_IJK_MM, WINDOW, write_tiny_store

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.noise import NoiseInjection
from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer, read_model, write_model
from AnatoMaskGANLib.training.noise_calibration import Calibrated, CalibrationError, calibrate_noise
from AnatoMaskGANLib.volumes import LabelMap

SMOOTHER, ROUGHER, SAME = 1, 2, 3
SHIFTS = {SMOOTHER: -1.5, ROUGHER: 1.0}


def noisy_generator() -> Generator:
    """A tiny generator whose texture is mostly injected noise."""
    generator = tiny_generator(spread=0.02)
    for module in generator.modules():
        if isinstance(module, NoiseInjection):
            module.projection.weight *= 8
            module.gate.weight *= 0
    return generator


def with_shifted_gates(generator: Generator) -> Generator:
    changed = copy.deepcopy(generator)
    for module in changed.modules():
        if isinstance(module, NoiseInjection):
            for label, shift in SHIFTS.items():
                module.class_gate.weight[label] += shift
    return changed


def blocks(number: int) -> LabelMap:
    """Three parts of at least 500 voxels each, elsewhere for every number."""
    labels = np.zeros((8, 40, 40), dtype=np.uint8)
    for count, label in enumerate((SMOOTHER, ROUGHER, SAME)):
        labels[1:7, 2 + number : 34 + number, 2 + 12 * count : 13 + 12 * count] = label
    return LabelMap(
        labels, np.diag([1.0, 1.0, 2.0, 1.0]), {n: f"part {n}" for n in SHIFTS | {3: 0}}
    )


@pytest.fixture(scope="module")
def calibrated() -> Calibrated:
    """A generator whose gates were moved back to where those were that made the scans."""
    card, generator = tiny_card(), noisy_generator()
    other = Synthesizer(card, with_shifted_gates(generator), torch.device("cpu"))
    maps = [blocks(number) for number in range(3)]
    scans = [other.synthesize(label_map, seed=7) for label_map in maps]
    cases = [lambda pair=pair: pair for pair in zip(maps, scans, strict=True)]
    return calibrate_noise(card, generator, cases, tolerance=0.03, rounds=4)


def test_labels_get_the_deviation_of_the_scans(calibrated: Calibrated) -> None:
    textures = calibrated.textures
    assert sorted(textures) == [SMOOTHER, ROUGHER, SAME]
    assert textures[SMOOTHER].before > 1.2 and textures[ROUGHER].before < 0.9
    for texture in textures.values():
        assert texture.num_cases == 3
        assert texture.after == pytest.approx(1, abs=0.08)


def test_only_the_gates_of_labels_that_were_off_are_shifted(calibrated: Calibrated) -> None:
    assert calibrated.textures[SMOOTHER].shift < -0.5
    assert calibrated.textures[ROUGHER].shift > 0.3
    before = noisy_generator().state_dict()
    for name, value in calibrated.generator.state_dict().items():
        moved = (value - before[name]).abs().flatten(1).amax(1) if value.ndim > 1 else None
        if name.endswith("class_gate.weight"):
            expected = [calibrated.textures[n].shift for n in (SMOOTHER, ROUGHER)]
            assert moved[[SMOOTHER, ROUGHER]].tolist() == pytest.approx(np.abs(expected), rel=1e-4)
            assert not moved[[0, 4, 5]].any()
        else:
            assert torch.equal(value, before[name]), name


def test_a_generator_without_noise_is_refused() -> None:
    settings = tiny_settings(use_noise3d=False)
    with pytest.raises(CalibrationError, match="has no 3-D noise"):
        calibrate_noise(tiny_card(settings), tiny_generator(settings), [])


def test_one_case_is_not_enough() -> None:
    with pytest.raises(CalibrationError, match="1 case with labels and image; expected two"):
        calibrate_noise(tiny_card(), tiny_generator(), [lambda: None])


def limb_model(folder: Path) -> Path:
    settings = tiny_settings(num_classes=4)
    values = {"label_table": LABEL_TABLE, "spacing_ijk_mm": SPACING_IJK_MM, "window": WINDOW}
    card: ModelCard = tiny_card(settings, name="limb", metrics={"PSNR": "30"}, **values)
    write_model(folder / "limb", card, tiny_generator(settings))
    return folder / "limb"


def test_the_command_makes_a_model_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store")
    model = limb_model(tmp_path)
    words = ["models", "calibrate", str(model), "limb-2", "--store", str(store)]
    assert main([*words, "--output", str(tmp_path), "--rounds", "1", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[1:4]] == ["skin", "left", "right"]
    assert printed[-1] == str(tmp_path / "limb-2")
    card, generator = read_model(tmp_path / "limb-2")
    assert card.name == "limb-2"
    assert card.training["noise calibration"].endswith("in sub-0, sub-1, sub-2")
    assert not card.metrics  # those were of other weights
    first = read_model(model)[1].state_dict()
    assert any(
        not torch.equal(first[name], value) for name, value in generator.state_dict().items()
    )


def test_a_store_of_another_window_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_tiny_store(tmp_path / "store")
    settings = tiny_settings(num_classes=4)
    card = tiny_card(settings, label_table=LABEL_TABLE, spacing_ijk_mm=SPACING_IJK_MM)
    write_model(tmp_path / "other", card, tiny_generator(settings))
    words = ["models", "calibrate", str(tmp_path / "other"), "new", "--store", str(store)]
    assert main(words) == 1
    assert "The window of the model tiny" in capsys.readouterr().err


def test_a_calibrated_model_of_a_bundled_ones_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    model = str(limb_model(tmp_path))
    words = ["models", "calibrate", model, "brain-t1", "--store", str(tmp_path / "store")]
    assert main(words) == 1
    assert "is the name of a bundled model" in capsys.readouterr().err


def test_a_calibrated_model_replaces_another_only_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, model = write_tiny_store(tmp_path / "store"), str(limb_model(tmp_path))
    words = ["models", "calibrate", model, "limb", "--store", str(store)]
    words += ["--output", str(tmp_path), "--rounds", "1", "--cases", "2", "--device", "cpu"]
    assert main(words) == 1
    assert "replace it with --replace" in capsys.readouterr().err
    assert main([*words, "--replace"]) == 0
    assert "noise calibration" in read_model(model)[0].training
