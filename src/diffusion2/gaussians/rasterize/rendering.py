"""What a rasteriser takes and gives back, and the constants all back ends share."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

COVARIANCE_BLUR = 0.1
"""Added to the diagonal of every projected covariance, in px² (gsplat's `eps2d`). That of Yu et al. (2024),
about the variance of a pixel's square, so that outlines are as sharp as in pictures that average over their
pixels. The usual 0.3 is softer, and cost 1 dB at 128 px."""

MAX_ALPHA = 0.999
"""The largest opacity that one Gaussian can have at a pixel."""

MIN_ALPHA = 1.0 / 255.0
"""A Gaussian is skipped at the pixels where its opacity is below this."""

MIN_TRANSMITTANCE = 1e-4
"""A pixel is finished before the Gaussian that would take its transmittance to this or below."""

JACOBIAN_MARGIN = 0.15
"""The projection is linearised no further outside the picture than this share of its size."""


class GaussianTensors(NamedTuple):
    """The Gaussians to draw; each may have a leading dimension C. See `rasterize`."""

    means: torch.Tensor
    quats: torch.Tensor
    scales: torch.Tensor
    opacities: torch.Tensor
    colors: torch.Tensor


GAUSSIAN_SHAPES = ((3,), (4,), (3,), (), (3,))
"""What follows N in the shape of each of `GaussianTensors`."""


class Views(NamedTuple):
    """The C cameras to draw with. See `rasterize`."""

    viewmats: torch.Tensor
    Ks: torch.Tensor
    width: int
    height: int
    backgrounds: torch.Tensor | None
    near_plane: float
    antialiased: bool


@dataclass(frozen=True)
class Rendering:
    """C pictures of Gaussians.

    Attributes:
        rgb: (C, H, W, 3) colours with the background blended in.
        alpha: (C, H, W, 1) in [0, 1], the opacity of the foreground.
        depth: (C, H, W, 1) accumulated depth: the sum over Gaussians of blending weight times
            camera z, in world units. The expected depth is `depth / alpha`.
    """

    rgb: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor
