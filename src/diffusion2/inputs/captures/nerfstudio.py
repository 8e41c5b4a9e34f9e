"""transforms.json, as nerfstudio's documentation ("Data conventions") and the original NeRF define it.

Poses are camera to world; the camera is OpenGL's: x right, y up, looking along -z. D-NeRF adds a `time` to
every frame, and comes as transforms_train.json, transforms_val.json and transforms_test.json.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from diffusion2.errors import InputError, in_one_line
from diffusion2.inputs.captures.colmap import make_lens
from diffusion2.inputs.captures.lens import Lens
from diffusion2.inputs.captures.shots import Shot, check_missing, check_pose, find_picture, fit_lens

WHOLE = "transforms.json"
LEARNT, HELD_OUT = "transforms_train.json", ("transforms_test.json", "transforms_val.json")
SPLITS = (LEARNT, *HELD_OUT)
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""From OpenCV's camera axes to OpenGL's."""
MODELS = {"SIMPLE_PINHOLE", "PINHOLE", "PERSPECTIVE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE"}


def find_transforms(folder: Path) -> list[Path]:
    """List the files of a capture that are there: the whole one first, then the parts."""
    return [folder / name for name in (WHOLE, *SPLITS) if (folder / name).is_file()]


def read_times(path: Path) -> list[float]:
    """Read the times that a file's frames have, as it says them."""
    found = [_time(path, frame, str(frame.get("file_path"))) for frame in _frames(path, _content(path))]
    return [time for time in found if time is not None]


def read_transforms(folder: Path, path: Path, number: float | None = None) -> list[Shot]:
    """Read the shots that a file lists.

    Args:
        folder: the capture, which names of pictures are relative to.
        path: the file.
        number: of the frame's folder that the capture is.

    Raises:
        InputError: the file can't be read or makes no sense, a picture is missing or of another size.
    """
    content = _content(path)
    frames = _frames(path, content)
    shots, missing = [], []
    for k, frame in enumerate(frames):
        name = frame.get("file_path")
        if not isinstance(name, str) or not name:
            raise InputError(f'{path}: frame {k} has no "file_path"')
        picture = find_picture(folder, name)
        if picture is None:
            missing.append(name)
            continue
        shots.append(
            Shot(
                picture,
                name,
                fit_lens(_lens(path, content | frame, picture), picture),
                _pose(path, frame, name),
                _time(path, frame, name),
                number,
                _mask(folder, path, frame),
            )
        )
    check_missing(missing, len(frames), path)
    return shots


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read: {in_one_line(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f'{path} has no list "frames"')
    return content


def _frames(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    frames = content.get("frames")
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise InputError(f'{path} has no list "frames"')
    return frames


def _pose(path: Path, frame: dict[str, Any], name: str) -> np.ndarray:
    what = f'{path}: "transform_matrix" of {name}'
    try:
        matrix = np.array(frame.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} is no matrix of 4 x 4 numbers") from error
    return check_pose(matrix, what) @ OPENGL


def _time(path: Path, frame: dict[str, Any], name: str) -> float | None:
    time = frame.get("time")
    if time is None:
        return None
    try:
        number = math.nan if isinstance(time, bool) else float(time)  # some write it as a word
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f'{path}: "time" of {name} must be a number, not {time!r}')
    return number


def _mask(folder: Path, path: Path, frame: dict[str, Any]) -> Path | None:
    name = frame.get("mask_path")
    if not name:
        return None
    found = find_picture(folder, str(name))
    if found is None:
        raise InputError(f'{path} names a mask that is not there: {name}; take out "mask_path" to do without')
    return found


def _lens(path: Path, values: dict[str, Any], picture: Path) -> Lens:
    """Read the intrinsics of a frame, which the frame or the whole file says."""

    def number(name: str, other: float | None = None) -> float | None:
        value = values.get(name, other)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f'{path}: "{name}" must be a number, not {value!r}')
        return float(value)

    model = str(values.get("camera_model", "OPENCV")).upper()
    if model not in MODELS:
        raise InputError(
            f"{path}: the camera model {model} is not known here (known: {', '.join(sorted(MODELS))}): give "
            "pictures of a perspective camera"
        )
    if values.get("is_fisheye"):
        model = "OPENCV_FISHEYE"
    width, height = number("w"), number("h")
    if not width or not height:
        stored = fit_lens(Lens(0, 0, 1, 1, 0, 0), picture)
        width, height = float(stored.width), float(stored.height)
    fx, fy = number("fl_x"), number("fl_y")
    angle_x, angle_y = number("camera_angle_x"), number("camera_angle_y")
    for name, angle in (("camera_angle_x", angle_x), ("camera_angle_y", angle_y)):
        if angle is not None and not 0 < angle < math.pi:
            raise InputError(f'{path}: "{name}" must lie between 0 and 3.14 radians, not {angle:g}')
    if fx is None and angle_x is not None:
        fx = 0.5 * width / math.tan(angle_x / 2)
    if fy is None and angle_y is not None:
        fy = 0.5 * height / math.tan(angle_y / 2)
    fx, fy = fx if fx is not None else fy, fy if fy is not None else fx
    if fx is None or fy is None:
        raise InputError(f'{path} has neither "camera_angle_x" nor "fl_x": what is the field of view?')
    found = {"fx": fx, "fy": fy, "cx": number("cx", width / 2), "cy": number("cy", height / 2)}
    found |= {name: number(name, 0.0) for name in ("k1", "k2", "k3", "k4", "p1", "p2")}
    known = {name: value for name, value in found.items() if value is not None}
    return make_lens(path, model, round(width), round(height), known)
