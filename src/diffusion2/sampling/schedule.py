"""Noise levels, and the way from one to the next."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusion2.errors import InputError


def karras_sigmas(steps: int, sigma_min: float = 0.002, sigma_max: float = 700.0, rho: float = 7.0) -> Tensor:
    """Compute the noise levels of Karras et al. (2022), eq. 5: from sigma_max to sigma_min, then 0.

    Args:
        steps: N, at least 1.
        sigma_min: last level before 0.
        sigma_max: first level.
        rho: the larger, the more levels are small.

    Returns:
        (steps + 1,) float32, falling

    Raises:
        InputError: values outside their ranges.
    """
    if steps < 1 or not 0 < sigma_min <= sigma_max or rho <= 0:
        raise InputError(
            f"a schedule needs at least 1 step and 0 < sigma_min <= sigma_max, rho > 0, "
            f"not steps {steps}, sigma {sigma_min} to {sigma_max}, rho {rho}"
        )
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    sigmas = (high + ramp * (low - high)) ** rho
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]).float()


def extrapolate(earlier: Tensor, estimate: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Compute the estimate towards which a step of DPM-Solver++(2M) goes (Lu et al., 2022, Algorithm 2).

    Euler's step is exact where the estimate stays the same. So the estimate is taken at the step's middle, on
    the line through the last two over `-ln sigma`: with it, Euler's step is of second order.

    Args:
        earlier: the estimate at the first of the levels.
        estimate: that at the second, where the step begins.
        sigmas: three falling levels; the step ends at the last. To 0 it is Euler's, as λ has no end there.
    """
    before, here, below = sigmas
    if below == 0 or before == here:
        return estimate
    share = math.log(here / below) / (2 * math.log(before / here))
    return estimate + share * (estimate - earlier)
