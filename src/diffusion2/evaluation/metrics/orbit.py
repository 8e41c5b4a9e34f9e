"""How well the views around an object were made of one picture of it."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion2.evaluation.metrics.pixels import psnr
from diffusion2.reconstruction.masks import estimate_alphas

ORBIT_FIGURES = ("lpips", "overlap", "psnr_object")


@torch.no_grad()
def compare_orbit(
    lpips: Callable[[Tensor, Tensor], Tensor], views: Tensor, truth: Tensor
) -> dict[str, float]:
    """Compare the views of an orbit with the true ones; the last, which was given, does not count.

    Args:
        lpips: distances (B,) between two batches of pictures.
        views: (V, 3, H, W) in [0, 1] on white.
        truth: of the same shape.

    Returns:
        By `ORBIT_FIGURES`, means over the views: LPIPS; intersection over union of the silhouettes, estimated
        from white in both; PSNR over the pixels of the true silhouette, dB.
    """
    views, truth = views[:-1], truth[:-1]
    made, real = (estimate_alphas(images)[0] > 0 for images in (views, truth))
    overlap = (made & real).sum((1, 2, 3)) / (made | real).sum((1, 2, 3)).clamp(min=1)
    means = lpips(views, truth).mean(), overlap.mean(), psnr(views, truth, real.float()).nanmean()
    return dict(zip(ORBIT_FIGURES, map(float, means), strict=True))
