"""What grows on creatures: faces, ears, horns, spikes, fins, wings, legs, arms and tails."""

from dataclasses import dataclass

import numpy as np

from diffusion2.training.procedural.palette import Coat
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    UP,
    Shape,
    box,
    cone,
    ellipsoid,
    facing,
    loft,
    sheet,
    spline,
    steady,
    surface,
    tube,
)


@dataclass(frozen=True)
class Head:
    """A head to put things on.

    Attributes:
        shape: its surface.
        bone: what moves it.
        center: (3,) middle of the skull.
        size: radius of the skull.
        muzzle: (3,) tip of the snout, or the front of the face.
    """

    shape: Shape
    bone: int
    center: np.ndarray
    size: float
    muzzle: np.ndarray

    def on(self, azimuth_deg: float, elevation_deg: float) -> tuple[np.ndarray, np.ndarray]:
        """Find the point (3,) and the normal (3,) of the surface in a direction; azimuth 90 is its left."""
        points, normals = surface(self.shape, self.center, direction(azimuth_deg, elevation_deg)[None])
        return points[0], normals[0]


def direction(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Make the unit vector (3,) of angles from the front, to the left and up."""
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    return np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    )


def add_eyes(
    rig: Rig, head: Head, rng: np.random.Generator, size: float, azimuth_deg: float, elevation_deg: float
) -> None:
    """Put a pair of eyes on a head: beads, balls with pupils, or with irises, some with brows."""
    point, normal = head.on(azimuth_deg, elevation_deg)
    style = rng.choice(("bead", "ball", "iris"), p=(0.42, 0.4, 0.18))
    gaze = normal + 0.5 * FRONT
    _add_eye(rig, head.bone, point, normal, gaze / np.linalg.norm(gaze), size, str(style))
    if rng.random() < 0.2:
        brow = box((0, 0, 0), (1.25 * size, 0.28 * size, 0.35 * size))
        slope = rng.uniform(-0.5, 0.5)
        turn = np.array([[np.cos(slope), -np.sin(slope), 0], [np.sin(slope), np.cos(slope), 0], [0, 0, 1]])
        place = point + normal * size * 0.45 + UP * size * 1.15
        rig.add_pair(brow.placed(place, facing(normal) @ turn), "dark", head.bone)


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
    add = rig.add_pair if pair else rig.add
    ball = ellipsoid((0, 0, 0), (size, size, 0.6 * size), rings=4, sides=8)
    if style == "bead":
        add(ball.placed(point, facing(normal)), "pupil", bone)
        if size > 0.05:
            shine = ellipsoid((0, 0, 0), (0.25 * size,) * 3, rings=3, sides=6)
            add(shine.placed(point + 0.5 * size * gaze + 0.4 * size * UP), "eyewhite", bone)
        return
    add(ball.placed(point, facing(normal)), "eyewhite", bone)
    disc = ellipsoid((0, 0, 0), (0.62 * size, 0.62 * size, 0.25 * size), rings=4, sides=8)
    middle = point + 0.42 * size * normal + 0.14 * size * (gaze - normal)
    add(disc.placed(middle, facing(normal)), "iris" if style == "iris" else "pupil", bone)
    if style == "iris":
        add(
            ellipsoid((0, 0, 0), (0.34 * size, 0.36 * size, 0.25 * size), rings=4, sides=6).placed(
                middle + 0.12 * size * normal, facing(normal)
            ),
            "pupil",
            bone,
        )


def add_single_eye(rig: Rig, head: Head, size: float, elevation_deg: float, style: str) -> None:
    """Put one eye in the middle of the face."""
    point, normal = head.on(0, elevation_deg)
    _add_eye(rig, head.bone, point, normal, normal, size, style, pair=False)


def add_mouth(rig: Rig, head: Head, rng: np.random.Generator, elevation_deg: float, width_deg: float) -> None:
    """Draw a mouth on a head: a line that smiles or not, a round one, or one with teeth."""
    kind = rng.choice(("line", "open", "teeth", "none"), p=(0.45, 0.25, 0.15, 0.15))
    if kind == "none":
        return
    if kind == "line":
        angles = np.linspace(-width_deg, width_deg, 7)
        bend = rng.uniform(-0.2, 0.5) * (np.abs(angles) / width_deg) ** 2 * width_deg
        rays = np.stack([direction(a, elevation_deg + b) for a, b in zip(angles, bend, strict=True)])
        points, _ = surface(head.shape, head.center, rays)
        thick = np.full(7, 0.055 * head.size)
        rig.add(loft(points, thick, thick, sides=4, right=UP), "dark", head.bone)
        return
    point, normal = head.on(0, elevation_deg)
    half = np.deg2rad(width_deg) * head.size
    height = half * rng.uniform(0.35, 0.9)
    rig.add(
        ellipsoid((0, 0, 0), (half, height, 0.12 * head.size), rings=4).placed(point, facing(normal)),
        "mouth" if rng.random() < 0.6 else "dark",
        head.bone,
    )
    if kind == "teeth":
        turn = facing(normal)
        for x in np.linspace(0.2, 0.8, 2) * half:
            start = point + turn @ np.array([x, 0.55 * height, 0.1 * head.size])
            rig.add_pair(
                cone(start, start - 0.8 * height * turn[:, 1], 0.16 * half, sides=4), "bone", head.bone
            )


def add_ears(rig: Rig, head: Head, rng: np.random.Generator, kind: str, color: str, size: float) -> None:
    """Put a pair of ears on a head: "pointed", "round", "long", "floppy" or "wide" ones."""
    spread, rise = {"pointed": (55, 58), "round": (75, 50), "long": (70, 68), "floppy": (88, 45)}.get(
        kind, (90, 20)
    )
    azimuth = spread + rng.uniform(-10, 10)
    point, normal = head.on(
        180 - azimuth if kind in ("long", "pointed") else azimuth, rise + rng.uniform(-8, 8)
    )
    inner = rng.choice(("pink", "second", color))
    match kind:
        case "pointed":
            end = point + size * (UP * 0.9 + normal * 0.35)
            shape = loft(
                [point - 0.2 * size * UP, (point + end) / 2, end],
                [0.42 * size, 0.3 * size, 0.0],
                [0.22 * size, 0.16 * size, 0.0],
                sides=6,
            )
            front = loft(
                [point + 0.12 * size * FRONT, end * 0.8 + point * 0.2 + 0.02 * size * FRONT],
                [0.24 * size, 0.0],
                [0.14 * size, 0.0],
                sides=4,
            )
        case "round":
            middle = point + 0.35 * size * normal
            shape = ellipsoid(middle, (0.55 * size, 0.55 * size, 0.22 * size), rings=4)
            front = ellipsoid(middle + 0.1 * size * FRONT, (0.36 * size, 0.36 * size, 0.17 * size), rings=4)
        case "long":
            lean = UP + rng.uniform(-0.5, 0.1) * FRONT + rng.uniform(0.05, 0.4) * normal
            end = point + 2.2 * size * lean / np.linalg.norm(lean)
            shape = tube(
                [
                    (*point, 0.2 * size, 0.12 * size),
                    (*(point + end) / 2, 0.36 * size, 0.14 * size),
                    (*end, 0.16 * size, 0.08 * size),
                ],
                rings=5,
                sides=6,
                rounded=(0, 0.3),
            )
            front = shape.placed(0.07 * size * FRONT - 0.0 * UP)
            front = loft(
                spline(shape.spine[[0, 2, 4]] + 0.08 * size * FRONT, np.linspace(0.1, 0.9, 4)),
                [0.05 * size, 0.2 * size, 0.18 * size, 0.02 * size],
                [0.1 * size] * 4,
                sides=6,
            )
        case "floppy":
            end = point + size * np.array([0.75, -0.9, 0.15])
            shape = tube(
                [
                    (*point, 0.16 * size, 0.3 * size),
                    (*(point + size * np.array([0.55, 0.0, 0.0])), 0.12 * size, 0.42 * size),
                    (*end, 0.1 * size, 0.4 * size),
                ],
                rings=5,
                sides=6,
                rounded=(0.1, 0.35),
            )
            front = None
        case _:
            end = point + size * np.array([1.5, 0.35, -0.25])
            shape = tube(
                [
                    (*point, 0.1 * size, 0.3 * size),
                    (*(point + end) / 2, 0.12 * size, 0.75 * size),
                    (*end, 0.08 * size, 0.5 * size),
                ],
                rings=5,
                sides=6,
                rounded=(0.1, 0.35),
                right=FRONT,
            )
            front = None
    left, right = rig.limb_pair("ear", shape, color, head.bone)
    if front is not None and inner != color:
        rig.add_pair(front, str(inner), (left.bones[0], right.bones[0]))


def add_horns(rig: Rig, head: Head, rng: np.random.Generator, kind: str, size: float) -> None:
    """Put "straight", "curved" or "branched" horns, a "single" one, or "antennae" on a head."""
    color = str(rng.choice(("bone", "dark", "third", "gold"), p=(0.5, 0.25, 0.15, 0.1)))
    if kind == "single":
        point, normal = head.on(0, 60)
        rig.add(
            cone(point - 0.1 * size * normal, point + size * (normal + FRONT) * 0.75, 0.18 * size),
            color,
            head.bone,
        )
        return
    point, normal = head.on(rng.uniform(40, 80), rng.uniform(50, 68))
    out = np.array([1.0, 0, 0])
    match kind:
        case "straight":
            path = [
                point - 0.15 * size * normal,
                point + 0.5 * size * (normal + UP),
                point + size * (normal + UP * 1.2),
            ]
        case "curved":
            path = [
                point - 0.15 * size * normal,
                point + 0.6 * size * (normal + 0.7 * out),
                point + size * (0.8 * normal + 0.8 * out + 0.6 * UP),
                point + size * (0.8 * out + 1.3 * UP + rng.uniform(-0.6, 0.5) * FRONT),
            ]
        case "branched":
            path = [
                point - 0.1 * size * normal,
                point + size * (UP + 0.4 * out - 0.3 * FRONT),
                point + size * (1.9 * UP + 1.0 * out - 0.2 * FRONT),
            ]
        case _:
            path = [
                point,
                point + size * (0.9 * UP + 0.2 * out + 0.2 * FRONT),
                point + size * (1.2 * UP + 0.6 * out + rng.uniform(0.2, 1.0) * FRONT),
            ]
    thick = {"antennae": 0.05, "branched": 0.09}.get(kind, 0.2) * size
    radii = np.linspace(1, 0.5 if kind == "antennae" else 0.1, len(path)) * thick
    horn = tube(np.column_stack([path, radii]), rings=5, sides=5, rounded=(0, 0), right=FRONT)
    color = "dark" if kind == "antennae" else color
    left, right = rig.limb_pair("ear", horn, color, head.bone)
    both = (left.bones[0], right.bones[0])
    if kind == "antennae" and rng.random() < 0.6:
        rig.add_pair(
            ellipsoid(path[-1], (0.14 * size,) * 3, rings=4, sides=6),
            str(rng.choice(("accent", "third"))),
            both,
        )
    if kind == "branched":
        for share, lean in ((0.45, FRONT), (0.75, FRONT * 0.7 + UP)):
            base = horn.at(share)
            rig.add_pair(cone(base, base + 0.6 * size * lean, 0.07 * size, sides=4), color, both)


def add_beak(rig: Rig, head: Head, rng: np.random.Generator, length: float, width: float) -> None:
    """Put a beak on a head: two halves, the lower one of which is a jaw."""
    point, _ = head.on(0, rng.uniform(-15, 5))
    base = point - 0.35 * width * FRONT
    hook = rng.uniform(-0.5, 0.05) * width
    flat = rng.uniform(0.5, 1.0)
    upper = loft(
        [base, base + 0.6 * length * FRONT + 0.1 * width * UP, base + length * FRONT + hook * UP],
        [width, 0.65 * width, 0.08 * width],
        [flat * width, 0.5 * flat * width, 0.06 * width],
        sides=6,
    )
    below = base - 0.45 * flat * width * UP
    lower = loft(
        [below, below + 0.8 * length * FRONT],
        [0.8 * width, 0.05 * width],
        [0.4 * width, 0.04 * width],
        sides=6,
    )
    rig.add(upper, "beak", head.bone)
    rig.limb("jaw", lower, "beak", head.bone)


def add_spikes(
    rig: Rig,
    shape: Shape,
    bones: list[int],
    starts: tuple[float, ...],
    rng: np.random.Generator,
    color: str,
    size: float,
) -> None:
    """Put a row of spikes, plates or tufts along the top of a body, each on the bone that moves it there."""
    shares = np.linspace(0.12, 0.9, rng.integers(4, 9))
    rays = np.tile(UP, (len(shares), 1))
    plate = rng.random() < 0.5
    for share, ray in zip(shares, rays, strict=True):
        point, _ = surface(shape, shape.at(share), ray[None])
        tall = size * (0.45 + 0.55 * np.sin(np.pi * share)) * (1.3 if plate else 1.0)
        spike = loft(
            [point[0] - 0.3 * tall * UP, point[0] + 0.35 * tall * UP, point[0] + tall * (UP - 0.25 * FRONT)],
            [0.08 * tall if plate else 0.25 * tall, 0.06 * tall if plate else 0.16 * tall, 0.0],
            [0.4 * tall, 0.4 * tall if plate else 0.16 * tall, 0.0],
            sides=4,
        )
        bone = bones[int(np.searchsorted(starts, share, side="right")) - 1]
        rig.add(spike, color, bone)


def fin_shape(
    base: np.ndarray, edge: np.ndarray, thickness: float, columns: int = 4, middle: float = 0.0
) -> Shape:
    """Make a thin fin between two curves: (K, 3) where it is fastened, and (K', 3) its free edge."""
    t = np.linspace(0, 1, columns)
    low, high = spline(np.asarray(base, float), t), spline(np.asarray(edge, float), t)
    rows = np.array([0.0, 0.5, 1.0]) if middle else np.array([0.0, 1.0])
    grid = low + rows[:, None, None] * (high - low)
    if middle:
        bulge = np.cross(high[-1] - low[0], low[-1] - low[0])
        grid[1] += middle * bulge / max(np.linalg.norm(bulge), 1e-9)
    return sheet(grid, thickness)


def add_leg(
    rig: Rig,
    coat: Coat,
    parent: int,
    hip: tuple[float, float, float],
    foot: tuple[float, float, float],
    radii: tuple[float, float],
    bend: float,
    phases: tuple[float, float],
    foot_kind: str,
    color: str | None = None,
) -> None:
    """Add a pair of legs, with hip and knee.

    Args:
        rig: the creature.
        coat: paints it.
        parent: bone of the hip.
        hip: on the left side.
        foot: where it stands.
        radii: of the thigh and the ankle.
        bend: how far the knee lies to the front, in lengths of the leg.
        phases: of the left and the right leg in a gait, in turns.
        foot_kind: "paw", "hoof", "claw", "shoe", "round" or "none".
        color: of the whole leg, instead of the coat's.
    """
    start, end = np.array(hip, float), np.array(foot, float)
    length = np.linalg.norm(end - start)
    knee = (start + end) / 2 + bend * length * FRONT
    thick, thin = radii
    ankle = end + (0.0 if foot_kind == "none" else 0.5 * thin) * UP
    shape = tube(
        [
            (*start, thick, 1.15 * thick),
            (*knee, 0.55 * thick + 0.4 * thin, 0.6 * thick + 0.4 * thin),
            (*ankle, thin, thin),
        ],
        rings=6,
        sides=6,
        rounded=(0.2, 0.0),
    )
    paint = coat.leg(shape) if color is None else color
    left, right = rig.limb_pair("leg", shape, paint, parent, (0.0, 0.5), phases, soft=0.6)
    ankles = (left.bones[-1], right.bones[-1])
    match foot_kind:
        case "paw":
            paw = ellipsoid(
                end + thin * (0.6 * UP + 0.5 * FRONT), (1.25 * thin, 0.75 * thin, 1.7 * thin), rings=4
            )
            rig.add_pair(paw, np.full(len(paw.triangles), paint[-1]) if color is None else color, ankles)
        case "hoof":
            hoof = cone(
                end + 0.9 * thin * UP + 0.1 * thin * FRONT, end + 0.15 * thin * FRONT, 1.05 * thin, 1.3 * thin
            )
            rig.add_pair(hoof, "dark", ankles)
        case "claw":
            for turn in (-0.6, 0.0, 0.6):
                tip = end + 3.4 * thin * np.array([np.sin(turn), 0, np.cos(turn)]) + 0.2 * thin * UP
                rig.add_pair(
                    cone(end + 0.6 * thin * UP, tip, 0.7 * thin, 0.15 * thin, sides=5), "beak", ankles
                )
        case "shoe":
            shoe = box(
                end + thin * (0.55 * UP + 0.5 * FRONT), (1.15 * thin, 0.55 * thin, 1.8 * thin), bevel=0.3
            )
            rig.add_pair(shoe, "dark", ankles)
        case "round":
            pad = cone(end + 0.8 * thin * UP, end, 1.15 * thin, 1.35 * thin, sides=8)
            rig.add_pair(pad, "dark", ankles)


def add_tail(
    rig: Rig, coat: Coat, parent: int, start: np.ndarray, rng: np.random.Generator, kind: str, size: float
) -> Limb:
    """Add a "thin", "bushy", "thick", "short" or "tufted" tail that begins at a point."""
    rise = rng.uniform(-0.5, 0.9)
    back = -FRONT
    ends = [
        start,
        start + size * (0.5 * back + 0.35 * rise * UP),
        start + size * (back + rise * UP * rng.uniform(0.3, 1.2)),
    ]
    profile = {
        "thin": (0.05, 0.04, 0.025),
        "bushy": (0.06, 0.17, 0.05),
        "thick": (0.2, 0.11, 0.02),
        "short": (0.12, 0.16, 0.1),
        "tufted": (0.05, 0.035, 0.03),
    }[kind]
    if kind == "short":
        ends = [start, start + 0.18 * size * (back + 0.5 * UP), start + 0.35 * size * (back + 0.7 * UP)]
    shape = tube(np.column_stack([ends, np.array(profile) * size]), rings=6, sides=6, rounded=(0.0, 0.2))
    limb = rig.limb("tail", shape, coat.leg(shape), parent, (0.0, 0.35, 0.68), soft=1.0)
    if kind == "tufted":
        rig.add(
            ellipsoid(ends[-1], (0.08 * size, 0.08 * size, 0.14 * size), rings=4, sides=6),
            "third",
            limb.bones[-1],
        )
    return limb


def add_wings(
    rig: Rig, parent: int, root: np.ndarray, rng: np.random.Generator, kind: str, span: float
) -> None:
    """Add a pair of "feather", "bat" or "membrane" wings, spread to the sides."""
    sweep, rise = rng.uniform(-0.45, 0.1), rng.uniform(0.0, 0.5)
    out = np.array([1.0, rise, 0.0]) / np.hypot(1.0, rise)
    chord = span * {"feather": 0.55, "bat": 0.7, "membrane": 0.32}[kind] * rng.uniform(0.8, 1.2)
    if kind == "membrane":
        widths = np.array([0.25, 0.8, 1.0, 0.7, 0.15])
    else:
        widths = np.array([0.9, 1.0, 0.9, 0.7, 0.15])
    share = np.linspace(0, 1, 5)
    lead = (
        root
        + share[:, None] * span * out
        + (sweep * span * share**2)[:, None] * FRONT
        + 0.05 * span * np.sin(np.pi * share)[:, None] * UP
    )
    lag = lead - (chord * widths)[:, None] * FRONT
    if kind == "bat":
        lag[[1, 3]] += 0.25 * chord * FRONT  # scalloped
    if kind == "membrane":
        lead = lead + 0.5 * (chord * widths)[:, None] * FRONT
        lag = lag + 0.5 * (chord * widths)[:, None] * FRONT
    grid = np.stack([lag, (lead + lag) / 2 + 0.06 * chord * UP, lead], axis=1)
    shape = sheet(grid, 0.06 * span if kind == "feather" else 0.035 * span)
    color = {"feather": str(rng.choice(("main", "second", "third"))), "bat": "third"}.get(
        kind, str(rng.choice(("white", "second", "accent2")))
    )
    paint = np.full(len(shape.triangles), rig.palette.index(color))
    if kind == "feather" and rng.random() < 0.5:
        paint = np.where(shape.u > 0.6, rig.palette.index("third"), paint)
    left, right = rig.limb_pair("wing", shape, paint, parent, (0.0, 0.45), (0.0, 0.0), soft=0.8)
    if kind == "bat":
        arm = tube(
            np.column_stack([lead, np.linspace(0.05, 0.015, 5) * span]),
            rings=4,
            sides=5,
            rounded=(0, 0),
            right=steady(out),
        )
        for limb, bone in ((left, arm), (right, arm.mirrored())):
            rig.add(bone, "main", limb.bones, (0.0, 0.45), soft=0.8)
