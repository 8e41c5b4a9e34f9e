"""The object in each picture of a capture, cut out, and nothing else of the picture."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from diffusion2.config import InputSettings
from diffusion2.events import Event, Report, Warned
from diffusion2.inputs.captures.lens import Lens
from diffusion2.inputs.captures.shots import Shot
from diffusion2.inputs.cutting.cut_out import cut_out
from diffusion2.inputs.cutting.masks import apply_masks, read_mask
from diffusion2.inputs.framing import visible_box
from diffusion2.pictures import average, decode, open_picture, pixels_on_white

WORKING_SIDE_PX = 2048
MARGIN_PX = 6
"""Around the object, so that its soft edge is kept."""
WHITE = 240
"""Of a channel, of 255; a background whose pixels reach it is white."""
MOSTLY = 0.995


@dataclass(frozen=True)
class Cut:
    """What a picture shows of the object.

    Attributes:
        pixels: (h, w, 4) uint8: colours on white and alpha, of the part of the picture around the object.
        left: where the part begins, in pixels of the lens.
        top: the same, from above.
        lens: of the whole picture.
        pose: (4, 4) camera to the capture's world.
        on_white: whether the picture was on white and without alpha, so that its pixels are as they came.
        cut_off: whether the object reaches over the picture's border.
    """

    pixels: np.ndarray
    left: int
    top: int
    lens: Lens
    pose: np.ndarray
    on_white: bool
    cut_off: bool

    @property
    def box(self) -> np.ndarray:
        """Left, top, right and bottom of the object, pixels."""
        rows, columns = (np.flatnonzero((self.pixels[..., 3] >= 16).any(axis=k)) for k in (1, 0))
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) + np.array(
            [self.left, self.top] * 2
        )

    def corners(self) -> np.ndarray:
        """Directions (4, 3) of the corners of the object's box, from the camera."""
        left, top, right, bottom = self.box
        return self.lens.directions(
            np.array([[left, top], [right, top], [left, bottom], [right, bottom]], float)
        )

    def middle(self) -> np.ndarray:
        """Direction (3,) of the middle of the object's box."""
        left, top, right, bottom = self.box
        return self.lens.directions(np.array([(left + right) / 2, (top + bottom) / 2]))


HINT = re.compile(r"--mask FILE says [^;]*|--background \w+ takes [^;]*")
"""What notes say of options that there are for other inputs."""


class Notes:
    """Gathers what was said about single cameras, so that the same is said once for all of them."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._said: dict[str, int] = {}

    def listener(self, name: str) -> Report:
        """Make what hears the notes about the pictures of one camera."""

        def hear(event: Event) -> None:
            if isinstance(event, Warned):
                note = HINT.sub(
                    "masks beside the pictures say otherwise", event.message.removeprefix(f"{name}: ")
                )
                self._said[note] = self._said.get(note, 0) + 1

        return hear

    def lines(self) -> list[str]:
        """Write them, one line each."""
        return [
            f"{self._source}: {note}" + (f" (so with {count} cameras)" if count > 1 else "")
            for note, count in self._said.items()
        ]


def cut_row(shots: Sequence[Shot], report: Report) -> list[Cut | None]:
    """Cut the object out of the pictures of one camera; None of those that don't show it.

    Args:
        shots: of one camera.
        report: hears what was decided, of `shots[0].name`.

    Raises:
        InputError: a picture or mask can't be read, or nothing tells the object from its background.
    """
    name = shots[0].name
    read = [_read(shot) for shot in shots]
    pictures, lenses = [picture for picture, _ in read], [lens for _, lens in read]
    masks = [None if shot.mask is None else read_mask(shot.mask, WORKING_SIDE_PX) for shot in shots]
    masked, notes = apply_masks(pictures, masks, name)
    for note in notes:
        report(Warned(note))
    bare = [mask is None and picture.getchannel("A").getextrema() == (255, 255)
            for mask, picture in zip(masks, pictures, strict=True)]  # fmt: skip
    one_size = len({picture.size for picture in pictures}) == 1
    found = cut_out(masked, InputSettings(), name, report) if one_size else [
        cut_out([picture], InputSettings(), shot.name, report)[0]
        for picture, shot in zip(masked, shots, strict=True)
    ]  # fmt: skip
    on_white = all(bare) and all(map(_is_on_white, pictures, found))
    return [
        _cut(picture if on_white else cut, cut, lens, shot, on_white)
        for picture, cut, lens, shot in zip(pictures, found, lenses, shots, strict=True)
    ]


def _read(shot: Shot) -> tuple[Image.Image, Lens]:
    """Read a picture as it is stored, as its camera was found for that; RGBA, shrunk by a whole number."""
    with open_picture(shot.picture) as opened:
        picture = decode(opened, shot.picture, upright=False)
    factor = -(-max(picture.size) // WORKING_SIDE_PX)
    if factor == 1:
        return picture.convert("RGBA"), shot.lens
    small = average(picture, factor)
    return small.convert("RGBA"), shot.lens.scaled(1 / factor, *small.size)


def _is_on_white(picture: Image.Image, cut: Image.Image) -> bool:
    """Tell whether what was cut away is white."""
    away = np.asarray(cut.getchannel("A")) == 0
    if not away.any():
        return False
    return bool((np.asarray(picture.convert("RGB"))[away].min(axis=-1) >= WHITE).mean() >= MOSTLY)


def _cut(picture: Image.Image, cut: Image.Image, lens: Lens, shot: Shot, on_white: bool) -> Cut | None:
    box = visible_box(cut)
    if box is None:
        return None
    left, top = max(0, box[0] - MARGIN_PX), max(0, box[1] - MARGIN_PX)
    right, bottom = min(cut.width, box[2] + MARGIN_PX), min(cut.height, box[3] + MARGIN_PX)
    part = (left, top, right, bottom)
    rgb = pixels_on_white(np.asarray(picture.crop(part)))
    pixels = np.dstack([rgb, np.asarray(cut.crop(part))[..., 3]])
    cut_off = box[0] <= 0 or box[1] <= 0 or box[2] >= cut.width or box[3] >= cut.height
    return Cut(pixels, left, top, lens, shot.pose, on_white, cut_off)
