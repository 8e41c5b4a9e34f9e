"""Measure the animated mesh of an asset against its Gaussians and against the truth.

    .venv/bin/python benchmarks/mesh_quality.py --assets DIR --keep DIR [--only Wolf Koi] [--runs RUN ...]
        [--set smoothing=1 ...] [--sheet FILE.png]

Every benchmark creature is rendered as a true matrix of 12 views by 12 frames and reconstructed as the preset
`mini` does; the asset is kept in a folder. Then mesh and Gaussians are drawn from azimuths halfway between
the views, at times halfway between the frames, and compared with the truth there. For a run's folder
(--runs) there is no truth: its mesh is compared with its Gaussians alone, from its own views.

    overlap     of silhouettes: what both cover, as a share of what either covers
    LPIPS       (alex), on white
    PSNR        in dB, on the object's pixels

Means over creatures of means over pictures. A mesh is drawn four times as fine and averaged.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from diffusion2.cli import WAITING

os.environ.update(WAITING | os.environ)  # before torch, as the command line does

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from reconstruction_quality import render_truth
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.config import PRESETS, MeshSettings
from diffusion2.gaussians import Asset4D, load_asset, render
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.image_matrix import ImageMatrix
from diffusion2.meshes.creatures import CREATURES, Creature
from diffusion2.metrics.lpips import load_lpips
from diffusion2.metrics.pixels import psnr
from diffusion2.reconstruction import reconstruct_matrix
from diffusion2.reconstruction.mesh import extract_mesh
from diffusion2.reconstruction.mesh.raster import draw_mesh
from diffusion2.runs.matrix_files import read_matrix

FINER = 4
COLUMNS = ("overlap", "LPIPS", "PSNR")


def main() -> None:
    """Measure, a line a creature and a line of means."""
    arguments = parse_arguments()
    settings = replace(MeshSettings(), **dict(arguments.set))
    lpips, rows, strips = load_lpips(), [], []
    for name, asset, matrix, truth in subjects(arguments):
        start = time.process_time()
        mesh = extract_mesh(asset, matrix, settings)
        seconds = time.process_time() - start
        moments = truth.times.tolist() if truth else matrix.times.tolist()[::3]
        cameras = truth.cameras if truth else matrix.cameras[range(0, matrix.views, 3)]
        splats = torch.stack([draw_gaussians(asset, cameras, t) for t in moments])
        drawn = torch.stack([draw_textured(mesh, cameras, t) for t in moments])
        found = {"mesh ~ Gaussians": compare(drawn, splats, lpips)}
        if truth:
            true = torch.stack([with_alpha(truth.images[:, k]) for k in range(truth.frames)])
            found["Gaussians ~ truth"] = compare(splats, true, lpips)
            found["mesh ~ truth"] = compare(drawn, true, lpips)
        rows.append(found)
        closed = "closed" if mesh.is_watertight else "NOT closed"
        print(f"{name:12} {describe(found)}; {len(mesh.triangles)} triangles, {closed}, {seconds:.0f} s")
        shown = [true] if truth else []
        strips.append(torch.cat([sheet_row(part) for part in (*shown, splats, drawn)]))
    for key in rows[0]:
        print(f"mean {key:18}", describe({key: np.mean([row[key] for row in rows if key in row], axis=0)}))
    if arguments.sheet:
        pixels = torch.cat(strips).mul(255).round().to(torch.uint8)
        Image.fromarray(pixels.numpy()).save(arguments.sheet)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--assets", type=Path, help="folder of the benchmark's models")
    parser.add_argument("--keep", type=Path, default=Path("benchmarks/mesh"), help="folder of their assets")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--runs", nargs="*", type=Path, default=[])
    parser.add_argument("--set", nargs="*", type=read_setting, default=[], metavar="NAME=VALUE")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    arguments.size, arguments.views, arguments.frames = 128, 12, 12
    return arguments


def read_setting(text: str) -> tuple[str, int | float]:
    """Read NAME=VALUE."""
    name, _, value = text.partition("=")
    return name, type(getattr(MeshSettings(), name))(float(value))


def subjects(
    arguments: argparse.Namespace,
) -> Iterator[tuple[str, Asset4D, ImageMatrix, ImageMatrix | None]]:
    """Yield name, asset, the matrix it was made from, and pictures to compare with, or None."""
    for creature in CREATURES if arguments.assets else ():
        if not arguments.only or creature.name in arguments.only:
            truth = render_truth(creature, arguments)
            yield (
                creature.name,
                kept_asset(creature, truth["matrix"], arguments.keep),
                truth["matrix"],
                truth["both"],
            )
    for run in arguments.runs:
        yield run.name, load_asset(run / "asset.safetensors"), read_matrix(run), None


def kept_asset(creature: Creature, matrix: ImageMatrix, folder: Path) -> Asset4D:
    """Reconstruct a matrix, or take what was kept."""
    path = folder / f"{creature.name}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        reconstruct_matrix(matrix, PRESETS["mini"].reconstruction).save(path)
    return load_asset(path)


def draw_gaussians(asset: Asset4D, cameras: Cameras, moment: float) -> Tensor:
    """Draw from all cameras: (V, 4, H, W), on white, with alpha."""
    drawn = render(asset, cameras, moment)
    return torch.cat([drawn.rgb.clamp(0, 1), drawn.alpha], dim=-1).permute(0, 3, 1, 2)


def draw_textured(mesh: Mesh4D, cameras: Cameras, moment: float) -> Tensor:
    """Draw from all cameras: (V, 4, H, W), on white, with alpha; no light, nearest triangle."""
    vertices, pictures = mesh.at(moment), []
    for k in range(len(cameras)):
        viewmat, K = (torch.as_tensor(x[k], dtype=torch.float32) for x in (cameras.viewmats, cameras.Ks))
        K = K * torch.tensor([[FINER], [FINER], [1.0]])
        size = FINER * cameras.height, FINER * cameras.width
        hits = draw_mesh(vertices, mesh.triangles, viewmat, K, *size)
        picture = torch.ones(4, *size)
        picture[3] = 0
        seen = hits.triangles >= 0
        places = 2 * hits.interpolate(mesh.uvs, mesh.triangles)[None, None] - 1
        texture = mesh.texture.permute(2, 0, 1)[None]
        picture[:3, seen] = F.grid_sample(texture, places, align_corners=False, padding_mode="border")[
            0, :, 0
        ]
        picture[3, seen] = 1
        pictures.append(F.avg_pool2d(picture[None], FINER)[0])
    return torch.stack(pictures)


def with_alpha(images: Tensor) -> Tensor:
    """Add the alpha of pictures on white (V, 3, H, W), whose objects are nowhere white."""
    return torch.cat([images, (images.amin(1, keepdim=True) < 0.98).float()], dim=1)


def compare(ours: Tensor, theirs: Tensor, lpips: Any) -> list[float]:
    """Return the values of COLUMNS for pictures (F, V, 4, H, W)."""
    a, b = ours.flatten(0, 1), theirs.flatten(0, 1)
    one, other = a[:, 3:] > 0.5, b[:, 3:] > 0.5
    overlap = (one & other).sum((1, 2, 3)) / (one | other).sum((1, 2, 3)).clamp(min=1)
    with torch.no_grad():
        scores = overlap, lpips(a[:, :3], b[:, :3]), psnr(a[:, :3], b[:, :3], other.float())
    return [float(score.mean()) for score in scores]


def describe(found: dict[str, Any]) -> str:
    """Return figures on one line."""
    return "; ".join(f"{key} {a:.3f} {b:.4f} {c:.2f} dB" for key, (a, b, c) in found.items())


def sheet_row(pictures: Tensor) -> Tensor:
    """Lay the first and the middle moment's pictures (F, V, 4, H, W) beside each other: (H, W', 3)."""
    chosen = [*pictures[0], *pictures[len(pictures) // 2]][:8]
    return torch.cat([picture[:3].permute(1, 2, 0) for picture in chosen], dim=1)


if __name__ == "__main__":
    main()
