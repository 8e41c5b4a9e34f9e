"""How an asset is shown unless asked otherwise: its reference camera and its own speed.

Both come from the asset's metadata, which another program may have written: a value that makes no sense
raises `AssetFormatError`, one that is missing has a default.
"""

import torch

from diffusion2.cameras import (
    DEFAULT_ELEVATION_DEG,
    DEFAULT_FOV_DEG,
    DEFAULT_RADIUS,
    Cameras,
    make_cameras,
)
from diffusion2.errors import AssetFormatError
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import frame_times

DEFAULT_FPS = 8.0
DEFAULT_FRAMES = 12


def frames(asset: Asset4D) -> int:
    """Give the number of frames the asset was made from."""
    return int(_number(asset, "frames", DEFAULT_FRAMES, 1, 100_000))


def duration(asset: Asset4D) -> float:
    """Give the seconds from time 0 to time 1, by the asset's own frame rate."""
    return max(frames(asset) - 1, 1) / _number(asset, "fps", DEFAULT_FPS, 1e-3, 1e4)


def is_loop(asset: Asset4D) -> bool:
    """Say whether the object ends about where it begins, as walking does, and can go round and round.

    That is where its points move no more from the last frame to the first than twice from frame to frame.
    """
    if asset.deformation is None or frames(asset) < 3:
        return False
    points = asset.gaussians.select(torch.arange(0, len(asset.gaussians), 1 + len(asset.gaussians) // 2000))
    with torch.no_grad():
        means = Asset4D(points, asset.deformation).move(frame_times(frames(asset))).means
    steps = (means - means.roll(1, dims=0)).norm(dim=-1).mean(dim=-1)
    return bool(steps[0] <= 2 * steps[1:].mean())


def reference_cameras(asset: Asset4D, azimuths_deg: list[float], height: int, width: int) -> Cameras:
    """Make cameras at these azimuths, otherwise like the asset's reference camera."""
    return make_cameras(
        azimuths_deg,
        _number(asset, "elevation_deg", DEFAULT_ELEVATION_DEG, -90, 90),
        radius=_number(asset, "radius", DEFAULT_RADIUS, 1e-3, 1e6),
        fov_deg=_number(asset, "fov_deg", DEFAULT_FOV_DEG, 0.1, 179),
        height=height,
        width=width,
    )


def _number(asset: Asset4D, name: str, default: float, low: float, high: float) -> float:
    value = asset.metadata.get(name, default)
    if not isinstance(value, int | float) or not low <= value <= high:
        raise AssetFormatError(f"the asset's metadata says {name} {value!r}: expected {low:g} to {high:g}")
    return float(value)
