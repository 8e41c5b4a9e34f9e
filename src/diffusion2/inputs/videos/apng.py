"""The frames of an animated PNG, put together by FFmpeg's libraries.

Pillow lays them over the picture for other programs where that is no part of the animation, and forgets what
frames are to leave behind. FFmpeg puts frames with a palette, or less than 8 bits, in wrong places.
"""

from collections.abc import Iterator
from pathlib import Path

import av
from av.error import FFmpegError
from PIL import Image

from diffusion2.errors import InputError, in_one_line

DEPTH, COLOURS, PALETTE = 24, 25, 3
"""Where a PNG says the bits of its values and what its colours are, and what stands for a palette."""


def is_for_ffmpeg(path: Path) -> bool:
    """Tell whether FFmpeg puts the frames of an animated PNG together well; else Pillow has to."""
    with path.open("rb") as file:
        begin = file.read(COLOURS + 1)
    return begin[DEPTH] >= 8 and begin[COLOURS] != PALETTE


def read_apng(path: Path, profile: bytes | None) -> Iterator[Image.Image]:
    """Yield the frames, RGBA, in order.

    Args:
        path: the file.
        profile: of its colours, as Pillow finds it.

    Raises:
        InputError: a frame is damaged, or of a kind that FFmpeg doesn't know.
    """
    try:
        with path.open("rb") as file, av.open(file, "r", format="apng") as container:
            for frame in container.decode(video=0):
                picture = Image.fromarray(frame.to_ndarray(format="rgba"))
                picture.info = {} if profile is None else {"icc_profile": profile}
                yield picture
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path} can't be read as an animated PNG ({in_one_line(error)}): give its frames as pictures "
            "in a folder"
        ) from error
