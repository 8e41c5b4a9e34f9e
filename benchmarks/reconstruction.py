"""Time stage 2: `python benchmarks/reconstruction.py [--full]`.

The matrix is of a ball of many colours that a smaller one circles, drawn by the rasteriser: 21 views of 25
frames, without alpha. Two cases: 128² with the defaults and 2,000 iterations, 576² with the settings of the
preset `paper` and 5,000. The second one is timed over its first iterations of each phase and scaled up,
unless --full runs all of them. "outside" is the share of the time that is not spent in the rasteriser; "CPU"
is processor time of all threads together, which is what means something on a busy machine.

Then viewing: pictures of the first case's asset at 512², each at another time and from another side.
"""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from diffusion2.cli import WAITING

os.environ.update(WAITING | os.environ)  # before torch, as the command line does

import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.config import PRESETS, ReconstructionSettings
from diffusion2.events import Event, StageProgress
from diffusion2.gaussians import Asset4D, render
from diffusion2.gaussians.rasterize import cpu, rasterize
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.reconstruction import reconstruct_matrix


@dataclass(frozen=True)
class Case:
    """What to time.

    Attributes:
        size: height and width of the pictures.
        settings: with the full numbers of iterations.
        sampled: how many of each phase are run where not all are.
    """

    size: int
    settings: ReconstructionSettings
    sampled: int


CASES = (
    Case(128, replace(ReconstructionSettings(), warmup_iterations=400, joint_iterations=1600), 0),
    Case(576, PRESETS["paper"].reconstruction, 60),
)


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="run all iterations of the large case, too")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--views", type=int, default=21)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--sizes", type=int, nargs="*", default=[case.size for case in CASES])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warm = make_matrix(4, 3, 32)
    reconstruct_matrix(
        warm, replace(ReconstructionSettings(), warmup_iterations=2, joint_iterations=2, gaussians=99)
    )
    print("picture  phase     iterations   ms each    CPU ms   outside      whole")
    for case in CASES:
        if case.size in arguments.sizes:
            matrix = make_matrix(arguments.views, arguments.frames, case.size)
            asset = time_case(case, matrix, full=arguments.full or not case.sampled)
            if case is CASES[0]:
                time_viewing(asset)


def make_matrix(views: int, frames: int, size: int) -> ImageMatrix:
    """Draw the scene."""
    generator = torch.Generator().manual_seed(0)
    count = 4000
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    small = torch.arange(count) < count // 5
    means = directions * torch.where(small, 0.12, 0.3)[:, None]
    colors = torch.rand(60, 3, generator=generator)[(directions @ torch.randn(3, 60)).argmax(1)]
    scales = torch.where(small, 0.007, 0.011)[:, None].expand(-1, 3)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(count, -1)
    cameras = orbit(views, height=size, width=size)
    viewmats, Ks = (torch.as_tensor(x, dtype=torch.float32) for x in (cameras.viewmats, cameras.Ks))
    columns = []
    for moment in frame_times(frames):
        place = 0.45 * torch.stack([moment.cos(), moment.sin(), 0.3 + 0.3 * moment])
        moved = means + small[:, None] * place
        drawn = rasterize(
            moved, quats, scales, torch.full((count,), 0.98), colors, viewmats, Ks, size, size,
            backgrounds=torch.ones(views, 3),
        )  # fmt: skip
        columns.append(drawn.rgb.clamp(0, 1).permute(0, 3, 1, 2))
    return ImageMatrix(torch.stack(columns, dim=1), cameras, frame_times(frames), 8.0)


def time_case(case: Case, matrix: ImageMatrix, *, full: bool) -> Asset4D:
    """Reconstruct once and print how long each phase took."""
    settings = case.settings
    if not full:
        settings = replace(settings, warmup_iterations=case.sampled, joint_iterations=case.sampled)
    seconds: dict[int, float] = {}
    inside: dict[int, float] = {}
    processor: dict[int, float] = {}

    def note(event: Event) -> None:
        if isinstance(event, StageProgress):
            seconds[event.done], inside[event.done] = time.perf_counter() - start, spent[0]
            processor[event.done] = time.process_time()

    start = time.perf_counter()
    with time_in_rasterizer() as spent:
        asset = reconstruct_matrix(matrix, settings, note)
        end = time.perf_counter() - start
    warm, both = settings.warmup_iterations, settings.warmup_iterations + settings.joint_iterations
    setup = seconds[10] - 10 * (seconds[warm] - seconds[10]) / (warm - 10)
    print(f"{case.size:6d}²  setup     {'':42} {setup:8.1f} s")
    total = setup + end - seconds[both]
    for name, first, last, planned in (
        ("warm-up", 10, warm, case.settings.warmup_iterations),
        ("dynamics", warm + 10, both, case.settings.joint_iterations),
    ):
        each = (seconds[last] - seconds[first]) / (last - first)
        cpu_each = (processor[last] - processor[first]) / (last - first)
        outside = 1 - (inside[last] - inside[first]) / (seconds[last] - seconds[first])
        total += planned * each
        print(
            f"{'':8} {name:9} {planned:9d} {1e3 * each:9.1f} {1e3 * cpu_each:9.1f} {outside:9.0%}"
            f" {planned * each:10.1f} s"
        )
    print(f"{'':8} {'all':9} {'' if full else 'scaled up':>30} {'':9} {total:10.1f} s", flush=True)
    return asset


@contextmanager
def time_in_rasterizer() -> Iterator[list[float]]:
    """Add up the wall time of the rasteriser's kernels."""
    spent, original = [0.0], cpu.run_tasks

    def timed(*arguments: object, **options: int) -> None:
        start = time.perf_counter()
        original(*arguments, **options)  # pyright: ignore[reportArgumentType]
        spent[0] += time.perf_counter() - start

    cpu.run_tasks = timed  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield spent
    finally:
        cpu.run_tasks = original


def time_viewing(asset: Asset4D, pictures: int = 40) -> None:
    """Print how many pictures a second there are at 512²."""
    cameras = make_cameras([9.0 * k for k in range(pictures)], height=512)
    render(asset, cameras[0])
    start = time.perf_counter()
    for k in range(pictures):
        render(asset, cameras[k], k / (pictures - 1))
    rate = pictures / (time.perf_counter() - start)
    print(f"viewing {len(asset.gaussians)} Gaussians at 512²: {rate:.0f} pictures a second")


if __name__ == "__main__":
    main()
