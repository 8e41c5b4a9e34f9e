"""What figures wear and hold: hats, hair, capes, armour, tools and weapons."""

import numpy as np

from diffusion2.training.procedural.faces import Head, direction
from diffusion2.training.procedural.rays import surface
from diffusion2.training.procedural.rig import Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    MIRROR,
    UP,
    Shape,
    box,
    cone,
    ellipsoid,
    loft,
    sheet,
    tube,
    xyz,
)

HATS = "cone top cap crown straw helmet"


def add_hat(rig: Rig, head: Head, kind: str, color: str = "accent") -> None:
    """Put a hat on a head: one of `HATS`."""
    if kind == "helmet":
        _add_helmet(rig, head)
        return
    size = head.size
    rim = surface(head.shape, head.center, UP[None])[0][0] - 0.35 * size * UP

    def ring(low: float, high: float, wide: float, narrow: float, paint: str) -> None:
        path = [rim + low * size * UP, rim + high * size * UP]
        rig.add(loft(path, [wide * size, narrow * size], sides=10), paint, head.bone)

    match kind:
        case "cone":
            ring(0, 0.05, 1.6, 1.6, color)
            path = [rim, rim + 0.7 * size * UP, rim + size * xyz(0, 1.6, rig.between(-0.5, 0.0))]
            rig.add(tube(path, size * np.array([0.95, 0.5, 0.06]), rounded=(0, 0)), color, head.bone)
            ring(0.04, 0.18, 0.98, 0.9, "accent2")
        case "top":
            ring(0, 0.08, 1.25, 1.25, color)
            ring(0, 0.9, 0.85, 0.9, color)
            ring(0.1, 0.25, 0.9, 0.9, "accent2")
        case "straw":
            ring(0, 0.08, 1.7, 1.7, "gold")
            ring(0, 0.45, 0.85, 0.65, "gold")
            ring(0.1, 0.22, 0.88, 0.82, "accent2")
        case "cap":
            path = [rim - 0.1 * size * UP, rim + 0.3 * size * UP, rim + 0.5 * size * UP]
            rig.add(
                tube(path, size * np.array([1.06, 0.95, 0.5]), sides=10, rounded=(0, 0.5)), color, head.bone
            )
            peak = ellipsoid(rim + size * xyz(0, -0.05, 0.85), (0.75 * size, 0.07 * size, 0.75 * size))
            rig.add(peak, color, head.bone)
        case "crown":
            ring(0, 0.3, 0.85, 0.9, "gold")
            for angle in np.arange(18.0, 180, 36):
                out = direction(angle, 0)
                base = rim + size * (0.2 * UP + 0.75 * out)
                rig.add_pair(
                    cone(base, base + size * (0.45 * UP + 0.1 * out), 0.2 * size, sides=4), "gold", head.bone
                )


def _add_helmet(rig: Rig, head: Head) -> None:
    size, center, metal = head.size, head.center, rig.pick("steel gold dark accent", 0.55, 0.15, 0.15, 0.15)
    path = center + size * np.array([(0, 0.12, -0.05), (0, 0.7, 0), (0, 1.25, 0)])
    rig.add(tube(path, size * np.array([1.14, 1.05, 0.5]), sides=10, rounded=(0, 0.45)), metal, head.bone)
    arc = np.stack([1.14 * direction(angle, 0) for angle in (75, 115, 150, 180)])
    guard = sheet(center + size * np.stack([arc + 0.2 * UP, arc - 0.85 * UP]), 0.1 * size, 1.0)
    rig.add_pair(guard, metal, head.bone)
    if rig.chance(0.4):
        nose = box(center + size * xyz(0, -0.1, 1.12), (0.1 * size, 0.4 * size, 0.06 * size))
        rig.add(nose, metal, head.bone)
    match rig.pick("crest horns none", 3, 3, 4):
        case "crest":
            path = np.stack([center + 1.1 * size * direction(0, angle) for angle in (50, 90, 130, 160)])
            crest = loft(path + 0.12 * size * UP, [0.1 * size] * 4, [0.22 * size] * 4, sides=6)
            rig.add(crest, "accent", head.bone)
        case "horns":
            path = center + size * np.array([(0.95, 0.6, 0), (1.55, 0.7, 0), (1.7, 1.4, 0)])
            horn = tube(
                path, size * np.array([0.2, 0.17, 0.03]), rings=5, sides=6, rounded=(0, 0), right=FRONT
            )
            rig.add_pair(horn, "bone", head.bone)


