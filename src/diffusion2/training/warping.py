"""Smooth deformations of models: as many shapes as wanted of the few models that there are.

A network that sees a model often enough knows it by heart. A warp bends, swells and thins all of a model by
a few long waves, the same on its left and right.
"""

from dataclasses import dataclass, replace

import numpy as np

from diffusion2.meshes import AnimatedModel
from diffusion2.meshes.model import PosedPrimitive, normal_matrix

WAVES = 4
LARGEST_WAVE = 6.0
"""Radians over the model's longest side."""
STEEPNESS = 0.25
"""Deviation of how much lengths change along a wave: far below 1, so that nothing is turned inside out."""


@dataclass(frozen=True)
class Warp:
    """Displacements, which are sums of waves, of points in a model's own axes.

    Attributes:
        axes: (3, 3), rows are the model's front, left and up.
        center: (3,) about which it is symmetric from left to right.
        size: length in which places are counted.
        waves: (K, 3) radians a size along front, left and up.
        phases: (K,) radians.
        amplitudes: (K, 3) in sizes.
    """

    axes: np.ndarray
    center: np.ndarray
    size: float
    waves: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray

    def move(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move points (P, 3); give them, and the derivatives (P, 3, 3) of their new places."""
        places = (points - self.center) @ self.axes.T / self.size
        along = places[:, [0, 2]] @ self.waves[:, [0, 2]].T + self.phases
        aside = places[:, 1:2] * self.waves[:, 1]
        s, c, sy, cy = np.sin(along), np.cos(along), np.sin(aside), np.cos(aside)
        # even from left to right along the front and up, odd to the side
        even, odd = s * cy, c * sy
        shape = np.stack([even, odd, even], -1)
        moved = np.einsum("pki,ki->pi", shape, self.amplitudes)
        wx, wy, wz = self.waves.T
        of_even = np.stack([c * cy * wx, -s * sy * wy, c * cy * wz], -1)
        of_odd = np.stack([-s * sy * wx, c * cy * wy, -s * sy * wz], -1)
        slopes = np.stack([of_even, of_odd, of_even], -2)
        derivatives = np.eye(3) + np.einsum("ki,pkij->pij", self.amplitudes, slopes)
        return points + self.size * moved @ self.axes, self.axes.T @ derivatives @ self.axes


@dataclass(frozen=True)
class WarpedModel(AnimatedModel):
    """A model that is warped after it is posed."""

    warp: Warp | None = None

    def posed(self, clip: str | None = None, seconds: float = 0.0) -> list[PosedPrimitive]:
        """Return each primitive as it is at a time of a clip, or at rest, and then warped."""
        parts = super().posed(clip, seconds)
        return parts if self.warp is None else [_warped(part, self.warp) for part in parts]


def warped(model: AnimatedModel, rng: np.random.Generator) -> WarpedModel:
    """Warp a model at random.

    Args:
        model: shares its primitives with the result; at rest it tells its middle and its size.
        rng: decides everything.
    """
    points = np.concatenate([positions for positions, _ in model.pose()])
    low, high = points.min(0), points.max(0)
    angle = np.deg2rad(model.front_deg)
    axes = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    waves = rng.uniform(-LARGEST_WAVE, LARGEST_WAVE, (WAVES, 3))
    slopes = rng.normal(0, STEEPNESS / np.sqrt(WAVES), (WAVES, 3))
    amplitudes = slopes / np.maximum(np.linalg.norm(waves, axis=1, keepdims=True), 1.0)
    size = max(float((high - low).max()), 1e-9)
    warp = Warp(axes, (low + high) / 2, size, waves, rng.uniform(0, 2 * np.pi, WAVES), amplitudes)
    fields = {name: getattr(model, name) for name in model.__dataclass_fields__}
    return WarpedModel(**{**fields, "warp": warp})


def _warped(part: PosedPrimitive, warp: Warp) -> PosedPrimitive:
    positions, derivatives = warp.move(part.positions)
    normals = np.einsum("pij,pj->pi", normal_matrix(derivatives), part.normals)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return replace(part, positions=positions, normals=normals)
