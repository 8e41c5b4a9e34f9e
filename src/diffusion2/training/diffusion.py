"""The mini pair's two networks: denoise single-view clips, denoise static orbits.

Both learn what SVD and SV3D learn, with their preconditioning: from one picture's latent, the video
network the clip that starts with it, the multi-view network the orbit that ends with it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import orbit
from diffusion2.priors.devices import choose_dtype
from diffusion2.priors.edm import scalings
from diffusion2.priors.embeddings import orbit_vector, video_vector
from diffusion2.priors.image_encoder import PooledLatentEncoder
from diffusion2.priors.ray_samples import DEPTHS, with_ray_samples
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.sampling.schedule import karras_sigmas
from diffusion2.training.data import LENGTH, Item, read_items
from diffusion2.training.vae import LATENT_CHANNELS

VALUE_WIDTH = 64
"""Numbers that embed one value of the added vector."""
RAY_CHANNELS = 8
"""Channels of the reference that the multi-view network sees along rays: most of the spread."""
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
    "layers_per_block": 1,
    "num_attention_heads": (3, 3, 4),
    "cross_attention_dim": 16 * LATENT_CHANNELS,
    "addition_time_embed_dim": VALUE_WIDTH,
    "num_frames": LENGTH,
    "sample_size": 16,
}
VECTOR_WIDTHS = {"video": 3 * VALUE_WIDTH, "multiview": 5 * VALUE_WIDTH}
MULTIVIEW_CHANNELS = 2 * LATENT_CHANNELS + RAY_CHANNELS * DEPTHS
"""What the multi-view network takes: noisy latents, the reference's, and those along rays."""
BATCH = 4
"""Sequences that one step learns from, where nothing else is said."""
LOG_SIGMA_MEAN, LOG_SIGMA_STD = 0.4, 1.6
CONDITION_DROPOUT = 0.12
ANIMATED_SHARE = 0.7
"""Share of sequences that are drawn among those of animated models: creatures are what the pair is for."""
HELD_OUT_SIGMAS = (0.1, 0.3, 1.0, 3.0, 8.0, 20.0)
HELD_OUT_SEQUENCES = 32
SHOWN_SEQUENCES, SHOWN_STEPS = 4, 12


@dataclass(frozen=True)
class SequenceSet:
    """Encoded sequences of one kind and what the network is conditioned on for each.

    Attributes:
        kind: "video" (a clip, conditioned on its first image) or "multiview" (an orbit, on its last).
        latents: (N, T, C, h, w) float16, of a mean square of 1.
        items: the N items as rendered.
        motion: (N,) motion buckets; zeros for orbits.
        mirror: (C, C), turns a latent into that of the mirrored patch; see `PatchAutoencoder.mirror`.
    """

    kind: Literal["video", "multiview"]
    latents: np.ndarray
    items: list[Item]
    motion: np.ndarray
    mirror: Tensor

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return any sequence, but mostly one of an animated model, turned and mirrored at random."""
        index = int(rng.integers(len(self.items)))
        if rng.random() < ANIMATED_SHARE and len(self._animated):
            index = int(rng.choice(self._animated))
        return self.sequence(index, int(rng.integers(LENGTH)), mirrored=bool(rng.random() < 0.5))

    @functools.cached_property
    def _animated(self) -> np.ndarray:
        return np.flatnonzero([item.clip is not None for item in self.items])

    def sequence(self, index: int, roll: int, *, mirrored: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return clean latents (T, C, h, w), the condition's (T or 1, C', h, w) and the added vectors.

        Args:
            index: which item.
            roll: by how many views an orbit is turned, so that any of its views is the reference.
            mirrored: give the mirror image; of an orbit it is turned the other way.
        """
        latents = torch.from_numpy(np.array(self.latents[index])).float()
        if mirrored:
            latents = torch.einsum("tchw,dc->tdhw", latents, self.mirror).flip(-1)
        item = self.items[index]
        if self.kind == "video":
            vector = video_vector(item.fps, float(self.motion[index]), 0.0, VALUE_WIDTH)
            return latents, latents[:1], vector.expand(LENGTH, -1)
        latents = (latents.flip(0).roll(-1, dims=0) if mirrored else latents).roll(roll, dims=0)
        polars = torch.full((LENGTH,), float(np.pi / 2 - np.deg2rad(item.elevation_deg)))
        azimuths = 2 * torch.pi * torch.arange(1, LENGTH + 1) / LENGTH
        condition = with_ray_samples(latents[-1:], orbit(LENGTH, item.elevation_deg), RAY_CHANNELS)[0]
        return latents, condition, orbit_vector(polars, azimuths, 0.0, VALUE_WIDTH)


