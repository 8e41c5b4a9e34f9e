"""How an asset is shown unless asked otherwise: its reference camera and its own speed."""

import torch

from diffusion2.cameras import (
    DEFAULT_ELEVATION_DEG,
    DEFAULT_FOV_DEG,
    DEFAULT_RADIUS,
    Cameras,
    make_cameras,
)
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import frame_times

DEFAULT_FPS = 8.0
DEFAULT_FRAMES = 12


def frames(asset: Asset4D) -> int:
    """Give the number of frames the asset was made from."""
    return int(asset.metadata.get("frames", DEFAULT_FRAMES))


def duration(asset: Asset4D) -> float:
    """Give the seconds from time 0 to time 1, by the asset's own frame rate."""
    return max(frames(asset) - 1, 1) / float(asset.metadata.get("fps", DEFAULT_FPS))


def is_loop(asset: Asset4D) -> bool:
    """Say whether the object ends about where it begins, as walking does, and can go round and round.

    That is where its points move no more from the last frame to the first than twice from frame to frame.
    """
    if asset.deformation is None or frames(asset) < 3:
        return False
    points = asset.gaussians.select(torch.arange(0, len(asset.gaussians), 1 + len(asset.gaussians) // 2000))
    with torch.no_grad():
        means, _ = Asset4D(points, asset.deformation).move(frame_times(frames(asset)))
    steps = (means - means.roll(1, dims=0)).norm(dim=-1).mean(dim=-1)
    return bool(steps[0] <= 2 * steps[1:].mean())


def reference_cameras(asset: Asset4D, azimuths_deg: list[float], height: int, width: int) -> Cameras:
    """Make cameras at these azimuths, otherwise like the asset's reference camera."""
    return make_cameras(
        azimuths_deg,
        float(asset.metadata.get("elevation_deg", DEFAULT_ELEVATION_DEG)),
        radius=float(asset.metadata.get("radius", DEFAULT_RADIUS)),
        fov_deg=float(asset.metadata.get("fov_deg", DEFAULT_FOV_DEG)),
        height=height,
        width=width,
    )
