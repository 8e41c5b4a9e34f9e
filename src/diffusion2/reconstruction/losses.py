"""What the reconstruction minimises."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.config import ReconstructionSettings
from diffusion2.gaussians.rasterize import Rendering
from diffusion2.kernels.threads import run_tasks
from diffusion2.metrics.lpips import LPIPS, SMALLEST, load_rounded_lpips
from diffusion2.reconstruction.photometric_kernels import (
    BAND,
    RADIUS,
    WINDOW,
    compare,
    differentiate,
    scratch_size,
)
from diffusion2.reconstruction.targets import TargetPictures

_C1, _C2 = 0.01**2, 0.03**2


class PictureLoss:
    """How far pictures are from the matrix: L1 and SSIM, alpha, and LPIPS where it is asked for.

    Args:
        settings: the weights of the parts.
        device: where the pictures are.

    Raises:
        WeightsError: LPIPS is asked for, and the file of its network is missing or damaged.
    """

    def __init__(self, settings: ReconstructionSettings, device: torch.device) -> None:
        self._settings = settings
        self._lpips = load_rounded_lpips().to(device) if settings.lpips_weight else None
        self._calls = 0

    def __call__(self, rendering: Rendering, target: TargetPictures) -> Tensor:
        """Return the loss of each of B pictures, (B,); no gradients flow to the target."""
        settings, rgb, alpha = self._settings, rendering.rgb, rendering.alpha
        if target.seen is not None:  # where nothing was seen, whatever is drawn is right
            rgb = torch.where(target.seen > 0, rgb, target.images)
            alpha = torch.where(target.seen > 0, alpha, target.alphas)
        losses = photometric_loss(rgb, target.images, settings.ssim_weight)
        if self._lpips is not None:
            losses = losses + settings.lpips_weight * self._perceptual(rgb, target.images)
        if settings.alpha_weight:
            alphas = alpha_loss(alpha, target.alphas, target.known)
            losses = losses + settings.alpha_weight * alphas
        return losses

    def _perceptual(self, rgb: Tensor, target: Tensor) -> Tensor:
        """Return B times the LPIPS of one of B pictures, and 0 for the others, (B,).

        They take turns from call to call: on average this is the LPIPS of all, at a share of the cost.
        """
        assert self._lpips is not None
        count, turn = len(rgb), self._calls % len(rgb)
        self._calls += 1
        chosen = [x[turn : turn + 1] for x in (rgb, target)]
        return F.pad(count * _lpips_on_white(self._lpips, *chosen), (turn, count - turn - 1))


def photometric_loss(rgb: Tensor, target: Tensor, ssim_weight: float) -> Tensor:
    """Return (1 - w) L1 + w (1 - SSIM) of each of (B, H, W, 3) pictures in [0, 1], (B,).

    SSIM is that of Wang et al. (2004) with a Gaussian window of 11, sigma 1.5, averaged over pixels and
    channels. Outside the pictures both count as 0. No gradients flow to the target.
    """
    if rgb.device.type != "cpu" or rgb.dtype != torch.float32 or ssim_weight == 0:
        return dense_photometric_loss(rgb, target, ssim_weight)
    return _Photometric.apply(rgb, target, ssim_weight)  # pyright: ignore[reportReturnType]


class _Photometric(torch.autograd.Function):
    """The CPU's way: two passes of kernels over the pictures."""

    @staticmethod
    def forward(ctx: Any, rgb: Tensor, target: Tensor, ssim_weight: float) -> Tensor:
        count, height, width, channels = rgb.shape
        length = width * channels
        row = -(-length // 16) * 16
        a, b = (F.pad(x.detach().reshape(count, height, length), (0, row - length)) for x in (rgb, target))
        arrays = [x.reshape(-1).numpy() for x in (a, b)]
        wanted = ctx.needs_input_grad[0]
        partials = torch.empty(3 * a.numel() if wanted else 0).numpy()
        bands = -(-height // BAND)
        sums = np.zeros((count * bands, 2), np.float32)
        layout = (height, row, length, WINDOW)
        run_tasks(
            compare, count * bands, *arrays, *layout, partials, sums, scratch=scratch_size(4, row)
        )  # fmt: skip
        ctx.kept = (arrays, layout, partials, tuple(rgb.shape), ssim_weight)
        means = torch.from_numpy(sums).double().unflatten(0, (count, bands)).sum(1) / (height * length)
        return ((1 - ssim_weight) * means[:, 1] + ssim_weight * (1 - means[:, 0])).float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        arrays, layout, partials, shape, weight = ctx.kept
        height, row, length, _ = layout
        per_pixel = gradients[0].detach()[:, None] / (height * length)
        scales = (per_pixel * torch.tensor([-weight, 1 - weight])).numpy()
        out = torch.empty(shape)
        run_tasks(
            differentiate, shape[0] * -(-height // BAND), *arrays, *layout, partials, scales,
            out.view(-1).numpy(), scratch=scratch_size(3, row),
        )  # fmt: skip
        return out, None, None


def dense_photometric_loss(rgb: Tensor, target: Tensor, ssim_weight: float) -> Tensor:
    """Do what `photometric_loss` does in plain PyTorch, on any device and in any precision."""
    l1 = (rgb - target).abs().mean(dim=(1, 2, 3))
    if ssim_weight == 0:
        return l1
    blurred = _blur(torch.cat([rgb, target, rgb * rgb + target * target, rgb * target], dim=-1))
    mean_a, mean_b, squares, product = blurred.chunk(4, dim=-1)
    means, mean_squares = mean_a * mean_b, mean_a.square() + mean_b.square()
    top = (2 * means + _C1) * (2 * (product - means) + _C2)
    ssim = top / ((mean_squares + _C1) * (squares - mean_squares + _C2))
    return (1 - ssim_weight) * l1 + ssim_weight * (1 - ssim.mean(dim=(1, 2, 3)))


def alpha_loss(alpha: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return the mean absolute error of each of (B, H, W, 1) alphas where they are known, (B,)."""
    return ((alpha - target).abs() * known).mean(dim=(1, 2, 3))


def _lpips_on_white(lpips: LPIPS, rgb: Tensor, target: Tensor) -> Tensor:
    """Return the LPIPS of each of (B, H, W, 3) pictures on white, (B,); small ones get a white border."""
    height, width = rgb.shape[1:3]
    border = (0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height))
    a, b = (F.pad(x.permute(0, 3, 1, 2), border, value=1.0) for x in (rgb, target))
    return lpips(a, b)


def _blur(pictures: Tensor) -> Tensor:
    """Blur (B, H, W, C) pictures with SSIM's window."""
    kernel = torch.as_tensor(WINDOW).to(pictures).expand(pictures.shape[-1], 1, -1)
    x = pictures.permute(0, 3, 1, 2)
    x = F.conv2d(x, kernel[:, :, :, None], padding=(RADIUS, 0), groups=len(kernel))
    x = F.conv2d(x, kernel[:, :, None, :], padding=(0, RADIUS), groups=len(kernel))
    return x.permute(0, 2, 3, 1)
