"""Running one compiled kernel on several threads.

Kernels are compiled with `nogil` and take `(queues, worker, scratch, *args)`: they draw task numbers
with `take` until none is left. Every thread starts on its own stretch of the tasks, so that it finds
in its cache what it wrote there before, and then helps the others. This does without Numba's own
threading layers, of which one may not be forked, another not be entered from two threads, and each
keeps its own pool beside torch's.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, types

from diffusion2.gaussians.rasterize.compile import inline, intrinsic

_QUEUE_SIZE = 16
"""int64s per queue, of which the first two are used (next task and end): one cache line and its pair."""

_pool: ThreadPoolExecutor | None = None


@intrinsic
def _add_one(typing_context, queues, worker):
    """Add 1 to queues[worker, 0] atomically and give the value before."""

    def generate(context, builder, signature, args):
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0])
        place = builder.gep(array.data, [builder.mul(args[1], ir.IntType(64)(_QUEUE_SIZE))])
        return builder.atomic_rmw("add", place, ir.IntType(64)(1), ordering="acq_rel")

    return types.int64(queues, types.int64), generate


@inline
def take(queues, worker):
    """Give the next task of this worker's queue, or else of another's; -1 if all are empty."""
    for k in range(len(queues)):
        queue = (worker + k) % len(queues)
        if queues[queue, 0] < queues[queue, 1]:
            task = _add_one(queues, queue)
            if task < queues[queue, 1]:
                return task
    return -1


def run_tasks(kernel: Callable[..., None], count: int, *args: object, scratch: int = 0) -> None:
    """Run tasks 0 … count - 1 of a kernel on as many threads as torch uses, this one among them.

    Every worker gets `scratch` float32s of its own, from the start of a cache line.
    """
    workers = max(1, min(torch.get_num_threads(), count))
    queues = np.zeros((workers, _QUEUE_SIZE), dtype=np.int64)
    for k in range(workers):
        queues[k, :2] = count * k // workers, count * (k + 1) // workers
    own = torch.empty(workers, -(-scratch // 16) * 16).numpy()
    futures = [_get_pool().submit(kernel, queues, k, own[k], *args) for k in range(1, workers)]
    kernel(queues, 0, own[0], *args)
    for future in futures:
        if not future.cancel():
            future.result()


def _get_pool() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(
            max_workers=max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="rasterize"
        )
    return _pool


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
