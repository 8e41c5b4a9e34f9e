"""Measure what decoupling texture from motion does to generated matrices, near the references and far away.

    .venv/bin/python benchmarks/reconstruction_decoupling.py --cells DIR [--task video]
        [--methods composed-vrs] [--creatures Wolf Koi] [--seed 0] [--threads 2] [--table FILE.md]

DIR is the folder of a `diffusion2 benchmark` or `diffusion2 ablate table`. Its generated matrices are
reconstructed with the settings of the preset `mini`, once with texture decoupled from motion, and once
coupled: every picture counts alike, and the Gaussians learn at the full rate all the time. Both assets, and
the matrix itself, are compared with the truth, cell by cell, and averaged by the angle between a cell's view
and the reference view. The reference column is left out: it is given from all sides. "time" is the mean over
the cells at least half of the sequence away from the reference frame.

LPIPS (alex; lower is better) and PSNR over the object in dB.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from diffusion2.cli import WAITING

os.environ.update(WAITING | os.environ)  # before torch, as the command line does

import torch
from torch import Tensor

from diffusion2.config import PRESETS
from diffusion2.gaussians import render
from diffusion2.image_matrix import ImageMatrix
from diffusion2.metrics.lpips import load_lpips
from diffusion2.metrics.pixels import psnr
from diffusion2.reconstruction import reconstruct_matrix
from diffusion2.runs.matrix_files import read_matrix

VARIANTS: dict[str, dict[str, Any]] = {
    "decoupled": {},
    "coupled": {"weight_floor": 1.0, "canonical_rate": 1.0, "generated_canonical_rate": None},
    "without LPIPS": {"lpips_weight": 0.0},
}
SECTORS = ((0.0, 45.0), (45.0, 90.0), (90.0, 135.0), (135.0, 181.0))
NAMES = ("< 45°", "45-90°", "90-135°", "> 135°", "time")


def main() -> None:
    """Reconstruct, compare, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--task", default="video")
    parser.add_argument("--methods", nargs="+", default=["composed-vrs"])
    parser.add_argument("--creatures", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lines = [
        "| matrix | pictures | "
        + " | ".join(f"{metric} {name}" for metric in ("LPIPS", "PSNR") for name in NAMES)
    ]
    lines = [lines[0] + " |", "|---|---|" + "--:|" * (2 * len(NAMES))]
    for method in arguments.methods:
        rows: dict[str, list[Tensor]] = {}
        for folder in sorted((arguments.cells / "cells" / arguments.task).iterdir()):
            matrix_folder = folder / f"seed_{arguments.seed}" / method
            if (arguments.creatures and folder.name not in arguments.creatures) or not matrix_folder.is_dir():
                continue
            # an older version's truth may lie there, too
            found = (arguments.cells / "truth").glob(f"{folder.name}-*")
            truth = read_matrix(max(found, key=lambda path: path.stat().st_mtime))
            for name, pictures in variants(
                read_matrix(matrix_folder), arguments.seed, video_given=arguments.task != "image"
            ).items():
                values = by_sector(pictures, truth)
                rows.setdefault(name, []).append(values)
                print(f"{method} {folder.name} {name}: {formatted(values)}", flush=True)
        for name, values in rows.items():
            lines.append(f"| {method} ({len(values)}) | {name} {formatted(torch.stack(values).mean(0))}")
    print("\n".join(lines))
    if arguments.table:
        arguments.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


def variants(matrix: ImageMatrix, seed: int, *, video_given: bool) -> dict[str, Tensor]:
    """Return the pictures (V, F, 3, H, W) of the matrix and of the assets that are made of it."""
    found = {"as generated": matrix.images}
    for name, changes in VARIANTS.items():
        settings = replace(PRESETS["mini"].reconstruction, **changes)
        asset = reconstruct_matrix(matrix, settings, seed=seed, video_given=video_given)
        columns = [render(asset, matrix.cameras, time).rgb for time in matrix.times.tolist()]
        found[name] = torch.stack(columns, dim=1).clamp(0, 1).movedim(-1, -3)
    return found


@torch.no_grad()
def by_sector(pictures: Tensor, truth: ImageMatrix) -> Tensor:
    """Return LPIPS and PSNR of pictures (V, F, 3, H, W), (2, sectors + 1)."""
    azimuths = torch.as_tensor(truth.cameras.azimuths_deg, dtype=torch.float32)
    angles = ((azimuths - azimuths[-1] + 180) % 360 - 180).abs()
    away = (truth.times - truth.times[truth.reference_frame]).abs()
    lpips, scores = load_lpips(), []
    for ours, theirs in zip(pictures, truth.images, strict=True):
        objects = (theirs.amin(1, keepdim=True) < 0.98).float()
        scores.append(torch.stack([lpips(ours, theirs), psnr(ours, theirs, objects)]))
    values = torch.stack(scores, dim=1)  # (2, V, F)
    counted = (away > 0).expand(len(angles), -1)
    masks = [counted & ((angles >= low) & (angles < high))[:, None] for low, high in SECTORS]
    masks.append((away >= 0.5).expand(len(angles), -1))
    return torch.stack([values[:, mask].mean(1) for mask in masks], dim=1)


def formatted(values: Tensor) -> str:
    """Return the cells of a table's row."""
    numbers = [f"{value:.4f}" for value in values[0].tolist()] + [
        f"{value:.2f}" for value in values[1].tolist()
    ]
    return "| " + " | ".join(numbers) + " |"


if __name__ == "__main__":
    main()
