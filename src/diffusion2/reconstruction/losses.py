"""What the reconstruction minimises."""

from typing import Any

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
    return _Ssim.apply(a, b)  # pyright: ignore[reportReturnType]


class _Ssim(torch.autograd.Function):
    """The blur is its own adjoint, so both passes are a few blurs: half the time of autograd's."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        blurred = _blur(torch.cat([a, b, a * a + b * b, a * b], dim=-1))
        mean_a, mean_b, squares, product = blurred.chunk(4, dim=-1)
        means = mean_a * mean_b
        mean_squares = mean_a.square().addcmul_(mean_b, mean_b)
        covariance, variances = product - means, squares - mean_squares
        n1, d1 = 2 * means + _C1, mean_squares + _C1
        n2, d2 = 2 * covariance + _C2, variances + _C2
        bottom = d1 * d2
        value = n1 * n2 / bottom
        if ctx.needs_input_grad[0]:
            by_product = 2 * n1 / bottom
            by_squares = -value / d2
            by_mean = 2 * mean_b * (n2 - n1) / bottom + 2 * mean_a * value * (1 / d2 - 1 / d1)
            ctx.save_for_backward(a, b, torch.cat([by_mean, by_squares, by_product], dim=-1))
        return value.mean(dim=(1, 2, 3))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        a, b, partials = ctx.saved_tensors
        by_mean, by_squares, by_product = _blur(partials).chunk(3, dim=-1)
        scale = gradients[0][:, None, None, None] / a[0].numel()
        return scale * (by_mean + 2 * a * by_squares + b * by_product), None


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
    """Blur (B, H, W, C) pictures; channels stay innermost in memory, which CPUs like best."""
    channels = pictures.shape[-1]
    offsets = torch.arange(_WINDOW, dtype=pictures.dtype) - _WINDOW // 2
    kernel = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, _WINDOW)
    x = pictures.permute(0, 3, 1, 2)
    x = F.conv2d(x, kernel[:, :, :, None], padding=(_WINDOW // 2, 0), groups=channels)
    x = F.conv2d(x, kernel[:, :, None, :], padding=(0, _WINDOW // 2), groups=channels)
    return x.permute(0, 2, 3, 1)
