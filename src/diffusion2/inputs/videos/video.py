"""A video of any kind as the frames that a run takes from it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from diffusion2.errors import InputError
from diffusion2.inputs.cutting.masks import apply_masks, mask_of, read_mask, read_masks
from diffusion2.inputs.picture import open_input
from diffusion2.inputs.videos.folder import MASK, Folder, list_pictures, pair_masks, read_folder
from diffusion2.inputs.videos.frames import (
    AnimationFrames,
    Frames,
    PictureFrames,
    choose_frames,
    is_animation,
)
from diffusion2.inputs.videos.video_file import VideoFile
from diffusion2.pictures import NoPicture


@dataclass(frozen=True)
class VideoClip:
    """Frames taken from a video.

    Attributes:
        pictures: RGBA, in the order of time.
        masked: of each, whether its alpha comes from a mask.
        fps: how many of them pass in a second.
        distinct: how many of them are different frames of the video.
        notes: what was chosen or guessed, a line each.
    """

    pictures: list[Image.Image]
    masked: list[bool]
    fps: float
    distinct: int
    notes: list[str] = field(default_factory=list)


def read_clip(
    path: Path,
    count: int,
    side: int,
    *,
    start: float = 0.0,
    fps: float | None = None,
    mask: Path | None = None,
) -> VideoClip:
    """Take frames from a video file, an animation, or a folder of pictures; see `choose_frames`.

    Args:
        path: the file or folder; a picture is a video of one frame.
        count: how many frames.
        side: their longer side in pixels at most.
        start: seconds from the beginning.
        fps: frames per second; None to spread them over the video.
        mask: a picture, a video or a folder that says what the object is in the frames.

    Raises:
        InputError: it can't be read, or is too short, or the mask does not fit it.
    """
    with open_frames(path) as frames:
        try:
            indices, rate = choose_frames(frames.times, count, start=start, fps=fps)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return _take(frames, path, indices, side, rate, mask)


def read_views(folder: Path, count: int, side: int) -> VideoClip:
    """Read a folder of as many pictures, all of them.

    Raises:
        InputError: it has another number of pictures, or one can't be read.
    """
    frames = PictureFrames(read_folder(folder))
    if len(frames.paths) != count:
        raise InputError(
            f"{folder} has {len(frames.paths)} pictures, but the run has {count} views: give the pictures' "
            f"number with --views {len(frames.paths)} too"
        )
    return _take(frames, folder, range(count), side, 0.0, None)


@contextmanager
def open_frames(path: Path) -> Iterator[Frames]:
    """Open whatever has frames: a folder, an animation, a picture, a video file.

    Raises:
        InputError: it can't be read.
    """
    if path.is_dir():
        yield PictureFrames(read_folder(path))
        return
    try:
        with open_input(path) as picture:
            animated = is_animation(picture)
    except NoPicture:
        with VideoFile(path) as video:
            yield video
        return
    yield AnimationFrames(path) if animated else PictureFrames(Folder([path]))


def _take(
    frames: Frames, path: Path, indices: Sequence[int], side: int, rate: float, mask: Path | None
) -> VideoClip:
    pictures = frames.pictures(indices, side)
    notes = list(frames.notes)
    masks: list[Image.Image | None] = [None] * len(pictures)
    if mask is not None:
        masks = list(_given_masks(mask, frames, path, indices, side))
    elif isinstance(frames, PictureFrames):
        masks = frames.masks(indices, side)
    pictures, more = apply_masks(pictures, masks, mask or path)
    return VideoClip(pictures, [m is not None for m in masks], rate, len(set(indices)), notes + more)


def _given_masks(
    mask: Path, frames: Frames, path: Path, indices: Sequence[int], side: int
) -> list[Image.Image]:
    """Read the masks of these frames from a file or folder of the user's.

    Raises:
        InputError: they are not as many as the frames.
    """
    if mask.is_dir():
        files, _ = list_pictures(mask)
        files = [file for file in files if MASK.search(file.stem)] or files
        count = len(frames.times)
        pairs = pair_masks(frames.paths, files) if isinstance(frames, PictureFrames) else {}
        if len(pairs) < count:
            pairs = {i: [file] for i, file in enumerate(files * count if len(files) == 1 else files)}
            _check_count(mask, len(pairs), path, count)
        return [read_masks(pairs[index], side) for index in indices]
    with open_frames(mask) as opened:
        count = len(opened.times)
        if isinstance(opened, PictureFrames):
            return [read_mask(mask, side)] * len(indices)
        _check_count(mask, count, path, len(frames.times))
        return [mask_of(picture) for picture in opened.pictures(indices, side)]


def _check_count(mask: Path, masks: int, path: Path, frames: int) -> None:
    if masks != frames:
        raise InputError(
            f"{mask} has {masks} masks, {path} {frames} frames: give one mask for each, named like its frame "
            "or in the same order, or a single one for all"
        )
