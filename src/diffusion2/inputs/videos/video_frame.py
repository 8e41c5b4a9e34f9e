"""A decoded frame of a video as an upright 8-bit sRGB picture, as a player shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from PIL.Image import Transpose

from diffusion2.inputs.videos.tone_mapping import (
    BT709,
    BT2020,
    CHROMATICITIES,
    HLG,
    PQ,
    UNSPECIFIED,
    peak_of,
    to_light,
    tone_map_to_srgb,
)
from diffusion2.pictures import shrink

HDR = {PQ: "PQ", HLG: "HLG"}
HDR_METADATA = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
"""Of HDR10: what has it is in PQ."""
UNKNOWN_MATRICES = {2, 3}
"""Code points of ITU-T H.273 for a frame that does not say by which matrix it became Y'CbCr."""
MATRIX_709, MATRIX_601, MATRIX_2020 = 1, 5, 9
"""As PyAV and FFmpeg's scaler name them."""
LARGEST_601 = (1279, 576)
"""A frame up to this size that does not say its matrix has BT.601's, a larger one BT.709's, as in players."""
AREA, FULL_CHROMA, ACCURATE = 0x20, 0x2000, 0x40000
"""Flags of FFmpeg's scaler (SWS_AREA, SWS_FULL_CHR_H_INT, SWS_ACCURATE_RND): by its quick ways, the white of
10 bits becomes 253. Full chroma is for 8 bits only; with 16 it is wrong."""
TURNS = {
    ((1, 0), (0, 1)): None,
    ((-1, 0), (0, 1)): Transpose.FLIP_LEFT_RIGHT,
    ((1, 0), (0, -1)): Transpose.FLIP_TOP_BOTTOM,
    ((-1, 0), (0, -1)): Transpose.ROTATE_180,
    ((0, -1), (1, 0)): Transpose.ROTATE_270,
    ((0, 1), (-1, 0)): Transpose.ROTATE_90,
    ((0, 1), (1, 0)): Transpose.TRANSPOSE,
    ((0, -1), (-1, 0)): Transpose.TRANSVERSE,
}
"""By where a matrix takes x and y, which go right and down: ((x of x, x of y), (y of x, y of y))."""
SKEWED = 0.02
"""How far a display matrix may be from one of them before a note says so; about 1°."""


@dataclass(frozen=True)
class Shot:
    """A frame's pixels, shrunk, before colours and orientation are seen to.

    Attributes:
        values: (H, W, 3 or 4), uint8 in sRGB's encoding, or uint16 in the frame's own.
        transfer: code point of the encoding.
        primaries: code point of the primaries.
        matrix: 2 x 2, where the frame's x and y go on the display.
        ratio: width of a pixel by its height.
        is_untagged: whether it may be HDR for all that it says.
    """

    values: np.ndarray
    transfer: int
    primaries: int
    matrix: np.ndarray
    ratio: float
    is_untagged: bool

    @property
    def is_wide(self) -> bool:
        """Whether its colours have yet to be brought to sRGB."""
        return self.values.dtype != np.uint8


