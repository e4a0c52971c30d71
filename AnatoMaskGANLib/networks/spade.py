"""SPADE layers: normalization modulated by the label map (Park et al. 2019, section 3).

The fast engine evaluates them again, in synthesis/engine/fast_layers.py (`FastSPADE`) and
fast_stage.py; change both. Testing/test_synthesis_volume_pass.py holds the two together.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.label_grids import LabelField
from AnatoMaskGANLib.networks.label_words import LabelBranch
from AnatoMaskGANLib.networks.normalization import normalization

LEAK = 0.2  # slope of every leaky rectifier of the generator; paper, section III


class SPADE(nn.Module):
    """Normalizes [N,F,h,w] features and modulates them by (1 + gamma, beta) of the label field.

    num_conditions: channels of the field; the label classes, and in OASIS also the noise.
    """

    def __init__(
        self, num_features: int, num_conditions: int, num_hidden: int, norm: str = "batch"
    ) -> None:
        super().__init__()
        self.normalize = normalization(norm, num_features)
        self.hidden = nn.Conv2d(num_conditions, num_hidden, 3, padding=1)
        self.modulation = nn.Conv2d(num_hidden, 2 * num_features, 3, padding=1)

    @property
    def branch(self) -> LabelBranch:
        """The part that sees the label field alone."""
        return LabelBranch(
            self.hidden.weight,
            cast(Tensor, self.hidden.bias),
            self.modulation.weight,
            cast(Tensor, self.modulation.bias),
        )

    def forward(self, features: Tensor, field: LabelField, stride: int) -> Tensor:
        gamma, beta = field.modulation(self.branch, stride).chunk(2, dim=1)
        return self.normalize(features) * (1 + gamma) + beta


def convolution(num_inputs: int, num_outputs: int, separable: bool) -> nn.Module:
    """A 3x3 convolution, or its depthwise-separable form."""
    if not separable:
        return nn.Conv2d(num_inputs, num_outputs, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(num_inputs, num_inputs, 3, padding=1, groups=num_inputs),
        nn.Conv2d(num_inputs, num_outputs, 1),
    )


class SPADEResidualBlock(nn.Module):
    """Residual block [N,Fin,h,w] -> [N,Fout,h,w] with SPADE before each convolution."""

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        num_conditions: int,
        num_hidden: int,
        separable: bool = False,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        num_middle = min(num_inputs, num_outputs)
        self.spade0 = SPADE(num_inputs, num_conditions, num_hidden, norm)
        self.spade1 = SPADE(num_middle, num_conditions, num_hidden, norm)
        self.conv0 = convolution(num_inputs, num_middle, separable)
        self.conv1 = convolution(num_middle, num_outputs, separable)
        # Differs from the paper: the shortcut of a block that changes the number of features is a
        # plain 1x1 convolution without a SPADE of its own, which saves a third of the label
        # branches.
        self.shortcut = (
            nn.Identity()
            if num_inputs == num_outputs
            else nn.Conv2d(num_inputs, num_outputs, 1, bias=False)
        )

    def forward(self, features: Tensor, field: LabelField, stride: int) -> Tensor:
        out = self.conv0(functional.leaky_relu(self.spade0(features, field, stride), LEAK))
        out = self.conv1(functional.leaky_relu(self.spade1(out, field, stride), LEAK))
        return self.shortcut(features) + out
