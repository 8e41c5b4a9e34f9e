"""Videos that every browser plays: H.264, 4:2:0, even sides."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion2.errors import ExportError, InputError, in_one_line
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import Asset4D, render
from diffusion2.gaussians.presentation import is_loop
from diffusion2.pictures import to_bytes

_QUALITY = {"crf": "16", "preset": "medium"}


def write_video(frames: Iterable[Tensor | np.ndarray], path: str | Path, fps: float) -> None:
    """Write pictures as an mp4 (H.264, yuv420p, BT.709, index at the front).

    Args:
        frames: pictures (H, W, 3), floats in [0, 1] or bytes, one after the other, all of one size; a tensor
            (T, H, W, 3) will do. Odd sides are made even by repeating the last row or column.
        path: the file, e.g. `orbit.mp4`.
        fps: frames per second.

    Raises:
        InputError: when there is no frame, or one has another shape than the first.
        ExportError: when the file can't be written.
    """
    import av

    rate = Fraction(fps).limit_denominator(1001)
    shape: tuple[int, ...] | None = None
    with writing(path, "the video") as temporary, _open(av, temporary) as container:
        stream = None
        for picture in frames:
            pixels = _to_bytes(picture)
            if stream is None:
                shape = pixels.shape
                stream = container.add_stream("libx264", rate=rate, options=_QUALITY)
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
                _mark_bt709(stream.codec_context)
            elif pixels.shape != shape:
                raise InputError(f"the frames of a video have one size, not {shape} and {pixels.shape}")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        if stream is None:
            raise InputError("a video needs at least one frame")
        container.mux(stream.encode())


def write_orbit_video(
    asset: Asset4D,
    path: str | Path,
    *,
    size: int = 384,
    fps: float = 24.0,
    seconds: float = 6.0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a video in which the camera goes round the object once while the object moves.

    The camera starts at the reference view. The sequence plays at its own speed, as often as fits best into
    the time asked for: again and again where it ends about where it begins, forth and back otherwise. So
    motion and camera both end where they began, and the video can be played in a loop.

    Args:
        asset: what to show.
        path: the file, e.g. `orbit.mp4`.
        size: height and width in pixels.
        fps: frames per second.
        seconds: about how long the video is.
        progress: called with the number of frames done and the number in all.

    Raises:
        ExportError: when the file can't be written.
    """
    back = not is_loop(asset)
    once, frames = asset.metadata.duration_s, asset.metadata.frames
    cycle = 2 * once if back else once * frames / (frames - 1)
    azimuths, times = orbit_path(cycle, fps, seconds, back=back)
    cameras = asset.metadata.reference_cameras(azimuths.tolist(), size, size)

    @cache
    def still(time: float) -> Asset4D:
        """Return the object as it is at a time; every time is met more than once."""
        return Asset4D(asset.at(time))

    def pictures() -> Iterator[Tensor]:
        for index, time in enumerate(times):
            yield render(still(time), cameras[index]).rgb[0]
            if progress is not None:
                progress(index + 1, len(times))

    write_video(pictures(), path, fps)


def orbit_path(
    cycle_seconds: float, fps: float, seconds: float, *, back: bool
) -> tuple[np.ndarray, list[float]]:
    """Choose where the camera stands and which time is shown in every frame of an orbit video.

    Args:
        cycle_seconds: until the motion is where it began, the way back included.
        fps: frames per second of the video.
        seconds: about how long the video is.
        back: whether the time runs to 1 and back to 0, or to 1 and begins again.

    Returns:
        azimuths (T,) in degrees from 0 to below 360, and T times in [0, 1].
    """
    period = max(2, round(cycle_seconds * fps))
    total = period * max(1, round(seconds * fps / period))
    steps = [frame % period for frame in range(total)]
    times = [2 * min(step, period - step) / period if back else step / period for step in steps]
    return 360.0 * np.arange(total) / total, times


def _open(av, path: Path):
    try:
        return av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
    except ValueError as error:
        raise ExportError(f"{path}: the video could not be written: {in_one_line(error)}") from error


def _mark_bt709(context) -> None:
    """Say which colours the numbers mean; players guess differently where it isn't said."""
    context.color_primaries = context.color_trc = context.colorspace = 1
    context.color_range = 1


def _to_bytes(picture: Tensor | np.ndarray) -> np.ndarray:
    """Return (H, W, 3), floats in [0, 1] or bytes, as bytes with even sides."""
    values = torch.as_tensor(picture).detach().cpu()
    if values.ndim != 3 or values.shape[2] != 3 or 0 in values.shape:
        raise InputError(f"a frame of a video has shape (H, W, 3), not {tuple(values.shape)}")
    pixels = (values if values.dtype == torch.uint8 else to_bytes(values)).numpy()
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
