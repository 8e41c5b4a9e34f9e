"""Time the CPU rasteriser: `python benchmarks/rasterizer.py`.

The scene is a shell of Gaussians on a sphere that fills most of the picture (half of its pixels and
more): random rotations, log-normal scales around 3 px in the picture at 576 x 576 (footprint, where
alpha is at least 1/255, about 18 px across) and 1.5 px at 128 x 128, opacities sigmoid(N(0.5, 2)).
Times are minima over repetitions, of the forward call and of the backward call from gradients of
rgb and alpha to all five inputs. The ratio says how much faster than one thread all threads are.
"""

import argparse
import time
from dataclasses import dataclass

import torch

from diffusion2.cameras import orbit
from diffusion2.gaussians.rasterize import Rendering, rasterize


@dataclass(frozen=True)
class Case:
    """What to draw.

    Attributes:
        count: Gaussians.
        size: height and width of the pictures in pixels.
        cameras: pictures in one call.
        scale_px: median standard deviation of a Gaussian in the picture.
    """

    count: int
    size: int
    cameras: int
    scale_px: float


CASES = (
    Case(20_000, 576, 1, 3.0),
    Case(20_000, 576, 1, 6.0),
    Case(4_000, 128, 1, 1.5),
    Case(4_000, 128, 4, 1.5),
)


def make_shell(count: int, scale: float) -> list[torch.Tensor]:
    """Random Gaussians on a sphere of radius 0.5; means, quats, scales, opacities, colors."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    means = directions * 0.5 * (0.9 + 0.1 * torch.rand(count, 1, generator=generator))
    quats = torch.randn(count, 4, generator=generator)
    scales = scale * torch.exp(0.4 * torch.randn(count, 3, generator=generator))
    opacities = torch.sigmoid(0.5 + 2 * torch.randn(count, generator=generator))
    colors = torch.rand(count, 3, generator=generator)
    return [values.requires_grad_() for values in (means, quats, scales, opacities, colors)]


def measure(case: Case, repetitions: int) -> tuple[float, float]:
    """Return the least times of forward and backward in seconds."""
    cameras = orbit(case.cameras, height=case.size, width=case.size)
    inputs = make_shell(case.count, case.scale_px * cameras.radii[0] / cameras.Ks[0, 0, 0])
    viewmats, Ks = torch.from_numpy(cameras.viewmats), torch.from_numpy(cameras.Ks)
    white = torch.ones(case.cameras, 3)

    def draw() -> Rendering:
        return rasterize(*inputs, viewmats, Ks, case.size, case.size, backgrounds=white)

    gradients = [torch.ones_like(picture) for picture in (draw().rgb, draw().alpha)]
    forward, backward = [], []
    for _ in range(repetitions):
        start = time.perf_counter()
        drawn = draw()
        middle = time.perf_counter()
        torch.autograd.backward([drawn.rgb, drawn.alpha], gradients)
        backward.append(time.perf_counter() - middle)
        forward.append(middle - start)
        for values in inputs:
            values.grad = None
    return min(forward), min(backward)


def main() -> None:
    """Measure all cases with one thread and with all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    print("  Gaussians  picture  cameras  scale  threads   forward  backward      both   ratio")
    for case in CASES:
        alone = 0.0
        for threads in sorted({1, arguments.threads}):
            torch.set_num_threads(threads)
            forward, backward = measure(case, arguments.repetitions)
            alone = alone or forward + backward
            print(
                f"{case.count:11,d} {case.size:5d}²  {case.cameras:7d} {case.scale_px:4.1f} px {threads:8d}"
                f" {1e3 * forward:6.2f} ms {1e3 * backward:6.2f} ms {1e3 * (forward + backward):6.2f} ms"
                f" {alone / (forward + backward):6.2f}x"
            )


if __name__ == "__main__":
    main()
