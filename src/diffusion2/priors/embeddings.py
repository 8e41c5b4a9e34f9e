"""Added vectors: what a network is conditioned on beside a picture."""

import math

import torch
from torch import Tensor


def sinusoids(values: Tensor, width: int) -> Tensor:
    """Embed numbers as cosines, then sines, of `width / 2` frequencies from 1 down to 1/10000.

    Args:
        values: of any shape.
        width: even.

    Returns:
        float32 of the shape of values, and `width` behind it.
    """
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angles = values.to(torch.float32)[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def video_vector(fps_id: float, motion_bucket_id: float, cond_aug: float, width: int = 256) -> Tensor:
    """Return SVD's added vector, one for all frames.

    Args:
        fps_id: frames per second; released value 24 (not fps - 1).
        motion_bucket_id: amount of motion, 0 to 255; released value 127.
        cond_aug: standard deviation of the noise on the condition picture; released value 0.02.
        width: numbers per value, 256 in the released network.

    Returns:
        (1, 3·width) float32
    """
    return sinusoids(torch.tensor([fps_id, motion_bucket_id, cond_aug]), width).reshape(1, -1)


def orbit_vector(polars_rad: Tensor, azimuths_rad: Tensor, cond_aug: float, width: int = 256) -> Tensor:
    """Return SV3D's added vectors, one per view.

    Args:
        polars_rad: (V,) angle from the vertical, π/2 - elevation.
        azimuths_rad: (V,) azimuth from the reference view, `2π(k + 1)/V` for view k; whole turns don't count.
        cond_aug: standard deviation of the noise on the condition picture; released value 1e-5.
        width: numbers for cond_aug, 256 in the released network; each angle has twice as many.

    Returns:
        (V, 5·width) float32: cond_aug, polar, azimuth.
    """
    noise = sinusoids(torch.full((len(polars_rad),), cond_aug), width)
    azimuths = _within_a_turn(azimuths_rad)
    return torch.cat([noise, sinusoids(polars_rad, 2 * width), sinusoids(azimuths, 2 * width)], dim=1)


def _within_a_turn(azimuths_rad: Tensor) -> Tensor:
    """Take whole turns off, to angles above 0 and up to 2π: the reference view's is 2π, as in the release.

    The sinusoids are of a number, and not of an angle: their slower ones know -90° from 270°. Networks have
    seen this turn only. Angles that lie in it stay as they are, to the bit.
    """
    # A little is taken off before rounding up: 2π may have been rounded to above itself, as in float32.
    turns = torch.ceil(azimuths_rad / (2 * math.pi) - 1e-6) - 1
    return torch.where(turns == 0, azimuths_rad, azimuths_rad - 2 * math.pi * turns)