def add_hair(rig: Rig, head: Head) -> None:
    """Put hair on a head: short, long, spiky, a ponytail, or none, with a beard or without."""
    size, center = head.size, head.center
    kind = rig.pick("short long spiky tail bald", 0.34, 0.24, 0.16, 0.14, 0.12)
    if kind != "bald":
        scalp = ellipsoid(
            center + size * xyz(0, 0.2, -0.16), size * np.array([1.08, 1.0, 1.04]), rings=6, sides=10
        )
        rig.add(scalp, "hair", head.bone)
        for x in (0.35, 0.75):
            place = center + size * xyz(x, 0.75 - 0.25 * x, 0.68 - 0.3 * x)
            lock = ellipsoid(place, size * np.array([0.34, 0.22, 0.3]), sides=6)
            rig.add_pair(lock, "hair", head.bone)
    match kind:
        case "long":
            long = rig.between(0.8, 1.8)
            path = center + size * np.array(
                [(0, 0.3, -0.45), (0, 0.3 - 0.6 * long, -0.55), (0, 0.3 - long, -0.45)]
            )
            widths, depths = size * np.array([1.0, 1.0, 0.7]), size * np.array([0.6, 0.45, 0.25])
            rig.add(tube(path, widths, depths, rings=5, rounded=(0.2, 0.2)), "hair", head.bone)
        case "spiky":
            for azimuth, elevation in ((0, 62), (40, 50), (110, 45), (150, 55), (180, 20), (165, -5)):
                out = direction(azimuth, elevation)
                spike = cone(
                    center + 0.7 * size * out, center + size * (1.55 * out + 0.1 * UP), 0.38 * size, sides=5
                )
                (rig.add_pair if 0 < azimuth < 180 else rig.add)(spike, "hair", head.bone)
        case "tail":
            path = center + size * np.array([(0, 0.35, -1.0), (0, 0.2, -1.5), (0, -1.15, -1.7)])
            shape = tube(path, size * np.array([0.2, 0.34, 0.08]), rings=5, sides=6)
            rig.limb("tail", shape, "hair", head.bone, (0.0, 0.5))
    if rig.chance(0.2):
        long = rig.between(0.4, 1.3)
        path = head.on(0, -40)[0] + size * np.array([(0, 0.15, 0), (0, -0.4 * long, 0.1), (0, -long, 0)])
        widths, depths = size * np.array([0.75, 0.55, 0.1]), size * np.array([0.3, 0.28, 0.1])
        rig.add(tube(path, widths, depths, rings=5, sides=7, rounded=(0.2, 0)), "hair", head.bone)


def add_cape(rig: Rig, parent: int, top: np.ndarray, wide: float, long: float) -> None:
    """Hang a cape on the shoulders, behind the body."""
    row, across = np.linspace(0, 1, 4)[:, None], np.linspace(-1, 1, 5)[None]
    x = across * wide * (1 + rig.between(0.2, 0.9) * row)
    away = 0.05 + 0.22 * row * long * (1 - 0.45 * across**2) - 0.25 * wide * across**2 * (1 - row)
    grid = top + np.stack([x, np.broadcast_to(-row * long, x.shape), -away], axis=-1)
    shape = sheet(grid, 0.05 * wide + 0.012, 0.6)
    paint = rig.paint(shape, "accent")
    if rig.chance(0.4):
        paint = np.where(shape.u > 0.66, rig.palette.index("accent2"), paint)
    rig.limb("cape", shape, paint, parent, (0.0, 0.4, 0.7), soft=1.0)


