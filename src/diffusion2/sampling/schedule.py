"""Noise levels."""

import torch
from torch import Tensor

from diffusion2.errors import InputError


def karras_sigmas(steps: int, sigma_min: float = 0.002, sigma_max: float = 700.0, rho: float = 7.0) -> Tensor:
    """Give the noise levels of Karras et al. (2022), eq. 5: from sigma_max to sigma_min, then 0.

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
