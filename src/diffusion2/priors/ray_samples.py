"""What the reference picture shows along the rays of another view's pixels.

A view that is to be made sees the object from elsewhere: what its pixel shows lies, in the reference
picture, somewhere on a line. The released SV3D has to find out where from the reference picture alone; the
mini pair's network gets samples along that line, as in pixelNeRF (Yu et al., 2021, section 4.1), with the
geometry of the cameras that it is conditioned on anyway.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras

DEPTHS = 8
"""Samples on a ray, evenly from the front of the object's surroundings to their back."""
REACH = 0.9
"""How far before and behind the object's middle samples lie, in half heights of the picture there."""


def sampled_channels(config: Any) -> int:
    """Return the number of the picture's first channels that a network of this configuration sees along rays.

    0 for the released network, which takes noisy latents and the picture's, and nothing else.
    """
    return (config["in_channels"] - 2 * config["out_channels"]) // DEPTHS


def with_ray_samples(latents: Tensor, cameras: Cameras, channels: int) -> Tensor:
    """Return what a multi-view network is shown of pictures, all of it in front of the samples along rays.

    Args:
        latents: (N, C, h, w) of the pictures, seen from the last camera.
        cameras: V of them.
        channels: how many of the C are sampled.

    Returns:
        (N, V, C + channels·DEPTHS, h, w), or (N, 1, C, h, w) where none are sampled.
    """
    pictures = latents[:, None]
    if channels == 0:
        return pictures
    samples = ray_samples(latents[:, :channels], cameras)
    return torch.cat([pictures.expand(-1, len(cameras), -1, -1, -1), samples], dim=2)


def ray_samples(latents: Tensor, cameras: Cameras) -> Tensor:
    """Sample pictures, seen from the last camera, along the rays of all cameras.

    Args:
        latents: (N, C, h, w) of the pictures.
        cameras: V of them, which see the same part of the world.

    Returns:
        (N, V, C·DEPTHS, h, w): of each pixel's ray the samples from front to back, C after C; zeros where the
        picture does not reach.
    """
    count, channels, height, width = latents.shape
    grid = _places(cameras, height, width)
    samples = [
        F.grid_sample(
            latents, view.to(latents).expand(count, -1, -1, -1), padding_mode="zeros", align_corners=False
        )
        for view in grid.flatten(1, 2)
    ]
    stacked = torch.stack(samples, 1).view(count, len(cameras), channels, DEPTHS, height, width)
    return stacked.flatten(2, 3)


def _places(cameras: Cameras, height: int, width: int) -> Tensor:
    """Return where samples lie in the last camera's picture, (V, DEPTHS, h, w, 2) as x, y in [-1, 1]."""
    half = np.tan(np.deg2rad(cameras.fov_deg) / 2)
    rows = ((np.arange(height) + 0.5) / height * 2 - 1) * half
    columns = ((np.arange(width) + 0.5) / width * 2 - 1) * half * width / height
    x, y = np.meshgrid(columns, rows)
    viewmats = cameras.viewmats
    # rays of depth 1 in the world: rotations are orthogonal, so their transposes lead back
    rays = np.einsum("hwj,vji->vhwi", np.stack([x, y, np.ones_like(x)], -1), viewmats[:, :3, :3])
    depths = cameras.radii[:, None] * (1 + half * REACH * np.linspace(-1, 1, DEPTHS))
    points = cameras.positions[:, None, None, None] + depths[..., None, None, None] * rays[:, None]
    seen = points @ viewmats[-1, :3, :3].T + viewmats[-1, :3, 3]
    places = seen[..., :2] / seen[..., 2:] / half / [width / height, 1]
    return torch.from_numpy(places).float()
