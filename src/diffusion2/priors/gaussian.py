"""Gaussian priors in closed form: what sampling can be tested against."""

import torch
from torch import Tensor


class GaussianPrior:
    """Sequences of T images whose numbers are Gaussian: correlated between images, independent within.

    Its condition is the sequences' mean, (N, T, C, h, w).

    Args:
        covariance: (T, T) between the images of a sequence, the same for every position and channel.
    """

    def __init__(self, covariance: Tensor) -> None:
        self.covariance = covariance.double()
        self._values, self._vectors = torch.linalg.eigh(self.covariance)

    def denoise(self, latents: Tensor, sigma: float, condition: Tensor) -> Tensor:
        """Give the mean of the clean latents given the noisy ones: `m + K (K + sigma²)⁻¹ (x - m)`."""
        gain = self.gain(sigma).to(latents)
        return condition + torch.einsum("st,ntchw->nschw", gain, latents - condition)

    def gain(self, sigma: float) -> Tensor:
        """Give `K (K + sigma²)⁻¹`, (T, T) float64."""
        shrunk = self._values / (self._values + sigma**2)
        return (self._vectors * shrunk) @ self._vectors.T
