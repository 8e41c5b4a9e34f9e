"""Framing: where a model stands and how large it is, so that every camera sees all of it."""

from dataclasses import dataclass

import numpy as np

from diffusion2.cameras import Cameras, make_cameras

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


def frame_reference(
    poses: list[np.ndarray], reference: Cameras, object_size: float, largest: float = 0.95
) -> Framing:
    """Centre poses and scale them so that the first fills `object_size` of the reference picture.

    `object_size` means what it means for an input picture: the share of the frame that the longer
    side of the visible object takes. It is less where the object would leave the picture of
    another pose or azimuth.

    Args:
        poses: (P, 3) world positions of each pose; the first is the reference frame's.
        reference: the reference camera; its elevation is that of all azimuths.
        object_size: share of the frame, in (0, 1].
        largest: what the extent of `frame_points` must not exceed for any pose, seen from 24 azimuths.
    """
    points = np.concatenate(poses)
    center = (points.min(0) + points.max(0)) / 2
    outermost = [outermost_points(pose) - center for pose in poses]
    first, others = outermost[0], np.concatenate(outermost)
    around = make_cameras(
        np.arange(24) * 15.0 + reference.azimuths_deg[0],
        reference.elevations_deg[0],
        radius=reference.radii[0],
        fov_deg=reference.fov_deg,
    )
    begin = 0.5 / max(float(np.linalg.norm(others, axis=1).max()), 1e-12)
    wanted = limit = begin
    for _ in range(8):  # perspective makes both slightly nonlinear in the scale
        wanted *= object_size / max(float(np.ptp(_seen(first * wanted, reference), axis=1).max()) / 2, 1e-9)
        wanted = min(wanted, 4 * begin)  # else what is thin from the front would reach the camera
        limit *= largest / max(float(np.abs(_seen(others * limit, around)).max()), 1e-9)
    return Framing(center, min(wanted, limit))


def outermost_points(points: np.ndarray, directions: int = 256) -> np.ndarray:
    """Return those of (P, 3) points that lie farthest in some direction: nearly their convex hull."""
    k = np.arange(directions) + 0.5
    height, turn = 1 - 2 * k / directions, np.pi * (1 + np.sqrt(5)) * k  # a Fibonacci sphere
    ring = np.sqrt(1 - height**2)
    rays = np.stack([ring * np.cos(turn), ring * np.sin(turn), height])
    for size in (20_000, max(len(points), 1)):  # first in parts, which bounds the memory
        parts = np.array_split(points, max(len(points) // size, 1))
        points = np.concatenate([part[np.unique((part @ rays).argmax(0))] for part in parts])
    return points


def _seen(points: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Project (P, 3) world points: (V, P, 2), where the picture reaches from -1 to 1."""
    viewmats, focal = cameras.viewmats, cameras.Ks[0, 0, 0] / (cameras.width / 2)
    seen = points @ viewmats[:, :3, :3].transpose(0, 2, 1) + viewmats[:, None, :3, 3]
    return focal * seen[..., :2] / np.maximum(seen[..., 2:], 0.2)
