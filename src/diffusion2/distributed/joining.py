"""Joining the processes that `torchrun` started."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from diffusion2.distributed.group import ALONE, WAIT, ProcessGroup
from diffusion2.distributed.watch import Watch
from diffusion2.errors import ProcessError, in_one_line

JOIN = timedelta(minutes=2)
"""How long the processes wait for each other at the start."""

_current = ALONE


def current_group() -> ProcessGroup:
    """Get the group that this process works in: that of `joined` while it lasts, or else `ALONE`."""
    return _current


@contextmanager
def joined() -> Iterator[ProcessGroup]:
    """Work in the group of the processes that torchrun started; `ALONE` where it started none.

    Whatever ends one of them early ends them all, within `LOST_AFTER` and `GRACE` of `watch`. The first
    process raises the error that tells of it, the others end quietly.

    Raises:
        ProcessError: another process failed, ended, or does not answer; or they don't find each other.
    """
    global _current
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        yield ALONE
        return
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    try:
        with _ended_by_sigterm():
            watch = _meet(rank, size, local)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ProcessError(f"the {size} processes did not find each other: {in_one_line(error)}") from error
    try:
        _current = ProcessGroup(rank, size, local, watch=watch)
        yield _current
    except BaseException as error:
        told = watch.explain(error)
        if rank and isinstance(told, SystemExit):
            watch.wait_for_first()
        watch.leave()
        raise told from error
    finally:
        _current = ALONE
    watch.leave()
    with suppress(RuntimeError):
        dist.destroy_process_group()


def _meet(rank: int, size: int, local: int) -> Watch:
    """Connect this process with the others, and begin to watch them."""
    if local == size:
        # all on one machine: nothing needs to be seen from outside it
        loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    keeps_store = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, size, keeps_store, timeout=JOIN, wait_for_workers=False)
    # a connection of its own, on which no long wait of others keeps the watch
    watched = TCPStore(address, port, size, False, timeout=JOIN, wait_for_workers=False)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    agent = f"{socket.gethostname()}/{os.environ.get('GROUP_RANK', '0')}"
    watch = Watch(PrefixStore(f"watch/{attempt}", watched), rank, size, agent)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    groups = PrefixStore(f"groups/{attempt}", store)
    dist.init_process_group(backend, store=groups, rank=rank, world_size=size, timeout=WAIT)
    return watch


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process at once, where Python would not get to its handler: in a long wait of C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
