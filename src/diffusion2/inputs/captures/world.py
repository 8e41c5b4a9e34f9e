"""From a capture's world to ours, by one similarity.

What the cameras look at becomes the origin, up becomes z, the reference camera stands at azimuth 0, and the
cameras' median distance is 2. A capture that is like that already stays as it is.
"""

from dataclasses import dataclass

import numpy as np

from diffusion2.cameras import DEFAULT_RADIUS, ModelFrame
from diffusion2.errors import InputError

_PARALLEL = 1e-4
"""Least share of the lines' directions across which they must differ for their point of meeting to be
known."""
_MEET = 0.03
"""How far lines may pass by their meeting point, as a share of the cameras' distance."""
_LEVEL = 0.05
"""How far cameras' horizons may be tilted, as a sine, for up to be what is square to all of them."""
_SNAP_DEG = 15.0
"""Cameras that are not level, but upright on the whole, stand on the ground of the capture's world if it is
this near to theirs."""
_FAR, _TILTED_DEG = 0.5, 30.0
"""How far from our origin, whose cameras are 2 away, and from our up a capture's may be in a given world."""
_OVERHEAD = 0.98
"""Sine of the elevation from which on a camera has no azimuth to speak of."""


@dataclass(frozen=True)
class Sight:
    """How V cameras stand, in the capture's world, at the reference time.

    Attributes:
        centres: (V, 3) where they are.
        rotations: (V, 3, 3) camera to world, of OpenCV's cameras.
        to_object: (V, 3) unit directions to the middle of the object in the picture.
        sizes: (V,) half of the object's angle, as a tangent.
    """

    centres: np.ndarray
    rotations: np.ndarray
    to_object: np.ndarray
    sizes: np.ndarray


def place(sight: Sight) -> tuple[ModelFrame, str]:
    """Find our world from the capture's, and say in words where its origin is.

    Raises:
        InputError: all cameras look the same way, so that nothing says how far the object is.
    """
    center, what = _center(sight)
    up = _up(sight)
    offsets = sight.centres - center
    distances = np.linalg.norm(offsets, axis=1)
    ahead = _reference_direction(offsets / distances[:, None], up)
    axes = np.stack([ahead, np.cross(up, ahead), up])
    scale = DEFAULT_RADIUS / float(np.median(distances))
    return ModelFrame(axes, axes @ center, scale), what


def misfit(sight: Sight, frame: ModelFrame) -> str:
    """Say in words what speaks against a world that was found elsewhere; nothing, if nothing does."""
    try:
        center, _ = _center(sight)
    except InputError:
        return ""
    away = float(np.linalg.norm(frame.axes @ center - frame.center)) * frame.scale
    if away > _FAR:
        return f"what they look at is {away:.2g} away from where the result is"
    tilt = float(np.rad2deg(np.arccos(np.clip(_up(sight) @ frame.axes[2], -1, 1))))
    return f"their up is {tilt:.0f}° from the result's" if tilt > _TILTED_DEG else ""


def choose_reference(positions: np.ndarray) -> int:
    """Choose the camera nearest azimuth 0, of those at (V, 3) in our world; none from right above."""
    unit = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    apart = np.abs(np.arctan2(unit[:, 1], unit[:, 0])) + 10.0 * (np.abs(unit[:, 2]) > _OVERHEAD)
    return int(np.round(apart, 6).argmin())


def _center(sight: Sight) -> tuple[np.ndarray, str]:
    """Find what the cameras look at: where their axes meet, if they do on the object, else the object."""
    if len(sight.centres) == 1:
        return sight.centres[0] + sight.rotations[0, :, 2], "what its only camera looks at"
    axes = sight.rotations[:, :, 2]
    meeting = _meet(sight.centres, axes)
    if meeting is not None:
        offsets = meeting - sight.centres
        distances = np.linalg.norm(offsets, axis=1)
        past = np.linalg.norm(np.cross(offsets, axes), axis=1) / distances
        aside = np.linalg.norm(np.cross(offsets, sight.to_object), axis=1) / distances
        on_object = np.median(aside / np.maximum(sight.sizes, 1e-12)) < 1
        if (np.einsum("vi,vi->v", offsets, axes) > 0).all() and past.max() < _MEET and on_object:
            return meeting, "where its cameras' axes meet"
    middle = _meet(sight.centres, sight.to_object)
    if middle is None:
        raise InputError(
            "all cameras see the object from one direction, so nothing says how far it is: give pictures "
            "from around it"
        )
    return middle, "the object's middle, as its cameras look elsewhere"


def _meet(centres: np.ndarray, directions: np.ndarray) -> np.ndarray | None:
    """Find the point nearest to lines (V, 3) in the sense of least squares; None where they are parallel."""
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    total = across.mean(axis=0)
    if np.linalg.eigvalsh(total)[0] < _PARALLEL:
        return None
    return np.linalg.solve(total, np.einsum("vij,vj->i", across, centres) / len(centres))


def _up(sight: Sight) -> np.ndarray:
    """Find up, (3,): the capture's z where cameras are level to it, else what their horizons say.

    That is what is square to all of them, or where cameras are not level, their mean upwards direction.
    """
    rights, mean_up = sight.rotations[:, :, 0], -sight.rotations[:, :, 1].mean(axis=0)
    if np.abs(rights[:, 2]).max() < _LEVEL and mean_up[2] > 0:
        return np.array([0.0, 0.0, 1.0])
    values, vectors = np.linalg.eigh(rights.T @ rights / len(rights))
    level = vectors[:, 0] * (1 if vectors[:, 0] @ mean_up >= 0 else -1)
    is_level = np.abs(rights @ level).max() < _LEVEL and values[1] > _LEVEL
    up = level if is_level else mean_up
    if not np.linalg.norm(up) > 1e-3:
        up = level
    up = up / np.linalg.norm(up)
    return np.array([0.0, 0.0, 1.0]) if up[2] > np.cos(np.deg2rad(_SNAP_DEG)) else up


def _reference_direction(directions: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Find the horizontal direction of the camera that is nearest to the capture's own x axis."""
    along = np.array([1.0, 0, 0]) if abs(up[0]) < 0.9 else np.array([0, 1.0, 0])
    along = _horizontal(along, up)
    sideways = np.cross(up, along)
    local = directions @ np.stack([along, sideways, up]).T
    reference = choose_reference(local)
    if abs(local[reference, 2]) > _OVERHEAD:
        return along
    return _horizontal(directions[reference], up)


def _horizontal(direction: np.ndarray, up: np.ndarray) -> np.ndarray:
    flat = direction - (direction @ up) * up
    return flat / np.linalg.norm(flat)
