"""Measure what stage 1 costs when it is shared, and predict it on 1 to 64 GPUs; docs/scaling.md.

    python benchmarks/scaling.py                                                as on that page
    python benchmarks/scaling.py --predict --gpu-tflops 400 --link-gbytes 50    other GPUs, nothing measured

Measured, with the mini pair on one thread by its processor time: a row, a column, the longest share of an
evaluation among 1 to 8 processes as the program deals them out, and loading. With gloo between processes of
this machine: a sum, and the bytes that the program counts. A share is computed by itself, so that eight
processes need no eight cores.

Predicted: arithmetic, counted on arrays without numbers, over a rate; a sum over a link, around a ring; what
is loaded. The rate is fitted to the paper's 8 min 31 s on 8 GPUs, unless one is given. Left out: autoencoder
and image encoder.
"""

import argparse
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from stage1 import sequence_flops

from diffusion2.config import PRESETS, GenerateSettings
from diffusion2.distributed import ProcessGroup
from diffusion2.priors import released
from diffusion2.priors.loading import load_priors
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling.conditioning import video_guidance, video_sequences, view_sequences
from diffusion2.sampling.dealing import Share
from diffusion2.sampling.joint import JointSchedule
from diffusion2.sampling.parallel import Workers
from diffusion2.sampling.roles import Roles, assign

PAPER_SECONDS, PAPER_GPUS = 511.0, 8
"""Stage 1 in the paper: 8 min 31 s on 8 RTX A6000."""
COUNTS = (1, 2, 4, 8, 12, 16, 24, 32, 46, 64)
MEASURED = (1, 2, 3, 4, 6, 8)
SIZES_MB = (0.25, 1.0, 4.0, 16.0, 43.5)
"""Of a sum; the last one is that of the preset `paper`."""


@dataclass(frozen=True)
class Costs:
    """What one estimate of a row and of a column costs, in seconds or operations."""

    row: float
    column: float

    def of(self, roles: Roles, *, guided: bool) -> float:
        """Return the cost of the longest share of an evaluation."""

        def estimates(share: Share) -> int:
            return len(share) if guided else len(share.unguided)

        return max(
            estimates(rows) * self.row + estimates(columns) * self.column for rows, columns in roles.shares
        )


@dataclass(frozen=True)
class Machines:
    """GPUs and what joins them.

    Attributes:
        rate: operations that networks do per second on one.
        link: bytes per second that leave one, and come to it, at the same time.
        latency: seconds of every message.
        load: seconds until a process has its networks.
        stage2: seconds of stage 2, on one.
    """

    rate: float
    link: float
    latency: float
    load: float
    stage2: float


@dataclass(frozen=True)
class Prediction:
    """Seconds of stage 1 on a number of GPUs."""

    references: float
    matrix: float
    sums: float

    @property
    def seconds(self) -> float:
        """Return all of it."""
        return self.references + self.matrix + self.sums


