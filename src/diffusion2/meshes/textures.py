"""The pictures on surfaces."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from diffusion2.errors import InputError, in_one_line
from diffusion2.pictures import as_rgb

Wrap = Literal["repeat", "mirror", "clamp"]
MAX_TEXTURE_PX = 1 << 27


@dataclass(frozen=True)
class Texture:
    """A picture and how it is laid on a surface.

    Attributes:
        pixels: (h, w, 3) uint8 sRGB; (h, w, 4) where its alpha counts.
        wrap: what it does beyond its edges, along u and v.
        nearest: it is enlarged in squares.
    """

    pixels: np.ndarray
    wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")
    nearest: bool = False


def decode_picture(data: bytes, name: str) -> Image.Image:
    """Decode a file's bytes to RGB, or RGBA where it has alpha, with 8 bits a channel.

    Args:
        data: the file's contents.
        name: what it is, for messages.

    Raises:
        InputError: it is too large, damaged, or of an unknown format; says how to save it.
    """
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_TEXTURE_PX:
            raise InputError(f"{name} is too large: {picture.width} x {picture.height} pixels")
        return as_rgb(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its format is unknown" if unknown else in_one_line(error)
        raise InputError(f"{name} can't be read ({reason}): save it as PNG or JPEG") from error
