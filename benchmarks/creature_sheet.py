"""What a benchmark made of one picture of each creature, as one sheet; and how well silhouettes overlap.

    .venv/bin/python benchmarks/creature_sheet.py BENCH SHEET.png [--task image] [--method preset]

BENCH is the folder of `diffusion2 benchmark --out BENCH` with that task and method. The sheet has a row for
each creature: the reference view at the first, the fifth and the ninth frame; from 60° at the first and the
seventh; from 90°; from behind at the first and the seventh; from 270°. Printed are LPIPS (AlexNet), the
overlap of silhouettes (intersection over union) and the motion ratio of each, over what was not given.
"""

import argparse
from pathlib import Path

import torch

from diffusion2.exporters import write_contact_sheet
from diffusion2.image_matrix import ImageMatrix
from diffusion2.kernels.masks import estimate_alphas
from diffusion2.meshes.creatures import CREATURES
from diffusion2.research.benchmark.cells import Unit, read_scores
from diffusion2.runs.matrix_files import read_matrix

SHOWN = ((0, 0), (0, 4), (0, 8), (60, 0), (60, 6), (90, 0), (180, 0), (180, 6), (270, 0))
"""Azimuth from the reference view, degrees, and frame."""


def main() -> None:
    """Read, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--task", default="image")
    parser.add_argument("--method", default="preset")
    options = parser.parse_args()
    rows = []
    for name in (creature.name for creature in CREATURES):
        folder = Unit(options.task, name).folder(options.bench) / options.method
        made = read_matrix(folder)
        truth = read_matrix(next((options.bench / "truth").glob(f"{name}-*")))
        scores = read_scores(folder).overall
        figures = (scores["lpips_alex"].value, overlap(made, truth), scores["motion_ratio"].value)
        print(name.ljust(12), *("-" if figure is None else f"{figure:.3f}" for figure in figures))
        rows.append(torch.stack([made.images[nearest_view(made, angle), frame] for angle, frame in SHOWN]))
    write_contact_sheet(torch.stack(rows).float(), options.sheet, max_side=1168)


def nearest_view(matrix: ImageMatrix, angle: float) -> int:
    """Return the view that stands nearest to an azimuth from the reference view."""
    azimuths = torch.as_tensor(matrix.cameras.azimuths_deg)
    off = torch.remainder(azimuths - azimuths[matrix.reference_view] - angle + 180, 360) - 180
    return int(off.abs().argmin())


def overlap(made: ImageMatrix, truth: ImageMatrix) -> float:
    """Return the mean over all pictures outside the reference row and the reference column."""
    masks = [estimate_alphas(m.images[:-1, 1:].flatten(0, 1).float())[0] > 0 for m in (made, truth)]
    both, either = masks[0] & masks[1], masks[0] | masks[1]
    return float((both.sum((1, 2, 3)) / either.sum((1, 2, 3)).clamp(min=1)).mean())


if __name__ == "__main__":
    main()
