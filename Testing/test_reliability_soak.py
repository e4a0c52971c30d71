"""The short run of `python -m Testing.soak`: answers only, as memory tells nothing so soon."""

from __future__ import annotations

from pathlib import Path

from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
from Testing.soak.__main__ import Soak, growth_of


def test_mixed_requests_are_each_answered_once_and_as_a_fresh_synthesis_would(
    tmp_path: Path,
) -> None:
    with WorkerClient(environment={"OMP_NUM_THREADS": "1"}) as client:
        client.start()
        soak = Soak(client, tmp_path, seed=1)
        for _ in range(25):
            soak.do_something()
    assert soak.wrong == []
    assert soak.counts["compared"] >= 10
    assert {"Finished", "Failed", "Cancelled"} <= soak.counts.keys()


def test_growth_is_from_the_second_tenth_to_the_last() -> None:
    assert abs(growth_of([50] * 10 + [100] * 80 + [110] * 10) - 0.1) < 1e-9
