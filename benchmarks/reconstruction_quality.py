"""Measure stage 2 on true matrices: what it makes of views and times that it has never seen.

    .venv/bin/python benchmarks/reconstruction_quality.py --assets DIR [--views 12] [--frames 12]
        [--size 128] [--only Wolf Koi] [--methods static plain ours] [--blur 2] [--set joint_iterations=600]
        [--out FILE.md]

Every benchmark creature is rendered from twice as many views at twice as many times. One half makes the
matrix that is reconstructed, without alpha, as a run has it; the other half lies between its views, between
its times, or between both. Methods:

    static      no motion; all iterations at the reference time
    plain       deformable Gaussians: every picture counts alike, canonical Gaussians learn at the full rate
    no-weights  ours without the weights that fall away from the references
    full-rate   ours with the full learning rate of the canonical Gaussians in the joint phase
    per-mean    ours with the deformation evaluated at every Gaussian, without nodes
    ours        the defaults

With --blur, the matrix loses texture away from the references as a generated one does: every picture is
blurred by a Gaussian of up to that many pixels (at distance 1, see `closeness`), and results are compared
with the sharp truth.

PSNR in dB over whole pictures and over the object, SSIM, LPIPS (alex): means over creatures of means over
pictures. Seconds are processor time of the stage, all threads together.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from diffusion2.cameras import Cameras
from diffusion2.config import ReconstructionSettings
from diffusion2.evaluation.ground_truth.creatures import CREATURES, creature_truth
from diffusion2.evaluation.metrics.lpips import load_lpips
from diffusion2.evaluation.metrics.pixels import psnr, ssim
from diffusion2.gaussians import Asset4D, render
from diffusion2.image_matrix import ImageMatrix
from diffusion2.reconstruction import reconstruct
from diffusion2.reconstruction.targets import closeness

METHODS: dict[str, dict[str, Any]] = {
    "static": {"joint_iterations": 0},
    "plain": {"weight_floor": 1.0, "canonical_rate": 1.0},
    "no-weights": {"weight_floor": 1.0},
    "full-rate": {"canonical_rate": 1.0},
    "per-mean": {"deformation_nodes": 0},
    "ours": {},
}
PARTS = ("seen", "azimuths", "times", "both")
COLUMNS = ("PSNR", "PSNR object", "SSIM", "LPIPS")


def main() -> None:
    """Measure and print a table."""
    arguments = parse_arguments()
    base = replace(ReconstructionSettings(), **dict(arguments.set))
    lpips = load_lpips()
    rows: dict[str, list[dict[str, list[float]]]] = {method: [] for method in arguments.methods}
    for creature in CREATURES:
        if arguments.only and creature.name not in arguments.only:
            continue
        matrix, held_out = split(
            creature_truth(
                creature,
                arguments.assets,
                arguments.cache.expanduser(),
                views=2 * arguments.views,
                frames=2 * arguments.frames,
                size=arguments.size,
            )
        )
        if arguments.blur:
            matrix = lose_texture(matrix, arguments.blur)
        for method in arguments.methods:
            start = time.process_time()
            asset = reconstruct(matrix, settings_of(method, base), seed=arguments.seed)
            seconds = time.process_time() - start
            found = {part: measure(asset, held_out[part], lpips) for part in PARTS}
            found["seconds"] = [seconds]
            rows[method].append(found)
            print(f"{creature.name:12} {method:11} {summary(found)}", flush=True)
    table = "\n".join(table_lines(rows))
    print(table)
    if arguments.out:
        arguments.out.write_text(table + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--assets", type=Path, required=True, help="folder of the benchmark's models")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/diffusion2/truth"))
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["static", "plain", "ours"])
    parser.add_argument("--blur", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", type=read_setting, default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    return parser.parse_args()


def read_setting(text: str) -> tuple[str, int | float]:
    """Read NAME=VALUE."""
    name, _, value = text.partition("=")
    kind = type(getattr(ReconstructionSettings(), name))
    return name, kind(float(value))


def settings_of(method: str, base: ReconstructionSettings) -> ReconstructionSettings:
    """Give a method's settings; `static` has as many iterations as the others."""
    settings = replace(base, **METHODS[method])
    if method == "static":
        settings = replace(settings, warmup_iterations=base.warmup_iterations + base.joint_iterations)
    return settings


