"""How an asset is shown unless asked otherwise."""

import torch

from diffusion2.gaussians.asset import Asset4D
from diffusion2.image_matrix import frame_times


def is_loop(asset: Asset4D) -> bool:
    """Say whether the object ends about where it begins, as walking does, and can go round and round.

    That is where its points move no more from the last frame to the first than twice from frame to frame.
    """
    frames = asset.metadata.frames
    if asset.deformation is None or frames < 3:
        return False
    points = asset.gaussians.select(torch.arange(0, len(asset.gaussians), 1 + len(asset.gaussians) // 2000))
    with torch.no_grad():
        means = Asset4D(points, asset.deformation).move(frame_times(frames)).means
    steps = (means - means.roll(1, dims=0)).norm(dim=-1).mean(dim=-1)
    return bool(steps[0] <= 2 * steps[1:].mean())