def take_shot(frame: Any, side: int, ratio: float, matrix: np.ndarray) -> Shot:
    """Keep what counts of a frame of PyAV, its longer side at most about so many pixels.

    Args:
        frame: as it was decoded.
        side: pixels.
        ratio: width of a pixel by its height.
        matrix: where x and y go on the display, if the frame itself does not say it.

    Raises:
        FFmpegError: its colours are in a form that FFmpeg can't convert.
    """
    transfer, primaries = _colours(frame)
    wide = transfer in HDR or primaries in CHROMATICITIES.keys() - {BT709}
    alpha = any(component.is_alpha for component in frame.format.components)
    how: dict[str, Any] = {
        "format": ("rgba64le" if wide else "rgba") if alpha else ("rgb48le" if wide else "rgb24"),
        "interpolation": AREA | ACCURATE | (0 if wide else FULL_CHROMA),
    }
    if frame.colorspace in UNKNOWN_MATRICES:
        small = frame.width <= LARGEST_601[0] and frame.height <= LARGEST_601[1]
        of_hdr = transfer in HDR or primaries == BT2020
        how["src_colorspace"] = MATRIX_2020 if of_hdr else MATRIX_601 if small else MATRIX_709
    if wide:
        factor = -(-max(frame.width, frame.height) // side)
        how |= {"width": -(-frame.width // factor), "height": -(-frame.height // factor)}
        values = _full_scale(frame.to_ndarray(**how))
    else:
        values = np.asarray(shrink(Image.fromarray(frame.to_ndarray(**how)), side))
    own = display_matrix(frame)
    untagged = transfer == primaries == UNSPECIFIED and frame.format.components[0].bits > 8
    return Shot(values, transfer, primaries, matrix if own is None else own, ratio, untagged)


def _full_scale(values: np.ndarray) -> np.ndarray:
    """Stretch 16 bits to what they can hold: FFmpeg's scaler makes 8.8 fixed point, whose white is 255."""
    return (values.astype(np.uint32) * 257 >> 8).clip(0, 65535).astype(np.uint16)


def _colours(frame: Any) -> tuple[int, int]:
    """Find the code points of a frame's curve and primaries; where HDR does not say all, it is BT.2100's."""
    transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
    if transfer == UNSPECIFIED and any(name in frame.side_data for name in HDR_METADATA):
        transfer = PQ
    if transfer in HDR and primaries == UNSPECIFIED:
        primaries = BT2020
    return transfer, primaries


def develop(shots: Sequence[Shot], side: int) -> list[Image.Image]:
    """Make the pictures of one video, with one curve for all: RGBA, upright, at most `side` pixels a side."""
    bright = [shot for shot in shots if shot.is_wide and shot.transfer in HDR]
    peak = max((peak_of(_light(shot)) for shot in bright), default=1.0)
    return [_develop(shot, peak, side) for shot in shots]


def _develop(shot: Shot, peak: float, side: int) -> Image.Image:
    values = shot.values
    if shot.is_wide:
        values = tone_map_to_srgb(_light(shot), shot.primaries, peak)
        if shot.values.shape[-1] == 4:
            values = np.dstack([values, (shot.values[..., 3] / 257).round().astype(np.uint8)])
    picture = _with_square_pixels(Image.fromarray(values).convert("RGBA"), shot.ratio, side)
    turn, _ = nearest_turn(shot.matrix)
    return picture if turn is None else picture.transpose(turn)


def _light(shot: Shot) -> np.ndarray:
    return to_light(shot.values[..., :3], shot.transfer)


def display_matrix(frame: Any) -> np.ndarray | None:
    """Read where a frame's x and y go on the display: 2 x 2, of determinant 1 or -1; None if it says nothing.

    The file keeps rows (a, b, u), (c, d, v), (x, y, w) in fixed point, and multiplies them with a row
    (p, q, 1) from the left (ISO/IEC 14496-12, 8.5.3).
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    rows = np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)
    matrix = rows[:2, :2].T.astype(np.float64)
    scale = np.sqrt(abs(np.linalg.det(matrix)))
    return matrix / scale if scale > 0 else np.eye(2)


def nearest_turn(matrix: np.ndarray) -> tuple[Transpose | None, bool]:
    """Find the turn by quarters, and mirroring, nearest to a matrix; and whether it is that turn."""
    known = np.array(list(TURNS), dtype=np.float64)
    distances = np.abs(known - matrix).max((1, 2))
    best = int(distances.argmin())
    return list(TURNS.values())[best], bool(distances[best] <= SKEWED)


def _with_square_pixels(picture: Image.Image, ratio: float, side: int) -> Image.Image:
    if ratio == 1:
        return picture
    width, height = picture.width * ratio, float(picture.height)
    shrinking = min(1.0, side / max(width, height))
    return picture.resize((max(1, round(width * shrinking)), max(1, round(height * shrinking))))
