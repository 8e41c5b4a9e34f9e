"""A decoded frame of a video as an upright 8-bit sRGB picture, as a player shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from PIL.Image import Transpose

from diffusion2.inputs.tone_mapping import BT709, CHROMATICITIES, HLG, PQ, peak_of, to_light, tone_map_to_srgb
from diffusion2.pictures import shrink

HDR = {PQ: "PQ", HLG: "HLG"}
UNKNOWN_MATRICES = {2, 3}
"""Code points of ITU-T H.273 for a frame that does not say by which matrix it became Y'CbCr."""
MATRIX_709, MATRIX_601 = 1, 5
"""As PyAV and FFmpeg's scaler name them."""
LARGEST_601 = (1279, 576)
"""A frame up to this size that does not say its matrix has BT.601's, a larger one BT.709's, as in players."""
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
    """

    values: np.ndarray
    transfer: int
    primaries: int
    matrix: np.ndarray
    ratio: float

    @property
    def is_wide(self) -> bool:
        """Whether its colours have yet to be brought to sRGB."""
        return self.values.dtype != np.uint8


def take_shot(frame: Any, side: int, ratio: float) -> Shot:
    """Keep what counts of a frame of PyAV, its longer side at most about so many pixels.

    Raises:
        FFmpegError: its colours are in a form that FFmpeg can't convert.
    """
    wide = frame.color_trc in HDR or frame.color_primaries in CHROMATICITIES.keys() - {BT709}
    alpha = any(component.is_alpha for component in frame.format.components)
    how: dict[str, Any] = {
        "format": ("rgba64le" if wide else "rgba") if alpha else ("rgb48le" if wide else "rgb24")
    }
    if frame.colorspace in UNKNOWN_MATRICES:
        small = frame.width <= LARGEST_601[0] and frame.height <= LARGEST_601[1]
        how["src_colorspace"] = MATRIX_601 if small else MATRIX_709
    if wide:
        factor = -(-max(frame.width, frame.height) // side)
        how |= {
            "width": -(-frame.width // factor),
            "height": -(-frame.height // factor),
            "interpolation": "AREA",
        }
        values = frame.to_ndarray(**how)
    else:
        values = np.asarray(shrink(Image.fromarray(frame.to_ndarray(**how)), side))
    return Shot(values, frame.color_trc, frame.color_primaries, display_matrix(frame), ratio)


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


def display_matrix(frame: Any) -> np.ndarray:
    """Read where a frame's x and y go on the display: 2 x 2, of determinant 1 or -1.

    The file keeps rows (a, b, u), (c, d, v), (x, y, w) in fixed point, and multiplies them with a row
    (p, q, 1) from the left (ISO/IEC 14496-12, 8.5.3).
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return np.eye(2)
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
