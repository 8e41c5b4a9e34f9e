"""Latents of the rendered sets, computed once with the trained autoencoder."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusion2.events import Report, stage
from diffusion2.pictures import from_pixels
from diffusion2.training.vae import fold


@torch.no_grad()
def encode_set(vae: Any, images: Path, target: Path, report: Report) -> Path:
    """Encode a rendered set to modes: (N, T, C, h, w) float16 beside the pictures.

    Args:
        vae: the autoencoder; its encoder is what it will stay, its decoder need not be trained.
        images: (N, T, H, W, 3) uint8 `.npy`.
        target: where to write; kept if it is newer than the pictures and begins with what this encoder gives.
        report: takes how far it is.
    """
    pictures = np.load(images, mmap_mode="r")
    if target.is_file() and target.stat().st_mtime > images.stat().st_mtime:
        first = _encode(vae, pictures[0])
        kept = np.load(target, mmap_mode="r")[0]
        if kept.shape == first.shape and np.allclose(kept, first, atol=1e-2):
            return target
    encoded = None
    partial = target.with_suffix(".partial")
    with stage(report, f"encode {images.stem}") as progress:
        for i, sequence in enumerate(pictures):
            latent = _encode(vae, sequence)
            if encoded is None:
                shape = (len(pictures), *latent.shape)
                encoded = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
            encoded[i] = latent
            progress(i + 1, len(pictures))
    assert encoded is not None
    encoded.flush()
    os.replace(partial, target)
    return target


def _encode(vae: Any, sequence: np.ndarray) -> np.ndarray:
    posterior = vae.encode(fold(from_pixels(sequence)), return_dict=False)[0]
    return posterior.mode().to(torch.float16).numpy()


def motion_buckets(images: Path) -> np.ndarray:
    """Measure how much each clip of a set moves, as motion buckets (N,) in [0, 255].

    The mean difference to the first frame, as a share of the object's area, is squashed so that a
    typical clip (0.23) gets 127.5: 255 m / (m + 0.23).
    """
    buckets = []
    for sequence in np.load(images, mmap_mode="r"):
        frames = sequence[:, ::2, ::2].astype(np.float32) / 255
        area = max(float((frames.min(-1) < 0.98).mean()), 1e-3)
        motion = float(np.abs(frames[1:] - frames[:1]).mean()) / area
        buckets.append(255 * motion / (motion + 0.23))
    return np.array(buckets, np.float32)
