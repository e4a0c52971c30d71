"""GNN-SIF: fusion of neighboring slices by a slice graph (paper, section III-A, Eq. 1, Algorithm
1).

The fast engine evaluates it again, slice by slice, in synthesis/engine/fast_generator.py
(`FastFusion`) and volume_pass.py (the rounds of messages); change both.
Testing/test_synthesis_volume_pass.py holds the two together. The graph itself, its patches and the
means over stacks it takes from the functions of this file.

# Differs from the paper: Eq. 1 read literally is one learned constant for a fixed number of slices,
and no feature of a neighbor reaches a slice. Here messages travel along the edges, any number of
slices works, and the gate is a function of the graph around a slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.spade import LEAK

NEIGHBOR_RADIUS = 2  # K of the paper: slices up to two positions apart share an edge


# Ours: the weight of an edge between slices that share no label, and what full overlap adds to it.
_LEAST_EDGE, _OVERLAP_EDGE = 0.2, 0.8
# Ours: far below the fraction of one labeled pixel in a cell, so only an empty stack meets it.
_LEAST_AREA = 1e-3


@dataclass(frozen=True)
class SliceGraph:
    """Normalized adjacency A~ = D^-1/2 A D^-1/2 of the slices of every case and their stack node.

    # Differs from the paper: the stack node of a slice is the mean of the slices at most
    `stack_radius` positions away, not of the whole volume, so that a volume of 300 slices sees what
    a training stack has shown, and an edit reaches a known number of slices.
    """

    edges: Tensor  # [B,S,S] between slices
    to_stack: Tensor  # [B,S] between a slice and its own stack node
    stack_self: Tensor  # [S] of the stack node with itself
    stack_radius: int

    def message_weights(self, offset: int) -> Tensor:
        """[B,S-|offset|] weight of the edge from slice i + offset to slice i, where both exist."""
        return torch.diagonal(self.edges, offset, dim1=1, dim2=2)


def slice_overlaps(labels: Tensor, num_classes: int, radius: int = NEIGHBOR_RADIUS) -> Tensor:
    """[B,S,S] mean Dice overlap of the labels of slices at most `radius` apart, else 0.

    labels: [B,S,H,W] class indices. The mean runs over the classes other than background that are
    in either slice; two slices without any overlap perfectly.
    """
    cases, num_slices = labels.shape[:2]
    sizes = _class_counts(labels, num_classes)  # [B,S,C]
    overlaps = torch.eye(num_slices, device=labels.device).expand(cases, -1, -1).clone()
    for offset in range(1, min(radius, num_slices - 1) + 1):
        first, second = labels[:, :-offset], labels[:, offset:]
        shared = torch.where(first == second, first, 0)  # differing pixels count as background
        common = _class_counts(shared, num_classes)[..., 1:]
        total = (sizes[:, :-offset] + sizes[:, offset:])[..., 1:]
        dice = torch.where(total > 0, 2 * common / total.clamp(min=1), 0.0).sum(-1)
        present = (total > 0).sum(-1)
        mean = torch.where(present > 0, dice / present.clamp(min=1), 1.0)  # [B,S-offset]
        overlaps.diagonal(offset, 1, 2).copy_(mean)
        overlaps.diagonal(-offset, 1, 2).copy_(mean)
    return overlaps


def _class_counts(labels: Tensor, num_classes: int) -> Tensor:
    cases, num_slices = labels.shape[:2]
    slices = torch.arange(cases * num_slices, device=labels.device).view(cases, num_slices, 1, 1)
    flat = (labels + slices * num_classes).reshape(-1)
    counts = torch.bincount(flat, minlength=cases * num_slices * num_classes)
    return counts.view(cases, num_slices, num_classes).float()


def slice_graph(
    overlaps: Tensor, positions_mm: Tensor, tau_mm: Tensor, stack_radius: int
) -> SliceGraph:
    """The graph of stacks of slices.

    overlaps: [B,S,S]; positions_mm: [B,S] along the slice axis; tau_mm: learned length, scalar.
    A_ij = [|i-j| <= K] exp(-(z_i-z_j)^2 / (2 tau^2)) (0.2 + 0.8 s_ij), A_ii = A_ig = A_gg = 1.
    """
    num_slices = positions_mm.shape[1]
    number = torch.arange(num_slices, device=positions_mm.device)
    apart = (number[:, None] - number[None, :]).abs()
    distance = positions_mm[:, :, None] - positions_mm[:, None, :]
    weights = torch.exp(-(distance**2) / (2 * tau_mm**2)) * (_LEAST_EDGE + _OVERLAP_EDGE * overlaps)
    weights = weights * (apart <= NEIGHBOR_RADIUS)
    weights = torch.where(apart == 0, 1.0, weights)
    degree = weights.sum(-1) + 1  # plus the edge to the stack node
    stack_degree = (apart <= stack_radius).sum(-1) + 1.0
    inverse = degree.rsqrt()
    return SliceGraph(
        edges=inverse[:, :, None] * weights * inverse[:, None, :],
        to_stack=inverse * stack_degree.rsqrt(),
        stack_self=1 / stack_degree,
        stack_radius=stack_radius,
    )


def graph_patches(graph: SliceGraph) -> Tensor:
    """[B,S,(2K+2)^2] the part of A~ around every slice, with its stack node, zero outside the
    stack.
    """
    radius = NEIGHBOR_RADIUS
    num_slices = graph.edges.shape[1]
    edges = functional.pad(graph.edges, (radius,) * 4)
    to_stack = functional.pad(graph.to_stack, (radius, radius))
    around = torch.arange(2 * radius + 1, device=edges.device)
    index = torch.arange(num_slices, device=edges.device)[:, None] + around  # [S,2K+1]
    patch = edges[:, index[:, :, None], index[:, None, :]]  # [B,S,2K+1,2K+1]
    column = to_stack[:, index]  # [B,S,2K+1]
    corner = graph.stack_self.expand(edges.shape[0], -1)[..., None]
    patch = torch.cat([patch, column[..., None]], dim=3)
    last = torch.cat([column, corner], dim=2)[:, :, None]
    return torch.cat([patch, last], dim=2).flatten(2)


class SliceGraphFusion(nn.Module):
    """Modulates a stage by what neighboring slices hold; the identity when freshly made.

    `slice_features`, `exchange` and `modulate` are its parts; only `exchange` lets slices meet.
    num_hidden: of the layer between the patch of the graph and the gate; ours.
    """

    def __init__(self, num_features: int, rounds: int = 1, num_hidden: int = 64) -> None:
        super().__init__()
        half, quarter, eighth = num_features // 2, num_features // 4, num_features // 8
        self.rounds = rounds
        self.dilated = nn.ModuleList(
            [
                nn.Conv2d(num_features, half, 3, padding=2, dilation=2),
                nn.Conv2d(num_features + half, quarter, 3, padding=4, dilation=4),
                nn.Conv2d(num_features + half + quarter, eighth, 3, padding=8, dilation=8),
            ]
        )
        self.merge = nn.Conv2d(num_features + half + quarter + eighth, num_features, 1)
        self.value = nn.ModuleList(
            nn.Conv2d(num_features, quarter, 1, bias=False) for _ in range(rounds)
        )
        self.stack_value = nn.ModuleList(nn.Linear(num_features, quarter) for _ in range(rounds))
        self.message = nn.ModuleList(nn.Conv2d(quarter, num_features, 1) for _ in range(rounds))
        patch = 2 * NEIGHBOR_RADIUS + 2
        self.graph_hidden = nn.Linear(patch**2, num_hidden)
        self.graph_gate = nn.Linear(num_hidden, num_features)
        self.spatial_gate = nn.Conv2d(num_features, 1, 3, padding=1)
        self.modulation = nn.Conv2d(num_features, 2 * num_features, 1)
        for layer in (*self.message, self.graph_gate, self.spatial_gate, self.modulation):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def slice_features(self, mask_features: Tensor, state: Tensor) -> Tensor:
        """M [N,F,h,w] of every slice by itself: densely connected dilated convolutions."""
        features = mask_features + state
        for layer in self.dilated:
            new = functional.leaky_relu(layer(features), LEAK)
            features = torch.cat([features, new], dim=1)
        return self.merge(features)

    def exchange(self, features: Tensor, foreground: Tensor, graph: SliceGraph) -> Tensor:
        """M after message passing.

        features: [B,S,F,h,w]; foreground: [B,S,1,h,w] fraction of labeled pixels. The stack node
        takes its mean over these, so that the amount of background does not matter.
        """
        for number in range(self.rounds):
            features = features + self._messages(number, features, foreground, graph)
        return features

    def _messages(
        self, number: int, features: Tensor, foreground: Tensor, graph: SliceGraph
    ) -> Tensor:
        cases, num_slices = features.shape[:2]
        values = self.slice_values(number, features.flatten(0, 1)).unflatten(0, (cases, num_slices))
        total = torch.zeros_like(values)
        for offset in range(-NEIGHBOR_RADIUS, NEIGHBOR_RADIUS + 1):
            if abs(offset) >= num_slices:
                continue
            weights = graph.message_weights(offset)[:, :, None, None, None]
            first, last = max(0, -offset), num_slices - max(0, offset)
            total[:, first:last] += weights * values[:, first + offset : last + offset]
        sums, areas = stack_sums(features.flatten(0, 1), foreground.flatten(0, 1))
        means = stack_means(
            _sum_of_near(sums.unflatten(0, (cases, num_slices)), graph.stack_radius),
            _sum_of_near(areas.unflatten(0, (cases, num_slices)), graph.stack_radius),
        )
        messages = self.message_from(
            number, total.flatten(0, 1), means.flatten(0, 1), graph.to_stack.flatten(0, 1)
        )
        return messages.unflatten(0, (cases, num_slices))

    def slice_values(self, number: int, features: Tensor) -> Tensor:
        """The message of a slice to its neighbors in one round: [N,F,h,w] -> [N,F/4,h,w]."""
        return self.value[number](features)

    def message_from(
        self, number: int, neighbor_sum: Tensor, means: Tensor, to_stack: Tensor
    ) -> Tensor:
        """The message that a slice receives in one round, [N,F,h,w].

        neighbor_sum: [N,F/4,h,w] values of the neighbors times their edges; means: [N,F] of the
        stack nodes; to_stack: [N] their edges.
        """
        stack = self.stack_value[number](means) * to_stack[:, None]
        return self.message[number](neighbor_sum + stack[..., None, None])

    def modulate(self, features: Tensor, patches: Tensor, state: Tensor) -> Tensor:
        """Y (1 + gamma) + beta of every slice by itself.

        features, state: [N,F,h,w]; patches: [N,(2K+2)^2] of `graph_patches`.
        """
        hidden = functional.leaky_relu(self.graph_hidden(patches), LEAK)
        gate = self.graph_gate(hidden)[:, :, None, None] + self.spatial_gate(features)
        gated = functional.leaky_relu(features * 2 * torch.sigmoid(gate), LEAK)
        gamma, beta = self.modulation(gated).chunk(2, dim=1)
        return state * (1 + gamma) + beta

    def forward(
        self, mask_features: Tensor, state: Tensor, foreground: Tensor, graph: SliceGraph
    ) -> Tensor:
        """mask_features, state: [B*S,F,h,w]; foreground: [B*S,1,h,w] -> state [B*S,F,h,w]."""
        stacked = tuple(graph.to_stack.shape)
        features = self.slice_features(mask_features, state)
        features = self.exchange(
            features.unflatten(0, stacked), foreground.unflatten(0, stacked), graph
        ).flatten(0, 1)
        return self.modulate(features, graph_patches(graph).flatten(0, 1), state)


def stack_sums(features: Tensor, foreground: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the labeled part of every slice [N,F], and its area in cells [N,1]."""
    return (features * foreground).sum((2, 3)), foreground.sum((2, 3))


def stack_means(sums: Tensor, areas: Tensor) -> Tensor:
    """Mean over the labeled part of a stack, zero where nothing is labeled."""
    return sums / areas.clamp(min=_LEAST_AREA)


def _sum_of_near(values: Tensor, radius: int) -> Tensor:
    """[B,S,F] sum over the slices at most `radius` positions away."""
    num_slices = values.shape[1]
    number = torch.arange(num_slices, device=values.device)
    near = ((number[:, None] - number[None, :]).abs() <= radius).to(values.dtype)
    return torch.einsum("st,btf->bsf", near, values)
