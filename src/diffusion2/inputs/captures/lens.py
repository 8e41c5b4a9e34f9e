"""Lenses: which pixel sees which direction, for the camera models of COLMAP and OpenCV.

Pixels count from the upper left corner of the picture, so that the first pixel's middle is (0.5, 0.5), as in
COLMAP and nerfstudio. Directions are OpenCV's: x right, y down, z forward.
"""

from dataclasses import dataclass, replace

import numpy as np

_FARTHEST = 20.0
"""Tangent of the angle from the axis up to which a lens is looked at, of one that is no fisheye."""
_ROUNDS = 50
"""Of the iteration that undoes distortion; it converges in a few where the lens is sane."""


@dataclass(frozen=True)
class Lens:
    """What a picture's pixels see.

    Attributes:
        width: of the picture, pixels.
        height: of the picture, pixels.
        fx: focal length along x, pixels.
        fy: focal length along y, pixels.
        cx: principal point, pixels from the left edge.
        cy: principal point, pixels from the upper edge.
        radial: factors of r², r⁴, … (of a fisheye: θ², θ⁴, …) by which points move outwards.
        rational: factors of r², r⁴, … that they are divided by (OpenCV's k4 to k6).
        tangential: OpenCV's p1 and p2.
        fisheye: whether the radius in the picture is that of the angle, not of its tangent.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    radial: tuple[float, ...] = ()
    rational: tuple[float, ...] = ()
    tangential: tuple[float, float] = (0.0, 0.0)
    fisheye: bool = False

    @property
    def is_distorted(self) -> bool:
        """Whether straight lines are not straight in the picture."""
        return self.fisheye or any((*self.radial, *self.rational, *self.tangential))

    def scaled(self, factor: float, width: int, height: int) -> "Lens":
        """The lens of a picture that was made larger by a factor, and has this size."""
        parts = {name: getattr(self, name) * factor for name in ("fx", "fy", "cx", "cy")}
        return replace(self, width=width, height=height, **parts)

    def project(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the pixels (..., 2) of directions (..., 3), and whether each lies in the picture, (...)."""
        forward = directions[..., 2]
        ahead = forward > 1e-6
        flat = directions[..., :2] / np.where(ahead, forward, 1)[..., None]
        radius = np.linalg.norm(flat, axis=-1)
        measured = np.arctan(radius) if self.fisheye else radius
        pixels = self._distort(flat) * (self.fx, self.fy) + (self.cx, self.cy)
        inside = ((pixels >= 0) & (pixels <= (self.width, self.height))).all(axis=-1)
        return pixels, ahead & inside & (measured <= self._reach())

    def directions(self, pixels: np.ndarray) -> np.ndarray:
        """Find the directions (..., 3) with z = 1 that pixels (..., 2) see."""
        wanted = (pixels - (self.cx, self.cy)) / (self.fx, self.fy)
        flat = wanted.copy()
        for _ in range(_ROUNDS if self.is_distorted else 0):
            flat = flat + wanted - self._distort(flat)
        return np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)

    def _distort(self, flat: np.ndarray) -> np.ndarray:
        """Move points (..., 2) at distance 1 as the lens does."""
        if not self.is_distorted:
            return flat
        x, y = flat[..., 0], flat[..., 1]
        r2 = x * x + y * y
        if self.fisheye:
            radius = np.sqrt(r2)
            angle = np.arctan(radius)
            factor = np.where(radius > 1e-9, angle / np.maximum(radius, 1e-9), 1.0)
            factor = factor * self._outwards(angle * angle)
        else:
            factor = self._outwards(r2)
        p1, p2 = self.tangential
        moved = np.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], -1)
        return flat * factor[..., None] + moved

    def _outwards(self, squared: np.ndarray) -> np.ndarray:
        return _polynomial(self.radial, squared) / _polynomial(self.rational, squared)

    def _reach(self) -> float:
        """Radius, or angle of a fisheye, up to which the lens moves outer points outwards.

        Beyond it the polynomials mean nothing, and would show what the picture shows a second time.
        """
        radii = np.linspace(0, np.pi / 2 if self.fisheye else _FARTHEST, 4001)
        falls = np.diff(radii * self._outwards(radii * radii)) <= 0
        return float(radii[falls.argmax()]) if falls.any() else np.inf


def _polynomial(factors: tuple[float, ...], squared: np.ndarray) -> np.ndarray:
    total = np.ones_like(squared)
    for power, factor in enumerate(factors, start=1):
        total = total + factor * squared**power
    return total
