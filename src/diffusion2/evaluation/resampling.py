"""Matrices at another size, and which views and frames of two matrices belong together."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import azimuths_apart
from diffusion2.image_matrix import ImageMatrix

SAME_AZIMUTH_DEG = 1.0
"""Views this close count as one: orbits are written with rounded angles."""


def resize(matrix: ImageMatrix, height: int, width: int) -> ImageMatrix:
    """Stretch all pictures to another size, bicubic with antialiasing as Pillow's."""
    if matrix.images.shape[-2:] == (height, width):
        return matrix
    cameras = replace(matrix.cameras, height=height, width=width)
    alphas = None if matrix.alphas is None else _resize(matrix.alphas, height, width)
    seen = matrix.seen
    if seen is not None:
        seen = F.interpolate(seen.float(), (height, width), mode="area") > 0.999
    images = _resize(matrix.images, height, width)
    return replace(matrix, images=images, cameras=cameras, alphas=alphas, seen=seen)


def nearest_times(times: Tensor, others: Tensor) -> tuple[list[int], list[int], float]:
    """Pair the frames of two sequences by time: each of the shorter one with the nearest of the other.

    Returns:
        indices into `times`, indices into `others`, and how far the worst pair is apart.
    """
    if len(times) > len(others):
        second, first, apart = nearest_times(others, times)
        return first, second, apart
    distances = (times[:, None] - others[None]).abs()
    apart, nearest = distances.min(dim=1)
    return list(range(len(times))), nearest.tolist(), float(apart.max())


def match_azimuths(
    azimuths_deg: np.ndarray,
    others_deg: np.ndarray,
    tolerance_deg: float,
    elevations_deg: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[tuple[int, int]]:
    """Pair views at the same azimuth: (index into the first, index into the second), each used once.

    Of several, the one of the nearest elevation is taken where elevations of both are given.
    """
    pairs, free = [], list(range(len(others_deg)))
    for k, azimuth in enumerate(azimuths_deg):
        apart = {other: float(azimuths_apart(azimuth, others_deg[other])) for other in free}
        near = [other for other in free if apart[other] <= tolerance_deg]
        if not near:
            continue
        if elevations_deg is not None:
            ours, theirs = elevations_deg
            lifted = {other: abs(float(ours[k] - theirs[other])) for other in near}
            near = [other for other in near if lifted[other] <= min(lifted.values()) + tolerance_deg]
        best = min(near, key=lambda other: apart[other])
        free.remove(best)
        pairs.append((k, best))
    return pairs


def _resize(pictures: Tensor, height: int, width: int) -> Tensor:
    flat = pictures.flatten(0, 1)
    parts = [
        F.interpolate(part, (height, width), mode="bicubic", antialias=True).clamp(0, 1)
        for part in flat.split(16)
    ]
    return torch.cat(parts).unflatten(0, pictures.shape[:2])
