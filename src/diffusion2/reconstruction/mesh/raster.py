"""Drawing meshes: what each pixel shows, without colours."""

from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.kernels.threads import run_tasks
from diffusion2.reconstruction.mesh.raster_kernel import BAND, find_triangles


@dataclass(frozen=True)
class Hits:
    """What the pixels of a picture show of a mesh.

    Attributes:
        triangles: (H, W) int64, -1 where nothing is.
        shares: (H, W, 3) barycentric coordinates in the triangle.
        depths: (H, W) camera z, infinite where nothing is.
    """

    triangles: Tensor
    shares: Tensor
    depths: Tensor

    def interpolate(self, values: Tensor, triangles: Tensor) -> Tensor:
        """Return what vertices have (P, D) at the pixels that show something: (M, D), row by row."""
        seen = self.triangles >= 0
        corners = values[triangles[self.triangles[seen]]]
        return (corners * self.shares[seen][..., None]).sum(1)


def draw_flat(points: Tensor, depths: Tensor, triangles: Tensor, height: int, width: int) -> Hits:
    """Find the nearest triangle at every pixel.

    Args:
        points: (P, 2) places in the picture, in pixels.
        depths: (P,) camera z.
        triangles: (T, 3) int64.
        height: of the picture.
        width: of the picture.
    """
    found = torch.empty(height, width, dtype=torch.int64)
    shares, nearest = torch.empty(height, width, 3), torch.empty(height, width)
    run_tasks(
        find_triangles, -(-height // BAND), points.float().contiguous().numpy(),
        depths.float().contiguous().numpy(), triangles.contiguous().numpy(), found.numpy(), shares.numpy(),
        nearest.numpy(),
    )  # fmt: skip
    return Hits(found, shares, 1 / nearest)


def draw_mesh(
    vertices: Tensor, triangles: Tensor, viewmat: Tensor, K: Tensor, height: int, width: int
) -> Hits:
    """Find the nearest triangle of a mesh at every pixel of a camera's picture.

    Args:
        vertices: (P, 3) in the world.
        triangles: (T, 3) int64.
        viewmat: (4, 4) world to camera.
        K: (3, 3) in pixels.
        height: of the picture.
        width: of the picture.
    """
    seen = vertices @ viewmat[:3, :3].T + viewmat[:3, 3]
    depths = seen[:, 2]
    points = (seen @ K.T)[:, :2] / depths.clamp(min=1e-6)[:, None]
    return draw_flat(points, depths, triangles, height, width)
