"""The released networks' way to make a picture small for their image encoder.

The networks were trained on what it gives, so it is followed exactly: a Gaussian blur whose width depends on
the factor, then bicubic interpolation with the corners aligned.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_antialiased(pictures: Tensor, size: int) -> Tensor:
    """Resize pictures to squares.

    Args:
        pictures: (N, C, H, W)
        size: height and width of the result.

    Returns:
        (N, C, size, size); values may lie slightly outside the range that they came from
    """
    factors = [length / size for length in pictures.shape[-2:]]
    if max(factors) > 1:
        for axis, factor in zip((-2, -1), factors, strict=True):
            pictures = _blur(pictures, axis, factor)
    if all(factor == 1 for factor in factors):
        return pictures
    return F.interpolate(pictures, size=(size, size), mode="bicubic", align_corners=True)


def _blur(pictures: Tensor, axis: int, factor: float) -> Tensor:
    """Blur along an axis by a Gaussian of deviation (factor - 1)/2, cut off at twice that on either side."""
    deviation = max((factor - 1) / 2, 0.001)
    taps = int(max(4 * deviation, 3)) // 2 * 2 + 1
    offsets = torch.arange(taps, device=pictures.device, dtype=pictures.dtype) - taps // 2
    kernel = torch.exp(-(offsets**2) / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    flat = pictures.movedim(axis, -1)
    padded = F.pad(flat.flatten(0, -2)[:, None], (taps // 2, taps // 2), mode="reflect")
    return F.conv1d(padded, kernel[None, None]).view(flat.shape).movedim(-1, axis)
