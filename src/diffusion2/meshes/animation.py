"""glTF animation: key frames of node transforms and morph weights, sampled at any time.

Source: glTF 2.0 specification, sections 3.11 (animations) and appendix C (interpolation).
"""

from dataclasses import dataclass, field

import numpy as np

from diffusion2.quaternions import rotation_entries


@dataclass(frozen=True)
class Channel:
    """Key frames of one property of one node.

    Attributes:
        node: index of the node that moves.
        path: "translation", "rotation" (quaternion xyzw), "scale" or "weights".
        times: (K,) seconds, increasing.
        values: (K, D), or (K, 3, D) for cubic splines (in-tangent, value, out-tangent).
        interpolation: "LINEAR", "STEP" or "CUBICSPLINE".
    """

    node: int
    path: str
    times: np.ndarray
    values: np.ndarray
    interpolation: str

    def at(self, seconds: float) -> np.ndarray:
        """Return the (D,) value at a time, held before the first and after the last key frame."""
        times, values = self.times, self.values
        cubic = self.interpolation == "CUBICSPLINE"
        last = len(times) - 1
        if seconds <= times[0] or last == 0:
            return values[0, 1] if cubic else values[0]
        if seconds >= times[last]:
            return values[last, 1] if cubic else values[last]
        k = int(np.searchsorted(times, seconds, side="right")) - 1
        if self.interpolation == "STEP":
            return values[k]
        span = times[k + 1] - times[k]
        u = (seconds - times[k]) / span
        if cubic:
            return self._normalised(
                (2 * u**3 - 3 * u**2 + 1) * values[k, 1]
                + (u**3 - 2 * u**2 + u) * span * values[k, 2]
                + (3 * u**2 - 2 * u**3) * values[k + 1, 1]
                + (u**3 - u**2) * span * values[k + 1, 0]
            )
        if self.path == "rotation":
            return slerp(values[k], values[k + 1], u)
        return (1 - u) * values[k] + u * values[k + 1]

    def _normalised(self, value: np.ndarray) -> np.ndarray:
        return value / max(float(np.linalg.norm(value)), 1e-12) if self.path == "rotation" else value


@dataclass(frozen=True)
class Clip:
    """One named animation.

    Attributes:
        name: as in the file.
        channels: the moving properties.
    """

    name: str
    channels: list[Channel] = field(repr=False)

    @property
    def duration(self) -> float:
        """Return the time of the last key frame in seconds."""
        return max((float(channel.times[-1]) for channel in self.channels), default=0.0)


def slerp(start: np.ndarray, end: np.ndarray, u: float) -> np.ndarray:
    """Interpolate two unit quaternions (4,) along the shorter arc."""
    cosine = float(start @ end)
    if cosine < 0:
        end, cosine = -end, -cosine
    if cosine > 0.9995:
        mixed = (1 - u) * start + u * end
        return mixed / np.linalg.norm(mixed)
    angle = np.arccos(cosine)
    return (np.sin((1 - u) * angle) * start + np.sin(u * angle) * end) / np.sin(angle)


def compose_transform(translation: np.ndarray, rotation: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Make matrices (..., 4, 4) of translations (..., 3), quaternions xyzw (..., 4) and scales (..., 3)."""
    lengths = np.linalg.norm(rotation, axis=-1, keepdims=True)
    x, y, z, w = np.moveaxis(rotation / np.maximum(lengths, 1e-12), -1, 0)
    turns = np.stack(rotation_entries(w, x, y, z), axis=-1).reshape(*x.shape, 3, 3)
    matrix = np.broadcast_to(np.eye(4), (*x.shape, 4, 4)).copy()
    matrix[..., :3, :3] = turns * np.asarray(scale)[..., None, :]
    matrix[..., :3, 3] = translation
    return matrix
