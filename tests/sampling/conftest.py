"""A pair of Gaussian priors in closed form, behind the same face as networks."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.priors.gaussian import GaussianPrior
from diffusion2.priors.guidance import Guidance
from diffusion2.priors.prior import PriorPair

from ..one_thread import one_thread as one_thread


class PictureGaussianPrior(GaussianPrior):
    """Sequences whose mean is their condition picture, everywhere."""

    def reusing_features(self, fresh: frozenset[float]) -> "PictureGaussianPrior":
        return self  # it keeps nothing

    def prepare(
        self, pictures: Tensor, *where: Guidance | Cameras, cond_aug: float, seed: int, **told: float
    ) -> Tensor:
        return pictures[:, None].expand(-1, len(self.covariance), -1, -1, -1)


@dataclass(frozen=True)
class PixelCodec:
    """Latents that are pixels."""

    factor: int = 1
    channels: int = 3
    picture_channels: int = 3

    def encode_scaled(self, images: Tensor) -> Tensor:
        return images

    def decode(self, latents: Tensor) -> Tensor:
        return latents.clamp(0, 1)

    def mirror(self, latents: Tensor) -> Tensor:
        return latents.flip(-1)


def correlation(length: int, neighbours: float) -> Tensor:
    index = torch.arange(length)
    return neighbours ** (index[:, None] - index).abs().double()


@pytest.fixture
def gaussian_pair() -> PriorPair:
    return PriorPair(
        "gaussian",
        PictureGaussianPrior(0.04 * correlation(5, 0.8)),
        PictureGaussianPrior(0.04 * correlation(4, 0.6)),
        PixelCodec(),
    )
