"""What the lifter shows of a picture from the cameras of an orbit, as a multi-view network is told of it.

SV3D has to find out from the picture at which depth the object is. The lifter has found that, and where
nothing is: the mini pair's network is left to make sharp what it blurs, and to make up what it can't know.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.gaussians import Gaussians
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.lifting import draw_gaussians, lift_pictures

DEPTHS_ALONG = 2
"""Depths of a latent along a side."""
DEPTH_CHANNELS = DEPTHS_ALONG**2
DEPTH_REACH = 0.5
"""Depth behind the object's middle, world units, that counts as 1: objects are about twice as deep."""

Encode = Callable[[Tensor], Tensor]
"""Pictures (N, 4, H, W), RGB on white and alpha, to latents (N, C, h, w)."""


def sees_lifted(config: Any) -> bool:
    """Tell whether a network of this configuration takes noisy latents, the picture's, and `lifted_views`."""
    return config["in_channels"] == lifted_channels(config["out_channels"])


def lifted_channels(channels: int) -> int:
    """Count what a multi-view network takes that sees `lifted_views`, with latents of so many channels."""
    return 3 * channels + DEPTH_CHANNELS


@torch.no_grad()
def lifted_views(lifter: Lifter, encode: Encode, pictures: Tensor, cameras: Cameras) -> Tensor:
    """Lift pictures to Gaussians, draw these from the cameras of an orbit, and encode the drawings.

    Args:
        lifter: the network.
        encode: see `Encode`.
        pictures: (N, 4, H, W) RGB on white and alpha, seen from the last camera. One may show nothing.
        cameras: V of them, for pictures of this size.

    Returns:
        (N, V, C + DEPTH_CHANNELS, h, w) float32: latents of the drawings with their alpha; then the depth
        behind the object's middle, times alpha, in `DEPTH_REACH`. Zero is what is empty.
    """
    own = replace(cameras, azimuths_deg=cameras.azimuths_deg - cameras.azimuths_deg[-1])
    lifted = lift_pictures(lifter, pictures, float(cameras.elevations_deg[-1]))
    return torch.stack([_encode_drawing(gaussians, encode, own) for gaussians in lifted])


def guess_orbits(lifter: Lifter, encode: Encode, pictures: Tensor, cameras: Cameras) -> Tensor:
    """Guess the latents (N, V, C, h, w) of orbits to be those of the drawings; see `lifted_views`.

    Pictures (N, P, H, W) and what is encoded have alpha, or both have none.
    """
    channels = pictures.shape[1]
    views = lifted_views(lifter, lambda drawn: encode(drawn[:, :channels]), pictures, cameras)
    return views[:, :, :-DEPTH_CHANNELS]


def with_lifted(latents: Tensor, lifted: Tensor) -> Tensor:
    """Join the latents (N, C, h, w) of pictures and their `lifted_views`, as a network is shown both."""
    return torch.cat([latents[:, None].expand(-1, lifted.shape[1], -1, -1, -1), lifted], dim=2)


def _encode_drawing(gaussians: Gaussians | None, encode: Encode, cameras: Cameras) -> Tensor:
    """Encode the drawings from V cameras: (V, C + DEPTH_CHANNELS, h, w)."""
    if gaussians is None:
        empty = torch.tensor([1.0, 1, 1, 0]).view(1, 4, 1, 1)
        latents = encode(empty.expand(len(cameras), 4, cameras.height, cameras.width))
        return F.pad(latents, (0, 0, 0, 0, 0, DEPTH_CHANNELS))
    drawing = draw_gaussians(gaussians, cameras, torch.ones(3))
    pictures = torch.cat([drawing.rgb, drawing.alpha], -1).movedim(-1, 1).clamp(0, 1)
    latents = encode(pictures)
    radii = torch.as_tensor(cameras.radii, dtype=torch.float32).view(-1, 1, 1, 1)
    behind = ((drawing.depth - radii * drawing.alpha) / DEPTH_REACH).movedim(-1, 1)
    height, width = latents.shape[-2:]
    coarse = F.adaptive_avg_pool2d(behind, (DEPTHS_ALONG * height, DEPTHS_ALONG * width))
    return torch.cat([latents, F.pixel_unshuffle(coarse, DEPTHS_ALONG)], 1)
