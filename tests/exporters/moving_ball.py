"""A mesh whose parts move differently, for what writes meshes."""

import math

import torch

from diffusion2.gaussians import AssetMetadata, DeformationField, DeformationSettings
from diffusion2.gaussians.deformation import spread_nodes
from diffusion2.gaussians.mesh import Mesh4D


def waving(points: torch.Tensor, nodes: int) -> DeformationField:
    """A field that moves and turns parts of the world differently: by up to about 0.2, and 30 degrees."""
    settings = DeformationSettings(depth=2, width=16, position_frequencies=1, time_frequencies=2, nodes=nodes)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        field = DeformationField(settings, spread_nodes(points, nodes) if nodes else None)
        field.head.weight.normal_(std=0.08)
    return field.requires_grad_(False)


def ball(rings: int, around: int, nodes: int = 64) -> Mesh4D:
    """A ball of radius 0.4, a seam down one side, coloured by its texture's rows and columns."""
    u, v = torch.meshgrid(torch.linspace(0, 1, around + 1), torch.linspace(0, 1, rings + 1), indexing="ij")
    angle, height = 2 * math.pi * u, math.pi * v
    places = [angle.cos() * height.sin(), angle.sin() * height.sin(), height.cos()]
    vertices = 0.4 * torch.stack(places, dim=-1).reshape(-1, 3)
    corner = (torch.arange(around)[:, None] * (rings + 1) + torch.arange(rings)).flatten()
    beside = corner + rings + 1
    triangles = torch.cat(
        [torch.stack([corner, corner + 1, beside], 1), torch.stack([beside, corner + 1, beside + 1], 1)]
    )
    column = (torch.arange(around + 1) % around)[:, None] * (rings + 1)
    welded = (column + torch.arange(rings + 1)).flatten()
    rows = torch.linspace(0, 1, 64)
    texture = torch.stack([rows[:, None].expand(64, 64), rows.expand(64, 64), torch.zeros(64, 64)], dim=-1)
    uvs = torch.stack([u, v], dim=-1).reshape(-1, 2)
    field = waving(vertices, nodes)
    return Mesh4D(vertices, triangles, uvs, texture, welded, field, AssetMetadata(fps=8.0, frames=5))
