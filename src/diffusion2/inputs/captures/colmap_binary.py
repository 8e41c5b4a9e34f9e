"""COLMAP's binary files: cameras.bin and images.bin, as its documentation ("Output Format") defines them.

Numbers are little-endian. Both begin with how many entries there are.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from diffusion2.errors import InputError, in_one_line

MODELS = (
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
)
"""Names and numbers of parameters, by the number that stands for a model."""
BYTES_OF_A_POINT = 24
"""x and y as floats of 8 bytes, and the number of a point in space."""


def read_cameras(path: Path) -> Iterator[tuple[str, str, list[float]]]:
    """Yield each camera's id, its model, and its width, height and parameters.

    Raises:
        InputError: the file is cut off, or has a model that is not known.
    """
    data = _Data(path)
    for _ in range(*data.take("<Q")):
        number, model, width, height = data.take("<IiQQ")
        if not 0 <= model < len(MODELS):
            raise InputError(
                f"{path}: a camera model has the number {model}, which is not known here: undistort the "
                "pictures with colmap image_undistorter"
            )
        name, count = MODELS[model]
        yield str(number), name, [width, height, *data.take(f"<{count}d")]


def read_images(path: Path) -> Iterator[tuple[str, str, list[float]]]:
    """Yield each picture's name, its camera's id, and its quaternion (w, x, y, z) and shift.

    Raises:
        InputError: the file is cut off.
    """
    data = _Data(path)
    for _ in range(*data.take("<Q")):
        *pose, camera = data.take("<4x7dI")  # behind its own number
        name = data.word()
        data.skip(BYTES_OF_A_POINT * data.take("<Q")[0])
        yield name, str(camera), pose


class _Data:
    """The bytes of a file, taken one after the other."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0
        try:
            self._bytes = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} can't be read: {in_one_line(error)}") from error

    def take(self, layout: str) -> tuple:
        """Take numbers."""
        begin = self._at
        self.skip(struct.calcsize(layout))
        return struct.unpack_from(layout, self._bytes, begin)

    def word(self) -> str:
        """Take characters up to a zero."""
        begin = self._at
        end = self._bytes.find(b"\0", begin)
        self.skip((end if end >= 0 else len(self._bytes)) + 1 - begin)
        return self._bytes[begin:end].decode("utf-8", "surrogateescape")

    def skip(self, count: int) -> None:
        """Go on by so many bytes."""
        self._at += count
        if self._at > len(self._bytes):
            raise InputError(f"{self._path} is cut off: it ends in the middle of an entry; copy it once more")
