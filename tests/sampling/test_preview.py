"""The quick decoder: exact where latents are linear in the pictures, small where there are many."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.sampling import Preview


@dataclass(frozen=True)
class Mixed:
    """Latents that are 12 of 192 mixtures of a patch of 8 x 8 pixels; what they lose, nobody has drawn."""

    factor: int = 8
    channels: int = 12
    picture_channels: int = 3

    @property
    def basis(self) -> Tensor:
        return torch.linalg.qr(torch.randn(192, 12, generator=torch.Generator().manual_seed(1)))[0]

    def encode_scaled(self, images: Tensor) -> Tensor:
        return torch.einsum("npyx,pc->ncyx", F.pixel_unshuffle(images, 8) - 0.5, self.basis) * 3

    def decode(self, latents: Tensor) -> Tensor:
        return F.pixel_shuffle(torch.einsum("ncyx,pc->npyx", latents / 3, self.basis) + 0.5, 8).clamp(0, 1)

    def mirror(self, latents: Tensor) -> Tensor:
        raise AssertionError("a preview mirrors nothing")


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(30, 12, 4, 4, generator=torch.Generator().manual_seed(2)) * 0.3


def test_linear_latents_are_decoded_as_by_their_own_decoder(latents: Tensor) -> None:
    codec = Mixed()
    preview = Preview(codec, codec.decode(latents), frames=3)
    shown = preview(latents[:6].unflatten(0, (2, 3)))
    assert shown.shape == (2, 3, 3, 32, 32)
    # 0.02: the matrix is held back a little (1e-3 of each latent's squares)
    assert torch.allclose(shown.flatten(0, 1), codec.decode(latents[:6]), atol=0.02)


def test_many_frames_are_shown_smaller(latents: Tensor) -> None:
    codec = Mixed()
    preview = Preview(codec, codec.decode(latents), frames=100)
    shown = preview(latents[:1][None])
    assert shown.shape[-1] == 4
    wanted = F.interpolate(codec.decode(latents[:1]), size=4, mode="area")
    assert torch.allclose(shown[0], wanted, atol=0.02)
