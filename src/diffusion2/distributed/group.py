"""A group of processes and what they tell each other, with the bytes counted."""

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor

from diffusion2.distributed.watch import Watch
from diffusion2.errors import BackendUnavailable

WAIT = timedelta(hours=12)
"""How long one waits for another that is alive: an evaluation of the full-size pair takes hours on a CPU."""
PAUSE = 5e-4
"""Seconds between two looks at whether a collective is done; between them, signals come through."""


@dataclass(frozen=True)
class Message:
    """What one process tells the others.

    Attributes:
        tensors: by name.
        note: values that JSON knows.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    note: Mapping[str, Any] = field(default_factory=dict[str, Any])


class ProcessGroup:
    """This process and those that it works with. Alone, every collective is a no-op.

    All processes of a group call the same collectives in the same order.

    Args:
        rank: which one this is; the first, 0, reads, writes and reports.
        size: how many there are.
        local_size: how many of them are on this machine.
        device: where tensors are summed; see `work_on`.
        watch: knows of the others whether they are alive.
        ranks: of this group's processes among all that were started; None: these are all.
        handle: torch's group; None: its default.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        local_size: int = 1,
        device: str = "cpu",
        watch: Watch | None = None,
        ranks: Sequence[int] | None = None,
        handle: Any = None,
    ) -> None:
        self.rank, self.size, self.local_size = rank, size, local_size
        self.sent: Counter[str] = Counter()
        """Bytes that left this process, by collective, where each takes the least that it can: a sum in a
        ring, and a broadcast along a chain."""
        self._device, self._watch, self._handle = torch.device(device), watch, handle
        self._ranks = range(size) if ranks is None else ranks

    @property
    def is_first(self) -> bool:
        """Say whether this is the one that reads, writes and reports."""
        return self.rank == 0

    def work_on(self, device: str) -> None:
        """Say where networks work, "cpu" or "cuda": every process takes a GPU of its machine, and sums there.

        Raises:
            BackendUnavailable: this machine has fewer GPUs than processes.
        """
        if self.size == 1 or device == "cpu":
            return
        count, local = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
        if count < self.local_size:
            raise BackendUnavailable(
                f"there are {count} GPUs for {self.local_size} processes: start one process for each "
                "(torchrun --nproc-per-node), or add --sampling.device cpu"
            )
        torch.cuda.set_device(local)  # what "cuda" means from now on
        self._device = torch.device("cuda", local)

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up a tensor of every process; the same to the bit in all of them.

        Args:
            tensor: of the same shape in all; it may be overwritten.
        """
        if self.size == 1:
            return tensor
        there = tensor.contiguous().to(self._device)
        self._finish(dist.all_reduce(there, group=self._handle, async_op=True))
        self.sent["sum"] += 2 * (self.size - 1) * there.nbytes // self.size
        return there.to(tensor.device)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of all processes by their mean over the processes."""
        if self.size == 1:
            return
        mean = self.sum(torch.cat([tensor.flatten() for tensor in tensors])) / self.size
        for tensor, part in zip(tensors, mean.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Say whether the flag is set in any of the processes."""
        return bool(self.sum(torch.tensor(float(flag))))

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self.any(False)

    def broadcast(self, message: Message | None = None, source: int = 0) -> Message:
        """Tell all others something.

        Args:
            message: in the process that tells; what the others pass is not looked at.
            source: the rank of the one that tells.
        """
        if self.size == 1:
            return message or Message()
        told, content = self.rank == source, b""
        if told:
            assert message is not None
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in message.tensors.items()}
            content = save(tensors, {"note": json.dumps(dict(message.note))})
        length = torch.tensor([len(content)])
        self._send(length, source)
        data = torch.frombuffer(bytearray(content), dtype=torch.uint8) if told else torch.empty(0)
        data = data if told else torch.empty(int(length), dtype=torch.uint8)
        self._send(data, source)
        if told:
            assert message is not None
            return message
        return _read(data.numpy().tobytes())

    def gather(self, tensor: Tensor) -> list[Tensor] | None:
        """Bring the tensors of all processes, of one shape, to the first; None in the others."""
        if self.size == 1:
            return [tensor]
        tensor = tensor.cpu().contiguous()
        parts = [torch.empty_like(tensor) for _ in range(self.size)] if self.is_first else None
        self._finish(dist.gather(tensor, parts, self._ranks[0], group=self._handle, async_op=True))
        self.sent["gather"] += 0 if self.is_first else tensor.nbytes
        return parts

    def split(self, parts: Sequence[Sequence[int]]) -> "list[ProcessGroup | None]":
        """Make smaller groups of the ranks of all processes that were started; all of them have to call it.

        Returns:
            For each part its group, None where this process is not in it.
        """
        return [self._part(part) for part in parts]

    def _part(self, part: Sequence[int]) -> "ProcessGroup | None":
        handle = dist.new_group(list(part), timeout=WAIT) if len(part) > 1 else None
        if self.rank not in part:
            return None
        device, local = str(self._device), min(self.local_size, len(part))
        group = ProcessGroup(part.index(self.rank), len(part), local, device, self._watch, part, handle)
        group.sent = self.sent
        return group

    def _send(self, tensor: Tensor, source: int) -> None:
        self._finish(dist.broadcast(tensor, self._ranks[source], group=self._handle, async_op=True))
        self.sent["broadcast"] += tensor.nbytes if (self.rank + 1 - source) % self.size else 0

    def _finish(self, work: Any) -> None:
        """Wait for a collective such that Python's signals still come through.

        Raises:
            ProcessError: another process is gone.
        """
        try:
            while not work.is_completed():
                time.sleep(PAUSE)
            work.wait()
        except RuntimeError as error:
            if self._watch is None:
                raise
            raise self._watch.lost(error) from error


ALONE = ProcessGroup()


def _read(content: bytes) -> Message:
    begin = 8 + int.from_bytes(content[:8], "little")
    note = json.loads(content[8:begin]).get("__metadata__", {}).get("note", "{}")
    return Message(load(content), json.loads(note))
