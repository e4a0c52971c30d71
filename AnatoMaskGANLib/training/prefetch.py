"""Batches made while the step before runs, so that training does not wait for its data."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from AnatoMaskGANLib.training.stacks import StackBatch, StackSampler


class PrefetchingSampler:
    """Gives the batches of a sampler, the next ones from a thread that has made them already.

    A batch is a function of its step and rank alone, so nothing changes but the time it takes; one
    that was not foreseen (the first, or after a jump) is made when it is asked for.
    """

    def __init__(self, sampler: StackSampler, num_ahead: int = 2) -> None:
        self.sampler = sampler
        self.num_ahead = num_ahead
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stacks")
        self._pending: dict[tuple[int, int], Future[StackBatch]] = {}

    def batch(self, step: int, rank: int = 0) -> StackBatch:
        """What the sampler gives for this step and rank; raises what it raises."""
        wanted = [(step + number, rank) for number in range(self.num_ahead + 1)]
        for key in [key for key in self._pending if key not in wanted]:
            self._pending.pop(key).cancel()
        for key in wanted:
            if key not in self._pending:
                self._pending[key] = self._executor.submit(self.sampler.batch, *key)
        return self._pending.pop((step, rank)).result()

    def close(self) -> None:
        """Ends the thread; batches that were made ahead are dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._pending.clear()

    def __enter__(self) -> PrefetchingSampler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
