"""The image matrix as one picture."""

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.exporters.writing import writing
from diffusion2.pictures import to_pixels

LINE = 208
"""Grey value of the lines between the cells."""


def write_contact_sheet(images: Tensor, path: str | Path, *, gap: int = 2, max_side: int = 8192) -> None:
    """Write all images of a matrix as one PNG: a row per view, a column per frame.

    Args:
        images: (V, F, 3, H, W) in [0, 1].
        path: the file, e.g. `matrix.png`.
        gap: width of the lines between the cells in pixels.
        max_side: cells are made smaller where the sheet would be larger than this, in pixels.

    Raises:
        InputError: when the images have another shape.
        ExportError: when the file can't be written.
    """
    if images.ndim != 5 or images.shape[2] != 3 or 0 in images.shape:
        raise InputError(f"a contact sheet shows images (V, F, 3, H, W), not {tuple(images.shape)}")
    views, frames, _, height, width = images.shape
    room = [(max_side + gap) // count - gap for count in (views, frames)]
    shrink = min(1.0, room[0] / height, room[1] / width)
    height, width = max(1, int(height * shrink)), max(1, int(width * shrink))
    sheet = np.full((views * (height + gap) - gap, frames * (width + gap) - gap, 3), LINE, np.uint8)
    for view in range(views):
        for frame in range(frames):
            top, left = view * (height + gap), frame * (width + gap)
            sheet[top : top + height, left : left + width] = _cell(images[view, frame], height, width)
    with writing(path, "the contact sheet") as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def _cell(image: Tensor, height: int, width: int) -> np.ndarray:
    """Return one image (3, H, W) as (height, width, 3) bytes."""
    pixels = to_pixels(image)
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
