"""Framing: where a model stands and how large it is, so that every camera sees all of it."""

from dataclasses import dataclass

import numpy as np

from diffusion2.cameras import make_cameras

MAX_POINTS = 600


@dataclass(frozen=True)
class Framing:
    """World from model: `(points - center) * scale`.

    Attributes:
        center: (3,) in the model's (world-axes) coordinates.
        scale: world units per model unit.
    """

    center: np.ndarray
    scale: float

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Move (P, 3) points into the world."""
        return (points - self.center) * self.scale


def frame_points(
    points: np.ndarray, object_size: float = 0.9, elevations_deg: tuple[float, ...] = (-10.0, 10.0, 30.0)
) -> Framing:
    """Centre points and scale them so that they fill `object_size` of the frame, and never more.

    Args:
        points: (P, 3), all positions the model takes, in world axes.
        object_size: largest extent from the middle to the edge of the picture, over 24 azimuths and
            the given elevations, as a share of half the picture.
        elevations_deg: elevations of the cameras that must see all points.
    """
    low, high = points.min(0), points.max(0)
    center = (low + high) / 2
    centered = points - center
    scale = 0.5 / max(float(np.linalg.norm(centered, axis=1).max()), 1e-12)
    if len(centered) > MAX_POINTS:
        centered = centered[np.random.default_rng(0).permutation(len(centered))[:MAX_POINTS]]
    azimuths = np.arange(24) * 15.0
    angles = np.stack(np.meshgrid(azimuths, elevations_deg), -1).reshape(-1, 2)
    cameras = make_cameras(angles[:, 0], angles[:, 1])
    viewmats, focal = cameras.viewmats, cameras.Ks[0, 0, 0] / (cameras.width / 2)
    for _ in range(4):  # perspective makes the extent slightly nonlinear in the scale
        seen = (centered * scale) @ viewmats[:, :3, :3].transpose(0, 2, 1) + viewmats[:, None, :3, 3]
        extent = focal * np.abs(seen[..., :2]).max(-1) / np.maximum(seen[..., 2], 0.2)
        scale *= object_size / max(float(extent.max()), 1e-9)
    return Framing(center, float(scale))
