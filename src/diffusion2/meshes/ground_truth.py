"""Ground truth: an animated 3D model as an image matrix, drawn by the renderer of the training data.

Cameras are relative to the reference camera: the world of the matrix is the model's, turned so that
the reference camera stands at azimuth 0. The light turns with it.
"""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from diffusion2.atomic_files import remove, write_json
from diffusion2.cameras import Cameras, make_cameras
from diffusion2.errors import InputError
from diffusion2.events import Report, ignore, stage
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.meshes import (
    AnimatedModel,
    Clip,
    Framing,
    Lighting,
    MeshRenderer,
    frame_reference,
)
from diffusion2.pictures import from_pixels, on_white
from diffusion2.runs.matrix_files import write_matrix
from diffusion2.runs.run_folder import ENTRIES, RunFolder
from diffusion2.weights.hashes import file_hash

STILL_FPS = 12.0
FRAMING_POSES = 16
SOURCE = "source.json"
LARGEST = 1e12
LOOP_TOLERANCE = 0.02
"""Two poses are the same where no point moved by more than this share of the model's extent."""


@dataclass(frozen=True)
class Window:
    """The part of a clip that the columns of a matrix show.

    Attributes:
        clip: the animation; None for the rest pose.
        start: seconds into the clip of column 0.
        duration: seconds from column 0 to the end of the window; 0 where all columns are the same.
        frames: number of columns, F.
        closed: the window ends in the pose it began with. Then the F columns divide the duration
            into F equal steps, and the last pose, which is the first again, is left out. Otherwise
            column F - 1 is the end of the window.
        length: duration of the clip.
    """

    clip: str | None
    start: float
    duration: float
    frames: int
    closed: bool
    length: float

    @property
    def steps(self) -> int:
        """Return the number of steps that the duration is divided into."""
        return self.frames if self.closed else max(self.frames - 1, 1)

    @property
    def fps(self) -> float:
        """Return the columns per second."""
        return self.steps / self.duration if self.duration > 0 else STILL_FPS

    @property
    def seconds(self) -> np.ndarray:
        """Return the (F,) times in the clip; what passes the end of a loop goes on at its beginning."""
        return self.wrap(self.start + self.duration * np.arange(self.frames) / self.steps)

    def wrap(self, seconds: np.ndarray) -> np.ndarray:
        """Take times back into the clip; its end itself stays."""
        past = np.ceil((seconds - 1e-9) / self.length) - 1 if self.length > 0 else np.zeros_like(seconds)
        return seconds - np.maximum(past, 0) * self.length


def choose_window(
    model: AnimatedModel,
    clip: str,
    frames: int,
    *,
    start: float = 0.0,
    duration: float | None = None,
    fps: float | None = None,
) -> Window:
    """Choose the times of a clip that F columns show: by default all of it.

    Args:
        model: the model that moves.
        clip: one of its clips.
        frames: number of columns, F.
        start: seconds into the clip of column 0.
        duration: seconds to cover; None for the rest of the clip, or all of one that is a loop.
        fps: columns per second, in place of `duration`.

    Raises:
        InputError: there is no such clip or it has no length, or the times do not lie in it.
    """
    length = find_clip(model, clip).duration
    if length < 1e-3:
        raise InputError(f"the clip {clip!r} of {model.name} is a single pose: choose another clip")
    loop = is_same_pose(model, clip, 0.0, length)
    if not 0 <= start < length:
        raise InputError(f"the clip {clip!r} lasts {length:.4g} s: a start of {start:g} s does not lie in it")
    if fps is not None and duration is not None:
        raise InputError("give the duration or the frames per second: one follows from the other")
    if fps is not None:
        duration = (frames - 1) / fps
    elif duration is None:
        duration = length if loop else length - start
    if start + duration > length * (1 + 1e-6) and not loop:
        raise InputError(
            f"the clip {clip!r} lasts {length:.4g} s and is no loop: it can't be shown up to "
            f"{start + duration:.4g} s: choose an earlier start, a shorter duration, or a higher fps"
        )
    window = Window(clip, start, duration, frames, False, length)
    end = float(window.wrap(np.array(start + duration)))
    closed = fps is None and frames > 1 and is_same_pose(model, clip, start, end)
    return replace(window, closed=closed)


def still_window(model: AnimatedModel, clip: str | None, frames: int, *, start: float = 0.0) -> Window:
    """Show one pose in all columns: of a clip, or at rest.

    Raises:
        InputError: there is no such clip, or the time does not lie in it.
    """
    length = 0.0 if clip is None else find_clip(model, clip).duration
    if not 0 <= start <= length:
        raise InputError(
            f"{clip or 'the rest pose'} lasts {length:.4g} s: a start of {start:g} s is not in it"
        )
    return Window(clip, start, 0.0, frames, False, length)


