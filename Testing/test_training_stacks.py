"""Slice stacks: what they hold, and that making them in advance changes nothing."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from AnatoMaskGANLib.training.settings import DataSettings
from AnatoMaskGANLib.training.stacks import PrefetchingSampler, StackSampler
from AnatoMaskGANLib.volumes.case_store import (
    CaseStore,
    StoreError,
    open_store,
    write_case,
    write_index,
)

TABLE = {
    "name": "body",
    "labels": {"1": "left lung", "2": "right lung", "3": "heart"},
    "swaps": {"1": 2, "2": 1},
}
GRAY = np.array([0.0, 0.3, 0.6, 1.0])
SETTINGS = DataSettings("store", stack_size=4, crop=(32, 32), batch_size=2, affine_share=0.0)


def body(seed: int, shape: tuple[int, int, int] = (12, 40, 48)) -> np.ndarray:
    """Labels: the left lung at low i, the right one at high i, the heart between them."""
    generator = np.random.default_rng(seed)
    labels = np.zeros(shape, dtype=np.uint8)
    top = int(generator.integers(4, 8))
    labels[1:-1, top : top + 24, 6:16] = 1
    labels[1:-1, top : top + 24, 32:42] = 2
    labels[2:-2, top + 4 : top + 16, 20:28] = 3
    return labels


def make_store(
    folder: Path,
    num_cases: int = 3,
    labeled: int | None = None,
    with_guidance: bool = False,
    shape: tuple[int, int, int] = (12, 40, 48),
    split: str = "train",
) -> CaseStore:
    """Cases whose image is the gray value of their labels; the first `labeled` have labels."""
    folder.mkdir(exist_ok=True)
    entries = []
    for number in range(num_cases):
        labels = body(number, shape)
        image = GRAY[labels]
        has_labels = labeled is None or number < labeled
        entry = write_case(
            folder,
            f"case-{number}",
            image,
            labels if has_labels else None,
            (0.0, 1.0),
            np.floor(image * 10) / 10 if with_guidance else None,
        )
        entries.append(entry | {"subject": f"subject-{number}", "split": split})
    write_index(folder, entries, (1.0, 1.5, 3.0), (0.0, 1.0), "", TABLE)
    return open_store(folder)


def gray_of(labels: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(GRAY).float()[labels]


def test_the_same_seed_step_and_rank_give_the_same_stacks(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    settings = replace(SETTINGS, affine_share=0.5, zoom=1.1)
    first = StackSampler(store, "train", settings, halo=1, seed=3)
    again = StackSampler(open_store(tmp_path), "train", settings, halo=1, seed=3)
    for step in (0, 7):
        one, two = first.batch(step, rank=1), again.batch(step, rank=1)
        assert torch.equal(one.labels, two.labels)
        assert torch.equal(one.images, two.images)
        assert one.noise_seeds == two.noise_seeds
    other = first.batch(7, rank=0)
    assert other.noise_seeds != first.batch(7, rank=1).noise_seeds
    assert other.noise_seeds != first.batch(8, rank=0).noise_seeds


def test_shapes_ranges_and_positions_are_those_that_the_batch_promises(tmp_path: Path) -> None:
    store = make_store(tmp_path, with_guidance=True)
    settings = replace(SETTINGS, guidance="both")
    batch = StackSampler(store, "train", settings, halo=2, seed=0).batch(0)
    assert batch.labels.shape == (2, 8, 32, 32) and batch.labels.dtype == torch.int64
    assert batch.images.shape == (2, 4, 1, 32, 32) and batch.images.dtype == torch.float32
    assert 0 <= batch.images.min() and batch.images.max() <= 1
    assert batch.guidance.shape == (2, 8, 32, 32)
    assert batch.positions_mm.tolist() == [[0.0, 3.0, 6.0, 9.0]] * 2
    assert batch.has_labels.tolist() == [True, True] and batch.is_paired


def test_image_labels_and_guidance_stay_on_the_same_pixels(tmp_path: Path) -> None:
    store = make_store(tmp_path, with_guidance=True)
    settings = replace(SETTINGS, guidance="both")
    sampler = StackSampler(store, "train", settings, halo=1, seed=0)
    for step in range(20):
        batch = sampler.batch(step)
        # a flipped lung is the other lung, which is brighter: compare where no side matters
        labels = batch.labels[:, 1:-1]
        images = batch.images[:, :, 0]
        assert torch.equal(labels > 0, images > 0)
        assert torch.equal(labels == 3, images == 1)
        assert torch.equal(batch.guidance[:, 1:-1] > 0, images > 0)


def test_an_affine_moves_image_and_labels_by_the_same_transform(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    settings = replace(
        SETTINGS,
        flip=False,
        affine_share=1.0,
        rotation_degrees=25,
        shift_mm=4,
        shear_degrees=10,
        zoom=1.2,
    )
    sampler = StackSampler(store, "train", settings, halo=1, seed=0)
    for step in range(10):
        batch = sampler.batch(step)
        expected, images = gray_of(batch.labels[:, 1:-1]), batch.images[:, :, 0]
        high = torch.nn.functional.max_pool2d(expected, 7, 1, 3)
        low = -torch.nn.functional.max_pool2d(-expected, 7, 1, 3)
        inside = (high == low)[..., 3:-3, 3:-3]  # no edge between two labels near
        images, expected = images[..., 3:-3, 3:-3], expected[..., 3:-3, 3:-3]
        assert inside.float().mean() > 0.05
        assert torch.allclose(images[inside], expected[inside], atol=1e-3)


def test_flipping_the_image_flips_the_labels_and_swaps_left_and_right(tmp_path: Path) -> None:
    store = make_store(tmp_path, num_cases=1, shape=(12, 32, 48))
    settings = replace(SETTINGS, crop=(32, 48), batch_size=1)
    sampler = StackSampler(store, "train", settings, halo=0, seed=0)
    seen = set()
    for step in range(20):
        batch = sampler.batch(step)
        labels, image = batch.labels[0, 1], batch.images[0, 1, 0]
        left = (labels == 1).nonzero()[:, 1].float().mean()
        right = (labels == 2).nonzero()[:, 1].float().mean()
        assert left < right  # the left lung stays on the left side
        brightness_of_left = image[labels == 1].unique().tolist()
        is_flipped = brightness_of_left != [pytest.approx(0.3, abs=1e-4)]
        if is_flipped:  # what was the right lung, 0.6, is the left one now
            assert brightness_of_left == [pytest.approx(0.6, abs=1e-4)]
        seen.add(is_flipped)
    assert seen == {True, False}


def test_a_store_with_labels_of_one_side_is_not_flipped(tmp_path: Path) -> None:
    store = replace(make_store(tmp_path), preparation={"one_sided": ["left kidney"]})
    with pytest.raises(StoreError, match="left kidney without its partner.*set flip: false"):
        StackSampler(store, "train", SETTINGS, 0, seed=0)
    StackSampler(store, "train", replace(SETTINGS, flip=False), 0, seed=0)


def test_what_lies_beside_the_crop_enters_it_when_it_turns(tmp_path: Path) -> None:
    folder = tmp_path
    labels = np.ones((8, 64, 64), dtype=np.uint8)
    entry = write_case(folder, "full", np.ones(labels.shape), labels, (0.0, 1.0))
    entries = [entry | {"subject": "full", "split": "train"}]
    write_index(folder, entries, (1.0, 1.0, 1.0), (0.0, 1.0), "", TABLE)
    settings = replace(SETTINGS, crop=(24, 24), affine_share=1.0, rotation_degrees=10)
    sampler = StackSampler(open_store(folder), "train", settings, halo=0, seed=0)
    inner = [sampler.batch(step).labels for step in range(30)]
    # a crop inside the case has no empty corners; those at its border may
    assert sum(bool((labels > 0).all()) for labels in inner) > 3


def test_unpaired_stacks_take_labels_and_image_from_different_subjects(tmp_path: Path) -> None:
    folder = tmp_path
    entries = []
    for number in range(3):
        gray = np.full((6, 32, 32), (number + 1) / 4)
        labels = np.full((6, 32, 32), number + 1, dtype=np.uint8)
        entry = write_case(folder, f"case-{number}", gray, labels, (0.0, 1.0))
        entries.append(entry | {"subject": f"subject-{number}", "split": "train"})
    write_index(folder, entries, (1.0, 1.0, 1.0), (0.0, 1.0), "", {**TABLE, "swaps": {}})
    settings = replace(SETTINGS, supervision="unpaired", crop=(16, 16), flip=False)
    sampler = StackSampler(open_store(folder), "train", settings, halo=1, seed=0)
    pairs = set()
    for step in range(30):
        batch = sampler.batch(step)
        assert not batch.is_paired
        for labels, images in zip(batch.labels, batch.images, strict=True):
            pairs.add((int(labels.max()), round(float(images.max()) * 4)))
    assert all(labels != images for labels, images in pairs)
    assert len(pairs) == 6


def test_unpaired_training_takes_cases_that_have_labels_or_an_image_only(tmp_path: Path) -> None:
    folder = tmp_path
    labels = body(0)
    entries = [
        write_case(folder, "phantom", None, labels, (0.0, 1.0)),
        write_case(folder, "scan", GRAY[labels], None, (0.0, 1.0)),
    ]
    entries = [entry | {"subject": entry["name"], "split": "train"} for entry in entries]
    write_index(folder, entries, (1.0, 1.0, 1.0), (0.0, 1.0), "", TABLE)
    store = open_store(folder)
    settings = replace(SETTINGS, supervision="unpaired")
    batch = StackSampler(store, "train", settings, halo=0, seed=0).batch(0)
    assert batch.labels.max() > 0 and batch.images.max() > 0
    with pytest.raises(StoreError, match="paired training needs cases with labels and image"):
        StackSampler(store, "train", SETTINGS, halo=0, seed=0)


def test_semi_supervised_stacks_say_which_of_them_have_labels(tmp_path: Path) -> None:
    store = make_store(tmp_path, num_cases=4, labeled=1)
    settings = replace(SETTINGS, supervision="semi", labeled_share=0.25)
    sampler = StackSampler(store, "train", settings, halo=1, seed=0)
    flags = []
    for step in range(100):
        batch = sampler.batch(step)
        for has_labels, labels in zip(batch.has_labels.tolist(), batch.labels, strict=True):
            assert has_labels == bool(labels.any())
            flags.append(has_labels)
    assert 0.15 < np.mean(flags) < 0.35


def test_few_labeled_subjects_can_be_chosen_of_many(tmp_path: Path) -> None:
    store = make_store(tmp_path, num_cases=4)
    settings = replace(SETTINGS, supervision="semi", num_labeled_subjects=2)
    batches = [StackSampler(store, "train", settings, 0, seed=0).batch(step) for step in range(20)]
    assert {flag for batch in batches for flag in batch.has_labels.tolist()} == {True, False}
    with pytest.raises(StoreError, match="lower num_labeled_subjects"):
        StackSampler(store, "train", replace(settings, num_labeled_subjects=9), 0, seed=0)


def test_superpixels_stand_for_labels_where_there_are_none(tmp_path: Path) -> None:
    store = make_store(tmp_path, num_cases=3, labeled=0, with_guidance=True)
    settings = replace(SETTINGS, guidance="superpixels")
    batch = StackSampler(store, "train", settings, 0, seed=0).batch(0)
    assert batch.has_labels.tolist() == [False, False] and not batch.labels.any()
    assert torch.equal(batch.guidance > 0, batch.images[:, :, 0] > 0)
    with pytest.raises(StoreError, match="paired training needs cases with labels and image"):
        StackSampler(store, "train", replace(settings, guidance="both"), 0, seed=0)


def test_fewer_slices_than_a_stack_needs_are_refused_with_the_case(tmp_path: Path) -> None:
    store = make_store(tmp_path, shape=(6, 40, 48))
    with pytest.raises(StoreError, match="case-0 has 6 slices, but a stack needs 8"):
        StackSampler(store, "train", replace(SETTINGS, stack_size=8), 0, seed=0)


def test_a_stack_may_be_as_long_as_the_case(tmp_path: Path) -> None:
    store = make_store(tmp_path, shape=(6, 40, 48))
    batch = StackSampler(store, "train", replace(SETTINGS, stack_size=6), 2, seed=0).batch(0)
    assert batch.labels.shape[1] == 10 and not batch.labels[:, :2].any()


def test_an_empty_split_is_refused_with_its_name(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with pytest.raises(StoreError, match="the validation split of .* is empty"):
        StackSampler(store, "validation", SETTINGS, 0, seed=0)


def test_guidance_that_the_store_does_not_have_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with pytest.raises(StoreError, match="--guidance superpixels"):
        StackSampler(store, "train", replace(SETTINGS, guidance="superpixels"), 0, seed=0)


def test_a_batch_moves_to_a_device_with_everything_it_holds(tmp_path: Path) -> None:
    store = make_store(tmp_path, with_guidance=True)
    settings = replace(SETTINGS, guidance="both")
    batch = StackSampler(store, "train", settings, 0, seed=0).batch(0)
    moved = batch.to(torch.device("meta"))
    assert {moved.labels.device.type, moved.images.device.type, moved.guidance.device.type} == {
        "meta"
    }
    assert moved.noise_seeds == batch.noise_seeds and moved.is_paired


def test_unpaired_training_with_one_subject_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path, num_cases=1)
    settings = replace(SETTINGS, supervision="unpaired")
    with pytest.raises(StoreError, match="of different subjects; the train split .*Prepare more"):
        StackSampler(store, "train", settings, halo=0, seed=0)


class CountingSampler:
    """Stands for a StackSampler: its batch is its step and rank."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []

    def batch(self, step: int, rank: int = 0) -> tuple[int, int]:
        if step == 13:
            raise ValueError("no thirteenth")
        self.made.append((step, rank))
        return step, rank


def test_every_batch_is_that_of_its_step_and_rank() -> None:
    with PrefetchingSampler(CountingSampler()) as ahead:
        steps = [0, 1, 2, 7, 8, 3, 3]  # jumps and a repeat included
        assert [ahead.batch(step, 1) for step in steps] == [(step, 1) for step in steps]


def test_the_next_batches_are_made_without_being_asked_for() -> None:
    sampler = CountingSampler()
    with PrefetchingSampler(sampler, num_ahead=2) as ahead:
        ahead.batch(0)
        deadline = time.monotonic() + 5
        while len(sampler.made) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sampler.made == [(0, 0), (1, 0), (2, 0)]


def test_an_error_comes_at_its_own_step() -> None:
    with PrefetchingSampler(CountingSampler()) as ahead:
        assert ahead.batch(12) == (12, 0)
        with pytest.raises(ValueError, match="thirteenth"):
            ahead.batch(13)


def test_the_thread_ends_when_it_is_closed() -> None:
    ahead = PrefetchingSampler(CountingSampler())
    ahead.batch(0)
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stacks")]
