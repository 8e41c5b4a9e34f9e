"""PSNR and SSIM of pictures, over all pixels or over the object alone.

SSIM is that of Wang et al. (2004) as usually computed: a Gaussian window of 11 x 11 with sigma 1.5, variances
of the population, each channel by itself, and only pixels whose window lies inside the picture.
(`reconstruction.losses` pads with zeros instead, so that every pixel has a gradient.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor

PSNR_CAP = 100.0
"""What equal pictures get, in dB: their PSNR has no bound, and a table and its means need a number. A single
channel of one pixel that differs by one of 255 steps gives 95 dB at 128 x 128."""

WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2
_PICTURES_AT_ONCE = 4


def psnr(images: Tensor, references: Tensor, masks: Tensor | None = None) -> Tensor:
    """Return the peak signal-to-noise ratio of each picture, in dB, at most `PSNR_CAP`.

    Args:
        images: (B, 3, H, W) in [0, 1].
        references: (B, 3, H, W) in [0, 1].
        masks: (B, 1, H, W), 0 or 1: the pixels that count; None for all.

    Returns:
        (B,); NaN where a mask is empty.
    """
    errors = (images - references).square().mean(dim=1, keepdim=True)
    return -10 * masked_means(errors, masks).clamp(min=10 ** (-PSNR_CAP / 10)).log10()


def ssim(images: Tensor, references: Tensor, masks: Tensor | None = None) -> Tensor:
    """Return the structural similarity of each picture, 1 for equal ones.

    Args:
        images: (B, 3, H, W) in [0, 1]; H and W at least 11.
        references: (B, 3, H, W) in [0, 1].
        masks: (B, 1, H, W), 0 or 1: the pixels over which the map is averaged; None for all. Windows
            reach over a mask's edge.

    Returns:
        (B,); NaN where no pixel with a whole window is in the mask.
    """
    return ssim_of_map(ssim_map(images, references), masks)


def ssim_map(images: Tensor, references: Tensor) -> Tensor:
    """Return the similarity around each pixel whose window lies inside, (B, 1, H - 10, W - 10)."""
    pairs = zip(images.split(_PICTURES_AT_ONCE), references.split(_PICTURES_AT_ONCE), strict=True)
    return torch.cat([_similarity(a, b).mean(dim=1, keepdim=True) for a, b in pairs])


def ssim_of_map(similarity: Tensor, masks: Tensor | None = None) -> Tensor:
    """Average what `ssim_map` gives, over all pixels or over masks (B, 1, H, W), to (B,)."""
    edge = WINDOW // 2
    return masked_means(similarity, None if masks is None else masks[..., edge:-edge, edge:-edge])


def masked_means(values: Tensor, masks: Tensor | None) -> Tensor:
    """Return the means (B,) of (B, 1, H, W) where the mask is 1; NaN where it is empty."""
    if masks is None:
        return values.mean(dim=(1, 2, 3))
    return (values * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3))


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    channels = a.shape[1]
    # Variances are differences of near numbers: counted from each picture's own mean, which changes none of
    # them, little is rounded away. In double precision this would take five times as long.
    middle_a, middle_b = (x.mean(dim=(2, 3), keepdim=True) for x in (a, b))
    a, b = a - middle_a, b - middle_b
    blurred = _blur(torch.cat([a, b, a * a + b * b, a * b], dim=1))
    mean_a, mean_b, squares, products = blurred.split(channels, dim=1)
    variances, covariance = squares - mean_a**2 - mean_b**2, products - mean_a * mean_b
    mean_a, mean_b = mean_a + middle_a, mean_b + middle_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return luminance * (2 * covariance + _C2) / (variances + _C2)


def _blur(pictures: Tensor) -> Tensor:
    """Average (B, C, H, W) over the Gaussian window, where it lies inside: (B, C, H - 10, W - 10)."""
    channels = pictures.shape[1]
    offsets = torch.arange(WINDOW, dtype=pictures.dtype) - WINDOW // 2
    kernel = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, WINDOW)
    x = F.conv2d(pictures, kernel[:, :, :, None], groups=channels)
    return F.conv2d(x, kernel[:, :, None, :], groups=channels)
