"""What an asset says about itself: its speed, its reference view, where a given 3D model stands."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from diffusion2.cameras import (
    DEFAULT_ELEVATION_DEG,
    DEFAULT_FOV_DEG,
    DEFAULT_RADIUS,
    Cameras,
    ModelFrame,
    make_cameras,
)
from diffusion2.errors import AssetFormatError, InputError

_RANGES = {
    "fps": (1e-3, 1e4),
    "azimuth_deg": (-1e4, 1e4),
    "elevation_deg": (-90, 90),
    "radius": (1e-3, 1e6),
    "fov_deg": (0.1, 179),
}
_COUNTS = {"frames": 100_000, "views": 100_000, "height": 1_000_000, "width": 1_000_000}
_UNKNOWN = ("views", "height", "width")
"""Counts that may be None."""


@dataclass(frozen=True)
class AssetMetadata:
    """What is known of an asset beside its Gaussians; what a file leaves out has these defaults.

    Attributes:
        fps: frames per second of the sequence.
        frames: F, the number of frames it was made from.
        views: V, the number of views it was made from; None where that isn't known.
        azimuth_deg: where the reference camera stands.
        elevation_deg: of the reference camera.
        radius: of the reference camera, its distance to the origin in world units.
        fov_deg: of the reference camera, its vertical field of view.
        height: of the pictures it was made from, in pixels; None where that isn't known.
        width: of those pictures.
        model_frame: where a given 3D model stands in the world; None where none was given.

    Raises:
        InputError: a value is no number or makes no sense.
    """

    fps: float = 8.0
    frames: int = 12
    views: int | None = None
    azimuth_deg: float = 0.0
    elevation_deg: float = DEFAULT_ELEVATION_DEG
    radius: float = DEFAULT_RADIUS
    fov_deg: float = DEFAULT_FOV_DEG
    height: int | None = None
    width: int | None = None
    model_frame: ModelFrame | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense; numbers become plain floats and whole numbers."""
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not _is_number(value) or not low <= value <= high:
                raise InputError(f"the asset's metadata says {name} {value!r}: expected {low:g} to {high:g}")
            object.__setattr__(self, name, float(value))
        for name, most in _COUNTS.items():
            value = getattr(self, name)
            if value is None and name in _UNKNOWN:
                continue
            if not (count := _count(value, most)):
                raise InputError(f"the asset's metadata says {name} {value!r}: expected 1 to {most:,}, whole")
            object.__setattr__(self, name, count)
        if not isinstance(self.model_frame, ModelFrame | None):
            raise InputError(f"the asset's metadata says model_frame {self.model_frame!r}: no ModelFrame")

    @property
    def duration_s(self) -> float:
        """Seconds from time 0 to time 1; of a single frame, those of one frame."""
        return max(self.frames - 1, 1) / self.fps

    def reference_cameras(self, azimuths_deg: list[float], height: int, width: int) -> Cameras:
        """Make cameras at these azimuths, otherwise like the asset's reference camera."""
        return make_cameras(
            azimuths_deg,
            self.elevation_deg,
            radius=self.radius,
            fov_deg=self.fov_deg,
            height=height,
            width=width,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON; what isn't known is left out."""
        known = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if self.model_frame is not None:
            known["model_frame"] = self.model_frame.to_dict()
        return known

    @staticmethod
    def from_dict(values: Any) -> "AssetMetadata":
        """Read what `to_dict` or another program wrote; names that are not known here are passed over.

        Raises:
            AssetFormatError: it is no table, or a value makes no sense.
        """
        if not isinstance(values, dict):
            raise AssetFormatError("the metadata is not a table")
        known = {f.name: values[f.name] for f in fields(AssetMetadata) if f.name in values}
        if known.get("model_frame") is not None:
            known["model_frame"] = ModelFrame.from_dict(known["model_frame"])
        try:
            return AssetMetadata(**known)
        except InputError as error:
            raise AssetFormatError(str(error)) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _count(value: Any, most: int) -> int:
    """A whole number from 1 to the most, as an int; 0 where it is none."""
    return int(value) if _is_number(value) and 1 <= value <= most and value == value // 1 else 0
