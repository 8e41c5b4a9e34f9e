"""Every camera turned to the origin and given one lens, its pictures with it.

What a camera sees from its place does not depend on where it looks: turning it, and changing or
straightening its lens, only moves pixels. So any camera becomes one of `Cameras`, exactly but for the
sampling. Where the picture ends, nothing was seen; that is kept in `ImageMatrix.seen`.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras, ModelFrame
from diffusion2.inputs.captures.cuts import Cut
from diffusion2.pictures import to_8_bit

ROOM = 1.1
"""The frame is this much larger than what the object ever fills of it."""
WIDEST = 1.0
"""Tangent of half of the largest field of view."""
LARGEST_SIDE_PX = 800
MOST_PIXELS = 525 * 576**2
"""In all pictures together; as many as in the matrix of the preset `paper`."""
_SAME_TURN = 2e-3
"""How far a camera's axes may be from those of one that looks at the origin, for its pictures to stay as
they are."""
_SAME_PIXELS = 0.05
"""How far its principal point may be from the middle for that, in pixels."""

Cuts = Mapping[tuple[int, int], Cut]


def make_cameras_of(centres: np.ndarray, cuts: Cuts, frames: int, frame: ModelFrame) -> tuple[Cameras, bool]:
    """Make cameras that look at the origin from a capture's places, and see all that those saw.

    Args:
        centres: (V, 3) places in the capture's world.
        cuts: what the pictures show, by view and frame.
        frames: F.
        frame: our world from the capture's.

    Returns:
        the cameras, and whether they are the capture's own, so that no pixel has to move.
    """
    positions = frame.to_world(centres)
    radii = np.linalg.norm(positions, axis=1)
    azimuths = np.rad2deg(np.arctan2(positions[:, 1], positions[:, 0])) % 360
    azimuths = np.where(azimuths > 360 - 1e-6, 0.0, azimuths)
    elevations = np.rad2deg(np.arcsin(positions[:, 2] / radii))
    unit = Cameras(azimuths, elevations, radii, 90.0, 1, 1)
    turns = unit.viewmats[:, :3, :3]
    count = len(centres) * frames
    if (lens := _common_lens(turns, cuts, frame)) is not None:
        height, width, fov = lens
        factor = min(
            1.0, LARGEST_SIDE_PX / max(height, width), math.sqrt(MOST_PIXELS / (count * height * width))
        )
        height, width = max(1, round(height * factor)), max(1, round(width * factor))
        return Cameras(azimuths, elevations, radii, fov, height, width), factor == 1
    half = 0.0
    for (view, _), cut in cuts.items():
        corners = cut.corners() @ _turn(turns[view], frame, cut).T
        ahead = np.maximum(corners[:, 2:], 1e-3)
        half = max(half, float(np.abs(corners[:, :2] / ahead).max()))
    half = min(half * ROOM, WIDEST)
    focal = float(np.median([math.sqrt(cut.lens.fx * cut.lens.fy) for cut in cuts.values()]))
    side = min(2 * half * focal, LARGEST_SIDE_PX, math.sqrt(MOST_PIXELS / count))
    side = max(16, 2 * math.ceil(side / 2))
    return Cameras(azimuths, elevations, radii, math.degrees(2 * math.atan(half)), side, side), False


def rectify(cameras: Cameras, cuts: Cuts, frames: int, frame: ModelFrame) -> tuple[Tensor, Tensor, Tensor]:
    """Draw what the cameras see, from the pictures of the capture.

    Returns:
        images (V, F, 3, H, W) on white and alphas (V, F, 1, H, W), in [0, 1] in steps of 1/255; and seen
        (V, 1, H, W), whether all of a view's pictures reach there.
    """
    views, height, width = len(cameras), cameras.height, cameras.width
    images = torch.ones(views, frames, 3, height, width)
    alphas = torch.zeros(views, frames, 1, height, width)
    seen = torch.ones(views, 1, height, width, dtype=torch.bool)
    rays, turns = _rays(cameras), cameras.viewmats[:, :3, :3]
    for (view, time), cut in cuts.items():
        pixels, inside = cut.lens.project(rays @ _turn(turns[view], frame, cut))
        drawn = _sample(cut, pixels, float(cameras.Ks[0, 0, 0]))
        drawn *= torch.from_numpy(inside)
        images[view, time], alphas[view, time] = to_8_bit(1 - drawn[:3]), to_8_bit(drawn[3:])
        seen[view, 0] &= torch.from_numpy(inside)
    return images, alphas, seen


def _turn(turn: np.ndarray, frame: ModelFrame, cut: Cut) -> np.ndarray:
    """Find the rotation (3, 3) from a picture's camera to the one that looks at the origin."""
    return turn @ frame.axes @ cut.pose[:3, :3]


def _rays(cameras: Cameras) -> np.ndarray:
    """Directions (H, W, 3) of the pixels' middles, in the cameras' axes; all have one lens."""
    K = cameras.Ks[0]
    x = (np.arange(cameras.width) + 0.5 - K[0, 2]) / K[0, 0]
    y = (np.arange(cameras.height) + 0.5 - K[1, 2]) / K[1, 1]
    return np.stack([*np.meshgrid(x, y), np.ones((cameras.height, cameras.width))], axis=-1)


def _sample(cut: Cut, pixels: np.ndarray, focal: float) -> Tensor:
    """Read 1 - colour and alpha, (4, H, W), at pixels (H, W, 2) of the picture; 0 outside the part."""
    values = torch.from_numpy(cut.pixels).float().permute(2, 0, 1) / 255
    values[:3] = 1 - values[:3]
    height, width = values.shape[1:]
    at = torch.from_numpy((pixels - (cut.left, cut.top)) / (width, height) * 2 - 1).float()
    shrink = focal / math.sqrt(cut.lens.fx * cut.lens.fy)
    if shrink < 0.9:  # every pixel counts, not only those that are sampled
        size = max(1, math.ceil(height * shrink)), max(1, math.ceil(width * shrink))
        values = F.interpolate(values[None], size, mode="bicubic", antialias=True)[0]
    drawn = F.grid_sample(values[None], at[None], mode="bicubic", align_corners=False)[0]
    return drawn.clamp(0, 1)


def _common_lens(turns: np.ndarray, cuts: Cuts, frame: ModelFrame) -> tuple[int, int, float] | None:
    """Find height, width and field of view of pictures that need not be changed; None for others.

    They have one undistorted lens, its axis in the middle, and look at the origin.
    """
    first = next(iter(cuts.values())).lens
    middle = (
        abs(first.cx - first.width / 2) < _SAME_PIXELS and abs(first.cy - first.height / 2) < _SAME_PIXELS
    )
    if first.is_distorted or not middle or abs(first.fx / first.fy - 1) > 1e-4:
        return None
    for (view, _), cut in cuts.items():
        sizes = (cut.lens.width, cut.lens.height) == (first.width, first.height)
        near = np.allclose([cut.lens.fx, cut.lens.cx, cut.lens.cy], [first.fx, first.cx, first.cy], rtol=1e-4)
        if not sizes or not near or cut.lens.is_distorted:
            return None
        if np.abs(_turn(turns[view], frame, cut) - np.eye(3)).max() > _SAME_TURN:
            return None
    return first.height, first.width, math.degrees(2 * math.atan(first.height / 2 / first.fy))
