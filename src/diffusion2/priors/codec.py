"""Pictures to latents and back."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.priors.device_memory import DeviceMemory
from diffusion2.priors.patch_autoencoder import PatchAutoencoder

ENCODER_PEAK, DECODER_PEAK = 6, 9
"""Most memory that a picture takes, in multiples of its first level, H·W·C numbers. Counted at the full size:
5 and 8; docs/notes/performance.md."""


class LatentCodec:
    """An autoencoder behind one face: SVD's, with its temporal decoder, or the mini pair's.

    Args:
        vae: the network; its configuration holds the latents' scale.
        pixel_unshuffle: factor by which pixels are folded into channels before the network.
        batch_size: pictures encoded or decoded at once, at most.
        memory: of the device on which the network works; None: of the one it is on.
    """

    def __init__(
        self,
        vae: AutoencoderKL | AutoencoderKLTemporalDecoder,
        pixel_unshuffle: int = 1,
        batch_size: int = 16,
        memory: DeviceMemory | None = None,
    ) -> None:
        self.vae: Any = vae.eval().requires_grad_(False)
        self.memory = memory or DeviceMemory(vae.device)
        self.pixel_unshuffle = pixel_unshuffle
        self.batch_size = batch_size
        self._temporal = isinstance(vae, AutoencoderKLTemporalDecoder)
        self.scale = float(vae.config["scaling_factor"])

    @property
    def factor(self) -> int:
        """Return the number of pixels per latent along a side."""
        return self.pixel_unshuffle * 2 ** (len(self.vae.config["block_out_channels"]) - 1)

    @property
    def channels(self) -> int:
        """Return the number of channels of a latent."""
        return int(self.vae.config["latent_channels"])

    @property
    def picture_channels(self) -> int:
        """Count the channels P of a picture: 3, RGB on white, or 4, with alpha."""
        return int(self.vae.config["in_channels"]) // self.pixel_unshuffle**2

    @torch.no_grad()
    def encode_mode(self, images: Tensor) -> Tensor:
        """Encode pictures as the mode of their latents' distribution, unscaled: what conditions a network.

        Args:
            images: (N, P, H, W) in [0, 1], or slightly outside where noise was added: RGB on white and, where
                the latents hold it, alpha.

        Returns:
            (N, C, h, w) float32, on the CPU

        Raises:
            InputError: the pictures have another number of channels.
        """
        if images.shape[1] != self.picture_channels:
            raise InputError(
                f"these weights take pictures of {self.picture_channels} channels, not {images.shape[1]}: "
                "RGB on white and, for latents that hold it, alpha"
            )

        def encode(part: slice) -> Tensor:
            pixels = images[part].to(self.memory.device, self.vae.dtype) * 2 - 1
            pixels = F.pixel_unshuffle(pixels, self.pixel_unshuffle)
            return self.vae.encode(pixels).latent_dist.mode().float().cpu()

        return self._work(encode, len(images), ENCODER_PEAK * images[0, 0].numel())

    def encode_scaled(self, images: Tensor) -> Tensor:
        """Encode pictures (N, P, H, W) as the latents that are diffused, (N, C, h, w)."""
        return self.encode_mode(images) * self.scale

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Decode one sequence of scaled latents.

        Args:
            latents: (T, C, h, w), the images of one sequence in their order; a temporal decoder looks at
                `batch_size` neighbours at a time, or at fewer where memory is short.

        Returns:
            (T, P, H, W) float32 in [0, 1], on the CPU: RGB on white and, where the latents hold it, alpha
        """

        def decode(part: slice) -> Tensor:
            scaled = latents[part].to(self.memory.device, self.vae.dtype) / self.scale
            pixels = self.vae.decode(scaled, **({"num_frames": len(scaled)} if self._temporal else {})).sample
            pixels = F.pixel_shuffle(pixels.float(), self.pixel_unshuffle)
            return ((pixels + 1) / 2).clamp(0, 1).cpu()

        return self._work(decode, len(latents), DECODER_PEAK * latents[0, 0].numel() * self.factor**2)

    def mirror(self, latents: Tensor) -> Tensor:
        """Return the latents (..., C, h, w) of the pictures flipped left to right.

        Raises:
            InputError: the encoder is convolutional: from what it makes of a picture does not follow what it
                makes of the mirror image.
        """
        if not isinstance(self.vae, PatchAutoencoder):
            raise InputError("these weights' latents can't be mirrored: set --sampling.no-mirror")
        return torch.einsum("...chw,dc->...dhw", latents, self.vae.mirror.to(latents)).flip(-1)

    def _work(self, call: Callable[[slice], Tensor], count: int, pixels_peak: float) -> Tensor:
        """Work on pictures; one takes as much memory as so many pixels at the network's first level."""
        channels = self.vae.config["block_out_channels"][0]
        bytes_each = pixels_peak / self.pixel_unshuffle**2 * channels * self.vae.dtype.itemsize
        return self.memory.work(
            self.vae, call, count, bytes_each, at_most=self.batch_size, what="picture in the autoencoder"
        )
