from __future__ import annotations

import torch

from AnatoMaskGANLib.synthesis.engine.workspace import Workspace, Workspaces


def test_a_name_gives_the_same_memory_again_and_another_name_other_memory() -> None:
    workspace = Workspace(torch.float32, torch.device("cpu"))
    large = workspace.take("a", 4, 6)
    assert workspace.take("a", 3, 5).data_ptr() == large.data_ptr()
    assert workspace.take("b", 4, 6).data_ptr() != large.data_ptr()


def test_the_rows_around_padded_memory_are_zero_whatever_was_there() -> None:
    workspace = Workspace(torch.float32, torch.device("cpu"))
    workspace.take("a", 100).fill_(7)
    padded = workspace.take_padded("a", 3, 2, 4)
    assert padded.shape == (5, 2, 4)
    assert not padded[0].any() and not padded[-1].any()


def test_two_at_work_at_once_share_no_memory_and_those_that_follow_do() -> None:
    workspaces = Workspaces(torch.float32, torch.device("cpu"))
    with workspaces.one() as first, workspaces.one() as second:
        assert first is not second
    with workspaces.one() as third:
        assert third in (first, second)
    workspaces.forget()
    with workspaces.one() as fourth:
        assert fourth not in (first, second)
