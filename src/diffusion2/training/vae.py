"""The mini pair's autoencoder: 128 px pictures with alpha to 32 x 16 x 16 latents and back."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.metrics.lpips import load_lpips
from diffusion2.pictures import on_white
from diffusion2.priors.devices import choose_dtype
from diffusion2.priors.mini import PIXEL_UNSHUFFLE
from diffusion2.priors.patch_autoencoder import PatchAutoencoder, principal_components
from diffusion2.training.data import SIZE
from diffusion2.training.scenes import Draw

LATENT_CHANNELS = 32
PICTURE_CHANNELS = 4
VAE_CONFIG = {
    "in_channels": PICTURE_CHANNELS * PIXEL_UNSHUFFLE**2,
    "out_channels": PICTURE_CHANNELS * PIXEL_UNSHUFFLE**2,
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
ALPHA_WEIGHT = 0.7
"""What alpha counts beside a colour where components are chosen; docs/notes/mini.md has others."""
FLATNESS = 0.25
"""See `principal_components`: a little less is left to the first components, the patches' mean colours."""
FITTED_SCENES = 200
"""Scenes whose patches are decomposed; their seeds are 0, 1, …"""
SCENES = 3
"""Scenes of a batch, all views of each."""
CROP, FULL_SIZE_SHARE = 96, 0.3
LPIPS_WEIGHT = 0.2
MOST_NOISE = 0.3
"""Largest deviation of the noise that the decoder learns to do without: sampled latents are not clean."""
HELD_OUT_SCENES = 16
SHOWN_BACKGROUND = 0.75
"""Grey on which the sheet shows pictures, so that what is white is seen."""


