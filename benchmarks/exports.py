"""Write each format that holds a motion, and print its size and how long writing took.

    python benchmarks/exports.py FOLDER [--vertices 20000] [--gaussians 10000] [--frames 25]

The mesh is a ball with a texture of noise, which no compression makes smaller; the Gaussians are spread over
it. A field with 256 nodes moves both. Extracting a mesh takes longer than all of this, and is not in it.
"""

import argparse
import math
import time
from pathlib import Path
from unittest.mock import patch

import torch

from diffusion2 import ExportSettings, export
from diffusion2.gaussians import Asset4D, AssetMetadata, DeformationField, DeformationSettings, Gaussians
from diffusion2.gaussians.deformation import spread_nodes
from diffusion2.gaussians.mesh import Mesh4D

FILES = (
    ("bones.glb", None, "skin"),
    ("morph.glb", None, "morph"),
    ("bones.usdc", None, "skin"),
    ("bones.usdz", None, "skin"),
    ("points.usdc", None, "morph"),
    ("points.abc", None, "skin"),
    ("frames_*.obj", None, "skin"),
    ("splats.usdc", "splats", "skin"),
    ("splats_*.ply", None, "skin"),
)


def make_mesh(vertices: int, frames: int) -> Mesh4D:
    """Make a ball of about so many vertices that a field moves."""
    rings = round(math.sqrt(vertices / 2))
    around = 2 * rings
    u, v = torch.meshgrid(torch.linspace(0, 1, around), torch.linspace(0, 1, rings), indexing="ij")
    angle, height = 2 * math.pi * u, math.pi * v
    places = [angle.cos() * height.sin(), angle.sin() * height.sin(), height.cos()]
    points = 0.4 * torch.stack(places, dim=-1).reshape(-1, 3)
    corner = (torch.arange(around - 1)[:, None] * rings + torch.arange(rings - 1)).flatten()
    upper = torch.stack([corner, corner + 1, corner + rings], 1)
    lower = torch.stack([corner + rings, corner + 1, corner + rings + 1], 1)
    field = DeformationField(DeformationSettings(nodes=256), spread_nodes(points, 256))
    with torch.no_grad():
        field.head.weight.normal_(std=0.02)
    return Mesh4D(
        points,
        torch.cat([upper, lower]),
        torch.stack([u, v], dim=-1).reshape(-1, 2),
        torch.rand(512, 512, 3),
        torch.arange(len(points)),
        field.requires_grad_(False),
        AssetMetadata(fps=12.0, frames=frames),
    )


def make_asset(mesh: Mesh4D, count: int) -> Asset4D:
    """Spread Gaussians over a mesh."""
    means = mesh.vertices[torch.randint(len(mesh.vertices), (count,))]
    gaussians = Gaussians(
        means,
        torch.randn(count, 4),
        torch.full((count, 3), math.log(0.01)),
        torch.full((count,), 3.0),
        torch.rand(count, 1, 3),
    )
    return Asset4D(gaussians, mesh.deformation, mesh.metadata)


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vertices", type=int, default=20_000)
    parser.add_argument("--gaussians", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=25)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    mesh = make_mesh(options.vertices, options.frames)
    asset = make_asset(mesh, options.gaussians)
    print(f"{len(mesh.vertices)} vertices, {options.gaussians} Gaussians, {options.frames} frames")
    for module in ("glb", "obj", "alembic", "usd.mesh"):
        patch(f"diffusion2.exporters.{module}.extract_mesh", lambda *_: mesh).start()
    for name, form, animation in FILES:
        start = time.process_time()
        export(asset, options.folder / name, ExportSettings(animation=animation), name=form)
        seconds = time.process_time() - start
        size = sum(path.stat().st_size for path in options.folder.glob(name)) / 1e6
        print(f"{name:14s} {size:7.2f} MB {seconds:6.1f} s")


if __name__ == "__main__":
    main()
