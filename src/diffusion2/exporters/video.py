"""Videos and animated pictures, by suffix: what browsers, chat programs and editors play.

| suffix | coded as | alpha |
| `.mp4` | H.264, 4:2:0, even sides, which every player knows | none |
| `.webm` | VP9, 4:2:0, alpha as a second stream | 8 bits |
| `.webp` | animated WebP, lossy | 8 bits |
| `.apng` | animated PNG, as it is | 8 bits |
| `.gif` | at most 255 colours in each picture | there or not |
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from diffusion2.config import ExportSettings
from diffusion2.errors import ExportError, InputError, in_one_line
from diffusion2.exporters.filming import plan_film, take_pictures
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import Asset4D
from diffusion2.pictures import to_bytes

GIF_MAX_FPS = 50.0
"""GIF counts hundredths of a second, and players show what lasts one of them for ten."""
_HARD = 128
"""Alpha from which on a pixel of a GIF is there."""


@dataclass(frozen=True)
class Coding:
    """How FFmpeg writes a kind of file.

    Attributes:
        codec: its encoder.
        opaque: the pixels of pictures without alpha.
        clear: those of pictures with alpha; None where the kind has none.
        options: of the encoder.
        container: options of the file's format, whose name is the suffix.
        even: sides must be even.
    """

    codec: str
    opaque: str
    clear: str | None
    options: Mapping[str, str]
    container: Mapping[str, str] = field(default_factory=dict)
    even: bool = False


CODINGS = {
    ".mp4": Coding(
        "libx264", "yuv420p", None, {"crf": "16", "preset": "medium"}, {"movflags": "faststart"}, even=True
    ),
    ".webm": Coding(
        "libvpx-vp9", "yuv420p", "yuva420p",
        {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}, even=True,
    ),
    ".webp": Coding("libwebp_anim", "bgra", "bgra", {"quality": "90"}, {"loop": "0"}),
    ".apng": Coding("apng", "rgb24", "rgba", {"pred": "mixed"}, {"plays": "0"}),
}  # fmt: skip
GIF = ".gif"
SUFFIXES = (*CODINGS, GIF)


def write_video(frames: Iterable[Tensor | np.ndarray], path: str | Path, fps: float) -> None:
    """Write pictures as a video or animated picture that plays over and over; the suffix says which.

    Args:
        frames: pictures (H, W, 3), or (H, W, 4) with straight alpha; floats in [0, 1] or bytes, one after the
            other, all of one size; a tensor (T, H, W, 3) will do. Where sides must be even, the last row or
            column is repeated.
        path: the file, e.g. `orbit.mp4`; see the module.
        fps: frames per second.

    Raises:
        InputError: when there is no frame, one has another shape than the first, or the kind of file has no
            alpha or not so many pictures a second.
        ExportError: when the file can't be written, or its suffix is unknown.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ExportError(f"{path}: the video can't be written as that: use {', '.join(SUFFIXES)}")
    with writing(path, "the video") as temporary:
        if suffix == GIF:
            _write_gif(_checked(frames), temporary, fps)
        else:
            _encode(_checked(frames), temporary, fps, suffix)


def _checked(frames: Iterable[Tensor | np.ndarray]) -> Iterator[np.ndarray]:
    """Turn pictures into bytes (H, W, 3 or 4), all of one shape.

    Raises:
        InputError: as `write_video`.
    """
    shape: tuple[int, ...] | None = None
    for picture in frames:
        values = torch.as_tensor(picture).detach().cpu()
        if values.ndim != 3 or values.shape[2] not in (3, 4) or 0 in values.shape:
            raise InputError(f"a frame of a video has shape (H, W, 3 or 4), not {tuple(values.shape)}")
        shape = shape or tuple(values.shape)
        if values.shape != shape:
            raise InputError(f"the frames of a video have one size, not {shape} and {tuple(values.shape)}")
        yield (values if values.dtype == torch.uint8 else to_bytes(values)).numpy()
    if shape is None:
        raise InputError("a video needs at least one frame")


