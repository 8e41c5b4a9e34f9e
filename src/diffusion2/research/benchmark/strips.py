"""Results side by side as one picture: a row for each, with its name."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from diffusion2.atomic_files import atomic_path
from diffusion2.image_matrix import ImageMatrix
from diffusion2.pictures import to_pixels

LINE = 6
"""Points of a line of text, beyond its letters."""


def spread_cells(matrix: ImageMatrix, views: int = 3, frames: int = 3) -> Tensor:
    """Choose cells all around the object and over the time: (views * frames, 3, H, W), view by view.

    Three views are a quarter, a half and three quarters of an orbit away from the reference view; the frames
    go from the first to the last.
    """
    rows = [(k + 1) * matrix.views // (views + 1) - 1 for k in range(views)]
    columns = torch.linspace(0, matrix.frames - 1, frames).round().long().tolist()
    return matrix[rows, columns].images.flatten(0, 1)


def write_strips(
    path: Path,
    strips: Sequence[tuple[str, Tensor]],
    *,
    heads: Sequence[str] = (),
    cell: int = 96,
    every: int = 0,
    colors: int = 192,
) -> None:
    """Write rows of pictures as one PNG.

    Args:
        path: the file.
        strips: name and pictures (N, 3, H, W) in [0, 1] of each row, from above.
        heads: texts above the columns, spread over the width.
        cell: pixels that a picture is made high and wide.
        every: pictures after which a gap comes; 0: none.
        colors: of the palette; a picture of low-poly toys needs few, and the file stays small.
    """
    font = ImageFont.load_default(13)
    label = max(int(font.getlength(name)) for name, _ in strips) + 12
    top = 20 if heads else 0
    count = max(len(pictures) for _, pictures in strips)
    gaps = (count - 1) // every if every else 0
    sheet = Image.new("RGB", (label + count * cell + 8 * gaps, top + len(strips) * cell), "white")
    draw = ImageDraw.Draw(sheet)
    for k, head in enumerate(heads):
        group = every or max(1, count // len(heads))
        draw.text((label + k * (group * cell + (8 if every else 0)) + 4, 3), head, "black", font)
    for row, (name, pictures) in enumerate(strips):
        draw.text((4, top + row * cell + cell / 2 - 8), name, "black", font)
        for k, picture in enumerate(pictures):
            left = label + k * cell + (8 * (k // every) if every else 0)
            sheet.paste(_thumbnail(picture, cell), (left, top + row * cell))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        sheet.quantize(colors).save(temporary, optimize=True)


def _thumbnail(picture: Tensor, size: int) -> Image.Image:
    image = Image.fromarray(to_pixels(picture))
    return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.LANCZOS)