def find_clip(model: AnimatedModel, name: str) -> Clip:
    """Return a clip by its name.

    Raises:
        InputError: the model has no such clip; the message lists those it has.
    """
    if name not in model.clips:
        names = ", ".join(model.clips)
        raise InputError(f"{model.name} has no clip {name!r}" + (f"; it has: {names}" if names else ""))
    return model.clips[name]


def is_same_pose(model: AnimatedModel, clip: str | None, first: float, second: float) -> bool:
    """Tell whether a clip shows the same pose at two times."""
    a, b = (np.concatenate([p for p, _ in model.pose(clip, seconds)]) for seconds in (first, second))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    extent = float(np.ptp(a, axis=0).max())
    return bool(np.abs(a - b).max() < LOOP_TOLERANCE * max(extent, 1e-9))


def window_framing(
    model: AnimatedModel, window: Window, azimuth_deg: float, elevation_deg: float, object_size: float
) -> Framing:
    """Frame all poses of a window; neither the number of columns nor that of views changes it."""
    offsets = np.linspace(0, window.duration, FRAMING_POSES if window.duration > 0 else 1)
    times = window.wrap(window.start + offsets)
    poses = [np.concatenate([p for p, _ in model.pose(window.clip, float(s))]) for s in times]
    sizes = np.array([np.abs(pose).max() for pose in poses])
    if not (sizes < LARGEST).all() or max(float(np.ptp(pose, axis=0).max()) for pose in poses) < 1 / LARGEST:
        raise InputError(
            f"{model.name} has no extent that can be drawn: its positions are damaged or all one"
        )
    return frame_reference(poses, make_cameras([azimuth_deg], elevation_deg), object_size)


def render_clip(
    model: AnimatedModel,
    window: Window,
    cameras: Cameras,
    *,
    azimuth_deg: float = 0.0,
    object_size: float = 0.7,
    report: Report = ignore,
) -> ImageMatrix:
    """Render a window of a clip from all cameras: V×F with alphas.

    Args:
        model: the model that moves.
        window: which columns; see `choose_window`.
        cameras: the rows, at one elevation, relative to the reference camera (azimuth 0).
        azimuth_deg: where the reference camera stands around the model; 0 looks at its front.
        object_size: share of the frame that the longer side of the object fills in the reference
            picture (that of azimuth 0 and column 0), less where another picture would cut it off.
        report: listens to the progress.

    Raises:
        BackendUnavailable: moderngl is not installed or there is no off-screen OpenGL.
    """
    elevation = float(cameras.elevations_deg[0])
    framing = window_framing(model, window, azimuth_deg, elevation, object_size)
    light = Lighting()
    light = Lighting(light.azimuth_deg + azimuth_deg, light.elevation_deg, light.ambient)
    around = replace(cameras, azimuths_deg=cameras.azimuths_deg + azimuth_deg)
    shape = (len(cameras), window.frames)
    images = torch.empty(*shape, 3, cameras.height, cameras.width)
    alphas = torch.empty(*shape, 1, cameras.height, cameras.width)
    renderer = MeshRenderer(model, cameras.height, cameras.width)
    times = window.seconds if window.duration > 0 else window.seconds[:1]
    try:
        with stage(report, "rendering") as progress:
            for f, seconds in enumerate(times):
                rgba = renderer.render(around, framing, window.clip, float(seconds), light)
                images[:, f], alphas[:, f] = on_white(from_pixels(rgba))
                progress(f + 1, len(times))
    finally:
        renderer.close()
    if window.duration == 0:
        images[:, 1:], alphas[:, 1:] = images[:, :1], alphas[:, :1]
    return ImageMatrix(images, cameras, frame_times(window.frames), window.fps, alphas)


def write_truth(
    folder: Path,
    matrix: ImageMatrix,
    model_file: Path,
    window: Window,
    *,
    azimuth_deg: float,
    object_size: float,
) -> None:
    """Write ground truth in the layout of a run, with `source.json`: what it shows.

    A run that is in the folder is replaced as a whole, once the new pictures are on disk.
    """
    source = {
        "model": model_file.name,
        "sha256": file_hash(model_file),
        **asdict(window),
        "reference_azimuth_deg": azimuth_deg,
        "object_size": object_size,
    }
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".rendered.{os.getpid()}.tmp"
    fresh.mkdir()
    try:
        write_json(fresh / SOURCE, source)
        write_matrix(fresh, matrix)
        for name in (*ENTRIES, SOURCE):
            remove(folder / name)
        for name in (SOURCE, "matrix", "cameras.json"):
            os.replace(fresh / name, folder / name)
        RunFolder(folder).complete()
    finally:
        remove(fresh)
