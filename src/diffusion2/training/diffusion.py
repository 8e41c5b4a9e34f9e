"""The mini pair's two networks: denoise single-view clips, denoise static orbits.

Both learn what SVD and SV3D learn, with their preconditioning: from one picture's latent, the video
network the clip that starts with it, the multi-view network the orbit that ends with it.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from diffusion2.priors.devices import choose_dtype
from diffusion2.priors.edm import scalings
from diffusion2.priors.image_encoder import PooledLatentEncoder
from diffusion2.priors.lifted_views import lifted_channels
from diffusion2.priors.unet import SpatioTemporalUNet, drop_idle
from diffusion2.sampling.schedule import karras_sigmas
from diffusion2.training.data import LENGTH
from diffusion2.training.examples import VALUE_WIDTH, DrawExample, Example
from diffusion2.training.vae import LATENT_CHANNELS

UNET_CONFIG = {
    "in_channels": 2 * LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "block_out_channels": (96, 96, 128),
    "down_block_types": (
        "DownBlockSpatioTemporal",
        "CrossAttnDownBlockSpatioTemporal",
        "DownBlockSpatioTemporal",
    ),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal"),
    "num_attention_heads": (3, 3, 4),
    "cross_attention_dim": 16 * LATENT_CHANNELS,
    "addition_time_embed_dim": VALUE_WIDTH,
    "num_frames": LENGTH,
    "sample_size": 16,
}
NETWORK_CONFIGS = {
    "video": {
        **UNET_CONFIG,
        "layers_per_block": (1, 3, 3),
        "projection_class_embeddings_input_dim": 3 * VALUE_WIDTH,
    },
    "multiview": {
        **UNET_CONFIG,
        "layers_per_block": 1,
        "in_channels": lifted_channels(LATENT_CHANNELS),
        "projection_class_embeddings_input_dim": 5 * VALUE_WIDTH,
    },
}
"""Widths, `block_out_channels`, are free: tensors of another shape than the pair's before start anew."""
BATCH = 4
"""Sequences that one step learns from, where nothing else is said."""
LOG_SIGMA_MEAN, LOG_SIGMA_STD = 0.4, 1.6
CONDITION_DROPOUT = 0.12
HELD_OUT_SIGMAS = (0.1, 0.3, 1.0, 3.0, 8.0, 20.0)
HELD_OUT_SEQUENCES = 32
SHOWN_SEQUENCES, SHOWN_STEPS = 4, 12


def make_network(config: Mapping[str, Any]) -> SpatioTemporalUNet:
    """Build a network of the pair, without what a context of one token makes idle."""
    return drop_idle(SpatioTemporalUNet(**config))


def draw_sigmas(rng: np.random.Generator, count: int) -> Tensor:
    """Draw log-normal noise levels (count,), one from each of as many equally likely ranges.

    Their spread over a batch is what makes its loss vary most: this takes it away (Kingma et al., 2021).
    """
    shares = torch.from_numpy((np.arange(count) + rng.random(count)) / count)
    return (LOG_SIGMA_MEAN + LOG_SIGMA_STD * torch.special.ndtri(shares)).exp().float()


