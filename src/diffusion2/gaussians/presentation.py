"""How an asset is shown unless asked otherwise."""

import math

import torch

from diffusion2.gaussians.asset import Asset4D
from diffusion2.image_matrix import frame_times

_FILLED = 0.9
_MOMENTS_LOOKED_AT = 9


def is_loop(asset: Asset4D) -> bool:
    """Say whether the object ends about where it begins, as walking does, and can go round and round.

    That is where its points move no more from the last frame to the first than twice from frame to frame.
    """
    frames = asset.metadata.frames
    if asset.deformation is None or frames < 3:
        return False
    means = _some_means(asset, frame_times(frames))
    steps = (means - means.roll(1, dims=0)).norm(dim=-1).mean(dim=-1)
    return bool(steps[0] <= 2 * steps[1:].mean())


def filling_fov_deg(asset: Asset4D) -> float:
    """At which field of view the reference camera sees the object as large as may be.

    Then 0.9 of the picture's side is filled by the ball round the origin that holds all points but the
    farthest 1%, at any time: what moves or is turned stays in the picture. An asset that is empty or reaches
    to the camera is seen as the reference camera sees it.
    """
    reference = asset.metadata.fov_deg
    if not len(asset.gaussians):
        return reference
    times = torch.linspace(0, 1, _MOMENTS_LOOKED_AT) if asset.deformation is not None else torch.zeros(1)
    distances = _some_means(asset, times).norm(dim=-1).flatten()
    share = float(distances.quantile(0.99)) / asset.metadata.radius
    if not 0 < share < 0.9:
        return reference
    return math.degrees(2 * math.atan(math.tan(math.asin(share)) / _FILLED))


def _some_means(asset: Asset4D, times: torch.Tensor) -> torch.Tensor:
    """Where about 2,000 of the points are at (T,) times: (T, N, 3)."""
    count = len(asset.gaussians)
    points = asset.gaussians.select(torch.arange(0, count, 1 + count // 2000))
    with torch.no_grad():
        return Asset4D(points, asset.deformation).move(times).means
