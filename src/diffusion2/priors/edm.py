"""Preconditioning of SVD and SV3D: v-prediction in the terms of Karras et al. (2022), data of variance 1."""

import torch
from torch import Tensor


def scalings(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what turns a network's raw output into an estimate of the clean latents.

    `denoised = c_skip·x + c_out·network(c_in·x, c_noise)`.

    Args:
        sigma: noise levels, > 0, of any shape.

    Returns:
        c_skip, c_out, c_in and c_noise, each of sigma's shape. `c_noise = ln(sigma)/4` goes into the
        time embedding as it is.
    """
    squared = sigma**2 + 1
    return 1 / squared, -sigma / squared.sqrt(), 1 / squared.sqrt(), 0.25 * torch.log(sigma)
