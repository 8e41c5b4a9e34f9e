"""The surface of Gaussians: depth pictures from all around, fused into a truncated signed distance.

Source: Curless and Levoy (1996), "A volumetric method for building complex models from range images", on
rendered depths. What no picture sees is inside if all of them have something before it, which closes the
surface.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras, make_cameras
from diffusion2.errors import InputError
from diffusion2.gaussians import Asset4D, Gaussians, render

_TRUNCATION = 3.0
"""Cells in which the distance is measured on both sides of the surface."""

_SOLID = 0.5
"""Alpha from which a pixel shows the object."""

_DENSER = 4

_MARGIN = 4
"""Empty cells around the object."""


@dataclass(frozen=True)
class Volume:
    """A grid of signed distances.

    Attributes:
        distances: (X, Y, Z) in units of the truncation, in [-1, 1], negative inside.
        corner: (3,) world place of the cell (0, 0, 0)'s centre.
        cell: world units.
    """

    distances: Tensor
    corner: Tensor
    cell: float


def look_around(radius: float, fov_deg: float, elevation_deg: float, size: int) -> Cameras:
    """Make cameras around the object, most of them as high as the ones it was made from."""
    rings = ((12, elevation_deg), (8, elevation_deg + 30), (8, elevation_deg - 30), (3, 80.0), (3, -80.0))
    azimuths = [360.0 * k / count for count, _ in rings for k in range(count)]
    elevations = [max(-85.0, min(85.0, elevation)) for count, elevation in rings for _ in range(count)]
    return make_cameras(azimuths, elevations, radius=radius, fov_deg=fov_deg, height=size)


def draw_depths(gaussians: Gaussians, camera: Cameras) -> Tensor:
    """Return the depth (H, W) of the surface, infinite where alpha is under a half.

    Blended depths lie behind a surface that lets some light through, so Gaussians are drawn as if each were
    there several times.
    """
    alpha = render(Asset4D(gaussians), camera).alpha[0, :, :, 0]
    denser = torch.logit(1 - (1 - gaussians.opacities) ** _DENSER, eps=1e-6)
    drawn = render(Asset4D(replace(gaussians, opacity_logits=denser)), camera)
    depth = drawn.depth[0, :, :, 0] / drawn.alpha[0, :, :, 0].clamp(min=1e-6)
    return torch.where(alpha >= _SOLID, depth, torch.inf)


def fuse(gaussians: Gaussians, cameras: Cameras, depths: list[Tensor], resolution: int) -> Volume:
    """Fuse what cameras see of Gaussians.

    Args:
        gaussians: a still object.
        cameras: from where they are looked at.
        depths: what each camera sees, see `draw_depths`.
        resolution: cells along its longest side.

    Raises:
        InputError: when nothing of it can be seen.
    """
    low, high = _bounds(gaussians)
    cell = float((high - low).max()) / resolution
    shape = [math.ceil(float(extent) / cell) + 2 * _MARGIN for extent in high - low]
    corner = (low + high) / 2 - cell * (torch.tensor(shape) - 1) / 2
    axes = [corner[k] + cell * torch.arange(shape[k]) for k in range(3)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    total, weight = torch.zeros(len(points)), torch.zeros(len(points))
    for view in range(len(cameras)):
        _add_view(depths[view], cameras[view], points, cell * _TRUNCATION, total, weight)
    if not bool((weight > 0).any()):
        raise InputError("nothing of the asset can be seen: there is no surface to extract")
    distances = torch.where(weight > 0, total / weight.clamp(min=1e-9), -1.0).reshape(shape)
    for axis in range(3):  # the border is outside, whatever was seen there
        distances.transpose(0, axis)[[0, -1]] = 1.0
    return Volume(distances, corner, cell)


def _add_view(
    depth: Tensor, camera: Cameras, points: Tensor, truncation: float, total: Tensor, weight: Tensor
) -> None:
    viewmat, K = (torch.as_tensor(x[0], dtype=torch.float32) for x in (camera.viewmats, camera.Ks))
    seen = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    pixels = (seen @ K.T)[:, :2] / seen[:, 2:].clamp(min=1e-6)
    columns, rows = pixels.floor().long().unbind(1)
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    inside &= seen[:, 2] > 0
    place = rows.clamp(0, camera.height - 1) * camera.width + columns.clamp(0, camera.width - 1)
    signed = (depth.flatten()[place] - seen[:, 2]) / truncation
    # Far behind the surface a picture says nothing.
    observed = inside & (signed > -1)
    total += torch.where(observed, signed.clamp(max=1.0), 0.0)
    weight += observed


def _bounds(gaussians: Gaussians) -> tuple[Tensor, Tensor]:
    solid = gaussians.opacities > 0.1
    if not bool(solid.any()):
        raise InputError("the asset's Gaussians are all but transparent: there is no surface to extract")
    means, reach = gaussians.means[solid], 2 * gaussians.scales[solid].amax(1, keepdim=True)
    return (means - reach).quantile(0.001, dim=0), (means + reach).quantile(0.999, dim=0)


def smoothed(volume: Volume) -> Volume:
    """Blur the distances a little, against the noise of single depth pictures."""
    window = torch.tensor([0.25, 0.5, 0.25])
    values = volume.distances[None, None]
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = 3
        values = F.conv3d(F.pad(values, _pads(axis), mode="replicate"), window.reshape(shape))
    return Volume(values[0, 0], volume.corner, volume.cell)


def _pads(axis: int) -> tuple[int, ...]:
    pads = [0] * 6
    pads[2 * (2 - axis)] = pads[2 * (2 - axis) + 1] = 1
    return tuple(pads)
