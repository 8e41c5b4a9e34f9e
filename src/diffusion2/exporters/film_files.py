"""A film of an asset as files: a video, numbered pictures with alpha, depth as numbers.

Depth is the expected distance along the camera's axis, in world units, of what alpha says is there.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor
from torch import Tensor

from diffusion2.errors import ExportError, InputError
from diffusion2.events import Warned, stage
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.filming import Colour, Film, plan_film, take, take_pictures
from diffusion2.exporters.video import CODINGS, GIF, counted, write_video
from diffusion2.exporters.writing import writing_numbered
from diffusion2.pictures import to_bytes

DEPTH_UNIT = 1e-4
"""World units that a step of a 16-bit depth picture is."""
THERE = 0.5
"""Alpha from which on a pixel of a depth picture has a depth."""
NOWHERE = 1e10
"""The depth of what isn't there in EXR files; what Blender writes."""
WHITE: Colour = (1.0, 1.0, 1.0)


def write_film(job: Job) -> None:
    """Write a video or animated picture, by the suffix.

    Raises:
        ExportError: the file can't be written.
        InputError: a setting does not fit the kind of file, or the camera path makes no sense.
    """
    suffix = job.path.suffix.lower()
    holds_alpha = suffix == GIF or CODINGS[suffix].clear is not None
    background = _background(job, clear=holds_alpha and suffix != GIF)
    if background is None and not holds_alpha:
        raise InputError(f"{suffix} has no transparency: use .webm, .webp or .apng, or a colour")
    if background is None and suffix == GIF:
        job.report(Warned("a pixel of a GIF is there or not: edges are hard; .webp and .apng have soft ones"))
    film = plan_film(job.asset, job.settings)
    with stage(job.report, "video") as progress:
        pictures = take_pictures(job.asset, film, background)
        write_video(counted(pictures, len(film), progress), job.path, film.fps)


def write_png_frames(job: Job) -> None:
    """Write numbered PNG files, with straight alpha unless a background is asked for.

    Raises:
        ExportError: the files can't be written.
        InputError: a setting or the camera path makes no sense.
    """
    background = _background(job, clear=True)
    film = plan_film(job.asset, job.settings)
    with (
        stage(job.report, "frames") as progress,
        writing_numbered(job.path, "the frames", len(film)) as numbered,
    ):
        pictures = counted(take_pictures(job.asset, film, background), len(film), progress)
        for number, picture in enumerate(pictures):
            _save_png(to_bytes(picture).numpy(), numbered(number))
    job.report(Warned(_describe(film)))


def write_depth_frames(job: Job) -> None:
    """Write numbered grey PNG files of 16 bits: depth in steps of `DEPTH_UNIT`, 0 where nothing is.

    Raises:
        ExportError: the files can't be written, or something is too far away for them.
        InputError: the camera path makes no sense.
    """
    film = plan_film(job.asset, job.settings)
    with (
        stage(job.report, "frames") as progress,
        writing_numbered(job.path, "the frames", len(film)) as numbered,
    ):
        for number, (depth, alpha) in enumerate(_depths(job, film)):
            steps = np.where(alpha >= THERE, np.rint(depth / DEPTH_UNIT), 0)
            if steps.max() > 0xFFFF:
                raise ExportError(
                    f"a depth of {steps.max() * DEPTH_UNIT:.4g} does not fit into 16 bits, whose steps are "
                    f"{DEPTH_UNIT:g}: bring the camera nearer, or write .exr"
                )
            _save_png(steps.astype(np.uint16), numbered(number))
            progress(number + 1, len(film))
    job.report(Warned(f"{_describe(film)}; {_describe_depth(film)}, in steps of {DEPTH_UNIT:g}"))


def write_exr_frames(job: Job) -> None:
    """Write numbered OpenEXR files with channels Z (depth) and A (alpha), both float32.

    Raises:
        ExportError: the files can't be written.
        InputError: the camera path makes no sense.
    """
    film = plan_film(job.asset, job.settings)
    with (
        stage(job.report, "frames") as progress,
        writing_numbered(job.path, "the frames", len(film)) as numbered,
    ):
        for number, (depth, alpha) in enumerate(_depths(job, film)):
            _save_exr({"Z": np.where(alpha > 0, depth, NOWHERE), "A": alpha}, numbered(number))
            progress(number + 1, len(film))
    job.report(Warned(f"{_describe(film)}; {_describe_depth(film)}"))


def _background(job: Job, *, clear: bool) -> Colour | None:
    """Find the colour behind the object; None: transparent.

    Args:
        job: whose setting says it.
        clear: it is transparent unless the setting says otherwise.

    Raises:
        InputError: there is no such colour.
    """
    name = job.settings.background
    if name == "transparent" or (name == "auto" and clear):
        return None
    if name == "auto":
        return WHITE
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise InputError(
            f'background: {name!r} is no colour: give transparent, a name such as white or navy, or "#204060"'
        ) from None
    return red / 255, green / 255, blue / 255


def _depths(job: Job, film: Film) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield depth and alpha of each picture, both (H, W) float32."""
    for rendering in take(job.asset, film, 0.0):
        yield _numbers(rendering.depth / rendering.alpha.clamp_min(1e-6)), _numbers(rendering.alpha)


def _numbers(values: Tensor) -> np.ndarray:
    return values[0, ..., 0].cpu().numpy()


def _save_png(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, format="PNG", compress_level=4)


def _save_exr(channels: dict[str, np.ndarray], path: Path) -> None:
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    values = {name: np.ascontiguousarray(value, np.float32) for name, value in channels.items()}
    try:
        OpenEXR.File(header, values).write(str(path))
    except RuntimeError as error:  # the library's own words for what the system says of a file
        raise OSError(str(error)) from error


def _describe(film: Film) -> str:
    return f"{len(film)} pictures, {film.fps:.4g} a second"


def _describe_depth(film: Film) -> str:
    return f"depth along the camera's axis in world units, field of view {film.cameras.fov_deg:.4g} degrees"
