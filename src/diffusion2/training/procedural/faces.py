"""Heads and what grows on them: eyes, mouths, ears, horns, beaks."""

from dataclasses import dataclass

import numpy as np

from diffusion2.training.procedural.rays import surface
from diffusion2.training.procedural.rig import Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    RIGHT,
    UP,
    Shape,
    box,
    cone,
    ellipsoid,
    facing,
    loft,
    tube,
    xyz,
)


@dataclass(frozen=True)
class Head:
    """A head to put things on.

    Attributes:
        shape: its surface.
        bone: what moves it.
        center: (3,) middle of the skull.
        size: radius of the skull.
    """

    shape: Shape
    bone: int
    center: np.ndarray
    size: float

    def on(self, azimuth_deg: float, elevation_deg: float) -> tuple[np.ndarray, np.ndarray]:
        """Find the point (3,) and the normal (3,) of the surface in a direction; azimuth 90 is its left."""
        points, normals = surface(self.shape, self.center, direction(azimuth_deg, elevation_deg)[None])
        return points[0], normals[0]


def direction(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Make the unit vector (3,) of angles from the front, to the left and up."""
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    level = np.cos(elevation)
    return xyz(np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level)


def add_eyes(rig: Rig, head: Head, size: float, azimuth_deg: float, elevation_deg: float) -> None:
    """Put a pair of eyes on a head: beads, balls with pupils, or with irises, some with brows."""
    point, normal = head.on(azimuth_deg, elevation_deg)
    dark = rig.palette.rgb[rig.palette.index("main")].mean() < 0.25
    style = rig.pick("bead ball iris", 0.0 if dark else 0.42, 0.4, 0.18)
    gaze = normal + 0.5 * FRONT
    _add_eye(rig, head.bone, point, normal, gaze / np.linalg.norm(gaze), size, style)
    if rig.chance(0.18):
        slope = rig.between(-0.5, 0.5)
        tilt = np.array([[np.cos(slope), -np.sin(slope), 0], [np.sin(slope), np.cos(slope), 0], [0, 0, 1]])
        brow = box((0, 0, 0), (1.25 * size, 0.28 * size, 0.5 * size))
        above = surface(head.shape, head.center, (point + 1.1 * size * UP - head.center)[None])[0][0]
        place = above + 0.3 * size * normal
        rig.add_pair(brow.placed(place, facing(normal) @ tilt), rig.pick("dark third"), head.bone)


def add_single_eye(rig: Rig, head: Head, size: float, elevation_deg: float) -> None:
    """Put one eye in the middle of the face."""
    point, normal = head.on(0, elevation_deg)
    _add_eye(rig, head.bone, point, normal, normal, size, rig.pick("ball iris"), pair=False)


def _add_eye(
    rig: Rig,
    bone: int,
    point: np.ndarray,
    normal: np.ndarray,
    gaze: np.ndarray,
    size: float,
    style: str,
    pair: bool = True,
) -> None:
    def add(radii: tuple[float, ...], color: str, place: np.ndarray) -> None:
        shape = ellipsoid((0, 0, 0), radii).placed(place, facing(normal))
        (rig.add_pair if pair else rig.add)(shape, color, bone)

    add((size, size, 0.6 * size), "pupil" if style == "bead" else "eyewhite", point)
    if style == "bead":
        if size > 0.05:
            add((0.25 * size,) * 3, "eyewhite", point + 0.5 * size * gaze + 0.4 * size * UP)
        return
    middle = point + size * (0.28 * normal + 0.14 * gaze)
    add((0.62 * size, 0.62 * size, 0.25 * size), "iris" if style == "iris" else "pupil", middle)
    if style == "iris":
        add((0.34 * size, 0.36 * size, 0.25 * size), "pupil", middle + 0.12 * size * normal)


def add_mouth(rig: Rig, head: Head, elevation_deg: float, width_deg: float) -> None:
    """Draw a mouth on a head: a line that smiles or not, an open one, one with teeth, or none."""
    kind = rig.pick("line open teeth none", 0.45, 0.25, 0.15, 0.15)
    if kind == "none":
        return
    size = head.size
    if kind == "line":
        angles = np.linspace(-width_deg, width_deg, 7)
        bend = rig.between(-0.2, 0.5) * width_deg * (angles / width_deg) ** 2
        rays = np.stack([direction(a, elevation_deg + b) for a, b in zip(angles, bend, strict=True)])
        points, _ = surface(head.shape, head.center, rays)
        rig.add(loft(points, np.full(7, 0.055 * size), sides=4, right=UP), "dark", head.bone)
        return
    point, normal = head.on(0, elevation_deg)
    half, turn = np.deg2rad(width_deg) * size, facing(normal)
    height = half * rig.between(0.35, 0.9)
    lips = ellipsoid((0, 0, 0), (half, height, 0.12 * size)).placed(point, turn)
    rig.add(lips, rig.pick("mouth dark"), head.bone)
    if kind == "teeth":
        for x in (0.2 * half, 0.8 * half):
            start = point + turn @ xyz(x, 0.55 * height, 0.1 * size)
            tooth = cone(start, start - 0.8 * height * turn[:, 1], 0.16 * half, sides=4)
            rig.add_pair(tooth, "bone", head.bone)


def add_ears(rig: Rig, head: Head, kind: str, color: str, size: float) -> None:
    """Put a pair of ears on a head: "pointed", "round", "long", "floppy" or "wide" ones."""
    places = {
        "pointed": (122, 58),
        "round": (75, 50),
        "long": (112, 68),
        "floppy": (88, 45),
        "wide": (90, 20),
    }
    azimuth, elevation = places[kind]
    point, normal = head.on(azimuth + rig.between(-10, 10), elevation + rig.between(-8, 8))
    inner = None
    match kind:
        case "pointed":
            end = point + size * (0.9 * UP + 0.35 * normal)
            path = [point - 0.2 * size * UP, (point + end) / 2, end]
            ear = loft(path, [0.42 * size, 0.3 * size, 0], [0.22 * size, 0.16 * size, 0], sides=6)
            base = point + size * (0.12 * FRONT + 0.05 * UP)
            inner = loft([base, 0.8 * end + 0.2 * point], [0.24 * size, 0], [0.14 * size, 0], sides=4)
        case "round":
            middle = point + 0.35 * size * normal
            ear = ellipsoid(middle, (0.55 * size, 0.55 * size, 0.22 * size))
            inner = ellipsoid(middle + 0.1 * size * FRONT, (0.36 * size, 0.36 * size, 0.17 * size))
        case "long":
            lean = UP + rig.between(-0.5, 0.1) * FRONT + rig.between(0.05, 0.4) * normal
            end = point + 2.2 * size * lean / np.linalg.norm(lean)
            path = [point, (point + end) / 2, end]
            ear = tube(path, size * np.array([0.2, 0.36, 0.16]), size * np.array([0.12, 0.14, 0.08]), sides=6)
            path = np.stack([ear.at(share) for share in (0.15, 0.5, 0.9)]) + 0.08 * size * FRONT
            inner = loft(path, size * np.array([0.1, 0.22, 0.02]), size * np.array([0.1, 0.1, 0.02]), sides=6)
        case "floppy":
            path = [point, point + 0.55 * size * RIGHT, point + size * xyz(0.75, -0.9, 0.15)]
            ear = tube(path, size * np.array([0.16, 0.12, 0.1]), size * np.array([0.3, 0.42, 0.4]), sides=6)
        case _:
            end = point + size * xyz(1.5, 0.35, -0.25)
            path, flat = [point, (point + end) / 2, end], size * np.array([0.1, 0.12, 0.08])
            ear = tube(path, size * np.array([0.3, 0.75, 0.5]), flat, sides=6, right=UP)
    bones = rig.limb_pair("ear", ear, color, head.bone)
    if inner is not None and rig.chance(0.6):
        rig.add_pair(inner, rig.pick("pink second"), bones)


def add_horns(rig: Rig, head: Head, kind: str, size: float) -> None:
    """Put "straight", "curved" or "branched" horns, a "single" one, or "antennae" on a head."""
    color = rig.pick("bone dark third gold", 0.5, 0.25, 0.15, 0.1)
    if kind == "single":
        point, normal = head.on(0, 60)
        end = point + 0.75 * size * (normal + FRONT)
        rig.add(cone(point - 0.1 * size * normal, end, 0.18 * size), color, head.bone)
        return
    point, normal = head.on(rig.between(40, 80), rig.between(50, 68))
    ahead = rig.between(-0.6, 0.8) * FRONT
    steps = {
        "straight": [0.5 * (normal + UP), normal + 1.2 * UP],
        "curved": [
            0.6 * normal + 0.42 * RIGHT,
            0.8 * (normal + RIGHT) + 0.6 * UP,
            0.8 * RIGHT + 1.3 * UP + ahead,
        ],
        "branched": [UP + 0.4 * RIGHT - 0.3 * FRONT, 1.9 * UP + RIGHT - 0.2 * FRONT],
        "antennae": [0.9 * UP + 0.2 * RIGHT + 0.2 * FRONT, 1.2 * UP + 0.6 * RIGHT + ahead],
    }[kind]
    path = [point - 0.12 * size * normal, *(point + size * step for step in steps)]
    thick = {"antennae": 0.05, "branched": 0.09}.get(kind, 0.2) * size
    widths = np.linspace(1, 0.5 if kind == "antennae" else 0.1, len(path)) * thick
    horn = tube(path, widths, rings=5, sides=5, rounded=(0, 0), right=FRONT)
    color = "dark" if kind == "antennae" else color
    bones = rig.limb_pair("ear", horn, color, head.bone)
    if kind == "antennae" and rig.chance(0.6):
        rig.add_pair(ellipsoid(path[-1], 0.14 * size, sides=6), rig.pick("accent third"), bones)
    if kind == "branched":
        for share, lean in ((0.45, FRONT), (0.75, 0.7 * FRONT + UP)):
            base = horn.at(share)
            rig.add_pair(cone(base, base + 0.6 * size * lean, 0.07 * size, sides=4), color, bones)


def add_beak(rig: Rig, head: Head, length: float, width: float) -> None:
    """Put a beak on a head: two halves, the lower one of which is a jaw."""
    point, _ = head.on(0, rig.between(-15, 5))
    base, flat = point - 0.35 * width * FRONT, rig.between(0.5, 1.0)
    path = [base, base + 0.6 * length * FRONT + 0.1 * width * UP]
    path.append(base + length * FRONT + rig.between(-0.5, 0.05) * width * UP)
    upper = width * np.array([1, 0.65, 0.08])
    rig.add(loft(path, upper, flat * upper, sides=6), "beak", head.bone)
    below = base - 0.45 * flat * width * UP
    lower = loft(
        [below, below + 0.8 * length * FRONT], [0.8 * width, 0.05 * width], [0.4 * width, 0.04 * width]
    )
    rig.limb("jaw", lower, "beak", head.bone)
