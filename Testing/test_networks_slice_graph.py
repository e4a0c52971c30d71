"""GNN-SIF: features of neighboring slices meet along the edges of the slice graph."""

from __future__ import annotations

import math

import pytest
import torch

from AnatoMaskGANLib.networks.slice_graph import (
    SliceGraphFusion,
    graph_patches,
    slice_graph,
    slice_overlaps,
)


def graph_of(num_slices: int, stack_radius: int = 4, spacing_mm: float = 5.0):
    positions = torch.arange(float(num_slices))[None] * spacing_mm
    overlaps = torch.ones(1, num_slices, num_slices)
    return slice_graph(overlaps, positions, torch.tensor(7.0), stack_radius)


def test_overlap_is_the_mean_dice_of_the_classes_in_either_slice() -> None:
    labels = torch.tensor([[[[1, 1, 2, 2]], [[1, 0, 2, 2]], [[0, 0, 0, 3]]]])
    overlaps = slice_overlaps(labels, 4, radius=2)[0]
    dice_of_1, dice_of_2 = 2 * 1 / (2 + 1), 1.0
    assert overlaps[0, 1] == pytest.approx((dice_of_1 + dice_of_2) / 2)
    assert overlaps[1, 0] == overlaps[0, 1]
    assert overlaps[0, 2] == 0.0
    assert overlaps.diagonal().tolist() == [1.0, 1.0, 1.0]


def test_two_empty_slices_overlap_perfectly() -> None:
    assert slice_overlaps(torch.zeros(1, 2, 3, 3, dtype=torch.long), 4)[0, 0, 1] == 1.0


def test_edges_are_those_of_the_normalized_adjacency() -> None:
    graph = graph_of(2, spacing_mm=5.0)
    weight = math.exp(-25 / (2 * 49))
    degree = 1 + weight + 1  # itself, the other slice, the stack node
    assert graph.edges[0, 0, 1] == pytest.approx(weight / degree)
    assert graph.edges[0, 0, 0] == pytest.approx(1 / degree)
    assert graph.to_stack[0, 0] == pytest.approx(1 / math.sqrt(degree * 3))
    assert graph.stack_self[0] == pytest.approx(1 / 3)


def test_slices_more_than_two_apart_share_no_edge() -> None:
    edges = graph_of(8).edges[0]
    apart = (torch.arange(8)[:, None] - torch.arange(8)[None]).abs()
    assert (edges[apart > 2] == 0).all()
    assert (edges[apart <= 2] > 0).all()


def test_a_window_holds_the_graph_around_a_slice_and_its_stack_node() -> None:
    graph = graph_of(9)
    patch = graph_patches(graph)[0, 4].view(6, 6)
    torch.testing.assert_close(patch[:5, :5], graph.edges[0, 2:7, 2:7])
    torch.testing.assert_close(patch[:5, 5], graph.to_stack[0, 2:7])
    assert patch[5, 5] == graph.stack_self[4]
    assert (graph_patches(graph)[0, 0].view(6, 6)[:2] == 0).all()  # no slices before the first


@pytest.mark.parametrize("num_slices", [1, 2, 3, 20])
def test_a_fresh_fusion_is_the_identity_for_any_number_of_slices(num_slices: int) -> None:
    fusion = SliceGraphFusion(16)
    state = torch.randn(num_slices, 16, 7, 7)
    foreground = torch.ones(num_slices, 1, 7, 7)
    fused = fusion(torch.randn_like(state), state, foreground, graph_of(num_slices))
    torch.testing.assert_close(fused, state)


def influence_of_slice_5(stack_radius: int, rounds: int = 1) -> torch.Tensor:
    """Mean change of every slice of ten when only slice 5 changes."""
    torch.manual_seed(1)
    fusion = SliceGraphFusion(16, rounds)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    features = torch.randn(10, 16, 7, 7)
    changed = features.clone()
    changed[5] += 1
    foreground = torch.ones(10, 1, 7, 7)
    graph = graph_of(10, stack_radius)
    before = fusion(features, features, foreground, graph)
    after = fusion(changed, changed, foreground, graph)
    return (after - before).abs().mean((1, 2, 3))


def test_a_changed_slice_reaches_its_neighbors() -> None:
    influence = influence_of_slice_5(stack_radius=0)
    assert (influence[3:8] > 1e-5).all()
    assert (influence[:3] == 0).all()
    assert (influence[8:] == 0).all()


def test_the_stack_node_carries_a_change_as_far_as_its_radius() -> None:
    influence = influence_of_slice_5(stack_radius=4)
    assert (influence[1:] > 0).all()
    assert influence[0] == 0


def test_a_second_round_reaches_twice_as_far() -> None:
    influence = influence_of_slice_5(stack_radius=2, rounds=2)
    assert (influence[1:] > 0).all()
    assert influence[0] == 0


def test_background_around_the_anatomy_does_not_move_the_stack_node() -> None:
    torch.manual_seed(0)
    fusion = SliceGraphFusion(16)
    torch.nn.init.normal_(fusion.message[0].weight)
    features, foreground = torch.randn(1, 4, 16, 5, 5), torch.ones(1, 4, 1, 5, 5)
    wider = torch.nn.functional.pad(features, (0, 3, 0, 3))
    wider_foreground = torch.nn.functional.pad(foreground, (0, 3, 0, 3))
    graph = graph_of(4)
    message = fusion.exchange(features, foreground, graph)
    torch.testing.assert_close(
        fusion.exchange(wider, wider_foreground, graph)[..., :5, :5], message, rtol=1e-4, atol=1e-5
    )