class DiffusionTask:
    """Denoise sequences of one kind.

    Args:
        name: of the network.
        network: what is trained.
        draw: draws a sequence to learn from.
        held_out: draws sequences of other objects, to measure on; None where there are none.
        decode: latents (T, C, h, w) on the CPU to pictures (T, 3 or more, H, W) in [0, 1].
        batch: sequences that one step learns from.
        device: where the network works.
    """

    matrix_rate = 0.02

    def __init__(
        self,
        name: Literal["video", "multiview"],
        network: SpatioTemporalUNet,
        draw: DrawExample,
        held_out: DrawExample | None,
        decode: Callable[[Tensor], Tensor],
        *,
        batch: int = BATCH,
        device: str = "cpu",
    ) -> None:
        self.name = name
        self.network = network
        torch.nn.Module.to(network, device)
        self._batch, self._device = batch, device
        self._dtype = torch.bfloat16 if device != "cpu" else choose_dtype("auto", device)
        self._draw = draw
        self._measures = held_out is not None
        count = HELD_OUT_SEQUENCES if held_out else SHOWN_SEQUENCES
        self._shown = [(held_out or draw)(np.random.default_rng(seed)) for seed in range(count)]
        self._encode, self._decode = PooledLatentEncoder(), decode

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Return the mean squared error of the network's output over one batch of noisy sequences."""
        clean, condition, vector = self._stack([self._draw(rng) for _ in range(self._batch)])
        sigma = draw_sigmas(rng, self._batch)
        keep = torch.from_numpy(rng.random(self._batch) >= CONDITION_DROPOUT).float()
        sigma, keep = sigma.to(self._device), keep.to(self._device)
        noisy = clean + sigma.view(-1, 1, 1, 1, 1) * torch.randn_like(clean)
        denoised = self._denoise(noisy, sigma, condition, vector, keep)
        # Equal weight for the network's own output at every noise level (EDM with data of variance 1).
        weight = ((sigma**2 + 1) / sigma**2).view(-1, 1, 1, 1, 1)
        return (weight * (denoised - clean).square()).mean()

    def _denoise(
        self, noisy: Tensor, sigma: Tensor, condition: Tensor, vector: Tensor, keep: Tensor
    ) -> Tensor:
        c_skip, c_out, c_in, c_noise = (s.view(-1, 1, 1, 1, 1) for s in scalings(sigma))
        context = self._encode(None, condition[:, 0, : noisy.shape[2]]) * keep.view(-1, 1, 1)
        condition = (condition * keep.view(-1, 1, 1, 1, 1)).expand(-1, noisy.shape[1], -1, -1, -1)
        with torch.autocast(self._device, self._dtype, enabled=self._dtype != torch.float32):
            sample = torch.cat([noisy * c_in, condition], dim=2)
            output = self.network(sample, c_noise.flatten(), context, vector)
        return c_skip * noisy + c_out * output.float()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the root mean squared error of denoised held-out latents at several noise levels.

        Nothing where no sequences are held out.
        """
        if not self._measures:
            return {}
        generator = torch.Generator().manual_seed(0)
        figures, copied = {}, []
        for sigma in HELD_OUT_SIGMAS:
            errors = []
            for start in range(0, len(self._shown), BATCH):
                clean, condition, vector = self._stack(self._shown[start : start + BATCH])
                noisy = clean + sigma * torch.randn(clean.shape, generator=generator).to(clean)
                sigmas, keep = clean.new_full((len(clean),), sigma), clean.new_ones(len(clean))
                denoised = self._denoise(noisy, sigmas, condition, vector, keep)
                errors.append(float((denoised - clean).square().mean()))
                copied.append(float((condition[:, :, : clean.shape[2]] - clean).square().mean()))
            figures[f"rmse_{sigma:g}"] = float(np.mean(errors)) ** 0.5
        figures["rmse_mean"] = float(np.mean([figures[f"rmse_{sigma:g}"] for sigma in HELD_OUT_SIGMAS]))
        figures["rmse_copy"] = float(np.mean(copied)) ** 0.5
        return figures

    @torch.no_grad()
    def show(self) -> Tensor:
        """Sample a few sequences without guidance; each row of samples stands under the truth.

        They are held out, or drawn from the training set where none are.
        """
        generator = torch.Generator().manual_seed(0)
        clean, condition, vector = self._stack(self._shown[:SHOWN_SEQUENCES])
        sigmas = [float(sigma) for sigma in karras_sigmas(SHOWN_STEPS, 0.02, 80.0)]
        noisy = sigmas[0] * torch.randn(clean.shape, generator=generator).to(clean)
        keep = clean.new_ones(len(clean))
        for sigma, lower in pairwise(sigmas):
            denoised = self._denoise(noisy, clean.new_full((len(clean),), sigma), condition, vector, keep)
            noisy = denoised + (noisy - denoised) * (lower / sigma)
        rows = torch.stack([clean, noisy], 1).flatten(0, 1)
        return torch.stack([self._decode(row)[:, :3] for row in rows.cpu()])

    def _stack(self, picked: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
        clean, condition, vector = (
            torch.stack(parts).to(self._device) for parts in zip(*picked, strict=True)
        )
        return clean, condition, vector
