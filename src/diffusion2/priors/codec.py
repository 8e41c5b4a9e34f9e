"""Pictures to latents and back."""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from torch import Tensor


class LatentCodec:
    """An autoencoder behind one face: SVD's, with its temporal decoder, or the mini pair's.

    Args:
        vae: the network; its configuration holds the latents' scale.
        pixel_unshuffle: factor by which pixels are folded into channels before the network.
        batch_size: pictures encoded or decoded at once.
    """

    def __init__(
        self,
        vae: AutoencoderKL | AutoencoderKLTemporalDecoder,
        pixel_unshuffle: int = 1,
        batch_size: int = 16,
    ) -> None:
        self.vae: Any = vae.eval().requires_grad_(False)
        self.pixel_unshuffle = pixel_unshuffle
        self.batch_size = batch_size
        self._temporal = isinstance(vae, AutoencoderKLTemporalDecoder)
        self.scale = float(vae.config["scaling_factor"])

    @property
    def factor(self) -> int:
        """Give the number of pixels per latent along a side."""
        return self.pixel_unshuffle * 2 ** (len(self.vae.config["block_out_channels"]) - 1)

    @property
    def channels(self) -> int:
        """Give the number of channels of a latent."""
        return int(self.vae.config["latent_channels"])

    @torch.no_grad()
    def encode_mode(self, images: Tensor) -> Tensor:
        """Encode pictures as the mode of their latents' distribution, unscaled: what conditions a network.

        Args:
            images: (N, 3, H, W) in [0, 1], or slightly outside where noise was added.

        Returns:
            (N, C, h, w) float32
        """
        parts = []
        for part in images.to(self.vae.device, self.vae.dtype).split(self.batch_size):
            pixels = F.pixel_unshuffle(part * 2 - 1, self.pixel_unshuffle)
            parts.append(self.vae.encode(pixels).latent_dist.mode().float())
        return torch.cat(parts)

    def encode_scaled(self, images: Tensor) -> Tensor:
        """Encode pictures (N, 3, H, W) as the latents that are diffused, (N, C, h, w)."""
        return self.encode_mode(images) * self.scale

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Decode one sequence of scaled latents.

        Args:
            latents: (T, C, h, w), the images of one sequence in their order; a temporal decoder looks at
                `batch_size` neighbours at a time.

        Returns:
            (T, 3, H, W) float32 in [0, 1], on the CPU
        """
        latents = latents.to(self.vae.device, self.vae.dtype) / self.scale
        parts = []
        for part in latents.split(self.batch_size):
            pixels = self.vae.decode(part, **({"num_frames": len(part)} if self._temporal else {})).sample
            pixels = F.pixel_shuffle(pixels.float(), self.pixel_unshuffle)
            parts.append(((pixels + 1) / 2).clamp(0, 1).cpu())
        return torch.cat(parts)
