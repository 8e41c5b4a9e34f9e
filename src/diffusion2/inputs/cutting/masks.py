"""Masks that say what the object in pictures is: white is the object, black the rest."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps

from diffusion2.errors import InputError
from diffusion2.inputs.picture import open_input
from diffusion2.pictures import as_rgb, decode, shrink

LABELS = 32
"""Masks whose values are all below this number objects from 1 on; 0 is the background."""
COLOURED = 32
"""How far channels differ where colours stand for objects; black is the background."""
DARK = 32
"""Up to this value a coloured mask shows background, as compression blurs it."""
WHITE_BORDER = 0.75
"""Share of the border from which on masks show the background in white: few objects touch so much of it."""
ALL = 0.99
"""Share of a picture from which on a mask shows all of it."""
SAME_SHAPE = 0.02
"""How far a mask's proportions may be from its picture's."""


def read_mask(path: Path, side: int) -> Image.Image:
    """Read a file as a mask, mode L, at most so many pixels a side; see `mask_of`.

    Raises:
        InputError: it can't be read.
    """
    with open_input(path) as picture:
        decoded = decode(picture, path, side)
        if picture.mode in ("L", "I", "F") or picture.mode.startswith("I;"):
            values = np.nan_to_num(np.asarray(picture, dtype=np.float32))  # before they become 8 bits
            if 0 < values.max() < LABELS:
                labels = Image.fromarray((values > 0).astype(np.uint8) * 255)
                labels.info = picture.info
                return shrink(ImageOps.exif_transpose(labels), side)
        return mask_of(decoded)


def read_masks(paths: Sequence[Path], side: int) -> Image.Image:
    """Read the masks of one picture, the object's parts, as one mask of all of them; see `read_mask`."""
    first, *others = (read_mask(path, side) for path in paths)
    for other in others:
        first = ImageChops.lighter(first, other if other.size == first.size else other.resize(first.size))
    return first


def mask_of(picture: Image.Image) -> Image.Image:
    """Turn a picture into a mask, mode L: its alpha where it has any, else its brightness.

    Where it has colours, they stand for objects: the mask is what isn't black.
    """
    picture = as_rgb(picture)
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
        if np.asarray(alpha).min() < 255:
            return alpha
    pixels = np.asarray(picture.convert("RGB"))
    brightest = pixels.max(-1)
    if (brightest - pixels.min(-1)).max() > COLOURED:
        return Image.fromarray((brightest > DARK).astype(np.uint8) * 255)
    return Image.fromarray(brightest)


def apply_masks(
    pictures: Sequence[Image.Image], masks: Sequence[Image.Image | None], name: Path | str
) -> tuple[list[Image.Image], list[str]]:
    """Make masks the alpha of the pictures of one sequence; what was transparent before stays so.

    Args:
        pictures: RGBA.
        masks: mode L; None for pictures that have none.
        name: what the masks are, for messages.

    Returns:
        the pictures, RGBA, and notes about what was decided.

    Raises:
        InputError: a mask has other proportions than its picture, or all are black.
    """
    known = [mask for mask in masks if mask is not None]
    notes = []
    if known and max(np.asarray(mask).max() for mask in known) < 128:
        raise InputError(f"{name}: the mask is black everywhere; the object must be white in it")
    if known and _show_background(known):
        known = [ImageChops.invert(mask) for mask in known]
        masks = [None if mask is None else ImageChops.invert(mask) for mask in masks]
        notes.append(
            f"{name}: the mask is white around the object and black on it, so it is taken the other way "
            "round; give pictures with an alpha channel if that is wrong"
        )
    pairs = list(zip(pictures, masks, strict=True))
    if resized := [
        (picture, mask) for picture, mask in pairs if mask is not None and mask.size != picture.size
    ]:
        picture, mask = resized[0]
        notes.append(
            f"{name}: the mask has another size than its picture ({mask.width} x {mask.height} pixels, as "
            f"read, not {picture.width} x {picture.height}): it is scaled"
        )
    return [picture if mask is None else _with_mask(picture, mask, name) for picture, mask in pairs], notes


def _show_background(masks: Sequence[Image.Image]) -> bool:
    """Tell whether masks are white where the background is: along most of the border, but not everywhere."""
    borders, wholes = [], []
    for mask in masks:
        white = np.asarray(mask) >= 128
        borders.append(np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]]).mean())
        wholes.append(white.mean())
    return bool(np.mean(borders) > WHITE_BORDER and np.mean(wholes) < ALL)


def _with_mask(picture: Image.Image, mask: Image.Image, name: Path | str) -> Image.Image:
    if abs(mask.width * picture.height / (mask.height * picture.width) - 1) > SAME_SHAPE:
        raise InputError(
            f"{name}: the mask is {mask.width} x {mask.height} pixels, its picture {picture.width} x "
            f"{picture.height}: give one of the same shape"
        )
    scaled = mask if mask.size == picture.size else mask.resize(picture.size, Image.Resampling.BILINEAR)
    masked = picture.copy()
    masked.putalpha(ImageChops.darker(scaled, picture.getchannel("A")))
    return masked
