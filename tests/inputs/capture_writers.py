"""Captures written from the formats' published definitions, of balls that are drawn ray by ray.

Nothing here uses the product's cameras: what is written, and what is drawn, is known from elsewhere.
"""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

BALLS = ((0.0, 0.0, 0.0, 0.30), (0.42, 0.0, 0.05, 0.12), (0.0, 0.25, 0.32, 0.10))
"""x, y, z and radius: a planet, one in front, one above and to the left."""
FOCAL = 96 / 2 / np.tan(np.deg2rad(33.8) / 2)
"""Of our own field of view, in pictures of 96 pixels."""
COLOURS = ((0.8, 0.35, 0.2), (0.15, 0.5, 0.8), (0.25, 0.7, 0.2))


def balls_at(time: float) -> np.ndarray:
    """The balls (3, 4) at a time in [0, 1]: the second circles the first by a fifth of a turn."""
    found = np.array(BALLS)
    angle = 0.4 * np.pi * time
    found[1, :2] = 0.42 * np.cos(angle), 0.42 * np.sin(angle)
    return found


@dataclass
class Camera:
    """A camera of a capture: where it stands, and its lens by COLMAP's names."""

    centre: np.ndarray
    rotation: np.ndarray
    """(3, 3) world to camera, x right, y down, z forward."""
    width: int = 96
    height: int = 96
    f: float = 150.0
    offset: tuple[float, float] = (0.0, 0.0)
    """Of the principal point from the middle."""
    k1: float = 0.0
    extra: dict = field(default_factory=dict)

    @property
    def principal(self) -> tuple[float, float]:
        return self.width / 2 + self.offset[0], self.height / 2 + self.offset[1]


def look(centre, target, roll_deg=0.0, up=(0, 0, 1), **lens) -> Camera:
    """A camera at a place that looks at a point, rolled about its axis."""
    centre, target = np.array(centre, float), np.array(target, float)
    forward = (target - centre) / np.linalg.norm(target - centre)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(np.deg2rad(roll_deg)), np.sin(np.deg2rad(roll_deg))
    return Camera(centre, np.stack([c * right + s * down, c * down - s * right, forward]), **lens)


def on_orbit(azimuth_deg, elevation_deg=10.0, radius=2.0, target=(0, 0, 0), **options) -> Camera:
    """A camera at angles around the origin."""
    a, e = np.deg2rad([azimuth_deg, elevation_deg])
    place = radius * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    return look(place, target, **options)


def elsewhere(camera: Camera, turn: np.ndarray, scale: float, shift: np.ndarray) -> Camera:
    """The camera after all of its world was turned, scaled and shifted."""
    moved = scale * turn @ camera.centre + shift
    return Camera(moved, camera.rotation @ turn.T, **{
        name: getattr(camera, name) for name in ("width", "height", "f", "offset", "k1", "extra")
    })  # fmt: skip


def _straight(radius: np.ndarray, k1: float) -> np.ndarray:
    """Undo r (1 + k1 r²) by bisection."""
    low, high = np.zeros_like(radius), np.full_like(radius, 1.2)
    for _ in range(50):
        middle = (low + high) / 2
        beyond = middle * (1 + k1 * middle**2) > radius
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return (low + high) / 2


def draw(camera: Camera, balls: np.ndarray, oversample: int = 3) -> np.ndarray:
    """The picture (H, W, 4) uint8, straight alpha, with pixels averaged over some rays."""
    n = oversample
    x = ((np.arange(camera.width * n) + 0.5) / n - camera.principal[0]) / camera.f
    y = ((np.arange(camera.height * n) + 0.5) / n - camera.principal[1]) / camera.f
    flat = np.stack(np.meshgrid(x, y), axis=-1)
    radius = np.linalg.norm(flat, axis=-1)
    if camera.k1:
        flat = flat * (_straight(radius, camera.k1) / np.maximum(radius, 1e-9))[..., None]
    rays = np.concatenate([flat, np.ones_like(flat[..., :1])], -1)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True) @ camera.rotation
    nearest, rgba = np.full(rays.shape[:2], np.inf), np.zeros((*rays.shape[:2], 4))
    for (*centre, r), colour in zip(balls, COLOURS, strict=True):
        to_ball = np.array(centre) - camera.centre
        along = rays @ to_ball
        inside = r * r - (to_ball @ to_ball - along**2)
        depth = along - np.sqrt(np.maximum(inside, 0))
        hit = (inside > 0) & (depth > 0) & (depth < nearest)
        normals = (camera.centre + depth[..., None] * rays - centre) / r
        shade = 0.75 + 0.25 * normals[..., 2:]
        rgba[hit] = np.concatenate([np.array(colour) * shade, np.ones_like(shade)], -1)[hit]
        nearest[hit] = depth[hit]
    premultiplied = rgba * rgba[..., 3:]
    mean = premultiplied.reshape(camera.height, n, camera.width, n, 4).mean(axis=(1, 3))
    mean[..., :3] /= np.maximum(mean[..., 3:], 1e-6)
    return np.rint(mean * 255).astype(np.uint8)


