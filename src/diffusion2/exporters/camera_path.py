"""A camera's way as a JSON file: where it stands at some seconds; between them it moves smoothly.

    {"fov_deg": 33.8,
     "keys": [{"seconds": 0, "azimuth_deg": 0, "elevation_deg": 10, "radius": 2, "time": 0},
              {"seconds": 3, "azimuth_deg": 180, "elevation_deg": 40, "time": 1}]}

All but `seconds` may be left out: what one key leaves out is interpolated between the others, and what all
leave out is the reference camera's. `time` is the object's, from 0 to 1; without it the object moves at its
own speed. Cameras look at the origin, as `Cameras` do. So the paths of nerfstudio are not read, whose cameras
look anywhere, in the normalised world of some training.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from diffusion2.config.checks import Between, Settings, conform
from diffusion2.errors import InputError, in_one_line

MOST_PICTURES = 100_000
_FovDeg = Annotated[float, Between(1, 170)]


@dataclass(frozen=True)
class CameraKey(Settings):
    """Where the camera stands at a moment; None: as other keys say."""

    seconds: Annotated[float, Between(0, 3600)]
    azimuth_deg: Annotated[float | None, Between(-1e5, 1e5)] = None
    elevation_deg: Annotated[float | None, Between(-90, 90)] = None
    radius: Annotated[float | None, Between(1e-3, 1e6)] = None
    time: Annotated[float | None, Between(0, 1)] = None


@dataclass(frozen=True)
class CameraPath:
    """Keys in the order of time, at least one; the field of view is None where the file doesn't say it."""

    keys: Sequence[CameraKey]
    fov_deg: float | None = None

    @property
    def has_times(self) -> bool:
        """Whether it says which moment of the object is seen."""
        return any(key.time is not None for key in self.keys)

    def seconds(self, fps: float) -> np.ndarray:
        """List when pictures are taken, from 0 on, (T,).

        Raises:
            InputError: so often that there would be too many.
        """
        count = int(self.keys[-1].seconds * fps + 1e-6) + 1
        if count > MOST_PICTURES:
            raise InputError(f"a camera path of {count} pictures is too long: at most {MOST_PICTURES}")
        return np.arange(count) / fps

    def values(self, name: str, seconds: np.ndarray, usual: float) -> np.ndarray:
        """Interpolate one of the keys' numbers at (T,) seconds: smooth, and never beyond the keys around.

        Before the first key that has it, it is as there, and so behind the last one.
        """
        known = [(key.seconds, getattr(key, name)) for key in self.keys if getattr(key, name) is not None]
        if len(known) < 2:
            return np.full(len(seconds), known[0][1] if known else usual)
        at, values = np.array(known, dtype=np.float64).T
        return PchipInterpolator(at, values)(np.clip(seconds, at[0], at[-1]))


def read_camera_path(path: Path) -> CameraPath:
    """Read such a file.

    Raises:
        InputError: it can't be read, or says something else than is said above.
    """
    content = _read(path)
    try:
        known = ["keys", "fov_deg"]
        if unknown := [name for name in content if name not in known]:
            raise InputError(f"unknown {unknown[0]!r}; known: {', '.join(known)}")
        keys = [CameraKey.from_dict(key, f"keys[{k}].") for k, key in enumerate(content.get("keys") or [])]
        fov = conform("fov_deg", content.get("fov_deg"), _FovDeg | None)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not keys:
        raise InputError(f'{path} has no list "keys" of where the camera stands: see docs/exports.md')
    if any(after.seconds <= before.seconds for before, after in pairwise(keys)):
        raise InputError(f"{path}: the seconds of its keys must grow from key to key")
    return CameraPath(keys, fov)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the camera path {path} can't be read: {in_one_line(error)}") from error
    if not isinstance(content, dict) or not isinstance(content.get("keys", []), list):
        raise InputError(f'{path} has no list "keys" of where the camera stands: see docs/exports.md')
    if "camera_path" in content or "keyframes" in content:
        raise InputError(
            f"{path} is a camera path of nerfstudio, whose cameras look anywhere in a world of their own: "
            'write "keys" of cameras that look at the object, see docs/exports.md'
        )
    return content
