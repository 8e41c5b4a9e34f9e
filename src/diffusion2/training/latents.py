"""Latents of the rendered sets, computed once with the trained autoencoder."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusion2.events import Report, stage
from diffusion2.training.vae import fold, to_float


@torch.no_grad()
def encode_set(vae: Any, images: Path, target: Path, report: Report, *, weights: Path) -> Path:
    """Encode a rendered set to modes, unscaled: (N, T, C, h, w) float16 beside the pictures.

    Args:
        vae: the trained autoencoder.
        images: (N, T, H, W, 3) uint8 `.npy`.
        target: where to write; kept if it is newer than the pictures and the autoencoder.
        report: told how far it is.
        weights: the autoencoder's checkpoint.
    """
    newest = max(path.stat().st_mtime for path in (images, weights))
    if target.is_file() and target.stat().st_mtime > newest:
        return target
    pictures = np.load(images, mmap_mode="r")
    encoded = None
    partial = target.with_suffix(".partial")
    with stage(report, f"encode {images.stem}") as progress:
        for i, sequence in enumerate(pictures):
            with torch.autocast("cpu", torch.bfloat16):
                posterior = vae.encode(fold(to_float(sequence)), return_dict=False)[0]
            latent = posterior.mode().to(torch.float16).numpy()
            if encoded is None:
                shape = (len(pictures), *latent.shape)
                encoded = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
            encoded[i] = latent
            progress(i + 1, len(pictures))
    assert encoded is not None
    encoded.flush()
    os.replace(partial, target)
    return target


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
