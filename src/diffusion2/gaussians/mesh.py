"""The moving asset as a textured mesh whose triangles stay the same over time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.gaussians.deformation import DeformationField
from diffusion2.gaussians.metadata import AssetMetadata


@dataclass(frozen=True)
class Mesh4D:
    """A mesh of P vertices and T triangles that a deformation field carries.

    Vertices lie twice along the seams of the texture; `welded` says which are one.

    Attributes:
        vertices: (P, 3) float32, canonical places in world units.
        triangles: (T, 3) int64, counter-clockwise seen from outside.
        uvs: (P, 2) float32 in [0, 1], u to the right and v downwards in the texture.
        texture: (h, w, 3) float32 RGB in [0, 1].
        welded: (P,) int64, the same number for vertices at the same place of the surface.
        deformation: what moves it; None for a static object.
        metadata: as in the asset it was made of.
    """

    vertices: Tensor
    triangles: Tensor
    uvs: Tensor
    texture: Tensor
    welded: Tensor
    deformation: DeformationField | None = None
    metadata: AssetMetadata = AssetMetadata()

    def move(self, times: Tensor | list[float]) -> Tensor:
        """Return the vertices (F, P, 3) at F times in [0, 1].

        Raises:
            InputError: when a time lies outside [0, 1].
        """
        moments = torch.as_tensor(times, dtype=torch.float32)
        if not bool(((moments >= 0) & (moments <= 1)).all()):
            raise InputError(f"a time lies in [0, 1], not {moments.tolist()}: divide seconds by the length")
        return carry(self.vertices, self.deformation, moments)

    def at(self, time: float) -> Tensor:
        """Return the vertices (P, 3) at a time in [0, 1]."""
        return self.move([time])[0]

    def normals(self, vertices: Tensor) -> Tensor:
        """Return unit normals (P, 3) of vertices (P, 3) of this mesh at some time, smooth across seams."""
        return smooth_normals(vertices, self.triangles, self.welded)

    @property
    def is_watertight(self) -> bool:
        """Whether the triangles enclose a volume, without a hole."""
        return is_closed(self.welded[self.triangles])


@torch.no_grad()
def carry(points: Tensor, deformation: DeformationField | None, times: Tensor) -> Tensor:
    """Return where points (P, 3) of the canonical space are at F times: (F, P, 3)."""
    if deformation is None:
        return points.expand(len(times), -1, -1)
    return points + deformation(points, times).translations


def smooth_normals(vertices: Tensor, triangles: Tensor, welded: Tensor) -> Tensor:
    """Return unit normals (P, 3): triangles' normals averaged by area over vertices that are one.

    Where they cancel, as on both sides of a sheet without thickness, the normal is up.
    """
    corners = vertices[triangles]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = torch.zeros(int(welded.max()) + 1 if len(welded) else 0, 3)
    for k in range(3):
        total.index_add_(0, welded[triangles[:, k]], normals)
    length = total.norm(dim=1, keepdim=True)
    up = torch.tensor([0.0, 0.0, 1.0])
    return torch.where(length > 1e-20, total / length, up)[welded]


def is_closed(triangles: Tensor) -> bool:
    """Say whether triangles (T, 3) enclose a volume: along every edge as many go one way as the other.

    That is two triangles an edge, and four where parts touch each other along it.
    """
    if not len(triangles):
        return False
    count = int(triangles.max()) + 1
    edges = torch.cat([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    forth, back = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    return torch.equal(forth.sort().values, back.sort().values)
