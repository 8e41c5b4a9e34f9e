"""Where the object is in pictures on white."""

import torch
from torch import Tensor

from diffusion2.kernels.regions import regions_at_border, regions_with

WHITE_TOLERANCE = 0.06
"""A pixel whose every channel is within this of 1 looks like the background; decoded latents are never
exactly white."""

_SMALLEST_SPECK = 1.5e-3
"""Share of the picture under which a lone region is noise of the decoder, not a part of the object."""


def estimate_alphas(images: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate the object's alpha in pictures on a white background.

    A white part of the object can't be told from the background by its colour, but by lying inside:
    what isn't connected to the border through white pixels belongs to the object.

    Args:
        images: (B, 3, H, W) in [0, 1].

    Returns:
        alphas: (B, 1, H, W), 0 or 1.
        known: (B, 1, H, W), 1 where that estimate is trusted; 0 along the outline, where pixels mix object
            and background, and in white parts inside, which may also be see-through holes.
    """
    white = (images >= 1 - WHITE_TOLERANCE).all(dim=1, keepdim=True)
    background = torch.from_numpy(regions_at_border((~_without_specks(~white)).numpy()))
    alphas = ~background
    outline = _dilate(alphas) & _dilate(background)
    return alphas.float(), (~(outline | (alphas & white))).float()


def _without_specks(foreground: Tensor) -> Tensor:
    """Remove regions so thin or small that nothing of them is left by a 3 × 3 erosion."""
    core = ~_dilate(~foreground)
    kept = torch.from_numpy(regions_with(core.numpy(), foreground.numpy()))
    return kept & (kept.float().mean(dim=(1, 2, 3), keepdim=True) >= _SMALLEST_SPECK)


def _dilate(mask: Tensor) -> Tensor:
    """Let what is true in (B, 1, H, W) grow by a pixel in all eight directions."""
    wide = mask.clone()
    wide[..., 1:] |= mask[..., :-1]
    wide[..., :-1] |= mask[..., 1:]
    grown = wide.clone()
    grown[..., 1:, :] |= wide[..., :-1, :]
    grown[..., :-1, :] |= wide[..., 1:, :]
    return grown
