"""Running one compiled kernel on several threads, with tasks handed out as threads get free.

Kernels are compiled with `nogil` and take `(counter, count, *args)`: they draw task numbers with
`take` until none is left. This does without Numba's own threading layers, of which one may not be
forked, another not be entered from two threads, and each keeps its own pool beside torch's.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, types

from diffusion2.gaussians.rasterize.compile import intrinsic

_pool: ThreadPoolExecutor | None = None


@intrinsic
def take(typing_context, counter):
    """Add 1 to the int64 in `counter` atomically and give the value before."""

    def generate(context, builder, signature, args):
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0])
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", array.data, one, ordering="acq_rel")

    return types.int64(counter), generate


def run_tasks(kernel: Callable[..., None], count: int, *args: object) -> None:
    """Run tasks 0 … count - 1 of a kernel on as many threads as torch uses, this one among them."""
    counter = np.zeros(1, dtype=np.int64)
    helpers = min(torch.get_num_threads(), count) - 1
    futures = [_get_pool().submit(kernel, counter, count, *args) for _ in range(helpers)]
    kernel(counter, count, *args)
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
