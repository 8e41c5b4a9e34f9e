"""The edge of a cut-out object: how much of each pixel is object, and the colour of that part."""

import numpy as np
from PIL import Image, ImageFilter

from diffusion2.inputs.cutting.ground import dot
from diffusion2.inputs.cutting.morphology import blur, dilate, erode

SURELY_OBJECT = 242
EDGE_SHARE = 80
"""A network's edge is soft over about this part of the picture's side."""
REACH_PX = 2.0
"""Standard deviation of the neighbourhood from which an edge takes the colours on its two sides."""
MARGIN_PX = 8
LEAST_CONTRAST = 10.0
"""Object and background must differ so much, of 255, to tell their shares in a pixel."""


def with_sharp_edge(pixels: np.ndarray, mask: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Find alpha and colours at the edge of an object before a known background.

    A pixel there is a mixture of the two colours beside it; its alpha is the share that explains it best, and
    what is left of its colour without the background is the object's. So no line of the old background is
    seen on white, and whiskers stay.

    Args:
        pixels: (H, W, 3) float32, of 255.
        mask: (H, W) bool, the object with all pixels that are partly object.
        ground: (H, W, 3) float32, the background's colours.

    Returns:
        (H, W, 4) uint8.
    """
    result = np.concatenate([pixels, mask[..., None] * np.float32(255)], -1)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows):
        around = tuple(slice(max(0, i[0] - MARGIN_PX), i[-1] + 1 + MARGIN_PX) for i in (rows, columns))
        result[around] = _unmixed(pixels[around], mask[around], ground[around])
    return result.clip(0, 255).round().astype(np.uint8)


def _unmixed(pixels: np.ndarray, mask: np.ndarray, ground: np.ndarray) -> np.ndarray:
    away = pixels - ground
    inner = _nearby(pixels, mask * dot(away, away) ** 2 + np.float32(1e-6) * mask)
    outside = ~dilate(mask, 2)
    outer = _nearby(pixels, outside.astype(np.float32), ground)
    across = inner - outer
    power = dot(across, across)
    share = dot(pixels - outer, across) / np.maximum(power, 1e-6)
    edge = dilate(mask) & ~erode(mask, 2)
    clear_edge = edge & (power > LEAST_CONTRAST**2)
    alpha = np.where(clear_edge, share.clip(0, 1), mask)[..., None]
    rest = ((pixels - (1 - alpha) * outer) / np.maximum(alpha, 0.05)).clip(0, 255)
    colours = np.where(alpha < 1, alpha * rest + (1 - alpha) * inner, pixels)
    return np.concatenate([colours, alpha * 255], -1)


def _nearby(pixels: np.ndarray, weights: np.ndarray, otherwise: np.ndarray | None = None) -> np.ndarray:
    """Average colours around each pixel by weights; where there are none, take others."""
    amount = blur(weights, REACH_PX)[..., None]
    total = blur(pixels * weights[..., None], REACH_PX)
    around = total / np.maximum(amount, 1e-12)
    return np.where(amount > 1e-6, around, pixels if otherwise is None else otherwise)


def without_fringe(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Take the colours of the object's soft edge from the object beside it, as RGBA with that mask.

    There the picture mixes object and background, which would be a coloured line on white.
    """
    inside = mask.point([255 * (a >= SURELY_OBJECT) for a in range(256)])
    black = Image.new("RGB", picture.size)
    spread = ImageFilter.GaussianBlur(max(2.0, max(picture.size) / EDGE_SHARE))
    amount = np.asarray(inside.filter(spread), np.float32)[..., None]
    nearby = np.asarray(Image.composite(picture, black, inside).filter(spread), np.float32) * 255
    mixed = (np.asarray(inside)[..., None] == 0) & (amount >= 1)
    colours = np.where(mixed, nearby / np.maximum(amount, 1), np.asarray(picture))
    cleaned = Image.fromarray(colours.clip(0, 255).round().astype(np.uint8))
    cleaned.putalpha(mask)
    return cleaned
