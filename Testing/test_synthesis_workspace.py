from __future__ import annotations

import pytest
import torch

from AnatoMaskGANLib.synthesis.engine.workspace import Scratch, Workspace, Workspaces

CPU = torch.device("cpu")


def test_a_use_gets_the_memory_of_the_use_before() -> None:
    scratch = Scratch(torch.float32, CPU)
    with scratch.lent(4, 6) as large:
        place = large.data_ptr()
    with scratch.lent(3, 5) as small:
        assert small.shape == (3, 5) and small.data_ptr() == place


def test_fields_share_no_memory() -> None:
    workspace = Workspace(torch.float32, CPU)
    fields = [field for field in vars(workspace).values() if isinstance(field, Scratch)]
    states = [workspace.next_state(4, 6), workspace.next_state(4, 6)]
    places = {field.overwritten(4, 6).data_ptr() for field in fields}
    assert len(places | {state.data_ptr() for state in states}) == len(fields) + 2 == 12


def test_two_uses_that_overlap_are_refused_and_two_that_follow_are_not() -> None:
    scratch = Scratch(torch.float32, CPU)
    with scratch.lent(4):
        with pytest.raises(RuntimeError, match="asked for where it is in use"):
            with scratch.lent(2):
                pass
        with pytest.raises(RuntimeError, match="asked for where it is in use"):
            with scratch.padded(2, 2, 1):
                pass
    with pytest.raises(KeyError), scratch.lent(4):
        raise KeyError
    with scratch.lent(4) as again:
        assert again.shape == (4,)


def test_a_state_lives_until_the_one_after_the_next() -> None:
    workspace = Workspace(torch.float32, CPU)
    first, second, third = (workspace.next_state(5, 2) for _ in range(3))
    assert first.data_ptr() != second.data_ptr()
    assert first.data_ptr() == third.data_ptr()


def test_the_rows_around_padded_memory_are_zero_whatever_was_there() -> None:
    scratch = Scratch(torch.float32, CPU)
    with scratch.lent(100) as memory:
        memory.fill_(7)
    with scratch.padded(3, 2, 4) as padded:
        assert padded.shape == (5, 2, 4)
        assert not padded[0].any() and not padded[-1].any()
        assert (padded[1:-1] == 7).all()


def test_two_at_work_at_once_share_no_memory_and_those_that_follow_do() -> None:
    workspaces = Workspaces(torch.float32, CPU)
    with workspaces.one() as first, workspaces.one() as second:
        assert first is not second
    with workspaces.one() as third:
        assert third in (first, second)
    workspaces.forget()
    with workspaces.one() as fourth:
        assert fourth not in (first, second)
