"""What the reconstruction has to explain: the image matrix, prepared once."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.image_matrix import ImageMatrix
from diffusion2.reconstruction.masks import estimate_alphas

_MARGIN = 8
"""Pixels around everything that is ever seen which are rendered too, so that strays are noticed."""


@dataclass(frozen=True)
class Targets:
    """The pictures of the matrix, cut to where the object ever is, and their cameras.

    Attributes:
        images: (V, F, H, W, 3) in [0, 1] on white.
        alphas: (V, F, H, W, 1) in [0, 1].
        known: (V, F, H, W, 1), 1 where the alphas are trusted, else 0.
        viewmats: (V, 4, 4) float32.
        Ks: (V, 3, 3) float32, of the cut pictures.
        times: (F,) in [0, 1].
        reference_frame: index of the reference frame.
        weights: (V, F) in (0, 1], how much a cell may shape the canonical Gaussians; see `closeness`.
    """

    images: Tensor
    alphas: Tensor
    known: Tensor
    viewmats: Tensor
    Ks: Tensor
    times: Tensor
    reference_frame: int
    weights: Tensor

    @property
    def views(self) -> int:
        """Give the number of views, V."""
        return self.images.shape[0]

    @property
    def frames(self) -> int:
        """Give the number of frames, F."""
        return self.images.shape[1]


def prepare_targets(matrix: ImageMatrix, weight_floor: float) -> Targets:
    """Find the object in every picture and cut the pictures to it.

    Raises:
        InputError: when values aren't finite, or all pictures are white.
    """
    if not bool(torch.isfinite(matrix.images).all()):
        raise InputError("the image matrix holds values that are not finite")
    alphas, known = find_alphas(matrix)
    if not bool((alphas > 0.5).any()):
        raise InputError("every picture of the image matrix is white: there is no object to build")
    top, bottom, left, right = _bounds(alphas.amax(dim=(0, 1, 2)))

    def cut(pictures: Tensor) -> Tensor:
        return pictures[..., top:bottom, left:right].permute(0, 1, 3, 4, 2).contiguous()

    Ks = torch.as_tensor(matrix.cameras.Ks, dtype=torch.float32)
    Ks[:, 0, 2] -= left
    Ks[:, 1, 2] -= top
    return Targets(
        images=cut(matrix.images.float().clamp(0, 1)),
        alphas=cut(alphas),
        known=cut(known),
        viewmats=torch.as_tensor(matrix.cameras.viewmats, dtype=torch.float32),
        Ks=Ks,
        times=matrix.times.float(),
        reference_frame=matrix.reference_frame,
        weights=closeness(matrix, weight_floor),
    )


def closeness(matrix: ImageMatrix, floor: float) -> Tensor:
    """Give how near every cell (V, F) is to the reference view and the reference frame, in [floor, 1].

    Section 3.4: the loss scale of the canonical Gaussians falls away from the references, where stage 1
    loses texture. The paper gives no formula. Ours is 1 on the reference row and column, since both
    are sharp, and falls as a cosine with the smaller of the two distances: the angle to the reference view
    (the last one) and the share of the sequence between a frame and the reference frame.
    """
    azimuths = torch.as_tensor(matrix.cameras.azimuths_deg, dtype=torch.float32)
    angles = torch.remainder(azimuths - azimuths[-1] + 180, 360).sub(180).abs() / 180
    times = matrix.times.float()
    distance = torch.minimum(
        angles[:, None], (times - times[matrix.reference_frame]).abs().clamp(max=1)[None]
    )
    return floor + (1 - floor) * 0.5 * (1 + torch.cos(math.pi * distance))


def find_alphas(matrix: ImageMatrix) -> tuple[Tensor, Tensor]:
    """Give alphas (V, F, 1, H, W) in [0, 1], and 1 where they are trusted, else 0."""
    if matrix.alphas is not None:
        alphas = matrix.alphas.float().clamp(0, 1)
        return alphas, torch.ones_like(alphas)
    estimated = estimate_alphas(matrix.images.flatten(0, 1).float().clamp(0, 1))
    alphas, known = (part.unflatten(0, matrix.images.shape[:2]) for part in estimated)
    return alphas, known


def reference_column(matrix: ImageMatrix) -> tuple[Tensor, Tensor]:
    """Give pictures (V, 3, H, W) and masks (V, 1, H, W) at the reference time."""
    images = matrix.images[:, matrix.reference_frame].float().clamp(0, 1)
    if matrix.alphas is not None:
        return images, matrix.alphas[:, matrix.reference_frame].float()
    return images, estimate_alphas(images)[0]


def _bounds(mask: Tensor) -> tuple[int, int, int, int]:
    """Give top, bottom, left, right of the foreground of (H, W) with a margin, inside the picture."""
    near = F.max_pool2d(mask[None], 2 * _MARGIN + 1, stride=1, padding=_MARGIN)[0] > 0.5
    rows, columns = near.any(dim=1).nonzero()[:, 0], near.any(dim=0).nonzero()[:, 0]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