def _encode(frames: Iterator[np.ndarray], path: Path, fps: float, suffix: str) -> None:
    import av

    coding = CODINGS[suffix]
    stream: Any = None
    with _open(av, path, suffix) as container:
        for pixels in frames:
            has_alpha = pixels.shape[2] == 4
            kind = coding.clear if has_alpha else coding.opaque
            if kind is None:
                raise InputError(f"{suffix} has no alpha: give pictures on a background, or write .webm")
            if coding.even:
                height, width = pixels.shape[:2]
                pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if stream is None:
                rate = Fraction(fps).limit_denominator(1001)
                stream = container.add_stream(coding.codec, rate=rate, options=dict(coding.options))
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], kind
                if kind.startswith("yuv"):
                    _mark_bt709(stream.codec_context)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba" if has_alpha else "rgb24")
            container.mux(stream.encode(_as_coded(frame, kind)))
        if stream is not None:
            container.mux(stream.encode())


def _as_coded(frame, kind: str):
    if kind.startswith("yuv"):
        return frame.reformat(format=kind, dst_colorspace="ITU709")
    return frame.reformat(format=kind)


def _open(av, path: Path, suffix: str):
    try:
        return av.open(str(path), "w", format=suffix[1:], options=dict(CODINGS[suffix].container))
    except ValueError as error:
        raise ExportError(f"{path}: the video could not be written: {in_one_line(error)}") from error


def _mark_bt709(context) -> None:
    """Say which colours the numbers mean; players guess differently where it isn't said."""
    context.color_primaries = context.color_trc = context.colorspace = 1
    context.color_range = 1


def _write_gif(frames: Iterator[np.ndarray], path: Path, fps: float) -> None:
    """Write a GIF; each picture has colours of its own, and one number more for what is not there."""
    if fps > GIF_MAX_FPS:
        raise InputError(f"GIF plays at most {GIF_MAX_FPS:g} pictures a second, not {fps:g}")
    durations: list[int] = []

    def pictures() -> Iterator[Image.Image]:
        for pixels in frames:
            stamps = [round(100 * k / fps) for k in (len(durations), len(durations) + 1)]
            durations.append(10 * (stamps[1] - stamps[0]))
            yield _with_few_colours(pixels)

    taken = pictures()
    first = next(taken)
    cleared = {"disposal": 2} if "transparency" in first.info else {}  # else a picture is drawn over the last
    first.save(path, format="GIF", save_all=True, append_images=taken, duration=durations, loop=0, **cleared)


def _with_few_colours(pixels: np.ndarray) -> Image.Image:
    few = Image.fromarray(pixels[..., :3]).quantize(255, Image.Quantize.MEDIANCUT)
    if pixels.shape[2] == 4:
        few.paste(255, mask=Image.fromarray(np.where(pixels[..., 3] < _HARD, 255, 0).astype(np.uint8)))
        few.info["transparency"] = 255
    return few


def write_orbit_video(
    asset: Asset4D,
    path: str | Path,
    *,
    size: int = 384,
    fps: float = 24.0,
    seconds: float = 6.0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a video on white in which the camera goes round the object once while the object moves.

    Args:
        asset: what to show.
        path: the file, e.g. `orbit.mp4`.
        size: height and width in pixels.
        fps: frames per second.
        seconds: about how long the video is; see `plan_film`.
        progress: called with the number of frames done and the number in all.

    Raises:
        ExportError: when the file can't be written.
    """
    film = plan_film(asset, ExportSettings(size=size, fps=fps, seconds=seconds))
    pictures = take_pictures(asset, film, (1.0, 1.0, 1.0))
    write_video(counted(pictures, len(film), progress), path, fps)


def counted(
    pictures: Iterable[Tensor], count: int, progress: Callable[[int, int], None] | None
) -> Iterator[Tensor]:
    """Tell how many of so many have been passed on."""
    for number, picture in enumerate(pictures, 1):
        yield picture
        if progress is not None:
            progress(number, count)
