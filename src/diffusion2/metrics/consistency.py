"""Whether a matrix of pictures moves as it should, and whether its views can show one object."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras

MOST_ROWS = 128
"""Silhouettes are compared at this height at most, so that the slack of a pixel means the same for all."""

_MANY_PIXELS = 400
"""In larger silhouettes every second pixel of every second row stands for all."""


def frame_changes(images: Tensor) -> Tensor:
    """Return the mean absolute difference (F - 1,) of each picture of a row (F, 3, H, W) to the next."""
    return (images[1:] - images[:-1]).abs().mean(dim=(1, 2, 3))


def temporal_errors(images: Tensor, references: Tensor, masks: Tensor) -> Tensor:
    """Return the error of the frame differences, in [0, 2]: mean |d result - d reference| over the object.

    Args:
        images: (F, 3, H, W) in [0, 1], a row of the result.
        references: (F, 3, H, W) in [0, 1].
        masks: (F, 1, H, W), 0 or 1: the reference's object.

    Returns:
        (F - 1,), one for each step in time, over the pixels that the object covers before or after it; NaN
        where there are none. A still result gets the reference's own frame differences.
    """
    changes, wanted = images[1:] - images[:-1], references[1:] - references[:-1]
    errors = (changes - wanted).abs().mean(dim=1, keepdim=True)
    either = torch.maximum(masks[1:], masks[:-1])
    return (errors * either).sum(dim=(1, 2, 3)) / either.sum(dim=(1, 2, 3))


def silhouette_agreement(masks: Tensor, cameras: Cameras) -> Tensor:
    """Return how much of each silhouette the visual hull of all views explains, from 0 to 1.

    A pixel of a silhouette is explained when some point on its line of sight lies in the silhouettes of all
    other views, too. Silhouettes of one rigid object explain each other, whatever its shape; a limb that is
    elsewhere in another view is not explained. Needs no ground truth, and sees no colours. An object that a
    picture's border cuts off disagrees with the views that show it whole.

    Args:
        masks: (V, 1, H, W), 0 or 1: the object at one time from V views.
        cameras: V cameras.

    Returns:
        (V,); 0 where only this silhouette is empty, NaN where all are, or with fewer than two views.
    """
    views = len(cameras)
    areas = masks.sum(dim=(1, 2, 3))
    if views < 2 or not bool(areas.any()):
        return torch.full((views,), torch.nan)
    masks = _sampled(masks)
    # A pixel of slack: lines of sight are sampled, and outlines are only known to a pixel.
    wide = F.max_pool2d(masks, 3, stride=1, padding=1)[:, 0] > 0
    shares = [_explained(masks[view, 0] > 0, wide, cameras, view) for view in range(views)]
    return torch.tensor(shares)


def _sampled(masks: Tensor) -> Tensor:
    """Make masks smaller where they are larger than is compared."""
    height, width = masks.shape[-2:]
    if height <= MOST_ROWS:
        return masks
    size = (MOST_ROWS, max(1, round(width * MOST_ROWS / height)))
    return (F.interpolate(masks, size, mode="area") > 0.5).float()


def _explained(mask: Tensor, wide: Tensor, cameras: Cameras, view: int) -> float:
    """Return the share of a silhouette (H, W) that the others (V, H, W) explain; 0 for an empty one."""
    points, rays = _points_on_rays(mask, cameras, view)
    count = int(rays.max()) + 1 if len(rays) else 0
    for other in _most_different(cameras, view):
        inside = _looks_up(wide[other], points, cameras, other)
        points, rays = points[inside], rays[inside]
    return len(rays.unique()) / count if count else 0.0


def _points_on_rays(mask: Tensor, cameras: Cameras, view: int) -> tuple[Tensor, Tensor]:
    """Sample the lines of sight of a mask's pixels: points (K, 3) and each one's pixel's number (K,)."""
    height, width = mask.shape
    radius, half = float(cameras.radii[view]), math.tan(math.radians(cameras.fov_deg) / 2)
    viewmat = torch.as_tensor(cameras.viewmats[view], dtype=torch.float32)
    step = 2 if int(mask.sum()) > _MANY_PIXELS else 1
    rows, columns = (step * mask[::step, ::step].nonzero()).unbind(1)
    x = (2 * (columns + 0.5) - width) / height * half
    y = (2 * (rows + 0.5) - height) / height * half
    directions = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    # The object fits into the frame of every camera, so it is no deeper than the frame's diagonal.
    reach = min(1.5 * radius * half, 0.95 * radius)
    depths = torch.linspace(
        radius - reach, radius + reach, max(2, math.ceil(reach / (radius * half) * height))
    )
    points = (depths[None, :, None] * directions[:, None]).reshape(-1, 3)
    world = (points - viewmat[:3, 3]) @ viewmat[:3, :3]
    return world, torch.arange(len(directions)).repeat_interleave(len(depths))


def _most_different(cameras: Cameras, view: int) -> list[int]:
    """Order the other views: those across first, which rule out the most points."""
    apart = torch.as_tensor(cameras.azimuths_deg - cameras.azimuths_deg[view]).deg2rad()
    order = apart.cos().abs().argsort(stable=True).tolist()
    return [other for other in order if other != view]


def _looks_up(mask: Tensor, points: Tensor, cameras: Cameras, view: int) -> Tensor:
    """Say of points (K, 3) whether they lie in a view's silhouette (H, W); outside the picture they don't."""
    height, width = mask.shape
    viewmat = torch.as_tensor(cameras.viewmats[view], dtype=torch.float32)
    x, y, z = (points @ viewmat[:3, :3].T + viewmat[:3, 3]).unbind(1)
    scale = 0.5 * height / math.tan(math.radians(cameras.fov_deg) / 2) / z.clamp(min=1e-6)
    columns, rows = (x * scale + width / 2).floor().long(), (y * scale + height / 2).floor().long()
    seen = (z > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    return seen & mask[rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
