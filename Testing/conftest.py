"""What all tests share: quiet plotting and, when it is there, a folder of real training data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from Testing.raised.recording import install

install()  # before the program is imported; does nothing unless `python -m Testing.raised` asks

# Pictures go to files; a machine that runs tests may have no display.
os.environ.setdefault("MPLBACKEND", "Agg")
# Test tensors are small and two tests run side by side: one thread each is fastest, also for the
# programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of data sets that ANATOMASKGAN_DATA names; tests that need it are skipped else."""
    value = os.environ.get("ANATOMASKGAN_DATA")
    if not value:
        pytest.skip("set ANATOMASKGAN_DATA to the folder that holds brain-t1 to run this test")
    return Path(value)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose network has random weights: small and quick, its images are noise.

    It knows the labels 1 skin, 2 bone and 3 marrow, on a grid of 2 mm.
    """
    import torch

    from AnatoMaskGANLib.config import GeneratorSettings
    from AnatoMaskGANLib.networks.generator import Generator
    from AnatoMaskGANLib.synthesis import ModelCard, write_model

    settings = GeneratorSettings(num_classes=4, channels=(16, 16, 8, 8), spade_hidden=8)
    card = ModelCard(
        name="tiny",
        description="Random weights, for tests.",
        generator=settings,
        label_table={
            "name": "limb",
            "labels": {"1": "skin", "2": "bone", "3": "marrow"},
            "codes": {},
            "aliases": {"2": ["cortical bone"]},
            "swaps": {},
        },
        spacing_ijk_mm=(2.0, 2.0, 2.0),
        window=(0.0, 200.0),
        unit="",
        training_data="none",
        licence="MIT",
        not_for="anything but tests",
        label_statistics={"0": (0.0, 0.0), "1": (0.3, 0.1), "2": (0.9, 0.1), "3": (0.6, 0.1)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(settings)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_model(folder, card, generator)
    return folder
