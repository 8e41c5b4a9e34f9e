"""Reading pictures of any usual format and mode as 8-bit RGBA."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from diffusion2.errors import InputError, in_one_line
from diffusion2.inputs.framing import reduce

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
ANIMATED = {"GIF", "WEBP", "PNG", "AVIF"}
MAX_PIXELS = 8192 * 8192
MIN_SIDE_PX = 16
WORKING_SIDE_PX = 2048


class NoPicture(InputError):
    """A file that has no picture format; it may be something else."""


def read_picture(path: Path, side: int = WORKING_SIDE_PX) -> Image.Image:
    """Read a picture as RGBA, its orientation applied, at most so many pixels a side.

    Only the first frame of an animation counts.

    Raises:
        InputError: the file can't be read, is damaged, too large or too small.
    """
    with open_picture(path) as picture:
        return decode(picture, path, side)


def open_picture(path: Path) -> Image.Image:
    """Open a picture without decoding it; its size has been checked.

    Raises:
        NoPicture: it has no picture format.
        InputError: it is damaged, too large or too small.
    """
    # anything may look like a TGA
    formats = [*FORMATS, *(["TGA"] if path.suffix.lower() == ".tga" else [])]
    limit = Image.MAX_IMAGE_PIXELS
    Image.init()
    try:
        Image.MAX_IMAGE_PIXELS = None  # our own check is stricter, and says what to do
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(path, formats=[name for name in formats if name in Image.OPEN])
    except Image.UnidentifiedImageError as error:
        raise NoPicture(f"{path} is no picture that can be read: give a PNG, JPEG or WebP file") from error
    except Exception as error:  # decoders raise anything on broken data
        raise _damaged(path, error) from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    width, height = picture.size
    try:
        check_size(path, width, height)
    except InputError:
        picture.close()
        raise
    return picture


def decode(picture: Image.Image, path: Path, side: int = WORKING_SIDE_PX) -> Image.Image:
    """Decode an opened picture, or the frame of an animation that it stands at, to upright 8-bit RGBA.

    Raises:
        InputError: its data are damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.draft("RGB", (side, side))
            return shrink(ImageOps.exif_transpose(_to_8_bit(picture)), side)
    except Exception as error:  # decoders raise anything on broken data
        raise _damaged(path, error) from error


def shrink(picture: Image.Image, side: int) -> Image.Image:
    """Bring the longer side to at most so many pixels; then RGBA."""
    factor = -(-max(picture.size) // side)
    if factor > 1:
        picture = reduce(picture, factor) if picture.mode == "RGBA" else picture.reduce(factor)
    return picture.convert("RGBA")


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse pictures or frames that are too large or too small to work with.

    Raises:
        InputError: says which.
    """
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path} is too large: {width} x {height} pixels, at most {MAX_PIXELS / 1e6:.0f} megapixels; "
            "scale it down first"
        )
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(
            f"{path} is too small: {width} x {height} pixels, at least {MIN_SIDE_PX} x {MIN_SIDE_PX}"
        )


def _to_8_bit(picture: Image.Image) -> Image.Image:
    """Give any mode as RGB or RGBA with 8 bits."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture, dtype=np.float32))
        highest = float(values.max())
        if picture.mode == "F":
            top = 1.0 if highest <= 1 else 255.0 if highest <= 255 else 65535.0
        else:
            top = 65535.0 if picture.mode.startswith("I;") or highest > 255 else 255.0
        converted = Image.fromarray(np.clip(values / top * 255, 0, 255).round().astype(np.uint8)).convert(
            "RGB"
        )
        converted.info = picture.info
        return converted
    has_alpha = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


def _damaged(path: Path, error: Exception) -> InputError:
    if isinstance(error, PermissionError):
        return InputError(f"{path} can't be read: {in_one_line(error)}")
    return InputError(f"{path} can't be read as a picture: it may be damaged ({in_one_line(error)})")
