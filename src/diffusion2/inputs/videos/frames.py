"""Sequences of pictures over time, and which of them a run takes."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from diffusion2.errors import InputError
from diffusion2.inputs.cutting.masks import read_masks
from diffusion2.inputs.picture import decode_rgba, open_input
from diffusion2.inputs.videos.apng import is_for_ffmpeg, read_apng
from diffusion2.inputs.videos.folder import Folder
from diffusion2.pictures import upright_size

ANIMATED = {"GIF", "WEBP", "PNG", "AVIF"}
"""Formats of animations."""
FOLDER_FPS = 24.0
"""Frames per second that a folder of frames is taken to have, as nothing says it."""
LEAST_FPS, MOST_FPS = 0.1, 240.0
LATE_DURATIONS = {"WEBP", "AVIF"}
"""Formats whose frames say how long they last once they are decoded."""
DEFAULT_DURATION_MS = 100
"""Of frames of an animation that say nothing, or less than players obey."""


class Frames(Protocol):
    """Frames that are read when they are asked for."""

    times: list[float]
    """Seconds from the first frame to each frame."""
    notes: list[str]
    """What was chosen or guessed, a line each; complete once pictures were read."""

    def pictures(self, indices: Sequence[int], side: int) -> list[Image.Image]:
        """Read the frames at these indices: RGBA, upright, at most `side` pixels a side."""
        ...


class PictureFrames:
    """Pictures in files of their own.

    Args:
        folder: the files, in order, and the masks of some.
    """

    times: list[float]
    notes: list[str]

    def __init__(self, folder: Folder) -> None:
        self.paths, self.mask_paths, self.notes = folder.frames, folder.masks, list(folder.notes)
        self.times = [index / FOLDER_FPS for index in range(len(self.paths))]

    def pictures(self, indices: Sequence[int], side: int) -> list[Image.Image]:
        """Read these pictures; they must have one size once they are upright."""
        found: dict[int, Image.Image] = {}
        sizes: dict[tuple[int, int], Path] = {}
        for index in dict.fromkeys(indices):
            path = self.paths[index]
            with open_input(path) as picture:
                sizes.setdefault(upright_size(picture), path)
                if len(sizes) > 1:
                    (first, one), (second, other) = sizes.items()
                    raise InputError(
                        f"the frames differ in size: {one} is {first[0]} x {first[1]} pixels, {other} is "
                        f"{second[0]} x {second[1]}"
                    )
                found[index] = decode_rgba(picture, path, side)
                if picture.format == "TIFF" and (pages := _count(picture)) > 1:
                    self.notes.append(f"{path} has {pages} pages: the first is taken, and no other")
        return [found[index].copy() for index in indices]

    def masks(self, indices: Sequence[int], side: int) -> list[Image.Image | None]:
        """Read the masks of these pictures, mode L; None for those without."""
        return [read_masks(self.mask_paths[i], side) if i in self.mask_paths else None for i in indices]


class AnimationFrames:
    """The frames of a GIF, WebP, PNG or AVIF animation.

    Raises:
        InputError: it is damaged.
    """

    times: list[float]
    notes: list[str]

    def __init__(self, path: Path) -> None:
        self.path = path
        self.times, self.notes = [], []
        seconds = 0.0
        with open_input(path) as picture:
            self._first = int(getattr(picture, "default_image", False))
            if self._first:
                self.notes.append(
                    f"{path}: the picture for programs that know no animated PNG is not part of the "
                    "animation and is left out"
                )
            for index in range(self._first, _count(picture)):
                if not _seek(picture, index):
                    break
                self.times.append(seconds)
                duration = picture.info.get("duration") or 0
                seconds += (duration if duration >= 20 else DEFAULT_DURATION_MS) / 1000
        if not self.times:
            raise InputError(f"{path} can't be read as an animation: it may be damaged")

    def pictures(self, indices: Sequence[int], side: int) -> list[Image.Image]:
        """Decode these frames."""
        found: dict[int, Image.Image] = {}
        with open_input(self.path) as picture:
            for index, shown in zip(range(max(indices) + 1), self._all(picture), strict=False):
                if index in indices:
                    found[index] = decode_rgba(shown, self.path, side)
        if missing := sorted(set(indices) - set(found)):
            raise InputError(f"{self.path} can't be read: its frame {missing[0]} is damaged")
        return [found[index].copy() for index in indices]

    def _all(self, picture: Image.Image) -> Iterator[Image.Image]:
        """Yield all frames as far as they can be decoded."""
        if picture.format == "PNG" and is_for_ffmpeg(self.path):
            yield from read_apng(self.path, picture.info.get("icc_profile"))
            return
        for index in range(self._first, self._first + len(self.times)):
            if not _seek(picture, index):
                return
            if index == self._first == 1 and not _covers(picture):
                raise InputError(
                    f"{self.path}: the first frame of this animated PNG is to be laid over nothing, which "
                    "can't be done with its palette: save it without one, or its frames as pictures"
                )
            yield picture


def is_animation(picture: Image.Image) -> bool:
    """Tell whether an opened picture has several frames that follow each other."""
    return picture.format in ANIMATED and _count(picture) > 1


def _count(picture: Image.Image) -> int:
    """Count the frames or pages of an opened picture; 1 where that can't be done."""
    try:
        return getattr(picture, "n_frames", 1)
    except Exception:  # decoders raise anything on broken data
        return 1


def _covers(picture: Image.Image) -> bool:
    """Tell whether a frame of an animated PNG takes the place of all that was there."""
    return picture.info.get("bbox") == (0, 0, *picture.size) and not picture.info.get("blend")


def choose_frames(
    times: Sequence[float], count: int, *, start: float = 0.0, fps: float | None = None
) -> tuple[list[int], float]:
    """Choose `count` frames: spread evenly in time from `start` to the end, or so many a second.

    The frame nearest to each moment is taken; of a video with fewer frames, some are taken more than once.

    Args:
        times: seconds from the first frame to each frame, ascending.
        count: how many.
        start: seconds from the first frame to the first that is wanted.
        fps: frames per second that are wanted; None to spread them.

    Returns:
        their indices, and their rate in frames per second.

    Raises:
        InputError: the video is too short for that.
    """
    length = times[-1]
    usual = length / max(len(times) - 1, 1)  # until the last frame's end
    if start > 0 and start >= length + usual:
        raise InputError(
            f"the video is {length + usual:.2f} s long: --start must be less than that, not {start:g}"
        )
    begin = min(start, length)
    end = length if fps is None else begin + (count - 1) / fps
    if fps is not None and end > length + usual + 1e-6:
        raise InputError(
            f"{count} frames at {fps:g} a second from {begin:g} s on need a video of {end:.2f} s, this one "
            f"is {length + usual:.2f} s long: raise the rate, or leave it out to spread the frames over it"
        )
    if fps is None:
        fps = (count - 1) / (end - begin) if count > 1 and end > begin else FOLDER_FPS
    wanted = np.linspace(begin, end, count)
    after = np.searchsorted(times, wanted).clip(1, max(len(times) - 1, 1))
    if len(times) == 1:
        return [0] * count, fps
    known = np.asarray(times)
    nearest = np.where(wanted - known[after - 1] <= known[after] - wanted, after - 1, after)
    return nearest.tolist(), float(np.clip(fps, LEAST_FPS, MOST_FPS))


def _seek(picture: Image.Image, index: int) -> bool:
    """Go to a frame of an animation; False where it is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.seek(index)
            if picture.format in LATE_DURATIONS:
                picture.load()
            return True
    except Exception:  # decoders raise anything on broken data
        return False