def split(matrix: ImageMatrix) -> tuple[ImageMatrix, dict[str, ImageMatrix]]:
    """Give every other view and frame as the matrix to reconstruct, and the parts to compare with."""
    views, between_views = np.arange(1, matrix.views, 2), np.arange(0, matrix.views, 2)
    frames, between_frames = np.arange(0, matrix.frames, 2), np.arange(1, matrix.frames - 1, 2)
    first, last = matrix.times[frames[0]], matrix.times[frames[-1]]

    def part(rows: np.ndarray, columns: np.ndarray) -> ImageMatrix:
        times = (matrix.times[columns] - first) / (last - first).clamp(min=1e-9)
        images = matrix.images[rows][:, columns]
        return ImageMatrix(images, take(matrix.cameras, rows), times.clamp(0, 1), matrix.fps / 2)

    return part(views, frames), {
        "seen": part(views, frames),
        "azimuths": part(between_views, frames),
        "times": part(views, between_frames),
        "both": part(between_views, between_frames),
    }


def take(cameras: Cameras, rows: np.ndarray) -> Cameras:
    """Give some of the cameras."""
    angles = cameras.azimuths_deg[rows], cameras.elevations_deg[rows], cameras.radii[rows]
    return Cameras(*angles, cameras.fov_deg, cameras.height, cameras.width)


def lose_texture(matrix: ImageMatrix, most: float) -> ImageMatrix:
    """Blur every picture the more, the farther it is from the reference view and frame."""
    distances = 1 - closeness(matrix, 0.0)
    images = matrix.images.clone()
    for view in range(matrix.views):
        for frame in range(matrix.frames):
            images[view, frame] = blur(images[view, frame], most * float(distances[view, frame]))
    return ImageMatrix(images, matrix.cameras, matrix.times, matrix.fps)


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur (3, H, W) by a Gaussian; white continues outside."""
    radius = int(np.ceil(3 * sigma))
    if radius == 0:
        return image
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma).square())
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (radius,) * 4, value=1.0)
    down = F.conv2d(padded, kernel[None, None, :, None])
    return F.conv2d(down, kernel[None, None, None, :])[:, 0]


def measure(asset: Asset4D, truth: ImageMatrix, lpips: Any) -> list[float]:
    """Give the values of COLUMNS: means over the pictures of a part."""
    values = []
    for frame, moment in enumerate(truth.times.tolist()):
        ours = render(asset, truth.cameras, moment).rgb.clamp(0, 1).permute(0, 3, 1, 2)
        theirs = truth.images[:, frame]
        objects = (theirs.amin(1, keepdim=True) < 0.98).float()
        with torch.no_grad():
            pixels = psnr(ours, theirs), psnr(ours, theirs, objects), ssim(ours, theirs)
            scores = (*pixels, lpips(ours, theirs))
        values.append([float(score.mean()) for score in scores])
    return np.mean(values, axis=0).tolist()


def summary(found: dict[str, list[float]]) -> str:
    """Give one creature's result on one line."""
    parts = [f"{part} {found[part][0]:.2f} dB {found[part][3]:.4f}" for part in PARTS]
    return f"{', '.join(parts)}; {found['seconds'][0]:.0f} s"


def table_lines(rows: dict[str, list[dict[str, list[float]]]]) -> list[str]:
    """Give the means over creatures as a Markdown table."""
    lines = ["| method | part | " + " | ".join(COLUMNS) + " | CPU s |", "|---|---|" + "--:|" * 5]
    for method, found in rows.items():
        if not found:
            continue
        seconds = np.mean([one["seconds"][0] for one in found])
        for part in PARTS:
            a, b, c, d = np.mean([one[part] for one in found], axis=0)
            lines.append(f"| {method} | {part} | {a:.2f} | {b:.2f} | {c:.4f} | {d:.4f} | {seconds:.0f} |")
    return lines


if __name__ == "__main__":
    main()