def add_belt(rig: Rig, bone: int, center: np.ndarray, wide: float, deep: float) -> None:
    """Put a belt with a buckle around a body."""
    half = 0.16 * wide * UP
    path = [center - half, center + half]
    rig.add(loft(path, [1.1 * wide] * 2, [1.12 * deep] * 2), rig.pick("dark wood accent2"), bone)
    rig.add(box(center + 1.08 * deep * FRONT, (0.2 * wide, 0.18 * wide, 0.1 * deep)), "gold", bone)


def _make_tool(rig: Rig, size: float) -> list[tuple[Shape, str]]:
    """Make something to hold: shapes and their colours, upright, with its grip at the origin."""
    kind = rig.pick("sword axe hammer staff stick spear gun", 0.3, 0.15, 0.1, 0.15, 0.1, 0.1, 0.1)
    metal, long = rig.pick("steel gold accent", 0.75, 0.15, 0.1), size * rig.between(0.8, 1.3)
    tip = long * UP
    handle = (cone(-0.35 * tip, tip, 0.03 * size, 0.03 * size, sides=5), "wood")
    match kind:
        case "sword":
            wide = size * rig.between(0.04, 0.1)
            path = [0.15 * size * UP, 0.85 * tip, tip]
            blade = loft(path, [0.025 * size, 0.02 * size, 0], [wide, 0.85 * wide, 0], sides=4)
            guard = box(0.14 * size * UP, (0.035 * size, 0.03 * size, 0.17 * size))
            grip = cone(-0.15 * size * UP, 0.14 * size * UP, 0.035 * size, 0.035 * size)
            return [(blade, metal), (guard, "gold"), (grip, "dark")]
        case "axe":
            path = [0.85 * tip + 0.02 * size * FRONT, 0.85 * tip + 0.28 * size * FRONT]
            blade = loft(path, [0.04 * size, 0.01 * size], [0.1 * size, 0.26 * size], sides=4)
            return [handle, (blade, metal)]
        case "hammer":
            return [handle, (box(0.95 * tip, (0.13 * size, 0.13 * size, 0.26 * size), bevel=0.2), metal)]
        case "staff":
            return [handle, (ellipsoid(1.05 * tip, 0.1 * size, sides=6), "accent2")]
        case "spear":
            return [handle, (cone(0.95 * tip, 1.3 * tip, 0.07 * size, sides=4), metal)]
        case "gun":
            barrel = box(size * xyz(0, 0.1, 0.25), (0.05 * size, 0.07 * size, 0.35 * size), bevel=0.2)
            grip = box(size * xyz(0, -0.02, 0.05), (0.04 * size, 0.12 * size, 0.06 * size))
            return [(barrel, "dark"), (grip, metal)]
    path = [-0.2 * tip, 0.4 * tip + 0.05 * size * FRONT, 0.9 * tip]
    return [(tube(path, size * np.array([0.035, 0.05, 0.07]), rings=4, sides=5), "wood")]


def add_tool(rig: Rig, hand: int, place: np.ndarray, size: float) -> None:
    """Put something into the right hand; the place is the left one's."""
    lean = np.deg2rad(rig.between(20, 95))
    turn = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    for shape, color in _make_tool(rig, size):
        rig.add(shape.placed(place * MIRROR, turn), color, hand, held=True)


def add_shield(rig: Rig, hand: int, place: np.ndarray, size: float) -> None:
    """Strap a round, square or pointed shield to the left arm, on its outer side."""
    out = xyz(rig.between(0.5, 1.0), 0, rig.between(0.3, 1.0))
    out, right = out / np.linalg.norm(out), np.cross(UP, out)
    center = place + 0.05 * size * (out + UP)
    wide, tall = (
        size * np.array([1, 0.9]) * rig.between(0.2, 0.36),
        size * np.array([1, 0.9]) * rig.between(0.24, 0.42),
    )
    sides = int(rig.pick("4 6 10"))
    face = loft([center, center + 0.05 * size * out], wide, tall, sides=sides, right=right)
    rig.add(face, rig.pick("accent wood steel accent2"), hand, held=True)
    boss = loft([center, center + 0.09 * size * out], wide * [0.3, 0.16], right=right)
    rig.add(boss, rig.pick("gold steel"), hand, held=True)
