"""Classifier-free guidance with a scale per image, as SVD and SV3D use it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.config import check_range


def constant_scale(length: int, scale: float) -> Tensor:
    """Take the same scale for each of `length` images, (length,)."""
    return torch.full((length,), float(scale))


def linear_scale(length: int, first: float, last: float) -> Tensor:
    """Make scales that grow from the first to the last image, (length,): SVD's 1.5 to 3."""
    return torch.linspace(first, last, length)


def triangle_scale(length: int, low: float, high: float) -> Tensor:
    """Make scales that rise to the middle of an orbit and fall again, (length,): SV3D's 1, 2.5, 1."""
    rise = 1 - (2 * torch.linspace(0, 1, length) - 1).abs()
    return low + (high - low) * rise


@dataclass(frozen=True)
class Guidance:
    """How strongly each image of a sequence is pulled towards its condition.

    Attributes:
        scales: (T,); 1 is the conditional estimate alone.
        sigma_low: guidance acts at noise levels from here ...
        sigma_high: ... to here; outside, the scale is 1 (Kynkäänniemi et al., 2024).
    """

    scales: Tensor
    sigma_low: float = 0.0
    sigma_high: float = math.inf

    def __post_init__(self) -> None:
        """Refuse levels between which it never acts."""
        check_range("sigma_low", self.sigma_low, 0, self.sigma_high)

    def acts_at(self, sigma: float) -> bool:
        """Say whether the unconditional estimate matters at this noise level."""
        return self.sigma_low <= sigma <= self.sigma_high and bool((self.scales != 1).any())

    def part(self, estimate: Tensor, *, conditional: bool) -> Tensor:
        """Take what one of the two estimates (N, T, C, h, w) adds to the guided one, which is their sum."""
        scales = self.scales.to(estimate)[:, None, None, None]
        return (scales if conditional else 1 - scales) * estimate

    def combine(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Combine two estimates (N, T, C, h, w) into the guided one."""
        scales = self.scales.to(conditional)[:, None, None, None]
        return unconditional + scales * (conditional - unconditional)
