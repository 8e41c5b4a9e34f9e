"""How well the views around an object were made of one picture of it."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion2.metrics.pixels import psnr

ORBIT_FIGURES = ("lpips", "overlap", "psnr_object")


@torch.no_grad()
def compare_orbit(
    lpips: Callable[[Tensor, Tensor], Tensor], views: Tensor, truth: Tensor, masks: Tensor, true_masks: Tensor
) -> dict[str, float]:
    """Compare views with the true ones; leave out the one that was given.

    Args:
        lpips: distances (B,) between two batches of pictures.
        views: (V, 3, H, W) in [0, 1] on white.
        truth: of the same shape.
        masks: (V, 1, H, W), 0 or 1: the object in the views.
        true_masks: the same in the true ones.

    Returns:
        By `ORBIT_FIGURES`, means over the views: LPIPS; intersection over union of the silhouettes; PSNR over
        the pixels of the true silhouette, dB.
    """
    made, real = masks > 0, true_masks > 0
    overlap = (made & real).sum((1, 2, 3)) / (made | real).sum((1, 2, 3)).clamp(min=1)
    means = lpips(views, truth).mean(), overlap.mean(), psnr(views, truth, real.float()).nanmean()
    return dict(zip(ORBIT_FIGURES, map(float, means), strict=True))
