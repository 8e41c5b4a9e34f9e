"""Time stage 1 of the mini pair in one process and in several of one thread each, and count what travels.

    python benchmarks/processes.py                          one and two, three times, in turn
    python benchmarks/processes.py --processes 1 2 4 --repeat 5
    python benchmarks/processes.py --collectives            how long what travels takes, and other ways

Needs as many free cores as processes. Ratios are those of the best runs; the worst are shown beside them.
`cpu s` is the processor time of the busiest process, which other programs on the machine disturb less.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from diffusion2.config import PRESETS
from diffusion2.distributed import Message, ProcessGroup, joined
from diffusion2.inputs import read_conditions
from diffusion2.priors.loading import load_priors
from diffusion2.runs.source import Source
from diffusion2.sampling import decode_matrix, sample_matrix, sample_references
from diffusion2.sampling.roles import assign
from diffusion2.sampling.sharing import share_conditions

PICTURE = Path(__file__).parents[1] / "examples" / "creature.png"
SHAPES = {"mini": (12, 12, 24, 16, 16), "paper": (21, 25, 4, 72, 72)}
"""(V, F, C, h, w) of the matrices whose sum is timed."""


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--collectives", action="store_true")
    parser.add_argument("--worker", choices=("stage", "collectives"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        torch.set_num_threads(1)
        with joined() as group:
            found = time_stage(group) if options.worker == "stage" else time_collectives(group)
            if group.is_first:
                print(json.dumps(found), flush=True)
    elif options.collectives:
        for count in options.processes:
            if count > 1:
                show_collectives(count)
    else:
        show_stage(options.processes, options.repeat)


def start(count: int, worker: str) -> dict[str, float]:
    """Run a worker in so many processes; get what the first one found."""
    launcher = [sys.executable]
    if count > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        launcher += [
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            str(count),
            "--master-port",
            str(port),
        ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, __file__, "--worker", worker], check=True, capture_output=True, text=True, env=environment
    )
    return json.loads(done.stdout.splitlines()[-1])


def show_stage(counts: list[int], repeat: int) -> None:
    """Time stage 1 in turn, so that what else the machine does meets all alike."""
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for _ in range(repeat):
        for count in counts:
            found[count].append(start(count, "stage"))
            print(count, found[count][-1], flush=True)
    best = {count: min(f["seconds"] for f in runs) for count, runs in found.items()}
    busy = {count: min(f["cpu"] for f in runs) for count, runs in found.items()}
    print("\nprocesses  best s  times  worst s   cpu s  times  MB sent")
    for count in counts:
        times = [f["seconds"] for f in found[count]]
        print(
            f"{count:9} {best[count]:7.2f} {best[counts[0]] / best[count]:6.2f} {max(times):8.2f} "
            f"{busy[count]:7.2f} {busy[counts[0]] / busy[count]:6.2f} {found[count][0]['sent'] / 1e6:8.1f}"
        )


def time_stage(group: ProcessGroup) -> dict[str, float]:
    """Time stage 1: references, matrix, pictures."""
    settings = PRESETS["mini"]
    settings = replace(settings, sampling=replace(settings.sampling, threads=1))
    pair = load_priors(settings)
    conditions = share_conditions(
        group, read_conditions(Source(PICTURE), settings) if group.is_first else None
    )
    group.wait()
    began, cpu = time.perf_counter(), time.process_time()
    before = sum(group.sent.values())
    references = sample_references(pair, conditions, settings, group=group).as_written()
    middle = time.perf_counter()
    latents = sample_matrix(pair, references, settings, group=group)
    sampled = time.perf_counter()
    decode_matrix(pair, latents, threads=1, group=group)
    end = time.perf_counter()
    sent = sum(group.sent.values()) - before
    busy = group.gather(torch.tensor(time.process_time() - cpu)) or []
    shares = assign(settings, group.size).shares
    units = [len(rows) * settings.frames + len(columns) * settings.views for rows, columns in shares]
    return {
        "seconds": round(end - began, 2),
        "references": round(middle - began, 2),
        "matrix": round(sampled - middle, 2),
        "decode": round(end - sampled, 2),
        "sent": sent,
        "cpu": round(max(map(float, busy), default=0.0), 2),
        "longest_share": max(units) / sum(units),
    }


def show_collectives(count: int) -> None:
    """Show how long the collectives take that would bring the matrix together."""
    for name, seconds in start(count, "collectives").items():
        print(f"{count} processes, {name}: {1000 * seconds:.1f} ms")


def time_collectives(group: ProcessGroup) -> dict[str, float]:
    """Time ways to bring the estimates of a matrix together, once each process has its own."""
    found = {}
    for name, shape in SHAPES.items():
        matrix = torch.randn(shape)
        # rows and columns, one estimate of each cell by each prior: twice the matrix, in equal parts
        part = torch.randn(-(-2 * matrix.numel() // group.size))
        parts = [torch.empty_like(part) for _ in range(group.size)]
        whole = torch.randn(group.size * (part.numel() // group.size))
        exchanged = torch.empty_like(whole)
        ways: dict[str, Callable[[], object]] = {
            "sum of weighted estimates": lambda m=matrix: group.sum(m),
            "all estimates to all": lambda p=part, q=parts: dist.all_gather(q, p),
            "each cell to whom it concerns": lambda w=whole, e=exchanged: dist.all_to_all_single(e, w),
            "told by one (broadcast)": lambda m=matrix: group.broadcast(Message({"m": m})),
        }
        for way, call in ways.items():
            seconds = []
            for _ in range(12):
                group.wait()
                began = time.perf_counter()
                call()
                group.wait()
                seconds.append(time.perf_counter() - began)
            found[f"{name} ({matrix.nbytes / 1e6:.1f} MB), {way}"] = sorted(seconds)[2]
    return found


if __name__ == "__main__":
    main()
