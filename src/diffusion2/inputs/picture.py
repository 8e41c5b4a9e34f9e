"""Pictures as inputs: large enough, at most so large as the work needs, always with an alpha channel."""

from pathlib import Path

from PIL import Image

from diffusion2 import pictures
from diffusion2.errors import InputError

MIN_SIDE_PX = 16
WORKING_SIDE_PX = 2048


def read_rgba(path: Path, side: int = WORKING_SIDE_PX) -> Image.Image:
    """Read a picture as RGBA, at most so many pixels a side; see `pictures.read_picture`.

    Raises:
        InputError: the file can't be read, is damaged, too large or too small.
    """
    with open_input(path) as picture:
        return decode_rgba(picture, path, side)


def open_input(path: Path) -> Image.Image:
    """Open a picture without decoding it; its size has been checked.

    Raises:
        NoPicture: it has no picture format.
        InputError: it is damaged, too large or too small.
    """
    picture = pictures.open_picture(path)
    try:
        check_size(path, *picture.size)
    except InputError:
        picture.close()
        raise
    return picture


def decode_rgba(picture: Image.Image, path: Path, side: int = WORKING_SIDE_PX) -> Image.Image:
    """Decode an opened picture, or the frame of an animation that it stands at, as RGBA.

    Raises:
        InputError: its data are damaged.
    """
    return pictures.decode(picture, path, side).convert("RGBA")


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse pictures or frames that are too large or too small to work with.

    Raises:
        InputError: says which.
    """
    pictures.check_not_too_large(path, width, height)
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(
            f"{path} is too small: {width} x {height} pixels, at least {MIN_SIDE_PX} x {MIN_SIDE_PX}"
        )
