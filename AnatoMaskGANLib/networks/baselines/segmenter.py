"""Image to label map: MONAI's U-Net on a slice and its neighbors."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.discriminators.patch import with_neighbors


class Segmenter(nn.Module):
    """[B,S,1,H,W] images in [0,1] -> [B,S,C,H,W] logits.

    Level l of the U-Net has the features channels[-1 - l]; context_radius neighbors on either side
    are further input channels.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        try:
            from monai.networks.nets import UNet
        except ImportError as error:
            raise ImportError(
                "Image to label map needs MONAI, which is not installed: pip install monai"
            ) from error
        self.settings = settings
        features = settings.channels[:0:-1]
        is_group = settings.norm == "group"
        self.network = UNet(
            spatial_dims=2,
            in_channels=2 * settings.context_radius + 1,
            out_channels=settings.num_classes,
            channels=features,
            strides=(2,) * (len(features) - 1),
            num_res_units=1,
            norm=("GROUP", {"num_groups": 1}) if is_group else settings.norm,
        )

    def forward(self, images: Tensor) -> Tensor:
        cases, num_slices, _, height, width = images.shape
        logits = self.network(self._seen(images))[:, :, :height, :width]
        return logits.unflatten(0, (cases, num_slices))

    def levels(self, images: Tensor) -> list[Tensor]:
        """Features [N,F,h,w] of every level on the way down, the deepest last: the encoder."""
        from monai.networks.layers.simplelayers import SkipConnection

        state, block, found = self._seen(images), self.network.model, []
        while True:
            parts = list(block.children())
            skips = [part for part in parts if isinstance(part, SkipConnection)]
            state = parts[0](state) if skips else block(state)
            found.append(state)
            if not skips:
                return found
            block = skips[0].submodule

    def _seen(self, images: Tensor) -> Tensor:
        """[N,neighbors,H,W] padded to whole cells of the deepest level."""
        height, width = images.shape[3:]
        seen = with_neighbors(images, 2 * self.settings.context_radius + 1)
        stride = self.settings.stride
        return functional.pad(seen, (0, -width % stride, 0, -height % stride))
