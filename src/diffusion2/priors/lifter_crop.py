"""The part of a picture that the lifter looks at: the object, as large as its lattice allows.

Objects take a small part of the frame where it has to hold a motion or other sides, too. The Gaussians are as
fine as what is seen of them, and legs are several pixels wide.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

FILLED = 0.9
"""Of a crop, by the object's longer side."""
SMALLEST_SIDE = 0.2
"""Of a crop, in sides of the picture: below it, larger is only more blurred."""
INSIDE = 0.2
"""Least opacity that counts as the object, of the largest one."""


class Crop(NamedTuple):
    """A square part of a square picture; it may reach over the edge, where nothing is.

    Attributes:
        side: its length, in sides of the picture, at most 1.
        across: its centre, from -1 at the picture's left edge to 1 at the right one.
        down: the same from top to bottom.
    """

    side: float
    across: float
    down: float


def find_crop(alpha: Tensor) -> Crop:
    """Crop a picture to its object; alpha is (S, S) in [0, 1]. All of the picture, where it is empty."""
    size = alpha.shape[-1]
    rows, columns = torch.nonzero(alpha > INSIDE * alpha.max(), as_tuple=True)
    if not len(rows):
        return Crop(1.0, 0.0, 0.0)
    (top, bottom), (left, right) = ((int(x.min()), int(x.max()) + 1) for x in (rows, columns))
    side = max(bottom - top, right - left) / size / FILLED
    return Crop(min(max(side, SMALLEST_SIDE), 1.0), (left + right) / size - 1, (top + bottom) / size - 1)


def crop_coordinates(crop: Crop, points: int) -> tuple[Tensor, Tensor]:
    """Find the places across and down, (N,) in [-1, 1] of the picture, of a lattice of N × N points."""
    line = ((torch.arange(points) + 0.5) / points * 2 - 1) * crop.side
    return line + crop.across, line + crop.down


def crop_picture(picture: Tensor, crop: Crop) -> Tensor:
    """Cut a picture (C, S, S), empty where it is 0, to the size it had: (C, S, S)."""
    across, down = crop_coordinates(crop, picture.shape[-1])
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1).to(picture)
    return F.grid_sample(picture[None], grid[None], mode="bilinear", align_corners=False)[0]


def crop_object(picture: Tensor, crop: Crop) -> Tensor:
    """Cut a picture (4, S, S), straight RGB and alpha, to the size it had."""
    rgb, alpha = crop_picture(torch.cat([picture[:3] * picture[3:], picture[3:]]), crop).split([3, 1])
    return torch.cat([(rgb / alpha.clamp(min=1e-3)).clamp(0, 1), alpha])
