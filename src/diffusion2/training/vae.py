"""The mini pair's autoencoder: 128 px pictures to 24 x 16 x 16 latents and back."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.metrics.lpips import load_lpips
from diffusion2.pictures import from_pixels
from diffusion2.priors.mini import PIXEL_UNSHUFFLE
from diffusion2.priors.patch_autoencoder import PatchAutoencoder, principal_components
from diffusion2.training.data import SIZE

LATENT_CHANNELS = 24
VAE_CONFIG = {
    "in_channels": 3 * PIXEL_UNSHUFFLE**2,
    "out_channels": 3 * PIXEL_UNSHUFFLE**2,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (32, 64, 64),
    "layers_per_block": 1,
    "latent_channels": LATENT_CHANNELS,
    "norm_num_groups": 8,
    "scaling_factor": 1.0,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
PATCH = PIXEL_UNSHUFFLE * 2 ** (len(VAE_CONFIG["block_out_channels"]) - 1)
"""Pixels of a patch along a side."""
FLATNESS = 0.25
"""See `principal_components`: a little less is left to the first components, the patches' mean colours."""
FITTED_PICTURES = 1500
"""Pictures of each set whose patches are decomposed."""
BATCH = 16
CROP, FULL_SIZE_SHARE = 96, 0.3
LPIPS_WEIGHT = 0.2
MOST_NOISE = 0.3
"""Largest deviation of the noise that the decoder learns to do without: sampled latents are not clean."""


class VaeTask:
    """Reconstruct single pictures from the noisy components of patches: L1 + 0.2 LPIPS.

    Only the decoder learns.

    Args:
        network: what is trained; its components are fitted already.
        sets: rendered training sets, (N, T, H, W, 3) uint8 files.
        held_out: sets of objects that are never trained on; none of them, and nothing is measured.
    """

    name = "vae"
    matrix_rate = 0.01

    def __init__(self, network: PatchAutoencoder, sets: list[Path], held_out: list[Path]) -> None:
        # In memory: pictures picked at random from a mapped file would wait for the disk.
        self._images = [np.load(path) for path in sets]
        self.network: Any = network
        self.network.encoder.requires_grad_(False)
        self._lpips = load_lpips()
        self._measures = bool(held_out)
        shown = [np.load(path, mmap_mode="r") for path in held_out or sets]
        self._shown = torch.cat([_spread(images, 32) for images in shown])

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Return the loss of one batch: half of the pictures mirrored, most batches cropped to save time."""
        images = from_pixels(self._draw(rng))
        with torch.no_grad():
            latents = self.network.encode(fold(images), return_dict=False)[0].mode()
        levels = torch.from_numpy(rng.uniform(0, MOST_NOISE, (len(latents), 1, 1, 1))).to(latents)
        noisy = latents + levels * torch.randn_like(latents)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = self.network.decode(noisy, return_dict=False)[0]
        decoded = (F.pixel_shuffle(decoded.float(), PIXEL_UNSHUFFLE) + 1) / 2
        with torch.autocast("cpu", torch.bfloat16):
            perceptual = self._lpips(decoded, images).float().mean()
        return (decoded - images).abs().mean() + LPIPS_WEIGHT * perceptual

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        counts = np.array([len(images) for images in self._images])
        size = SIZE if rng.random() < FULL_SIZE_SHARE else CROP
        top, left = rng.integers(SIZE - size + 1, size=2)
        picked = []
        for _ in range(BATCH):
            images = self._images[rng.choice(len(counts), p=counts / counts.sum())]
            picture = images[rng.integers(len(images)), rng.integers(images.shape[1])]
            picture = picture[top : top + size, left : left + size]
            picked.append(picture[:, ::-1] if rng.random() < 0.5 else picture)
        return np.stack(picked)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure PSNR, the object's PSNR and LPIPS on held-out objects, where there are any."""
        if not self._measures:
            return {}
        self.network.eval()
        psnrs, foregrounds, distances = [], [], []
        for images in self._shown.split(16):
            latent = self.network.encode(fold(images), return_dict=False)[0].mode()
            decoded = decode(self.network, latent)
            error = (decoded - images).square()
            mask = (images.amin(1, keepdim=True) < 0.98).float()
            psnrs.append(-10 * error.mean((1, 2, 3)).log10())
            foreground = (error * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3))).clamp(min=1)
            foregrounds.append(-10 * foreground.clamp(min=1e-8).log10())
            distances.append(self._lpips(decoded, images))
        self.network.train()
        return {
            "psnr": float(torch.cat(psnrs).mean()),
            "foreground_psnr": float(torch.cat(foregrounds).mean()),
            "lpips": float(torch.cat(distances).mean()),
        }

    @torch.no_grad()
    def show(self) -> Tensor:
        """Return pictures, held-out ones if there are any, and each row's reconstructions under it."""
        self.network.eval()
        rows = self._shown[:: max(1, len(self._shown) // 32)][:32].split(8)
        decoded = [
            decode(self.network, self.network.encode(fold(row), return_dict=False)[0].mode()) for row in rows
        ]
        self.network.train()
        return torch.stack([row for pair in zip(rows, decoded, strict=True) for row in pair])


def fit_components(sets: list[Path]) -> Tensor:
    """Return the principal components of the sets' patches, (C, 3, PATCH, PATCH); see `PatchAutoencoder`.

    Args:
        sets: rendered sets, (N, T, H, W, 3) uint8 files.
    """
    moment, patches = torch.zeros(3 * PATCH**2, 3 * PATCH**2), 0
    for path in sets:
        images = np.load(path, mmap_mode="r")
        for picture in _spread(images, min(FITTED_PICTURES, len(images))).split(1):
            less_white = F.pixel_unshuffle(2 * picture - 2, PATCH)[0].flatten(1)
            moment += less_white @ less_white.T
            patches += less_white.shape[1]
    components = principal_components(moment / patches, LATENT_CHANNELS, FLATNESS)
    return components.view(-1, 3, PATCH, PATCH)


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Decode latents (B, C, h, w) to pictures (B, 3, H, W) in [0, 1]."""
    decoded = F.pixel_shuffle(vae.decode(latents, return_dict=False)[0], PIXEL_UNSHUFFLE)
    return ((decoded + 1) / 2).clamp(0, 1)


def _spread(images: np.ndarray, count: int) -> Tensor:
    """Take `count` pictures spread evenly over a set, as floats."""
    items = np.linspace(0, len(images) - 1, count).astype(int)
    return from_pixels(np.stack([images[i, k % images.shape[1]] for k, i in enumerate(items)]))


def fold(images: Tensor) -> Tensor:
    """Turn pictures (B, 3, H, W) in [0, 1] into what the autoencoder takes: [-1, 1], pixels in channels."""
    return F.pixel_unshuffle(images * 2 - 1, PIXEL_UNSHUFFLE)