class VaeTask:
    """Reconstruct single pictures from the noisy components of patches: L1 of colour and alpha, 0.2 LPIPS.

    Only the decoder learns.

    Args:
        network: what is trained; its components are fitted already.
        draw: draws a scene to learn from.
        held_out: draws scenes of objects that are never trained on; None, and nothing is measured.
    """

    name = "vae"
    matrix_rate = 0.01

    def __init__(self, network: PatchAutoencoder, draw: Draw, held_out: Draw | None) -> None:
        self.network: Any = network
        self.network.encoder.requires_grad_(False)
        self._draw = draw
        self._lpips = load_lpips()
        self._dtype = choose_dtype("auto")
        self._measures = held_out is not None
        self._shown = torch.cat([*itertools.islice(seeded_pictures(held_out or draw), HELD_OUT_SCENES)])

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Return the loss of one batch; most batches are cropped to save time."""
        images = torch.cat([with_alpha(self._draw(rng).pictures) for _ in range(SCENES)])
        size = SIZE if rng.random() < FULL_SIZE_SHARE else CROP
        top, left = rng.integers(images.shape[-1] - size + 1, size=2)
        images = images[..., top : top + size, left : left + size]
        with torch.no_grad():
            latents = self.network.encode(fold(images), return_dict=False)[0].mode()
        levels = torch.from_numpy(rng.uniform(0, MOST_NOISE, (len(latents), 1, 1, 1))).to(latents)
        noisy = latents + levels * torch.randn_like(latents)
        with torch.autocast("cpu", self._dtype, enabled=self._dtype != torch.float32):
            decoded = self.network.decode(noisy, return_dict=False)[0]
            made = (F.pixel_shuffle(decoded.float(), PIXEL_UNSHUFFLE) + 1) / 2
            perceptual = self._lpips(made[:, :3], images[:, :3]).float().mean()
        return (made - images).abs().mean() + LPIPS_WEIGHT * perceptual

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure PSNR on white, the object's PSNR, LPIPS and alpha's PSNR, where objects are held out."""
        if not self._measures:
            return {}
        found: dict[str, list[Tensor]] = {"psnr": [], "foreground_psnr": [], "lpips": [], "alpha_psnr": []}
        for images in self._shown.split(16):
            decoded = self._reconstruct(images)
            errors, mask = (decoded - images).square(), (images[:, 3:] > 0.5).float()
            foreground = (errors[:, :3] * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3))).clamp(min=1)
            found["psnr"].append(_decibels(errors[:, :3].mean((1, 2, 3))))
            found["foreground_psnr"].append(_decibels(foreground))
            found["lpips"].append(self._lpips(decoded[:, :3], images[:, :3]))
            found["alpha_psnr"].append(_decibels(errors[:, 3:].mean((1, 2, 3))))
        return {name: float(torch.cat(values).mean()) for name, values in found.items()}

    @torch.no_grad()
    def show(self) -> Tensor:
        """Return pictures, held-out ones if any, and each row's reconstructions under it, on grey."""
        rows = self._shown[:: max(1, len(self._shown) // 32)][:32].split(8)
        pairs = [picture for row in rows for picture in (row, self._reconstruct(row))]
        return torch.stack([(row[:, :3] - (1 - SHOWN_BACKGROUND) * (1 - row[:, 3:])) for row in pairs]).clamp(
            0, 1
        )

    def _reconstruct(self, images: Tensor) -> Tensor:
        self.network.eval()
        decoded = decode(self.network, self.network.encode(fold(images), return_dict=False)[0].mode())
        self.network.train()
        return decoded


def second_moment(draw: Draw) -> Tensor:
    """Measure the second moment of patches, (4·PATCH², 4·PATCH²), of [-1, 1] less what is empty.

    Args:
        draw: draws the scenes; the first `FITTED_SCENES` seeds are taken.
    """
    moment, patches = torch.zeros((), dtype=torch.float64), 0
    for images in itertools.islice(seeded_pictures(draw), FITTED_SCENES):
        empty = images.new_tensor([1.0, 1, 1, 0]).view(4, 1, 1)
        found = F.pixel_unshuffle(2 * (images - empty), PATCH).movedim(1, 0).flatten(1)
        moment = moment + (found @ found.T).double()
        patches += found.shape[1]
    return moment / patches


def fit_components(moment: Tensor) -> Tensor:
    """Choose the principal components of patches, (C, 4, PATCH, PATCH); see `PatchAutoencoder`.

    Alpha counts less than a colour: it is smooth, and what errs in it is seen only along the outline.

    Args:
        moment: as `second_moment` gives it.
    """
    weights = moment.new_ones(PICTURE_CHANNELS, PATCH**2)
    weights[3] = ALPHA_WEIGHT
    weights = weights.flatten()
    weighted = weights[:, None] * moment * weights
    components = principal_components(weighted, LATENT_CHANNELS, FLATNESS) * weights.float()
    return components.view(-1, PICTURE_CHANNELS, PATCH, PATCH)


def seeded_pictures(draw: Draw) -> Iterator[Tensor]:
    """Draw the scenes of the seeds 0, 1, … and give the pictures of each; see `with_alpha`."""
    return (with_alpha(draw(np.random.default_rng(seed)).pictures) for seed in itertools.count())


def with_alpha(pictures: Tensor) -> Tensor:
    """Turn pictures (..., 4, H, W) of straight alpha into what the autoencoder knows: on white, and alpha."""
    return torch.cat(on_white(pictures), dim=-3)


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Decode latents (B, C, h, w) to pictures (B, P, H, W) in [0, 1]."""
    decoded = F.pixel_shuffle(vae.decode(latents, return_dict=False)[0], PIXEL_UNSHUFFLE)
    return ((decoded + 1) / 2).clamp(0, 1)


def fold(images: Tensor) -> Tensor:
    """Turn pictures (B, P, H, W) in [0, 1] into what the autoencoder takes: [-1, 1], pixels in channels."""
    return F.pixel_unshuffle(images * 2 - 1, PIXEL_UNSHUFFLE)


def _decibels(errors: Tensor) -> Tensor:
    return -10 * errors.clamp(min=1e-8).log10()
