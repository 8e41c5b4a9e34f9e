"""Painting a mesh: colours splatted from pictures into its texture, then fitted to the pictures."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.gaussians.mesh import smooth_normals
from diffusion2.reconstruction.mesh.raster import Hits, draw_mesh

_SOLID = 0.95
"""Alpha from which a pixel's colour is the object's alone."""

_FINEST = 8
"""At most so many samples along each side of a pixel; usually as many as make them as dense as texels."""

_LOWEST = 0.2
"""Cosine of the angle between surface and line of sight under which pixels mix too much of the surface."""

_DOUBT = 0.5
"""A texel follows pictures fully if what saw it counts far more than this share of the best picture."""


@dataclass(frozen=True)
class Painted:
    """A mesh as the painters see it: one vertex per corner of the texture's charts.

    Attributes:
        triangles: (T, 3).
        uvs: (P, 2) in [0, 1].
        welded: (P,) which vertices are one.
        size: side of the texture in texels.
    """

    triangles: Tensor
    uvs: Tensor
    welded: Tensor
    size: int


@dataclass(frozen=True)
class Photo:
    """One picture to paint from.

    Attributes:
        vertices: (P, 3) of the mesh at that time.
        image: (H, W, 3) in [0, 1].
        alpha: (H, W) in [0, 1].
        viewmat: (4, 4).
        K: (3, 3) in pixels.
        weight: how much it counts.
    """

    vertices: Tensor
    image: Tensor
    alpha: Tensor
    viewmat: Tensor
    K: Tensor
    weight: float


def splat_photos(mesh: Painted, photos: list[Photo]) -> Tensor:
    """Average what pictures show at every texel, front views counting most: (h, w, 3).

    What no picture shows takes the colours around it in the texture.
    """
    total, weight = torch.zeros(mesh.size * mesh.size, 3), torch.zeros(mesh.size * mesh.size)
    for photo in photos:
        height, width = photo.alpha.shape
        hits = draw_mesh(photo.vertices, mesh.triangles, photo.viewmat, photo.K, height, width)
        seen = hits.triangles >= 0
        facing = _facing(mesh, photo, hits)
        counted = photo.weight * facing.clamp(min=0).pow(3) * (photo.alpha[seen] >= _SOLID)
        _splat(
            hits.interpolate(mesh.uvs, mesh.triangles), photo.image[seen], counted, mesh.size, total, weight
        )
    shape = (mesh.size, mesh.size, -1)
    return fill_empty(total.reshape(shape), weight.reshape(shape))


def _facing(mesh: Painted, photo: Photo, hits: Hits) -> Tensor:
    """Return the cosine of the angle between surface and line of sight at the pixels that show something."""
    normals = smooth_normals(photo.vertices, mesh.triangles, mesh.welded)
    eye = -photo.viewmat[:3, :3].T @ photo.viewmat[:3, 3]
    places = hits.interpolate(photo.vertices, mesh.triangles)
    towards = F.normalize(eye - places, dim=1)
    return (hits.interpolate(normals, mesh.triangles) * towards).sum(1)


def _splat(uvs: Tensor, colors: Tensor, counted: Tensor, size: int, total: Tensor, weight: Tensor) -> None:
    """Add colours (M, 3) to the four texels around each place (M, 2)."""
    at = uvs * size - 0.5
    first = at.floor()
    share = at - first
    for dx in (0, 1):
        for dy in (0, 1):
            columns, rows = (first + torch.tensor([dx, dy])).long().clamp(0, size - 1).unbind(1)
            x, y = (share[:, k] if d else 1 - share[:, k] for k, d in ((0, dx), (1, dy)))
            part = counted * x * y
            total.index_add_(0, rows * size + columns, part[:, None] * colors)
            weight.index_add_(0, rows * size + columns, part)


def fill_empty(total: Tensor, weight: Tensor) -> Tensor:
    """Divide (h, w, C) sums by weights (h, w, 1); where there are none, take coarser and coarser averages."""
    sums = torch.cat([total, weight], dim=-1).permute(2, 0, 1)[None]
    # Amounts that differ by orders of magnitude shouldn't decide what the neighbours of a gap are.
    sums = sums / sums[:, -1:].clamp(min=1e-12) * (sums[:, -1:] > 1e-6)
    levels = [sums]
    while min(levels[-1].shape[-2:]) > 1:
        levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True))
    filled = levels[-1][:, :-1] / levels[-1][:, -1:].clamp(min=1e-12)
    for level in reversed(levels[:-1]):
        coarse = F.interpolate(filled, size=level.shape[-2:], mode="bilinear", align_corners=False)
        known = level[:, -1:].clamp(max=1)
        filled = known * level[:, :-1] / level[:, -1:].clamp(min=1e-12) + (1 - known) * coarse
    return filled[0].permute(1, 2, 0)


def fit_texture(mesh: Painted, texture: Tensor, photos: list[Photo], rounds: int) -> Tensor:
    """Change a texture (h, w, 3) so that the drawn mesh looks like pictures; gives the new one.

    Geometry and motion stay, so every pixel is a fixed average of texels. Each round spreads what pixels
    lack over the texels that they show (simultaneous iterative reconstruction, Gilbert, 1972), which, unlike
    descent along gradients, treats texels alike whether many samples hit them or few.
    """
    looks = [look for look in (_look(mesh, photo) for photo in photos) if look is not None]
    heaviest = max((photo.weight for photo in photos), default=1.0)
    for _ in range(rounds):
        total, weight = torch.zeros(mesh.size * mesh.size, 3), torch.zeros(mesh.size * mesh.size)
        for look in looks:
            lacking = look.colors - _sample(texture, look.uvs).mean(1)
            samples = look.uvs.shape[1]
            _splat(
                look.uvs.flatten(0, 1),
                lacking.repeat_interleave(samples, 0),
                look.counted.repeat_interleave(samples),
                mesh.size,
                total,
                weight,
            )
        # A little doubt keeps texels that are hardly seen as they are.
        change = total / (weight[:, None] + _DOUBT * heaviest)
        texture = (texture + change.reshape(texture.shape)).clamp(0, 1)
    return texture


@dataclass(frozen=True)
class _Look:
    """The pixels of one picture that show the surface from not too low an angle.

    Attributes:
        uvs: (M, S, 2) places in the texture of each pixel's samples.
        colors: (M, 3).
        counted: (M,) how much each counts.
    """

    uvs: Tensor
    colors: Tensor
    counted: Tensor


def _look(mesh: Painted, photo: Photo) -> _Look | None:
    height, width = photo.alpha.shape
    finer = min(max(-(-mesh.size // height), 2), _FINEST)
    K = photo.K.clone()
    K[:2] *= finer
    hits = draw_mesh(photo.vertices, mesh.triangles, photo.viewmat, K, height * finer, width * finer)
    seen = hits.triangles >= 0
    uvs, facing = torch.zeros(*seen.shape, 2), torch.zeros(seen.shape)
    uvs[seen] = hits.interpolate(mesh.uvs, mesh.triangles)
    facing[seen] = _facing(mesh, photo, hits)

    def by_pixel(values: Tensor) -> Tensor:
        blocks = values.reshape(height, finer, width, finer, -1).permute(0, 2, 1, 3, 4)
        return blocks.reshape(height, width, finer * finer, -1)

    least = by_pixel(facing)[..., 0].amin(-1)
    used = (least > _LOWEST) & (photo.alpha >= _SOLID)
    if not bool(used.any()):
        return None
    return _Look(by_pixel(uvs)[used], photo.image[used], photo.weight * least[used].square())


def _sample(texture: Tensor, uvs: Tensor) -> Tensor:
    """Read a texture (h, w, 3) at places (M, S, 2) in [0, 1]: (M, S, 3)."""
    values = F.grid_sample(
        texture.permute(2, 0, 1)[None], 2 * uvs[None] - 1, padding_mode="border", align_corners=False
    )
    return values[0].permute(1, 2, 0)
