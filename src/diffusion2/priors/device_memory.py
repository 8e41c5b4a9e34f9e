"""A device and its memory: networks that take turns on it, and work in chunks that fit."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

import torch
from torch import Tensor

from diffusion2.errors import OutOfMemory

USED = 0.85
"""Share of the free memory that is planned with: libraries want some, and free memory is in pieces."""
MEMINFO = Path("/proc/meminfo")
Result = TypeVar("Result")


class DeviceMemory:
    """A device on which networks work, one after the other.

    A GPU holds the networks that stay on it (the two that denoise) from their first work on; others leave
    when the next one comes, and have the GPU for themselves where their work needs it. Where two do not fit,
    only the network that works is there. A CPU holds them all.

    Args:
        device: where the networks work.
        offload: keep only the network that works on the device.
        free: gives the bytes of memory that are free on a device, None where nobody knows.
    """

    def __init__(
        self,
        device: torch.device | str = "cpu",
        *,
        offload: bool = False,
        free: Callable[[torch.device], int | None] | None = None,
    ) -> None:
        self.device, self.offload = torch.device(device), offload
        self._free = free or free_memory
        self._most: float = 2**62
        """Bytes that have not failed yet."""
        self._inside: dict[Any, bool] = {}
        """The networks on the device, and whether they stay."""
        # a GPU does one thing at a time anyway; on a CPU threads share the work
        self._turn = nullcontext() if self.device.type == "cpu" else RLock()

    def work(
        self,
        network: Any,
        call: Callable[[slice], Tensor],
        count: int,
        bytes_each: float,
        *,
        at_least: int = 1,
        at_most: int | None = None,
        stays: bool = False,
        what: str = "item",
    ) -> Tensor:
        """Let a network work on items, so many at once as fit into the memory.

        How many is planned from the free memory. Where the device runs out of it all the same, half as many
        are tried, now and later; and before the work is given up, all other networks leave the device.

        Args:
            network: moves to the device for this.
            call: gives the results of the items of a slice, one row each.
            count: how many items there are.
            bytes_each: memory that one of them takes while it is worked on.
            at_least: items that only work together.
            at_most: items at once; None: as many as fit.
            stays: whether the network stays on the device when another one comes.
            what: an item is, for the message.

        Returns:
            The results, one after the other.

        Raises:
            OutOfMemory: there is not enough for the least number of items.
        """
        with self._turn:
            self._admit(network, stays)
            if not stays and self._fitting(bytes_each) < min(count, at_most or count):
                self._send_out_all_but(network)
            parts: list[Tensor] = []
            done = 0
            while done < count:
                size = min(count - done, at_most or count, max(at_least, self._fitting(bytes_each)))
                part = self._try(lambda part=slice(done, done + size): call(part))
                if part is not None:
                    parts.append(part)
                    done += size
                elif size > at_least:
                    self._most = bytes_each * (size // 2)
                elif self._send_out_all_but(network):
                    self.offload = True
                else:
                    raise OutOfMemory(self._message(what, bytes_each * at_least))
            return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _fitting(self, bytes_each: float) -> int:
        """Return how many items fit at once, by plan and experience; at least one is tried."""
        free = self._free(self.device)
        planned = self._most if free is None else min(self._most, USED * free)
        return max(1, int(planned // bytes_each))

    def _try(self, call: Callable[[], Result]) -> Result | None:
        """Call; give None where memory ran out, when what the attempt held is free again."""
        try:
            return call()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        torch.cuda.empty_cache()  # nothing where there is no GPU
        return None

    def _admit(self, network: Any, stays: bool) -> None:
        """Bring a network to the device; those that do not stay leave."""
        if self.device.type == "cpu":
            return
        for other, other_stays in list(self._inside.items()):
            if other is not network and (self.offload or not other_stays):
                self._send_out(other)
        if network in self._inside:
            return
        if self._try(lambda: network.to(self.device)) is None:
            self.offload = self._send_out_all_but(network)
            if self._try(lambda: network.to(self.device)) is None:
                network.to("cpu")
                raise OutOfMemory(self._message("network", _bytes_of(network)))
        self._inside[network] = stays

    def _send_out_all_but(self, network: Any) -> bool:
        """Send all other networks out; say whether there were any."""
        others = [other for other in self._inside if other is not network]
        for other in others:
            self._send_out(other)
        return bool(others)

    def _send_out(self, network: Any) -> None:
        network.to("cpu")
        del self._inside[network]

    def _message(self, what: str, bytes_each: float) -> str:
        free = self._free(self.device)
        known = "" if free is None else f", {free / 1e9:.1f} GB are free"
        return (
            f"the memory of {self.device.type} is too small for one {what}: it takes about "
            f"{bytes_each / 1e9:.1f} GB{known}; use a smaller --size or fewer --frames and --views, or "
            "another --sampling.device"
        )


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on a device, with what torch keeps for itself; None: nobody knows."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    try:
        lines = MEMINFO.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that a device's memory was too small."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    said = str(error)
    return any(words in said for words in ("not enough memory", "can't allocate memory", "_ALLOC_FAILED"))


def _bytes_of(network: Any) -> int:
    return sum(tensor.nbytes for tensor in network.state_dict().values())
