"""Processes that work together, forked from one that has imported all, with the variables of torchrun."""

import multiprocessing
import os
import socket
from contextlib import contextmanager

PRELOADED = ["diffusion2.pipeline", "diffusion2.priors.mini", "diffusion2.cli", "av", "viser"]


os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # as the command sets it; torch reads it when imported


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run(environment, call, arguments, rank, size, port):
    os.environ |= environment | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
    }
    import torch

    torch.set_num_threads(1)
    call(*arguments)


@contextmanager
def started(size, call, *arguments):
    """Yield the processes that call a function of a module; they are ended at the end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    port = free_port()
    processes = [
        context.Process(target=_run, args=(dict(os.environ), call, arguments, rank, size, port))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()


def run_together(size, call, *arguments) -> list[int | None]:
    """Let processes call a function and wait until they are done: their exit codes."""
    with started(size, call, *arguments) as processes:
        for process in processes:
            process.join(40)
        return [process.exitcode for process in processes]
