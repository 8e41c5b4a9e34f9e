"""Encoders that turn a condition picture into the single context token of the networks."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class ImageEncoder(Protocol):
    """Gives the context of condition pictures."""

    def __call__(self, pictures: Tensor, latents: Tensor) -> Tensor:
        """Encode N condition pictures.

        Args:
            pictures: (N, 3, H, W) float32 in [0, 1].
            latents: (N, C, h, w), their unscaled latents.

        Returns:
            (N, 1, D)
        """
        ...


class PooledLatentEncoder:
    """The mini pair's: the condition latent, averaged over 4×4 areas. It has no weights.

    Args:
        size: areas per side; D = C·size².
    """

    def __init__(self, size: int = 4) -> None:
        self.size = size

    def __call__(self, pictures: Tensor | None, latents: Tensor) -> Tensor:
        """Pool the latents (N, C, h, w) to (N, 1, C·size²); the pictures do not matter."""
        return F.adaptive_avg_pool2d(latents, self.size).flatten(1)[:, None]
