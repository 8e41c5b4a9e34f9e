"""Several processes, as `torchrun` starts them, that train one network, each on a share of every batch."""

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

WAIT = timedelta(hours=2)
"""How long a process waits for the others, which may be rendering."""


@dataclass(frozen=True)
class Processes:
    """This process and the others.

    Attributes:
        rank: which one this is; 0 reports, measures and saves.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Say whether this is the one that reports, measures and saves."""
        return self.rank == 0

    def average(self, tensors: list[Tensor]) -> None:
        """Replace tensors of all processes by their mean over the processes."""
        if self.count == 1:
            return
        joined = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(joined)
        joined /= self.count
        for tensor, mean in zip(tensors, joined.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Say whether the flag is set in any of the processes."""
        if self.count == 1:
            return flag
        value = torch.tensor(float(flag))
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return bool(value)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            dist.barrier()


def join() -> Processes:
    """Join the processes that `torchrun` started; one that was started alone stays alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes()
    if not dist.is_initialized():
        dist.init_process_group("gloo", timeout=WAIT)
    return Processes(dist.get_rank(), count)