def save(path: Path, rgba: np.ndarray, background: tuple | None = None) -> None:
    """Save with alpha, or on a colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if background is not None:
        alpha = rgba[..., 3:] / 255
        rgba = np.rint(rgba[..., :3] * alpha + np.array(background) * (1 - alpha)).astype(np.uint8)
    Image.fromarray(rgba).save(path)


def opengl_pose(camera: Camera) -> list[list[float]]:
    """Camera to world with x right, y up, z backwards."""
    pose = np.eye(4)
    pose[:3, :3] = (np.diag([1, -1, -1]) @ camera.rotation).T
    pose[:3, 3] = camera.centre
    return pose.tolist()


def write_transforms(
    folder: Path, frames: list[tuple[str, Camera, float | None]], name="transforms.json", **top
):
    """Write transforms.json with each frame's own intrinsics."""
    listed = []
    for path, camera, time in frames:
        cx, cy = camera.principal
        found = {"file_path": path, "transform_matrix": opengl_pose(camera)}
        found |= {"fl_x": camera.f, "fl_y": camera.f}
        found |= {"cx": cx, "cy": cy, "w": camera.width, "h": camera.height, "k1": camera.k1, **camera.extra}
        listed.append(found if time is None else found | {"time": time})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({**top, "frames": listed}))


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """w, x, y, z of a rotation matrix, by the eigenvector of Bar-Itzhack's matrix."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    matrix = np.array(
        [[a - e - i, d + b, g + c, h - f], [d + b, e - a - i, h + f, c - g],
         [g + c, h + f, i - a - e, d - b], [h - f, c - g, d - b, a + e + i]]
    )  # fmt: skip
    x, y, z, w = np.linalg.eigh(matrix)[1][:, -1]
    return np.array([w, x, y, z])


def write_colmap(folder: Path, pictures: list[tuple[str, Camera]], model: str = "SIMPLE_RADIAL") -> None:
    """Write cameras.txt and images.txt, a camera a picture, with the lines of points that COLMAP writes."""
    folder.mkdir(parents=True, exist_ok=True)
    cameras, images = ["# Camera list with one line of data per camera:"], ["# Image list:"]

    def row(values) -> str:
        return " ".join(repr(float(value)) for value in values)

    for k, (name, camera) in enumerate(pictures, start=1):
        cx, cy = camera.principal
        values = {
            "SIMPLE_PINHOLE": (camera.f, cx, cy),
            "PINHOLE": (camera.f, camera.f, cx, cy),
            "SIMPLE_RADIAL": (camera.f, cx, cy, camera.k1),
        }[model]
        cameras.append(f"{k} {model} {camera.width} {camera.height} {row(values)}")
        pose = [*quaternion(camera.rotation), *(-camera.rotation @ camera.centre)]
        images += [f"{k} {row(pose)} {k} {name}", "" if k % 2 else "10.5 20.5 -1 3.25 4 7"]
    (folder / "cameras.txt").write_text("\n".join(cameras) + "\n")
    (folder / "images.txt").write_text("\n".join(images) + "\n")


BINARY = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2}
"""The numbers of COLMAP's models."""


def to_binary(folder: Path) -> None:
    """Write COLMAP's text files as binary ones instead, with two points in every picture."""
    cameras, images = [], []
    for line in (folder / "cameras.txt").read_text().splitlines()[1:]:
        number, model, width, height, *values = line.split()
        cameras.append(struct.pack("<IiQQ", int(number), BINARY[model], int(width), int(height)))
        cameras.append(struct.pack(f"<{len(values)}d", *map(float, values)))
    lines = (folder / "images.txt").read_text().splitlines()[1::2]
    for line in lines:
        number, *pose, camera, name = line.split(maxsplit=9)
        images.append(struct.pack("<I7dI", int(number), *map(float, pose), int(camera)))
        images.append(name.encode() + b"\0" + struct.pack("<Q", 2) + struct.pack("<ddq", 1.0, 2.0, -1) * 2)
    for name, entries, count in (("cameras", cameras, len(cameras) // 2), ("images", images, len(lines))):
        (folder / f"{name}.bin").write_bytes(struct.pack("<Q", count) + b"".join(entries))
        (folder / f"{name}.txt").unlink()


def our_cameras():
    """Those of our own orbit of eight views."""
    return [on_orbit(azimuth, f=FOCAL) for azimuth in range(45, 361, 45)]


def write_frames(folder, cameras, balls, background=None):
    """Draw images/cam_K_F.png; gives the frames for transforms.json, with their times."""
    frames = []
    for k, camera in enumerate(cameras):
        for f, at in enumerate(balls):
            save(folder / f"images/cam{k}_{f}.png", draw(camera, at), background)
            frames.append((f"images/cam{k}_{f}.png", camera, f / max(len(balls) - 1, 1)))
    return frames


def static_transforms(folder, **changes):
    frames = [(name, camera, None) for name, camera, _ in write_frames(folder, our_cameras(), [balls_at(0)])]
    write_transforms(folder, frames, **changes)
    return folder / "transforms.json"
