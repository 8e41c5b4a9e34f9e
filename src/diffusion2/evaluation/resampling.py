"""Parts of a matrix, and matrices at another size."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.image_matrix import ImageMatrix

SAME_AZIMUTH_DEG = 1.0
"""Views this close count as one: orbits are written with rounded angles."""


def take(
    matrix: ImageMatrix, views: Sequence[int] | None = None, frames: Sequence[int] | None = None
) -> ImageMatrix:
    """Give some views and frames of a matrix, in the order asked for; None for all."""
    rows = list(range(matrix.views) if views is None else views)
    columns = list(range(matrix.frames) if frames is None else frames)
    alphas = None if matrix.alphas is None else matrix.alphas[rows][:, columns]
    cameras = take_cameras(matrix.cameras, rows)
    return ImageMatrix(matrix.images[rows][:, columns], cameras, matrix.times[columns], matrix.fps, alphas)


def take_cameras(cameras: Cameras, views: list[int]) -> Cameras:
    """Give some of the cameras, in the order asked for."""
    return replace(
        cameras,
        azimuths_deg=cameras.azimuths_deg[views],
        elevations_deg=cameras.elevations_deg[views],
        radii=cameras.radii[views],
    )


def resize(matrix: ImageMatrix, height: int, width: int) -> ImageMatrix:
    """Stretch all pictures to another size, bicubic with antialiasing as Pillow's."""
    if matrix.images.shape[-2:] == (height, width):
        return matrix
    cameras = replace(matrix.cameras, height=height, width=width)
    alphas = None if matrix.alphas is None else _resize(matrix.alphas, height, width)
    images = _resize(matrix.images, height, width)
    return ImageMatrix(images, cameras, matrix.times, matrix.fps, alphas)


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


def azimuths_apart(azimuths_deg: np.ndarray | float, others_deg: np.ndarray | float) -> np.ndarray:
    """Give the angles between azimuths, 0 to 180 degrees."""
    return np.abs((np.asarray(azimuths_deg) - np.asarray(others_deg) + 180) % 360 - 180)


def _resize(pictures: Tensor, height: int, width: int) -> Tensor:
    flat = pictures.flatten(0, 1)
    parts = [
        F.interpolate(part, (height, width), mode="bicubic", antialias=True).clamp(0, 1)
        for part in flat.split(16)
    ]
    return torch.cat(parts).unflatten(0, pictures.shape[:2])
