"""The processes that train one run together: usually one, several under torchrun.

Lightning Fabric starts and joins them. Gradients are averaged after the backward pass. So the
networks need no wrapper, and two processes take the steps of one process with a doubled batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from AnatoMaskGANLib.networks.normalization import FrozenBatchNorm2d


class Processes:
    """This process among those of its run.

    `torchrun --nproc-per-node 2 --nnodes 3 -m AnatoMaskGANLib.cli train ...` starts six.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = 0
        self.device = device
        self._fabric: Any = None
        if self.count > 1:
            self._join()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def synchronize_statistics(self, network: nn.Module) -> None:
        """Lets batch normalization use the statistics of the batches of all processes."""
        for module in network.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.is_synchronized = self.count > 1

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes the mean over the processes; a missing one counts as zero."""
        if self._fabric is None:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in trained if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = self._fabric.all_reduce(flat, reduce_op="mean")
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Mean of each value over the processes; all must have the same names."""
        if not values:
            return {}
        stacked = torch.stack([value.detach().float() for value in values.values()])
        if self._fabric is not None:
            stacked = self._fabric.all_reduce(stacked, reduce_op="mean")
        return dict(zip(values, stacked.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; waits until every process has called it."""
        if self._fabric is None:
            return flag
        flags = torch.tensor(float(flag), device=self.device)
        return bool(self._fabric.all_reduce(flags, reduce_op="sum") > 0)

    def _join(self) -> None:
        try:
            from lightning.fabric import Fabric
        except ImportError:
            try:
                from lightning_fabric import Fabric
            except ImportError as error:
                raise ImportError(
                    f"WORLD_SIZE is {self.count}, so this process is one of several, which needs "
                    "Lightning Fabric; install it: pip install lightning-fabric"
                ) from error
        local = int(os.environ.get("LOCAL_WORLD_SIZE", self.count))
        self._fabric = Fabric(
            accelerator="cpu" if self.device.type == "cpu" else self.device.type,
            devices=local,
            num_nodes=self.count // local,
            strategy="ddp",
        )
        self._fabric.launch()
        self.rank = self._fabric.global_rank
        self.device = self._fabric.device
