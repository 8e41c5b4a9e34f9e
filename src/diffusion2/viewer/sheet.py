"""The image matrix as one picture, with where its views stand and when its frames are."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from diffusion2.errors import Diffusion2Error
from diffusion2.image_matrix import frame_times, view_cameras
from diffusion2.pictures import pixels_on_white
from diffusion2.runs.run_folder import RunFolder

WIDTH_PX = 768
"""About how wide a sheet is."""


@dataclass(frozen=True)
class Sheet:
    """All pictures of a matrix: views below each other, frames side by side.

    Attributes:
        jpeg: the picture.
        directions: (V, 3), from the origin to the camera of each view.
        times: (F,) in [0, 1], of each frame.
    """

    jpeg: bytes
    directions: np.ndarray
    times: np.ndarray

    def nearest(self, position: np.ndarray, moment: float) -> tuple[int, int]:
        """Find the cell, (view, frame), that is nearest to a camera's position (3,) and a time."""
        view = int((self.directions @ position).argmax())
        return view, int(np.abs(self.times - moment).argmin())


def read_sheet(run: RunFolder, guess: Path | None = None) -> Sheet | None:
    """Read a run's matrix; None where it can't be read (yet).

    Args:
        run: its folder.
        guess: the picture of an estimate; the settings say then what it shows. None: the matrix itself.
    """
    try:
        if guess is not None:
            settings = run.read_settings()
            cameras, times = view_cameras(settings), frame_times(settings.frames).numpy()
            return Sheet(guess.read_bytes(), _unit(cameras.positions), times)
        told = json.loads((run.path / "cameras.json").read_text(encoding="utf-8"))
        azimuths = np.deg2rad([view["azimuth_deg"] for view in told["views"]])
        elevations = np.deg2rad([view["elevation_deg"] for view in told["views"]])
        flat = np.cos(elevations)
        directions = [flat * np.cos(azimuths), flat * np.sin(azimuths), np.sin(elevations)]
        times = np.array([frame["time"] for frame in told["frames"]], dtype=float)
        return Sheet(_draw(run.path / "matrix", len(azimuths), len(times)), np.stack(directions, 1), times)
    except (OSError, ValueError, KeyError, TypeError, Diffusion2Error):
        return None


def _draw(folder: Path, views: int, frames: int) -> bytes:
    """Draw the pictures of a matrix small, on white."""
    first = Image.open(folder / "view_000" / "frame_000.png")
    cell = max(WIDTH_PX // frames, 1)
    size = (cell, max(round(cell * first.height / first.width), 1))
    sheet = Image.new("RGB", (size[0] * frames, size[1] * views), "white")
    for view in range(views):
        for frame in range(frames):
            with Image.open(folder / f"view_{view:03d}" / f"frame_{frame:03d}.png") as picture:
                pixels = pixels_on_white(np.asarray(picture.convert("RGBA")))
            small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
            sheet.paste(small, (frame * size[0], view * size[1]))
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=88)
    return data.getvalue()


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