@dataclass(frozen=True)
class MixedSet:
    """Sequences of models from files and of procedural creatures.

    Attributes:
        files: the former.
        procedural: the latter.
        procedural_share: share of draws that are of the latter.
    """

    files: SequenceSet
    procedural: SequenceSet
    procedural_share: float

    @property
    def kind(self) -> Literal["video", "multiview"]:
        """Tell which kind of sequences both are."""
        return self.files.kind

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return a sequence of one of the two; see `SequenceSet.draw`."""
        return (self.procedural if rng.random() < self.procedural_share else self.files).draw(rng)


def open_set(kind: Literal["video", "multiview"], latents: Path, index: Path, mirror: Tensor) -> SequenceSet:
    """Open an encoded set; the motion buckets of clips lie beside the latents as `.motion.npy`."""
    values = np.load(latents)
    motion = np.load(latents.with_suffix(".motion.npy")) if kind == "video" else np.zeros(len(values))
    return SequenceSet(kind, values, read_items(index), motion, mirror)


def draw_sigmas(rng: np.random.Generator, count: int) -> Tensor:
    """Draw log-normal noise levels (count,), one from each of as many equally likely ranges.

    Their spread over a batch is what makes its loss vary most: this takes it away (Kingma et al., 2021).
    """
    shares = torch.from_numpy((np.arange(count) + rng.random(count)) / count)
    return (LOG_SIGMA_MEAN + LOG_SIGMA_STD * torch.special.ndtri(shares)).exp().float()


class DiffusionTask:
    """Denoise sequences of one kind.

    Args:
        network: what is trained.
        train: sequences to learn from.
        held_out: sequences of other objects, to measure on; None where there are none.
        decode: latents (T, C, h, w) on the CPU to pictures (T, 3, H, W) in [0, 1].
        batch: sequences that one step learns from.
        device: where the network works.
    """

    matrix_rate = 0.02

    def __init__(
        self,
        network: SpatioTemporalUNet,
        train: SequenceSet | MixedSet,
        held_out: SequenceSet | None,
        decode: Callable[[Tensor], Tensor],
        *,
        batch: int = BATCH,
        device: str = "cpu",
    ) -> None:
        self.name = train.kind
        self.network = network
        torch.nn.Module.to(network, device)
        self._batch, self._device = batch, device
        self._dtype = torch.bfloat16 if device != "cpu" else choose_dtype("auto", device)
        self._train, self._held_out = train, held_out
        self._encode, self._decode = PooledLatentEncoder(), decode

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Return the mean squared error of the network's output over one batch of noisy sequences."""
        clean, condition, vector = self._stack([self._train.draw(rng) for _ in range(self._batch)])
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
        if self._held_out is None:
            return {}
        generator = torch.Generator().manual_seed(0)
        indices = np.linspace(0, len(self._held_out.items) - 1, HELD_OUT_SEQUENCES).astype(int)
        figures, copied = {}, []
        for sigma in HELD_OUT_SIGMAS:
            errors = []
            for start in range(0, len(indices), BATCH):
                clean, condition, vector = self._pick(self._held_out, indices[start : start + BATCH])
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
        if self._held_out is None:
            rng = np.random.default_rng(0)
            clean, condition, vector = self._stack([self._train.draw(rng) for _ in range(SHOWN_SEQUENCES)])
        else:
            indices = np.linspace(0, len(self._held_out.items) - 1, SHOWN_SEQUENCES + 2)[1:-1].astype(int)
            clean, condition, vector = self._pick(self._held_out, indices)
        sigmas = [float(sigma) for sigma in karras_sigmas(SHOWN_STEPS, 0.02, 80.0)]
        noisy = sigmas[0] * torch.randn(clean.shape, generator=generator).to(clean)
        keep = clean.new_ones(len(clean))
        for sigma, lower in pairwise(sigmas):
            denoised = self._denoise(noisy, clean.new_full((len(clean),), sigma), condition, vector, keep)
            noisy = denoised + (noisy - denoised) * (lower / sigma)
        rows = torch.stack([clean, noisy], 1).flatten(0, 1)
        return torch.stack([self._decode(row) for row in rows.cpu()])

    def _pick(self, sequences: SequenceSet, indices: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return clean latents, conditions and added vectors of some sequences, each turned its own way."""
        return self._stack([sequences.sequence(int(i), int(i) % LENGTH) for i in indices])

    def _stack(self, picked: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        clean, condition, vector = (
            torch.stack(parts).to(self._device) for parts in zip(*picked, strict=True)
        )
        return clean, condition, vector
