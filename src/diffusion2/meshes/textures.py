"""The pictures on surfaces."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from diffusion2.errors import InputError, in_one_line

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
    """Decode a file's bytes to 8 bits a channel; `RGBA` or `LA` where it has alpha.

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
        return _to_8_bit(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its format is unknown" if unknown else in_one_line(error)
        raise InputError(f"{name} can't be read ({reason}): save it as PNG or JPEG") from error


def _to_8_bit(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        values = np.asarray(picture, np.float64) / 257
        return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))
    if picture.mode in ("L", "LA", "RGB", "RGBA"):
        picture.load()
        return picture
    has_alpha = "transparency" in picture.info or picture.mode in ("PA", "La", "RGBa")
    return picture.convert("RGBA" if has_alpha else "RGB")
