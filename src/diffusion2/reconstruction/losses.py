"""What the reconstruction minimises."""

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of pictures (Wang et al., 2004) with a Gaussian window of 11, sigma 1.5.

    Args:
        a: (B, H, W, C) in [0, 1]; gradients flow to these.
        b: (B, H, W, C) in [0, 1]; no gradients flow to these.

    Returns:
        (B,) means over pixels and channels; 1 for equal pictures. Outside the pictures both count as 0.
    """
    with torch.no_grad():
        mean_b, square_b = _blur(torch.cat([b, b * b], dim=-1)).chunk(2, dim=1)
        variance_b = square_b - mean_b.square()
    mean_a, square_a, product = _blur(torch.cat([a, a * a, a * b], dim=-1)).chunk(3, dim=1)
    variance_a, covariance = square_a - mean_a.square(), product - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a.square() + mean_b.square() + _C1)
    structure = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    return (luminance * structure).mean(dim=(1, 2, 3))


def photometric_loss(rgb: Tensor, target: Tensor, ssim_weight: float) -> Tensor:
    """Give (1 - w) L1 + w (1 - SSIM) of each of (B, H, W, 3) pictures, (B,)."""
    l1 = (rgb - target).abs().mean(dim=(1, 2, 3))
    if ssim_weight == 0:
        return l1
    return (1 - ssim_weight) * l1 + ssim_weight * (1 - ssim(rgb, target))


def alpha_loss(alpha: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Give the mean absolute error of each of (B, H, W, 1) alphas where they are known, (B,)."""
    return ((alpha - target).abs() * known).mean(dim=(1, 2, 3))


def _blur(pictures: Tensor) -> Tensor:
    """Blur (B, H, W, C) pictures into (B, C, H, W); channels stay innermost, which CPUs like best."""
    channels = pictures.shape[-1]
    offsets = torch.arange(_WINDOW, dtype=pictures.dtype) - _WINDOW // 2
    kernel = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, _WINDOW)
    x = pictures.permute(0, 3, 1, 2)
    x = F.conv2d(x, kernel[:, :, :, None], padding=(_WINDOW // 2, 0), groups=channels)
    return F.conv2d(x, kernel[:, :, None, :], padding=(0, _WINDOW // 2), groups=channels)
