"""Pictures of an asset: any cameras, any times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.errors import InputError
from diffusion2.gaussians.asset import Asset4D
from diffusion2.image_matrix import ImageMatrix

if TYPE_CHECKING:
    from diffusion2.gaussians.rasterize import Rendering


def render(
    asset: Asset4D,
    cameras: Cameras,
    time: float | Sequence[float] | Tensor = 0.0,
    background: float | Sequence[float] = 1.0,
    *,
    backend: str = "auto",
) -> Rendering:
    """Render an asset; no gradients (`rasterize` has them).

    Args:
        asset: what to show.
        cameras: C cameras.
        time: in [0, 1], one for all cameras or one for each.
        background: grey value or RGB in [0, 1].
        backend: which rasteriser, see `rasterize`.

    Returns:
        rgb (C, H, W, 3) with the background blended in, alpha (C, H, W, 1) and depth (C, H, W, 1).

    Raises:
        InputError: when a time lies outside [0, 1], or there are neither one nor C of them.
    """
    from diffusion2.gaussians.rasterize import rasterize

    count = len(cameras)
    times = torch.as_tensor(time, dtype=torch.float32).reshape(-1)
    if len(times) not in {1, count}:
        raise InputError(f"give one time or one for each of the {count} cameras, not {len(times)}")
    colour = torch.as_tensor(background, dtype=torch.float32).reshape(-1)
    if len(colour) not in {1, 3}:
        raise InputError(f"a background is a grey value or RGB, not {len(colour)} numbers")
    still = asset.gaussians
    with torch.no_grad():
        moments, of_camera = times.unique(return_inverse=True)
        posed = asset.move(moments).pick(0 if len(moments) == 1 else of_camera)
        viewmats = torch.as_tensor(cameras.viewmats, dtype=torch.float32)
        return rasterize(
            posed.means,
            posed.quats,
            posed.scales(still.log_scales),
            still.opacities,
            still.colors_seen(posed.means, viewmats),
            viewmats,
            torch.as_tensor(cameras.Ks, dtype=torch.float32),
            cameras.width,
            cameras.height,
            backgrounds=colour.expand(3).expand(count, 3),
            backend=backend,
        )


def render_matrix(asset: Asset4D, matrix: ImageMatrix) -> ImageMatrix:
    """Render an asset where a matrix's pictures were taken; with alphas, and otherwise like that matrix."""
    columns = [render(asset, matrix.cameras, float(time)) for time in matrix.times]
    images = torch.stack([column.rgb for column in columns], dim=1).clamp(0, 1).movedim(-1, -3)
    alphas = torch.stack([column.alpha for column in columns], dim=1).clamp(0, 1).movedim(-1, -3)
    return replace(matrix, images=images, alphas=alphas)
