"""The Gaussians of an asset at given moments as ellipsoids, as viewers and file formats take them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from diffusion2.gaussians.asset import Asset4D
from diffusion2.quaternions import rotation_matrices

_CHUNK = 4
"""Moments for which the deformation is evaluated together: it is faster so, and needs more memory."""


@dataclass(frozen=True)
class Splats:
    """The Gaussians of an asset at one moment.

    Attributes:
        means: (N, 3) float32.
        covariances: (N, 3, 3) float32.
        colors: (N, 3) RGB in [0, 1].
        opacities: (N, 1) in [0, 1].
    """

    means: Tensor
    covariances: Tensor
    colors: Tensor
    opacities: Tensor

    def towards(self, other: "Splats", share: float) -> "Splats":
        """The same Gaussians on the straight way to another moment, 0 to 1."""
        means = self.means.lerp(other.means, share)
        return replace(self, means=means, covariances=self.covariances.lerp(other.covariances, share))


def splats_over(asset: Asset4D, times: Tensor) -> Iterator[Splats]:
    """Yield the splats at each of (T,) times in [0, 1].

    Raises:
        InputError: when a time lies outside [0, 1].
    """
    still = asset.gaussians
    colors, opacities = still.colors, still.opacities[:, None]
    for chunk in times.split(_CHUNK):
        with torch.no_grad():
            posed = asset.move(chunk)
            scales = posed.scales(still.log_scales).expand_as(posed.means)
        for means, quats, sizes in zip(posed.means, posed.quats, scales, strict=True):
            yield Splats(means, covariances(quats, sizes), colors, opacities)


def splats_at(asset: Asset4D, time: float) -> Splats:
    """The splats at a time in [0, 1]."""
    return next(splats_over(asset, torch.tensor([time])))


def covariances(quats: Tensor, scales: Tensor) -> Tensor:
    """The covariances (N, 3, 3), R diag(s²) Rᵀ, of rotations (N, 4) wxyz and scales (N, 3)."""
    axes = rotation_matrices(quats) * scales[:, None, :]
    return axes @ axes.transpose(1, 2)
