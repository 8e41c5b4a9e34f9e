"""Where the object is in pictures on white."""

import torch
import torch.nn.functional as F
from torch import Tensor

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
    white = (images >= 1 - WHITE_TOLERANCE).all(dim=1, keepdim=True).float()
    background = _connected_to_border(1 - _without_specks(1 - white))
    alphas = 1 - background
    outline = _dilate(alphas) * _dilate(background)
    inner_white = alphas * white
    return alphas, 1 - torch.maximum(outline, inner_white)


def _without_specks(foreground: Tensor) -> Tensor:
    """Remove regions so thin or small that nothing of them is left by a 3 × 3 erosion."""
    core = 1 - _dilate(1 - foreground)
    kept = _grow(core, foreground)
    enough = kept.mean(dim=(1, 2, 3), keepdim=True) >= _SMALLEST_SPECK
    return kept * enough


def _connected_to_border(white: Tensor) -> Tensor:
    """Keep the white pixels that are connected with the border through white pixels."""
    seed = torch.zeros_like(white)
    seed[..., 0, :] = seed[..., -1, :] = seed[..., :, 0] = seed[..., :, -1] = 1
    return _grow(seed * white, white)


def _grow(seed: Tensor, within: Tensor) -> Tensor:
    """Grow regions from a seed as far as they reach in a mask, (B, 1, H, W), through edges of pixels."""
    while True:
        grown = _fill_runs(_fill_runs(seed, within).mT, within.mT).mT
        if torch.equal(grown, seed):
            return seed
        seed = grown


def _fill_runs(seed: Tensor, within: Tensor) -> Tensor:
    """Fill every horizontal run of a mask that holds a seed."""
    # Counting the gaps numbers the runs: each keeps one number from its gap to its end.
    runs = (1 - within).cumsum(-1).long()
    hit = seed.new_zeros((*seed.shape[:-1], seed.shape[-1] + 1)).scatter_reduce(-1, runs, seed, "amax")
    return hit.gather(-1, runs) * within


def _dilate(mask: Tensor) -> Tensor:
    """Let the ones of (B, 1, H, W) grow by a pixel in all eight directions."""
    return F.max_pool2d(mask, 3, stride=1, padding=1)
