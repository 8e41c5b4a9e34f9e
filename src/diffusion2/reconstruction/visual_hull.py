"""Gaussians to start from: random places in the visual hull of a column of masks."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.errors import InputError
from diffusion2.gaussians.gaussians import Gaussians, rgb_to_sh0

GRID = 64
"""Cells along each side of the cube in which the hull is carved."""

_FEW = 3
"""With fewer views than these, silhouettes alone leave the object far too deep."""

_COVERED = 0.97
"""Share of the masks that a hull must project onto; less, and the masks contradict each other."""


@dataclass(frozen=True)
class VisualHull:
    """The cells of a cubic grid that all, or nearly all, views see inside the mask.

    Attributes:
        centres: (M, 3) of the cells, world units.
        cell: their side, world units.
        ignored_views: so many views may contradict each cell.
        covered: share of the masks that the hull projects onto, without the worst of them.
    """

    centres: Tensor
    cell: float
    ignored_views: int
    covered: float


def carve(masks: Tensor, cameras: Cameras, seen: Tensor | None = None) -> VisualHull:
    """Intersect the silhouettes of V views.

    Generated views don't agree perfectly, and one wrong silhouette removes what it misses from all. So
    as few views as possible, at most a quarter, may contradict a cell until the hull fills the masks. One or
    two views don't bound the depth; the object is then taken to be as deep as it is wide.

    Args:
        masks: (V, 1, H, W) in [0, 1]. Empty ones are left out.
        cameras: V cameras.
        seen: (V, 1, H, W) bool, where each camera saw anything; elsewhere it contradicts nothing.

    Raises:
        InputError: when all masks are empty, or nothing is left of their intersection.
    """
    shown = [view for view in range(len(cameras)) if bool((masks[view] > 0.5).any())]
    if not shown:
        raise InputError("the views at the reference time are all white: there is no object to build")
    side = 2 * float(cameras.radii.min()) * math.tan(math.radians(cameras.fov_deg) / 2) * 1.2
    steps = (torch.arange(GRID) + 0.5) / GRID - 0.5
    centres = side * torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1).reshape(-1, 3)
    masks = F.max_pool2d(masks, 3, stride=1, padding=1)
    possible = masks if seen is None else masks.maximum((~seen).float())
    inside = torch.zeros(len(centres), dtype=torch.int32)
    for view in shown:
        pixels, depths = project_points(centres, cameras, view)
        visible = (sample_pixels(possible[view], pixels)[:, 0] > 0.5) & (depths > 0)
        if len(shown) < _FEW:
            visible &= (depths - float(cameras.radii[view])).abs() <= _half_size(masks[view], cameras, view)
        inside += visible.int()
    best: VisualHull | None = None
    for ignored in range(1 + len(shown) // 4):
        chosen = centres[inside >= len(shown) - ignored]
        covered = _coverage(chosen, masks, cameras, shown, ignored)
        if best is None or covered > best.covered + 0.01:
            best = VisualHull(chosen, side / GRID, ignored, covered)
        if best.covered >= _COVERED:
            break
    if best is None or not len(best.centres):
        raise InputError(
            "the views at the reference time have no common object: are the cameras those of the pictures?"
        )
    return best


def scatter_gaussians(
    hull: VisualHull,
    images: Tensor,
    cameras: Cameras,
    count: int,
    generator: torch.Generator,
    seen: Tensor | None = None,
) -> Gaussians:
    """Place Gaussians at random in a hull, as large as the gaps between them, with colours from the views.

    Three quarters lie near the hull's surface, where nearly everything that can be seen is.

    Args:
        hull: from `carve`.
        images: (V, 3, H, W) in [0, 1].
        cameras: V cameras.
        count: how many Gaussians.
        generator: decides the places.
        seen: (V, 1, H, W) bool, where each camera saw anything.
    """
    near_surface = _is_near_surface(hull)
    weights = torch.where(near_surface, 0.75 / near_surface.sum(), 0.25 / max(1, int((~near_surface).sum())))
    chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
    means = hull.centres[chosen] + hull.cell * (torch.rand(count, 3, generator=generator) - 0.5)
    gaps = _mean_gaps(means).clamp(0.2 * hull.cell, 2 * hull.cell)
    return Gaussians(
        means=means,
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        log_scales=(0.7 * gaps).log()[:, None].repeat(1, 3),
        opacity_logits=torch.full((count,), math.log(0.3 / 0.7)),
        sh0=rgb_to_sh0(_colors(means, hull, images, cameras, seen)),
    )


def project_points(points: Tensor, cameras: Cameras, view: int) -> tuple[Tensor, Tensor]:
    """Return the pixels (K, 2), x right and y down, and depths (K,) of points (K, 3) in a view."""
    viewmat = torch.as_tensor(cameras.viewmats[view], dtype=torch.float32)
    K = torch.as_tensor(cameras.Ks[view], dtype=torch.float32)
    x = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    depths = x[:, 2]
    pixels = (x @ K.T)[:, :2] / depths.clamp(min=1e-6)[:, None]
    return pixels, depths


def sample_pixels(picture: Tensor, pixels: Tensor) -> Tensor:
    """Read (C, H, W) at pixels (K, 2), as (K, C); 0 outside."""
    height, width = picture.shape[-2:]
    grid = 2 * pixels / torch.tensor([width, height]) - 1
    values = F.grid_sample(picture[None], grid[None, None], align_corners=False)
    return values[0, :, 0].T


def _half_size(mask: Tensor, cameras: Cameras, view: int) -> float:
    """Return half the longer side of a silhouette in world units: objects are about as deep as wide."""
    rows, columns = (mask[0] > 0.5).nonzero().unbind(1)
    pixels = max(int(part.max() - part.min()) + 1 for part in (rows, columns))
    return 0.5 * pixels * float(cameras.radii[view] / cameras.Ks[view, 0, 0])


def _coverage(points: Tensor, masks: Tensor, cameras: Cameras, shown: list[int], ignored: int) -> float:
    """Return the share of the masks, but of the worst ones, onto which the points project."""
    if not len(points):
        return 0.0
    shares = []
    for view in shown:
        mask = F.adaptive_avg_pool2d(masks[view], (GRID // 2, GRID // 2))[0] > 0.5
        pixels, _ = project_points(points, cameras, view)
        cells = (pixels / torch.tensor([cameras.width, cameras.height]) * (GRID // 2)).long()
        cells = cells[((cells >= 0) & (cells < GRID // 2)).all(dim=1)]
        hit = torch.zeros(GRID // 2, GRID // 2, dtype=torch.bool)
        hit[cells[:, 1], cells[:, 0]] = True
        shares.append(float((hit & mask).sum() / mask.sum().clamp(min=1)))
    counted = sorted(shares)[ignored:]
    return sum(counted) / len(counted)


def _is_near_surface(hull: VisualHull) -> Tensor:
    """Say of every cell (M,) whether a cell within two of it is empty."""
    places = ((hull.centres - hull.centres.amin(0)) / hull.cell).round().long()
    filled = torch.zeros((int(places.max()) + 1,) * 3)
    filled[places.unbind(1)] = 1
    core = 1 - F.max_pool3d(1 - F.pad(filled, (2,) * 6)[None, None], 5, stride=1)[0, 0]
    return core[places.unbind(1)] == 0


def _mean_gaps(points: Tensor, chunk: int = 2048) -> Tensor:
    """Return the mean distance (K,) of each of (K, 3) points to its three nearest neighbours."""
    near = min(4, len(points))
    parts = [torch.cdist(part, points).topk(near, largest=False).values for part in points.split(chunk)]
    return torch.cat(parts)[:, 1:].mean(dim=1) if near > 1 else torch.ones(len(points))


def _colors(
    points: Tensor, hull: VisualHull, images: Tensor, cameras: Cameras, seen: Tensor | None
) -> Tensor:
    """Average the views' colours (K, 3) where a point is seen and not hidden; else over all views."""
    total, weight = torch.zeros(len(points), 3), torch.zeros(len(points), 1)
    for view in range(len(cameras)):
        pixels, depths = project_points(points, cameras, view)
        visible = depths < _nearest_depths(hull, cameras, view, pixels) + 2.5 * hull.cell
        if seen is not None:
            visible &= sample_pixels(seen[view].float(), pixels)[:, 0] > 0.5
        share = visible.float()[:, None] + 1e-3
        total += share * sample_pixels(images[view], pixels)
        weight += share
    return total / weight


def _nearest_depths(hull: VisualHull, cameras: Cameras, view: int, pixels: Tensor) -> Tensor:
    """Return the depth (K,) of the nearest hull cell behind each of the pixels (K, 2)."""
    size = torch.tensor([cameras.width, cameras.height])
    cells = GRID // 2

    def flat(at: Tensor) -> Tensor:
        columns, rows = (at / size * cells).long().clamp(0, cells - 1).unbind(1)
        return rows * cells + columns

    at, depths = project_points(hull.centres, cameras, view)
    buffer = torch.full((cells * cells,), torch.inf).scatter_reduce(0, flat(at), depths, "amin")
    return buffer[flat(pixels)]
