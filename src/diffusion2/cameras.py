"""The world and its cameras: every convention of space is in this file.

World: z up, the object at the origin. A camera at azimuth 0 deg stands on the +x side; azimuth
grows counter-clockwise seen from above; elevation grows upwards. Cameras are OpenCV (x right,
y down, z forward); `viewmats` are world-to-camera; `Ks` are in pixels with the principal point in
the middle of the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from diffusion2.errors import AssetFormatError, InputError

DEFAULT_RADIUS = 2.0
DEFAULT_FOV_DEG = 33.8
DEFAULT_ELEVATION_DEG = 10.0


Index = ArrayLike | slice
"""What chooses from an axis: a position, several, a slice, or a mask over all."""


@dataclass(frozen=True)
class Cameras:
    """V cameras that look at the origin.

    Attributes:
        azimuths_deg: (V,) float64.
        elevations_deg: (V,) float64.
        radii: (V,) float64, distance to the origin in world units.
        fov_deg: vertical field of view.
        height: picture height in pixels.
        width: picture width in pixels.
    """

    azimuths_deg: np.ndarray
    elevations_deg: np.ndarray
    radii: np.ndarray
    fov_deg: float
    height: int
    width: int

    def __len__(self) -> int:
        """Return the number of cameras."""
        return len(self.azimuths_deg)

    def __getitem__(self, index: Index) -> "Cameras":
        """Some of the cameras, in the order asked for; an integer gives one, as `Cameras` of length 1.

        Raises:
            InputError: there is no such camera, or none is chosen.
        """
        chosen = positions(index, len(self), "camera")
        return replace(
            self,
            azimuths_deg=self.azimuths_deg[chosen],
            elevations_deg=self.elevations_deg[chosen],
            radii=self.radii[chosen],
        )

    def __iter__(self) -> Iterator["Cameras"]:
        """Yield the cameras one by one."""
        return (self[view] for view in range(len(self)))

    def mirrored(self) -> "Cameras":
        """Return the cameras that see the mirror images of what these see, of the object's mirror image.

        The object is mirrored left to right for the last camera, at azimuth 0, which stays. The others go
        around the other way, and their order is turned around: azimuths that grow do so here.
        """
        order = [*range(len(self) - 2, -1, -1), -1]
        azimuths = -self.azimuths_deg[order] % 360
        azimuths[-1] = self.azimuths_deg[-1]
        return replace(
            self,
            azimuths_deg=azimuths,
            elevations_deg=self.elevations_deg[order],
            radii=self.radii[order],
        )

    @property
    def positions(self) -> np.ndarray:
        """(V, 3) camera centres in the world."""
        azimuths, elevations = np.deg2rad(self.azimuths_deg), np.deg2rad(self.elevations_deg)
        directions = np.stack(
            [
                np.cos(elevations) * np.cos(azimuths),
                np.cos(elevations) * np.sin(azimuths),
                np.sin(elevations),
            ],
            axis=-1,
        )
        return directions * self.radii[:, None]

    @property
    def viewmats(self) -> np.ndarray:
        """(V, 4, 4) float64 world-to-camera matrices."""
        azimuths, elevations = np.deg2rad(self.azimuths_deg), np.deg2rad(self.elevations_deg)
        zeros = np.zeros_like(azimuths)
        right = np.stack([-np.sin(azimuths), np.cos(azimuths), zeros], axis=-1)
        down = np.stack(
            [
                np.sin(elevations) * np.cos(azimuths),
                np.sin(elevations) * np.sin(azimuths),
                -np.cos(elevations),
            ],
            axis=-1,
        )
        forward = np.cross(right, down)
        viewmats = np.zeros((len(self), 4, 4))
        viewmats[:, 0, :3], viewmats[:, 1, :3], viewmats[:, 2, :3] = right, down, forward
        viewmats[:, :3, 3] = -np.einsum("vij,vj->vi", viewmats[:, :3, :3], self.positions)
        viewmats[:, 3, 3] = 1.0
        return viewmats

    @property
    def Ks(self) -> np.ndarray:
        """(V, 3, 3) float64 intrinsics in pixels; pixels are square."""
        focal = 0.5 * self.height / np.tan(np.deg2rad(self.fov_deg) / 2)
        K = np.array([[focal, 0, self.width / 2], [0, focal, self.height / 2], [0, 0, 1.0]])
        return np.repeat(K[None], len(self), axis=0)


def make_cameras(
    azimuths_deg: np.ndarray | list[float],
    elevations_deg: np.ndarray | list[float] | float = DEFAULT_ELEVATION_DEG,
    *,
    radius: float = DEFAULT_RADIUS,
    fov_deg: float = DEFAULT_FOV_DEG,
    height: int = 128,
    width: int | None = None,
) -> Cameras:
    """Make cameras at the given angles, all at one radius."""
    azimuths = np.asarray(azimuths_deg, dtype=np.float64).reshape(-1)
    elevations = np.broadcast_to(np.asarray(elevations_deg, dtype=np.float64), azimuths.shape).copy()
    radii = np.full(azimuths.shape, float(radius))
    return Cameras(azimuths, elevations, radii, float(fov_deg), height, width or height)


def orbit(
    views: int,
    elevation_deg: float = DEFAULT_ELEVATION_DEG,
    *,
    radius: float = DEFAULT_RADIUS,
    fov_deg: float = DEFAULT_FOV_DEG,
    height: int = 128,
    width: int | None = None,
) -> Cameras:
    """Make the orbit that a multi-view prior generates: view k at azimuth 360 (k + 1) / views deg.

    The last view (360 deg) is the reference view.
    """
    azimuths = 360.0 * np.arange(1, views + 1) / views
    return make_cameras(azimuths, elevation_deg, radius=radius, fov_deg=fov_deg, height=height, width=width)


def positions(index: Index, count: int, what: str) -> np.ndarray:
    """Turn what chooses from an axis into positions (K,) from 0 on, as NumPy does, but never none.

    Args:
        index: an integer or several, from the end where negative; a slice; or a mask (count,).
        count: how many there are.
        what: one of them, for messages.

    Raises:
        InputError: there is no such position, a mask has another length, or nothing is chosen.
    """
    if isinstance(index, slice):
        chosen = np.arange(count)[index]
    else:
        wanted = np.asarray(index)
        if wanted.dtype == bool:
            if wanted.shape != (count,):
                raise InputError(f"a mask over {count} {what}s has shape ({count},), not {wanted.shape}")
            wanted = np.flatnonzero(wanted)
        if wanted.ndim > 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise InputError(f"a {what} is chosen by whole numbers, a slice or a mask, not by {index!r}")
        chosen = wanted.reshape(-1).astype(int)  # an empty list has no whole numbers
    if (beyond := chosen[(chosen < -count) | (chosen >= count)]).size:
        raise InputError(f"there is no {what} {beyond[0]}: there are {count}, from 0 to {count - 1}")
    if not chosen.size:
        raise InputError(f"of {count} {what}s none is chosen: choose at least one")
    return chosen % count


def azimuths_apart(azimuths_deg: np.ndarray | float, others_deg: np.ndarray | float) -> np.ndarray:
    """The angles between azimuths, 0 to 180 degrees."""
    return np.abs((np.asarray(azimuths_deg) - np.asarray(others_deg) + 180) % 360 - 180)


@dataclass(frozen=True, eq=False)
class ModelFrame:
    """Where a given 3D model, or a capture's world, stands in ours, so that results can go back to its place.

    World from model: `(axes @ point - center) * scale`.

    Attributes:
        axes: (3, 3) rotation from the model file's axes to the world's.
        center: (3,) what becomes the world's origin, in world axes but the model's units.
        scale: world units per unit of the model.
    """

    axes: np.ndarray
    center: np.ndarray
    scale: float

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same place."""
        return isinstance(other, ModelFrame) and self.to_dict() == other.to_dict()

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Move (P, 3) points of the model's file into the world."""
        return (points @ self.axes.T - self.center) * self.scale

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Move (P, 3) points of the world to where they are in the model's file."""
        return (points / self.scale + self.center) @ self.axes

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"axes": self.axes.tolist(), "center": self.center.tolist(), "scale": float(self.scale)}

    @staticmethod
    def from_dict(values: Any) -> "ModelFrame":
        """Read what `to_dict` gave.

        Raises:
            AssetFormatError: it is not that.
        """
        try:
            frame = ModelFrame(
                np.array(values["axes"], dtype=np.float64),
                np.array(values["center"], dtype=np.float64),
                float(values["scale"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AssetFormatError(f"this is no place of a model: {values!r}") from error
        finite = np.isfinite([*frame.axes.flat, *frame.center.flat, frame.scale]).all()
        if frame.axes.shape != (3, 3) or frame.center.shape != (3,) or not frame.scale > 0 or not finite:
            raise AssetFormatError(f"this is no place of a model: {values!r}")
        return frame


def turn(azimuth_deg: float) -> np.ndarray:
    """Return the (3, 3) rotation about the world's vertical that brings an azimuth to azimuth 0."""
    angle = -np.deg2rad(azimuth_deg)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
