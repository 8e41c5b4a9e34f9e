"""Pictures of an asset as files: one picture, a video, or a folder with colour, alpha and depth."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diffusion2.atomic_files import atomic_path
from diffusion2.cameras import Cameras
from diffusion2.errors import ExportError, InputError, in_one_line
from diffusion2.exporters.video import SUFFIXES, write_video
from diffusion2.gaussians import Asset4D, render
from diffusion2.gaussians.rasterize import Rendering
from diffusion2.pictures import write_picture

CHUNK = 8
MAX_SIDE = 8192


def render_to_files(
    asset: Asset4D,
    cameras: Cameras,
    times: Sequence[float],
    out: Path,
    *,
    background: float = 1.0,
    fps: float = 12.0,
) -> Path:
    """Render one frame per camera and write them.

    Args:
        asset: what to show.
        cameras: one per frame.
        times: one per frame, each in [0, 1].
        out: `.png` for one frame, a video's or animated picture's (`SUFFIXES`); else a folder, which gets for
            each frame `rgb_000.png`, `alpha_000.png` (8 bits) and `depth_000.npy` (float32 (H, W), world
            units along the view axis, accumulated: divide by alpha for the expected depth).
        background: grey in [0, 1].
        fps: of the video.

    Raises:
        ExportError: the files can't be written.
        InputError: several frames for one picture, or an unknown suffix.
    """
    if out.suffix.lower() == ".png" and len(times) > 1:
        raise InputError(
            f"{out} holds one picture, but {len(times)} frames are asked for: give a folder or .mp4"
        )
    known = (".png", *SUFFIXES)
    if out.suffix and out.suffix.lower() not in known:
        raise InputError(f"{out}: write pictures to {', '.join(known)} or a folder, not {out.suffix}")
    try:
        if not out.suffix:
            _write_folder(asset, cameras, times, out, background)
            return out
        frames = (rgb for _, chunk in _chunks(asset, cameras, times, background) for rgb in chunk.rgb)
        if out.suffix.lower() == ".png":
            write_picture(out, next(frames).permute(2, 0, 1))
        else:
            write_video(frames, out, fps)
    except OSError as error:
        raise ExportError(f"can't write {out}: {in_one_line(error)}") from error
    return out


def _write_folder(
    asset: Asset4D, cameras: Cameras, times: Sequence[float], out: Path, background: float
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for first, chunk in _chunks(asset, cameras, times, background):
        for k in range(len(chunk.rgb)):
            name = f"{first + k:03d}"
            write_picture(out / f"rgb_{name}.png", chunk.rgb[k].permute(2, 0, 1))
            write_picture(out / f"alpha_{name}.png", chunk.alpha[k].permute(2, 0, 1).expand(3, -1, -1))
            with atomic_path(out / f"depth_{name}.npy") as temporary:
                np.save(temporary, chunk.depth[k, ..., 0].numpy())


def _chunks(
    asset: Asset4D, cameras: Cameras, times: Sequence[float], background: float
) -> Iterator[tuple[int, Rendering]]:
    """Yield (first frame, rendering) of a few frames at a time, so that memory stays bounded."""
    for first in range(0, len(cameras), CHUNK):
        part = slice(first, first + CHUNK)
        yield first, render(asset, cameras[part], list(times[part]), background)


def camera_path(
    azimuths_deg: Sequence[float],
    elevations_deg: Sequence[float],
    times: Sequence[float],
    *,
    radius: float,
    fov_deg: float,
    height: int,
    width: int,
) -> tuple[Cameras, list[float]]:
    """Make one camera and one time per frame; a list of one counts for all frames.

    Raises:
        InputError: the lists' lengths differ, or a value is out of range.
    """
    count = max(len(azimuths_deg), len(elevations_deg), len(times))
    lists = {"azimuths": azimuths_deg, "elevations": elevations_deg, "times": times}
    for name, values in lists.items():
        if len(values) not in (1, count):
            raise InputError(f"there are {len(values)} {name} for {count} frames: give 1 or {count}")
        if not all(np.isfinite(values)):
            raise InputError(f"the {name} must be finite numbers")
    if not all(0 <= t <= 1 for t in times):
        raise InputError("times lie between 0 and 1")
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise InputError(f"width and height must lie between 1 and {MAX_SIDE}, not {width} x {height}")
    if not (0 < radius < 1e6 and 1 <= fov_deg <= 170):
        raise InputError("the radius must be positive and the field of view between 1 and 170 degrees")

    def spread(values: Sequence[float]) -> np.ndarray:
        return np.broadcast_to(np.asarray(values, dtype=np.float64), count).copy()

    cameras = Cameras(
        spread(azimuths_deg), spread(elevations_deg), np.full(count, radius), fov_deg, height, width
    )
    return cameras, spread(times).tolist()
