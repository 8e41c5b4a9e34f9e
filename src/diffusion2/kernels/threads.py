"""Running one compiled kernel on several threads.

Kernels are compiled with `nogil` and take `(queues, worker, scratch, *args)`: they draw task numbers
with `take` until none is left. Every thread starts on its own stretch of the tasks, so that it finds
in its cache what it wrote there before, and then helps the others. This does without Numba's own
threading layers, of which one may not be forked, another not be entered from two threads, and each
keeps its own pool beside torch's; and without the futures of the standard library, whose bookkeeping
takes as long as a small kernel.
"""

import os
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, types

from diffusion2.kernels.compile import inline, intrinsic

_QUEUE_SIZE = 16
"""int64s per queue, of which the first two are used (next task and end): one cache line and its pair."""

_helpers: list[threading.Thread] = []
_starting = threading.Lock()
_waiting: "SimpleQueue[_Share]" = SimpleQueue()


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
    """Return the next task of this worker's queue, or else of another's; -1 if all are empty."""
    for k in range(len(queues)):
        queue = (worker + k) % len(queues)
        if queues[queue, 0] < queues[queue, 1]:
            task = _add_one(queues, queue)
            if task < queues[queue, 1]:
                return task
    return -1


class _Share:
    """One helping thread's share of a call: run by the helper, or called off if it comes too late."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._unclaimed, self._running = threading.Lock(), threading.Lock()
        self._error: BaseException | None = None
        self._running.acquire()

    def run(self) -> None:
        """Run it, unless it was called off."""
        if self._unclaimed.acquire(blocking=False):
            try:
                self._call()
            except BaseException as error:  # raised again where it is waited for
                self._error = error
            self._running.release()

    def finish(self) -> None:
        """Wait until it is done, or call it off where it hasn't begun."""
        if not self._unclaimed.acquire(blocking=False):
            self._running.acquire()
            if self._error is not None:
                raise self._error


def run_tasks(kernel: Callable[..., None], count: int, *args: object, scratch: int = 0) -> None:
    """Run tasks 0 … count - 1 of a kernel on as many threads as torch uses, this one among them.

    Every worker gets `scratch` float32s of its own, from the start of a cache line.
    """
    workers = max(1, min(torch.get_num_threads(), count))
    queues = np.zeros((workers, _QUEUE_SIZE), dtype=np.int64)
    for k in range(workers):
        queues[k, :2] = count * k // workers, count * (k + 1) // workers
    own = torch.empty(workers, -(-scratch // 16) * 16).numpy()
    shares = [_Share(partial(kernel, queues, k, own[k], *args)) for k in range(1, workers)]
    if shares:
        _start_helpers()
    for share in shares:
        _waiting.put(share)
    kernel(queues, 0, own[0], *args)
    for share in shares:
        share.finish()


def _start_helpers() -> None:
    """Start the helping threads where there are none yet, in this process."""
    with _starting:
        while len(_helpers) < max(1, (os.cpu_count() or 1) - 1):
            helper = threading.Thread(target=_help, name=f"rasterize {len(_helpers)}", daemon=True)
            helper.start()
            _helpers.append(helper)


def _help() -> None:
    while True:
        _waiting.get().run()


def _forget_helpers() -> None:
    global _waiting, _starting
    _helpers.clear()
    _waiting, _starting = SimpleQueue(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)
