"""Where in a picture the object is, and the square around it that the priors see."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from diffusion2.pictures import average, from_pixels

MAX_SIDE_PX = 4096
VISIBLE_ALPHA = 64
"""What is fainter is seen, but neither frames the object nor makes one."""

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are outside."""


@dataclass(frozen=True)
class Crop:
    """A square of a picture; it may reach over the picture's edge.

    Attributes:
        left: pixels from the picture's left edge.
        top: pixels from its upper edge.
        side: length of a side in pixels.
    """

    left: int
    top: int
    side: int


def visible_box(cut_out: Image.Image) -> Box | None:
    """Find the visible part of an RGBA picture; None where nothing is visible."""
    alpha = cut_out.getchannel("A")
    return alpha.point([255 * (a >= VISIBLE_ALPHA) for a in range(256)]).getbbox()


def union(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around several."""
    found = np.array(list(boxes))
    low, high = found[:, :2].min(0), found[:, 2:].max(0)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def longer_side(box: Box) -> int:
    """Return the longer side of a box in pixels."""
    return max(box[2] - box[0], box[3] - box[1])


def crop_around(box: Box, object_size: float) -> Crop:
    """Make the square whose middle is the box's and of whose side the box's longer side is `object_size`."""
    longer = longer_side(box)
    side = max(longer, round(longer / object_size))
    return Crop(
        box[0] - (side - (box[2] - box[0])) // 2,
        box[1] - (side - (box[3] - box[1])) // 2,
        side,
    )


def crop_about_axis(box: Box, width: int, object_size: float) -> Crop:
    """Make the square around a box that keeps the middle of a picture's width in its own middle.

    For views of an orbit: their cameras look at the axis that the object is turned about.
    """
    reach = max(abs(box[0] * 2 - width), abs(box[2] * 2 - width))
    left = (width - reach) // 2
    return crop_around((left, box[1], left + reach, box[3]), object_size)


def whole_picture(width: int, height: int) -> Crop:
    """Make the square around a picture that is taken as it is."""
    side = max(width, height)
    return Crop((width - side) // 2, (height - side) // 2, side)


def matching_crop(box: Box, other_box: Box, other: Crop) -> Crop:
    """Make the crop that shows a box as large and at the same place as another crop shows another box."""
    scale, left, top = _similarity(other_box, box)
    return Crop(
        round(left + other.left * scale), round(top + other.top * scale), max(1, round(other.side * scale))
    )


def moved_box(box: Box, here: Box, there: Box) -> Box:
    """Move a box as the box `here` is moved and scaled to become the box `there`."""
    scale, left, top = _similarity(here, there)
    return (
        math.floor(left + box[0] * scale),
        math.floor(top + box[1] * scale),
        math.ceil(left + box[2] * scale),
        math.ceil(top + box[3] * scale),
    )


def contains(crop: Crop, box: Box) -> bool:
    """Tell whether a crop has all of a box in it."""
    return (
        crop.left <= box[0]
        and crop.top <= box[1]
        and box[2] <= crop.left + crop.side
        and box[3] <= crop.top + crop.side
    )


def show(cut_out: Image.Image, crop: Crop, size: int) -> Tensor:
    """Put a crop of an RGBA picture on white and scale it.

    Returns:
        (4, size, size) float32 in [0, 1], in steps of 1/255: RGB on white, and alpha.
    """
    if (factor := -(-crop.side // MAX_SIDE_PX)) > 1:  # a small object in a huge frame
        cut_out = average(cut_out, factor)
        crop = Crop(crop.left // factor, crop.top // factor, crop.side // factor)
    inside = (
        max(crop.left, 0),
        max(crop.top, 0),
        min(crop.left + crop.side, cut_out.width),
        min(crop.top + crop.side, cut_out.height),
    )
    white = Image.new("RGBA", (crop.side, crop.side), (255, 255, 255, 255))
    alpha = Image.new("L", (crop.side, crop.side), 0)
    if inside[0] < inside[2] and inside[1] < inside[3]:
        shown, place = cut_out.crop(inside), (inside[0] - crop.left, inside[1] - crop.top)
        white.alpha_composite(shown, place)
        alpha.paste(shown.getchannel("A"), place)
    bands = [white.convert("RGB"), alpha]
    if crop.side != size:
        bands = [band.resize((size, size), Image.Resampling.LANCZOS) for band in bands]
    return from_pixels(np.dstack([np.asarray(band) for band in bands]))


def _similarity(here: Box, there: Box) -> tuple[float, float, float]:
    """Return scale, x and y of the map of one box's middle and size to another's."""
    # the diagonal, since boxes that agree may differ by a pixel
    scale = math.hypot(there[2] - there[0], there[3] - there[1]) / math.hypot(
        here[2] - here[0], here[3] - here[1]
    )
    return (
        scale,
        (there[0] + there[2]) / 2 - (here[0] + here[2]) / 2 * scale,
        (there[1] + there[3]) / 2 - (here[1] + here[3]) / 2 * scale,
    )