def main() -> None:
    """Measure, predict and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--predict", action="store_true", help="leave out what is measured here")
    parser.add_argument("--preset", choices=("paper", "released"), default="paper")
    parser.add_argument("--gpu-tflops", type=float, help="of a GPU in the networks; fitted, if not given")
    parser.add_argument("--link-gbytes", type=float, default=16.0, help="per second and direction, of a GPU")
    parser.add_argument("--latency-us", type=float, default=30.0)
    parser.add_argument("--load-seconds", type=float, default=60.0)
    parser.add_argument("--stage2-seconds", type=float, default=209.0)
    options = parser.parse_args()
    if not options.predict:
        measure_shares()
        measure_sums()
        measure_loading()
    settings = PRESETS[options.preset]
    costs = Costs(*(count_flops(settings, side) for side in ("row", "column")))
    machines = Machines(
        (options.gpu_tflops or 0) * 1e12,
        options.link_gbytes * 1e9,
        options.latency_us * 1e-6,
        options.load_seconds,
        options.stage2_seconds,
    )
    if not options.gpu_tflops:
        machines = fit_rate(settings, costs, machines)
    print_prediction(settings, costs, machines)
    print_throughput(settings, costs, machines)


# -- measured ------------------------------------------------------------------------------------------------


def measure_shares() -> None:
    """Time the longest share of an evaluation, and compare it with the cost model."""
    torch.set_num_threads(1)
    settings = PRESETS["mini"]
    pair = load_priors(settings)
    one = [(Share(0, 2), Share(0, 0)), (Share(0, 0), Share(0, 2))]
    costs = Costs(*(time_share(pair, settings, share) / 2 for share in one))
    print(
        f"one estimate: a row {1e3 * costs.row:.0f} ms, a column {1e3 * costs.column:.0f} ms of a processor"
    )
    print("processes   longest share   predicted   gain   predicted")
    alone = None
    for count in MEASURED:
        roles = assign(settings, count)
        longest = max(
            roles.shares, key=lambda share: len(share[0]) * costs.row + len(share[1]) * costs.column
        )
        seconds, predicted = time_share(pair, settings, longest), costs.of(roles, guided=True)
        alone = alone or (seconds, predicted)
        print(
            f"{count:9} {seconds:13.2f} s {predicted:9.2f} s {alone[0] / seconds:6.2f}"
            f" {alone[1] / predicted:11.2f}"
        )


def time_share(pair: PriorPair, settings: GenerateSettings, share: tuple[Share, Share]) -> float:
    """Return the least processor time of three evaluations of a share, with guidance."""
    torch.manual_seed(0)
    views, frames, size = settings.views, settings.frames, settings.size
    side = size // pair.codec.factor
    latents = torch.randn(views, frames, pair.codec.channels, side, side)
    pictures = torch.rand(max(views, frames), pair.codec.picture_channels, size, size)
    jobs = []
    if share[0]:
        jobs.append((video_sequences(pair, pictures[:views], settings, share[0]), latents))
    if share[1]:
        columns = latents.transpose(0, 1).contiguous()
        jobs.append((view_sequences(pair, pictures[:frames], settings, share[1]), columns))
    times = []
    with Workers(settings.sampling.batch_size, 1) as workers:
        for _ in range(3):
            began = time.process_time()
            workers.denoise(jobs, 5.0)
            times.append(time.process_time() - began)
    return min(times)


def measure_sums() -> None:
    """Time sums between processes, fit latency and rate of a link, and compare the bytes with the model's."""
    for count in (2, 8):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        context = multiprocessing.get_context("forkserver")
        queue = context.SimpleQueue()
        others = [context.Process(target=sum_among, args=(rank, count, port, queue)) for rank in range(count)]
        for other in others:
            other.start()
        seconds, sent = queue.get()
        for other in others:
            other.join()
        sizes = [1e6 * size for size in SIZES_MB]
        slope, least = np.polyfit([ring_bytes(size, count) for size in sizes], seconds, 1)
        print(
            f"a sum among {count} processes: {', '.join(f'{1e3 * s:.1f}' for s in seconds)} ms for "
            f"{', '.join(f'{size:g}' for size in SIZES_MB)} MB: {1e-9 / slope:.2f} GB/s and "
            f"{1e3 * max(0, least):.1f} ms"
        )
        modelled = sum(ring_bytes(4 * (int(size) // 4), count) for size in sizes)
        print(f"bytes that one sends: {sent / modelled:.4f} of the model's")


def sum_among(rank: int, count: int, port: int, queue: "multiprocessing.SimpleQueue[object]") -> None:
    """Sum tensors of every size among processes; the first one tells the times and the bytes it sent."""
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=count)
    group, seconds, sent = ProcessGroup(rank, count, count), [], 0
    for size in SIZES_MB:
        tensor, times = torch.zeros(int(1e6 * size) // 4), []
        for _ in range(5):
            group.wait()
            before, began = group.sent["sum"], time.perf_counter()
            group.sum(tensor)
            times.append(time.perf_counter() - began)
        seconds.append(min(times))
        sent += group.sent["sum"] - before
    if rank == 0:
        queue.put((seconds, sent))
    dist.destroy_process_group()


def measure_loading() -> None:
    """Time imports and loading of the mini pair in a process of its own."""
    code = (
        "import time\n"
        "import diffusion2.pipeline, diffusion2.priors.mini\n"
        "imported = time.process_time()\n"
        "from diffusion2.config import PRESETS\n"
        "diffusion2.pipeline.load_priors(PRESETS['mini'])\n"
        "print(imported, time.process_time() - imported)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imports, load = map(float, done.stdout.split())
    print(f"a process needs {imports:.1f} s for imports and {load:.1f} s for the mini pair's weights")


# -- predicted -----------------------------------------------------------------------------------------------


def count_flops(settings: GenerateSettings, side: str) -> float:
    """Count the operations of one estimate of a row, or a column, of the released networks."""
    values = released.VIDEO_VALUES if side == "row" else released.ORBIT_VALUES
    width = values * released.UNET["addition_time_embed_dim"]
    config = {**released.UNET, "projection_class_embeddings_input_dim": width}
    length = settings.frames if side == "row" else settings.views
    return sequence_flops(config, length, settings.size // 8, False)


def ring_bytes(size: float, count: int) -> float:
    """Return the bytes that each of several processes sends when they sum an array of a size in a ring."""
    return 2 * (count - 1) * size / count


def sum_seconds(size: float, count: int, machines: Machines) -> float:
    """Return the time of a sum in a ring: every byte twice around, in 2 (N - 1) messages."""
    return ring_bytes(size, count) / machines.link + 2 * (count - 1) * machines.latency


def levels(settings: GenerateSettings) -> Iterable[bool]:
    """Yield for every evaluation of the matrix whether it is guided."""
    schedule = JointSchedule.from_settings(settings.sampling, settings.views)
    guidance = video_guidance(settings)
    for step, sigma in enumerate(schedule.sigmas[:-1].tolist()):
        yield from [guidance.acts_at(sigma)] * (2 if step < schedule.rollback_steps else 1)


def predict(settings: GenerateSettings, costs: Costs, machines: Machines, count: int) -> Prediction:
    """Predict stage 1 on so many GPUs."""
    roles = assign(settings, count)
    matrix = sum(costs.of(roles, guided=guided) for guided in levels(settings)) / machines.rate
    video, views = 2 * costs.row / len(roles.video), 2 * costs.column / len(roles.views)
    apart = not set(roles.video) & set(roles.views)
    references = settings.sampling.steps * (max(video, views) if apart else video + views) / machines.rate
    size = 4 * settings.views * settings.frames * 4 * (settings.size // 8) ** 2
    sums = sum(1 for _ in levels(settings)) * sum_seconds(size, count, machines)
    return Prediction(references, matrix, sums)


def fit_rate(settings: GenerateSettings, costs: Costs, machines: Machines) -> Machines:
    """Choose the rate with which the paper's GPUs take the paper's time."""

    def at(rate: float) -> Machines:
        return Machines(rate, machines.link, machines.latency, machines.load, machines.stage2)

    unit = predict(settings, costs, at(1.0), PAPER_GPUS)
    rate = (unit.references + unit.matrix) / (PAPER_SECONDS - unit.sums)
    print(f"{rate / 1e12:.1f} TFLOP/s of each of {PAPER_GPUS} GPUs give the paper's {PAPER_SECONDS:.0f} s")
    return at(rate)


def print_prediction(settings: GenerateSettings, costs: Costs, machines: Machines) -> None:
    """Print stage 1 on 1 to 64 GPUs, on this link and on slower ones."""
    print(f"one estimate: a row {costs.row / 1e12:.1f} TFLOP, a column {costs.column / 1e12:.1f} TFLOP")
    one = predict(settings, costs, machines, 1).seconds
    print("GPUs   stage 1   gain   of N   idle by dealing   sums   at 1.25 GB/s   at 0.125 GB/s")
    for count in COUNTS:
        found = predict(settings, costs, machines, count)
        fair = predict(settings, costs, machines, 1).matrix / count
        slower = []
        for link in (1.25e9, 0.125e9):
            other = Machines(machines.rate, link, machines.latency, machines.load, machines.stage2)
            sums = predict(settings, costs, other, count)
            slower.append(f"{sums.sums / sums.seconds:.1%}")
        gain, idle = one / found.seconds, 1 - fair / found.matrix
        print(
            f"{count:4} {clock(found.seconds):>9} {gain:6.1f} {gain / count:6.0%} {idle:17.0%}"
            f" {found.sums / found.seconds:6.2%} {slower[0]:>14} {slower[1]:>15}"
        )


def print_throughput(settings: GenerateSettings, costs: Costs, machines: Machines) -> None:
    """Print assets per hour, where each GPU makes whole assets and where all share every asset."""

    def alone(inputs: int, gpus: int) -> float:
        each = predict(settings, costs, machines, 1).seconds + machines.stage2
        return machines.load + -(-inputs // gpus) * each

    def shared(inputs: int, gpus: int) -> float:
        return machines.load + inputs * (predict(settings, costs, machines, gpus).seconds + machines.stage2)

    ways: dict[str, Callable[[int, int], float]] = {"an asset a GPU": alone, "all at one asset": shared}
    print("GPUs   inputs   " + "   ".join(ways))
    for gpus in (1, 8, 64):
        for inputs in (1, 10, 1000):
            rates = [3600 * inputs / way(inputs, gpus) for way in ways.values()]
            print(
                f"{gpus:4} {inputs:8}   "
                + "   ".join(f"{rate:>{len(name)}.1f}" for name, rate in zip(ways, rates, strict=True))
            )


def clock(seconds: float) -> str:
    """Say a time in minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 60}m{whole % 60:02d}s"


if __name__ == "__main__":
    main()
