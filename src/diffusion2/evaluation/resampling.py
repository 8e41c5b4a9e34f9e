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
    return replace(matrix, images=_resize(matrix.images, height, width), cameras=cameras, alphas=alphas)


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
    azimuths_deg: np.ndarray, others_deg: np.ndarray, tolerance_deg: float
) -> list[tuple[int, int]]:
    """Pair views at the same azimuth: (index into the first, index into the second), each used once."""
    pairs, free = [], list(range(len(others_deg)))
    for k, azimuth in enumerate(azimuths_deg):
        apart = [float(azimuths_apart(azimuth, others_deg[other])) for other in free]
        if apart and min(apart) <= tolerance_deg:
            pairs.append((k, free.pop(apart.index(min(apart)))))
    return pairs


def _resize(pictures: Tensor, height: int, width: int) -> Tensor:
    flat = pictures.flatten(0, 1)
    parts = [
        F.interpolate(part, (height, width), mode="bicubic", antialias=True).clamp(0, 1)
        for part in flat.split(16)
    ]
    return torch.cat(parts).unflatten(0, pictures.shape[:2])
