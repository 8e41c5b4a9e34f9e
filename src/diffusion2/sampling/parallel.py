"""Denoising many sequences: in chunks that fit, on as many threads as help, shared between processes."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar, cast

import torch
from torch import Tensor

from diffusion2.distributed import ALONE, ProcessGroup
from diffusion2.priors.guidance import Guidance
from diffusion2.priors.prior import Condition, ConditionedPrior, Prior
from diffusion2.sampling.dealing import Share

AT_ONCE = 4
"""Sequences in one call where nobody says it: with guidance and 25 images each, a batch of 200 images."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sequences:
    """A prior and what sequences of one kind (rows, or columns) are conditioned on.

    Attributes:
        prior: estimates them.
        condition: of the sequences `share.sequences`.
        share: what this process works on; None: on all of them, with guidance left to the prior.
        guidance: the prior's, where the share holds single halves.
    """

    prior: Prior
    condition: Condition
    share: Share | None = None
    guidance: Guidance | None = None


class Workers:
    """Runs a prior over chunks of sequences; as a context manager, it sets torch's threads meanwhile.

    Sequences do not depend on each other, so neither the chunks, the threads nor the processes change the
    result beyond float rounding; with the same chunks it is the same to the bit.

    Args:
        batch_size: sequences in one call of a prior, which may cut them further to fit its memory; 0:
            `AT_ONCE`.
        threads: calls at once. On a CPU one call per core, each on one thread, is faster than one call on all
            cores, as the arrays are small. 0: `allowed_threads`.
        group: the processes that work together.
    """

    def __init__(self, batch_size: int = 1, threads: int = 1, group: ProcessGroup = ALONE) -> None:
        self.batch_size = batch_size or AT_ONCE
        self.threads = threads or allowed_threads(group.local_size)
        self.group = group
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
        """Denoise this process's share of the sequences of every job.

        Args:
            jobs: sequences and their latents (N, T, C, h, w); N and T may differ between jobs.
            sigma: the noise level.

        Returns:
            What this process adds to the clean estimates, in the jobs' order and shapes: the estimates of its
            sequences, its part of those that it has one half of, zeros elsewhere.
        """
        estimates = [torch.zeros_like(latents) for _, latents in jobs]
        chunks = [
            (estimate, chunk)
            for estimate, (sequences, latents) in zip(estimates, jobs, strict=True)
            for chunk in _chunks(sequences, latents, sigma, self.batch_size)
        ]
        done = self.map(lambda chunk: chunk[1].call(), chunks)
        for (estimate, chunk), part in zip(chunks, done, strict=True):
            estimate[chunk.sequences] += part
        return estimates


@dataclass(frozen=True)
class _Chunk:
    """A call of a prior, and the sequences that its result belongs to."""

    sequences: slice
    call: Callable[[], Tensor]


def _chunks(sequences: Sequences, latents: Tensor, sigma: float, batch_size: int) -> Iterator[_Chunk]:
    """Cut a share into calls."""
    share, guidance = sequences.share, sequences.guidance
    share = Share(0, 2 * len(latents)) if share is None else share
    at = share.sequences.start  # of the first condition
    halves, whole = share.guided if guidance and guidance.acts_at(sigma) else ([], share.unguided)
    for begin in range(whole.start, whole.stop, batch_size):
        part = slice(begin, min(begin + batch_size, whole.stop))
        condition = sequences.condition[part.start - at : part.stop - at]
        yield _Chunk(part, lambda p=part, c=condition: sequences.prior.denoise(latents[p], sigma, c))
    for number, conditional in halves:
        condition = sequences.condition[number - at : number - at + 1]
        part = slice(number, number + 1)
        yield _Chunk(
            part,
            lambda p=part, c=condition, h=conditional: _half(sequences, latents[p], sigma, c, conditional=h),
        )


def _half(
    sequences: Sequences, latents: Tensor, sigma: float, condition: Condition, *, conditional: bool
) -> Tensor:
    """Compute what one of guidance's two estimates adds to the clean one of a sequence (1, T, C, h, w)."""
    prior, guidance = cast(ConditionedPrior, sequences.prior), sequences.guidance
    assert guidance is not None
    estimate = prior.denoise(latents, sigma, prior.half(condition, conditional=conditional))
    return guidance.part(estimate, conditional=conditional)


def allowed_threads(processes: int = 1) -> int:
    """Count the threads that may compute: a core each, of those that the machine's processes share.

    Who starts several runs on a machine divides its cores by OMP_NUM_THREADS, which torch reads, too. To
    processes that work together torchrun says 1 there, whatever there is: it does not count then.
    """
    said, cores = os.environ.get("OMP_NUM_THREADS", ""), available_cores()
    if processes == 1 and said.isdecimal() and int(said):
        return min(cores, int(said))
    return max(1, cores // processes)


def available_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
