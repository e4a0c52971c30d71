"""LPIPS, and its rule on the feature maps of any network."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from AnatoMaskGANLib.evaluation.metrics.perceptual import (
    load_lpips,
    map_distance,
    mean_feature_distance,
    mean_perceptual_distance,
)
from AnatoMaskGANLib.evaluation.packages import MissingPackageError, import_package
from AnatoMaskGANLib.evaluation.weights import WeightsError, checked_weights, read_weights

# SHA-256 of the bytes b"abc": FIPS 180-2, appendix B.1
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_weights_are_accepted_by_their_full_hash_or_by_the_one_in_their_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "network-ba7816bf.safetensors"
    path.write_bytes(b"abc")
    assert checked_weights(path) == checked_weights(path, ABC) == path


def test_absent_and_damaged_weights_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "network-ba7816bf.safetensors"
    with pytest.raises(WeightsError, match="Nothing is downloaded"):
        checked_weights(path)
    path.write_bytes(b"abd")
    with pytest.raises(WeightsError, match="expected ba7816bf"):
        checked_weights(path)
    with pytest.raises(WeightsError, match="not a SHA-256"):
        checked_weights(path, "not a hash")


def test_a_package_that_is_not_there_is_named_with_what_needs_it() -> None:
    with pytest.raises(MissingPackageError, match=r"Diversity needs.*'no_such_package'"):
        import_package("no_such_package.part", "Diversity")


class _FakeLpips(torch.nn.Module):
    """Built as lpips is: slices of torchvision's features, whose children keep their numbers."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        assert options["pnet_rand"] and options["pretrained"]
        self.net = torch.nn.Module()
        self.net.slice1 = torch.nn.Sequential()
        self.net.slice1.add_module("0", torch.nn.Conv2d(3, 2, 3))
        self.net.slice2 = torch.nn.Sequential()
        self.net.slice2.add_module("3", torch.nn.Conv2d(2, 1, 1))

    def forward(self, a: torch.Tensor, b: torch.Tensor, normalize: bool) -> torch.Tensor:
        assert normalize and a.shape == b.shape == (1, 3, *a.shape[2:])
        return (self.net.slice2(self.net.slice1(a - b))).abs().mean()


def _save_backbone(folder: Path, keys: tuple[str, ...]) -> tuple[Path, str]:
    import hashlib

    shapes = {"features.0.weight": (2, 3, 3, 3), "features.0.bias": (2,)}
    shapes |= {"features.3.weight": (1, 2, 1, 1), "features.3.bias": (1,)}
    path = folder / "backbone.safetensors"
    save_file({key: torch.ones(shapes[key]) for key in keys}, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


ALL_KEYS = ("features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias")


def test_the_backbone_has_the_weights_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=_FakeLpips))
    distance = load_lpips(*_save_backbone(tmp_path, ALL_KEYS))
    # Ones everywhere: 27 pixels of difference 1, plus bias 1, in two channels, plus bias 1.
    assert distance(np.ones((5, 5)), np.zeros((5, 5))) == pytest.approx(2 * (27 + 1) + 1)


def test_a_backbone_that_lacks_a_tensor_is_refused_and_never_left_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=_FakeLpips))
    with pytest.raises(WeightsError, match=r"features\.3\.bias"):
        load_lpips(*_save_backbone(tmp_path, ALL_KEYS[:3]))


def test_a_torchvision_that_does_not_load_is_told_and_not_worked_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "lpips":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.delitem(sys.modules, "lpips", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Broken(), *sys.meta_path])
    with pytest.raises(MissingPackageError, match="torchvision::nms does not exist"):
        load_lpips(*_save_backbone(tmp_path, ALL_KEYS))


def test_the_perceptual_distance_of_a_case_is_the_mean_over_its_labeled_slices() -> None:
    labels = np.ones((3, 20, 20), dtype=np.uint8)
    labels[0] = 0
    real = np.zeros(labels.shape, dtype=np.float32)
    synthetic = np.stack([np.full((20, 20), value) for value in (1.0, 0.2, 0.4)])
    found = mean_perceptual_distance(
        lambda a, b: float(np.abs(a - b).mean()), real, synthetic.astype(np.float32), labels
    )
    assert found == pytest.approx(0.3)


def test_a_backbone_that_is_built_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Other(_FakeLpips):
        def __init__(self, **options: object) -> None:
            super().__init__(**options)
            self.net.scale = torch.nn.Parameter(torch.ones(1))

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=_Other))
    with pytest.raises(
        WeightsError, match="Only 4 tensors .* differs from the expected .*Leave LPIPS out"
    ):
        load_lpips(*_save_backbone(tmp_path, ALL_KEYS))


def test_weights_that_are_no_whole_safetensors_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match="not a .safetensors file; expected one, because reading a pick"
    ):
        read_weights(tmp_path / "vgg19-dcbb9e9d.pth")
    path = tmp_path / "network-ba7816bf.safetensors"
    path.write_bytes(b"abc")
    with pytest.raises(WeightsError, match="is not a complete safetensors file .*convert it again"):
        read_weights(path)


def test_the_distance_is_worked_out_by_hand() -> None:
    # one slice, two channels, two pixels: (3,4) and (1,0) against (4,3) and (2,0)
    real = np.array([[[[3.0, 1.0]], [[4.0, 0.0]]]])
    synthetic = np.array([[[[4.0, 2.0]], [[3.0, 0.0]]]])
    # unit vectors (.6,.8) and (.8,.6) differ by 0.08 squared; the second pixel's are the same
    assert map_distance([real], [synthetic]) == pytest.approx([0.04])
    assert map_distance([real, real], [synthetic, synthetic]) == pytest.approx([0.08])


def test_equal_maps_have_no_distance_and_opposite_ones_the_largest() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    assert map_distance([maps], [maps]) == pytest.approx([0, 0, 0])
    assert map_distance([maps], [-maps]) == pytest.approx([4, 4, 4])


def test_every_compared_slice_counts_once_whatever_the_batches() -> None:
    labels = np.ones((19, 8, 8), dtype=np.uint8)
    real = np.random.default_rng(0).random((19, 8, 8), dtype=np.float32)
    synthetic = real[::-1].copy()
    seen = []

    def maps(slices: np.ndarray) -> list[np.ndarray]:
        seen.append(len(slices))
        return [np.stack([slices, 1 - slices], axis=1)]

    found = mean_feature_distance(maps, real, synthetic, labels)
    assert seen == [16, 16, 3, 3]
    assert found > 0
