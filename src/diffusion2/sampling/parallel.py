"""Denoising many sequences: in chunks that fit, on as many threads as help."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import torch
from torch import Tensor

from diffusion2.priors.prior import Condition, Prior

AT_ONCE = 4
"""Sequences in one call where nobody says it: with guidance and 25 images each, a batch of 200 images."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sequences:
    """A prior and what all the sequences of one kind (rows, or columns) are conditioned on."""

    prior: Prior
    condition: Condition


class Workers:
    """Runs a prior over chunks of sequences; as a context manager, it sets torch's threads meanwhile.

    Sequences do not depend on each other, so neither the chunks nor the threads change the result beyond
    float rounding; with the same batch size it is the same to the bit.

    Args:
        batch_size: sequences in one call of a prior, which may cut them further to fit its memory; 0:
            `AT_ONCE`.
        threads: calls at once. On a CPU one call per core, each on one thread, is faster than one call on all
            cores, as the arrays are small. 0: `allowed_threads`.
    """

    def __init__(self, batch_size: int = 1, threads: int = 1) -> None:
        self.batch_size = batch_size or AT_ONCE
        self.threads = threads or allowed_threads()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        """Start the threads."""
        self._torch_threads = torch.get_num_threads()
        if self.threads > 1:
            torch.set_num_threads(max(1, self._torch_threads // self.threads))
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="denoise")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the threads; what has not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            torch.set_num_threads(self._torch_threads)

    def map(self, call: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Call a function on every item, give the results in the items' order as they come."""
        return iter(self._pool.map(call, items) if self._pool else map(call, items))

    def denoise(self, jobs: Sequence[tuple[Sequences, Tensor]], sigma: float) -> list[Tensor]:
        """Denoise all sequences of every job.

        Args:
            jobs: sequences and their latents (N, T, C, h, w); N and T may differ between jobs.
            sigma: the noise level.

        Returns:
            The clean estimates, in the jobs' order and shapes.
        """
        chunks = []
        for sequences, latents in jobs:
            for start in range(0, len(latents), self.batch_size):
                part = slice(start, start + self.batch_size)
                chunks.append((sequences.prior, latents[part], sequences.condition[part]))

        def call(chunk: tuple[Prior, Tensor, Condition]) -> Tensor:
            prior, latents, condition = chunk
            return prior.denoise(latents, sigma, condition)

        done = self.map(call, chunks)
        out = []
        for _, latents in jobs:
            count = -(-len(latents) // self.batch_size)
            out.append(torch.cat([next(done) for _ in range(count)]))
        return out


def allowed_threads() -> int:
    """Count the threads that may compute: a core each, or what OMP_NUM_THREADS says, where that is fewer.

    Who starts several processes on a machine divides its cores by that variable; torch reads it, too.
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    return min(available_cores(), int(said) if said.isdecimal() and int(said) else available_cores())


def available_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
