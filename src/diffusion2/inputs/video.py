"""A video of any kind as the frames that a run takes from it."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from diffusion2.errors import InputError
from diffusion2.inputs.frames import (
    AnimationFrames,
    Frames,
    PictureFrames,
    choose_frames,
    is_animation,
    list_pictures,
)
from diffusion2.inputs.picture import open_input
from diffusion2.inputs.video_file import VideoFile
from diffusion2.pictures import NoPicture


@dataclass(frozen=True)
class VideoClip:
    """Frames taken from a video.

    Attributes:
        pictures: RGBA, in the order of time.
        fps: how many of them pass in a second.
        distinct: how many of them are different frames of the video.
    """

    pictures: list[Image.Image]
    fps: float
    distinct: int


def read_clip(
    path: Path, count: int, side: int, *, start: float = 0.0, fps: float | None = None
) -> VideoClip:
    """Take frames from a video file, an animation, or a folder of pictures; see `choose_frames`.

    Args:
        path: the file or folder; a picture is a video of one frame.
        count: how many frames.
        side: their longer side in pixels at most.
        start: seconds from the beginning.
        fps: frames per second; None to spread them over the video.

    Raises:
        InputError: it can't be read, or is too short.
    """
    if path.is_dir():
        return _take(PictureFrames(list_pictures(path)), path, count, side, start, fps)
    try:
        with open_input(path) as picture:
            animated = is_animation(picture)
    except NoPicture:
        with VideoFile(path) as video:
            return _take(video, path, count, side, start, fps)
    frames = AnimationFrames(path) if animated else PictureFrames([path])
    return _take(frames, path, count, side, start, fps)


def _take(frames: Frames, path: Path, count: int, side: int, start: float, fps: float | None) -> VideoClip:
    try:
        indices, rate = choose_frames(frames.times, count, start=start, fps=fps)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return VideoClip(frames.pictures(indices, side), rate, len(set(indices)))
