from __future__ import annotations

import pytest

from AnatoMaskGANLib.commands.shards import Shard, device_of_rank, shard_of


def test_the_shards_of_a_batch_hold_every_case_once() -> None:
    cases = list(range(11))
    parts = [Shard(number, 4).part_of(cases) for number in range(4)]
    assert sorted(case for part in parts for case in part) == cases
    assert {len(part) for part in parts} == {2, 3}


def test_without_a_shard_and_torchrun_one_process_does_everything() -> None:
    assert shard_of(None, {}).is_whole
    assert shard_of(None, {}).part_of([1, 2]) == [1, 2]


def test_the_rank_of_torchrun_is_the_shard_unless_one_is_given() -> None:
    environment = {"RANK": "2", "WORLD_SIZE": "5"}
    assert shard_of(None, environment) == Shard(2, 5)
    assert shard_of("0/2", environment) == Shard(0, 2)


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "1/0", "0/1/2", "0.5/2"])
def test_a_text_that_names_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected i/n"):
        shard_of(text, {})


def test_each_rank_of_a_machine_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert device_of_rank("auto", {"LOCAL_RANK": "3"}) == "cuda:3"
    assert device_of_rank("cuda", {"LOCAL_RANK": "5"}) == "cuda:1"
    assert device_of_rank("cpu", {"LOCAL_RANK": "3"}) == "cpu"
    assert device_of_rank("auto", {}) == "auto"
