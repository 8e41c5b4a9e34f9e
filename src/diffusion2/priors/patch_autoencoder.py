"""The mini pair's autoencoder: principal components of patches as latents, and diffusers' decoder."""

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

BACKGROUND = (1.0, 1.0, 1.0, -1.0)
"""What is empty in pictures in [-1, 1]: white, without alpha. Its latents are zero."""
NO_VARIANCE = -30.0
"""Logarithm of a latent's variance around its mode: diffusers' smallest."""


class PatchAutoencoder(AutoencoderKL):
    """diffusers' autoencoder with a linear encoder, one convolution as wide as its stride.

    A convolutional encoder that is trained for the best pictures alone makes codes that turn into others
    when the object moves by a few pixels: what moves or turns can hardly be predicted in them, least of all
    by a small network. The first principal components of patches, which hold most, are mean colours: they
    change smoothly. What is empty is zero.

    Pictures are RGB on white, or RGB on white with alpha beside it, for which a white object is an object.
    `in_channels` says which.

    Configuration, `from_config` and `save_pretrained` are those of diffusers; there are no quantisation
    layers.
    """

    # diffusers reads the configuration's fields off this signature: it has to be the wrapped one
    @functools.wraps(AutoencoderKL.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config: Any = self.config
        stride = 2 ** (len(config["block_out_channels"]) - 1)
        self.encoder: Any = nn.Conv2d(config["in_channels"], 2 * config["latent_channels"], stride, stride)
        nn.init.constant_(self.encoder.bias, NO_VARIANCE)

    @torch.no_grad()
    def set_components(self, components: Tensor) -> None:
        """Make the latents of these components.

        Args:
            components: (C, P, s, s), what pictures in [-1, 1], less what is empty, are multiplied with; P
                channels of s × s pixels are a patch.
        """
        channels = len(components)
        weight = F.pixel_unshuffle(components, self._fold)
        empty = torch.tensor(BACKGROUND[: self.picture_channels]).repeat_interleave(self._fold**2)
        self.encoder.weight.zero_()
        self.encoder.weight[:channels] = weight
        self.encoder.bias[:channels] = -(weight * empty[:, None, None]).sum((1, 2, 3))

    @property
    def components(self) -> Tensor:
        """Read what `set_components` took, (C, P, s, s)."""
        weight = self.encoder.weight[: self.config["latent_channels"]].detach()
        return F.pixel_shuffle(weight, self._fold)

    @functools.cached_property
    def mirror(self) -> Tensor:
        """Return what turns a patch's components into those of its mirror image, (C, C).

        Most components are even or odd. What the others lose is the share of their mirror images that the C
        components do not hold.
        """
        components = self.components.double()
        return (components.flip(-1).flatten(1) @ torch.linalg.pinv(components.flatten(1))).float()

    @property
    def picture_channels(self) -> int:
        """Count the channels of the pictures, 3 or 4: three squares of pixels are never four squares."""
        squares, rest = divmod(self.config["in_channels"], 3)
        return 3 if rest == 0 and math.isqrt(squares) ** 2 == squares else 4

    @property
    def _fold(self) -> int:
        """Return the pixels along a side that are folded into channels before the encoder."""
        return math.isqrt(self.config["in_channels"] // self.picture_channels)


def principal_components(second_moment: Tensor, count: int, flatness: float) -> Tensor:
    """Return the components of patches that hold the most, scaled so that a latent's square is 1 on average.

    Args:
        second_moment: (D, D), of the patches.
        count: how many components, C.
        flatness: 0 keeps their spread, the square root of the eigenvalue; 1 makes all alike.

    Returns:
        (C, D) float32
    """
    values, vectors = torch.linalg.eigh(second_moment.double())
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    scale = values ** (-flatness / 2)
    mean_square = (values * scale**2).mean()
    return (vectors * scale / mean_square.sqrt()).T.float()
