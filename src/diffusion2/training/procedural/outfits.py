"""What figures wear and hold: hats, hair, capes, armour, tools and weapons."""

import numpy as np

from diffusion2.training.procedural.parts import Head, direction
from diffusion2.training.procedural.rig import Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    RIGHT,
    UP,
    Shape,
    box,
    cone,
    ellipsoid,
    loft,
    sheet,
    surface,
    tube,
)

HATS = ("cone", "top", "cap", "crown", "helmet", "straw")


def add_hat(rig: Rig, head: Head, rng: np.random.Generator, kind: str, color: str = "accent") -> None:
    """Put a hat on a head: one of `HATS`."""
    size = head.size
    top = surface(head.shape, head.center, UP[None])[0][0]
    rim = top - 0.35 * size * UP
    match kind:
        case "cone":
            lean = rng.uniform(-0.5, 0.0) * FRONT
            rig.add(
                loft([rim, rim + 0.05 * size * UP], [1.6 * size] * 2, sides=10, right=RIGHT), color, head.bone
            )
            rig.add(
                tube(
                    [
                        (*rim, 0.95 * size),
                        (*(rim + 0.7 * size * UP), 0.5 * size),
                        (*(rim + size * (1.6 * UP + lean)), 0.06 * size),
                    ],
                    rings=5,
                    rounded=(0, 0),
                ),
                color,
                head.bone,
            )
            band = 0.14 * size * UP
            rig.add(
                loft([rim + 0.3 * band, rim + 1.3 * band], [0.98 * size, 0.9 * size], sides=8),
                "accent2",
                head.bone,
            )
        case "top" | "straw":
            tall, wide = (0.9, 1.25) if kind == "top" else (0.45, 1.7)
            color = "gold" if kind == "straw" else color
            rig.add(loft([rim, rim + 0.08 * size * UP], [wide * size] * 2, sides=10), color, head.bone)
            rig.add(
                loft(
                    [rim, rim + tall * size * UP],
                    [0.85 * size, (0.9 if kind == "top" else 0.65) * size],
                    sides=10,
                ),
                color,
                head.bone,
            )
            rig.add(
                loft([rim + 0.1 * size * UP, rim + 0.25 * size * UP], [0.9 * size] * 2, sides=10),
                "accent2",
                head.bone,
            )
        case "cap":
            rig.add(
                tube(
                    [
                        (*(rim - 0.1 * size * UP), 1.06 * size),
                        (*(rim + 0.3 * size * UP), 0.95 * size),
                        (*(rim + 0.5 * size * UP), 0.5 * size),
                    ],
                    rings=4,
                    sides=10,
                    rounded=(0, 0.5),
                ),
                color,
                head.bone,
            )
            rig.add(
                ellipsoid(
                    rim + 0.85 * size * FRONT - 0.05 * size * UP,
                    (0.75 * size, 0.07 * size, 0.75 * size),
                    rings=4,
                ),
                color,
                head.bone,
            )
        case "crown":
            rig.add(
                loft([rim, rim + 0.3 * size * UP], [0.85 * size, 0.9 * size], sides=10), "gold", head.bone
            )
            for angle in np.arange(0, 180, 36) + 18.0:
                out = direction(angle, 0)
                base = rim + 0.3 * size * UP + 0.75 * size * out
                rig.add_pair(
                    cone(base - 0.1 * size * UP, base + size * (0.35 * UP + 0.1 * out), 0.2 * size, sides=4),
                    "gold",
                    head.bone,
                )
        case _:
            _add_helmet(rig, head, rng)


def _add_helmet(rig: Rig, head: Head, rng: np.random.Generator) -> None:
    size, metal = head.size, str(rng.choice(("steel", "gold", "dark", "accent"), p=(0.55, 0.15, 0.15, 0.15)))
    center = head.center
    rig.add(
        tube(
            [
                (*(center + 0.12 * size * UP - 0.05 * size * FRONT), 1.14 * size),
                (*(center + 0.7 * size * UP), 1.05 * size),
                (*(center + 1.25 * size * UP), 0.5 * size),
            ],
            rings=5,
            sides=10,
            rounded=(0, 0.45),
        ),
        metal,
        head.bone,
    )
    guard = sheet(
        np.stack(
            [
                np.stack([center + size * (1.14 * direction(a, 0) - y * UP) for a in (75, 115, 150, 180)])
                for y in (-0.2, 0.85)
            ]
        ),
        0.1 * size,
        1.0,
    )
    rig.add_pair(guard, metal, head.bone)
    if rng.random() < 0.4:
        rig.add(
            box(center + size * (1.12 * FRONT - 0.1 * UP), (0.1 * size, 0.4 * size, 0.06 * size)),
            metal,
            head.bone,
        )
    draw = rng.random()
    if draw < 0.3:
        path = [center + 1.1 * size * direction(0, a) for a in (50, 90, 130, 160)]
        rig.add(
            loft(np.stack(path) + 0.12 * size * UP, [0.1 * size] * 4, [0.22 * size] * 4, sides=6),
            "accent",
            head.bone,
        )
    elif draw < 0.6:
        point = center + size * (0.95 * RIGHT + 0.6 * UP)
        horn = tube(
            [
                (*point, 0.2 * size),
                (*(point + size * (0.6 * RIGHT + 0.1 * UP)), 0.17 * size),
                (*(point + size * (0.75 * RIGHT + 0.8 * UP)), 0.03 * size),
            ],
            rings=5,
            sides=6,
            rounded=(0, 0),
            right=FRONT,
        )
        rig.add_pair(horn, "bone", head.bone)


def add_hair(rig: Rig, head: Head, rng: np.random.Generator, color: str = "hair") -> None:
    """Put hair on a head: short, long, spiky, a bun, a ponytail, or a beard with it."""
    size, center = head.size, head.center
    kind = rng.choice(("short", "long", "spiky", "tail", "bald"), p=(0.34, 0.24, 0.16, 0.14, 0.12))
    if kind != "bald":
        scalp = ellipsoid(
            center + size * (0.2 * UP - 0.16 * FRONT),
            (1.08 * size, 1.0 * size, 1.04 * size),
            rings=6,
            sides=10,
        )
        rig.add(scalp, color, head.bone)
        for x in (0.35, 0.75):
            start = center + size * np.array([x, 0.75 - 0.25 * x, 0.68 - 0.3 * x])
            lock = ellipsoid(start, (0.34 * size, 0.22 * size, 0.3 * size), rings=4, sides=6)
            rig.add_pair(lock, color, head.bone)
    if kind == "long":
        long = size * rng.uniform(0.8, 1.8)
        start = center - 0.45 * size * FRONT + 0.3 * size * UP
        rig.add(
            tube(
                [
                    (*start, 1.0 * size, 0.6 * size),
                    (*(start - 0.6 * long * UP - 0.1 * size * FRONT), 1.0 * size, 0.45 * size),
                    (*(start - long * UP), 0.7 * size, 0.25 * size),
                ],
                rings=5,
                sides=8,
                rounded=(0.2, 0.2),
            ),
            color,
            head.bone,
        )
    if kind == "spiky":
        for azimuth, elevation in ((0, 62), (40, 50), (110, 45), (150, 55), (180, 20), (165, -5)):
            out = direction(azimuth, elevation)
            spike = cone(
                center + 0.7 * size * out, center + size * (1.55 * out + 0.1 * UP), 0.38 * size, sides=5
            )
            (rig.add_pair if 0 < azimuth < 180 else rig.add)(spike, color, head.bone)
    if kind == "tail":
        start = center + size * (0.35 * UP - 1.0 * FRONT)
        shape = tube(
            [
                (*start, 0.2 * size),
                (*(start - 0.5 * size * (FRONT + 0.3 * UP)), 0.34 * size),
                (*(start - size * (0.7 * FRONT + 1.5 * UP)), 0.08 * size),
            ],
            rings=5,
            sides=6,
        )
        rig.limb("tail", shape, color, head.bone, (0.0, 0.5))
    if rng.random() < 0.2:
        chin = head.on(0, -40)[0]
        long = size * rng.uniform(0.4, 1.3)
        rig.add(
            tube(
                [
                    (*(chin + 0.15 * size * UP), 0.75 * size, 0.3 * size),
                    (*(chin - 0.4 * long * UP + 0.1 * size * FRONT), 0.55 * size, 0.28 * size),
                    (*(chin - long * UP), 0.1 * size, 0.1 * size),
                ],
                rings=5,
                sides=7,
                rounded=(0.2, 0),
            ),
            color,
            head.bone,
        )


def add_cape(
    rig: Rig, parent: int, top: np.ndarray, wide: float, long: float, rng: np.random.Generator
) -> None:
    """Hang a cape on the shoulders, behind the body."""
    rows, flare = np.linspace(0, 1, 4), rng.uniform(1.2, 1.9)
    across = np.linspace(-1, 1, 5)
    grid = np.stack(
        [
            top
            - row * long * UP
            + across[:, None] * (wide * (1 + (flare - 1) * row)) * RIGHT
            - (
                0.05
                + 0.22 * row * long * (1 - 0.45 * across[:, None] ** 2)
                - 0.25 * wide * across[:, None] ** 2 * (1 - row)
            )
            * FRONT
            for row in rows
        ]
    )
    shape = sheet(grid, 0.05 * wide + 0.012, 0.6)
    colors = np.full(len(shape.triangles), rig.palette.index("accent"))
    if rng.random() < 0.4:
        colors = np.where(shape.u > 0.66, rig.palette.index("accent2"), colors)
    rig.limb("cape", shape, colors, parent, (0.0, 0.4, 0.7), soft=1.0)


def add_belt(rig: Rig, bone: int, center: np.ndarray, wide: float, deep: float, color: str) -> None:
    """Put a belt with a buckle around a body."""
    half = 0.16 * wide * UP
    rig.add(loft([center - half, center + half], [1.1 * wide] * 2, [1.12 * deep] * 2, sides=8), color, bone)
    rig.add(box(center + 1.08 * deep * FRONT, (0.2 * wide, 0.18 * wide, 0.1 * deep)), "gold", bone)


def make_tool(rng: np.random.Generator, size: float) -> list[tuple[Shape, str]]:
    """Make something to hold: shapes and their colours, upright, with its grip at the origin."""
    kind = rng.choice(
        ("sword", "axe", "hammer", "staff", "stick", "spear", "gun"), p=(0.3, 0.15, 0.1, 0.15, 0.1, 0.1, 0.1)
    )
    metal = str(rng.choice(("steel", "gold", "accent"), p=(0.75, 0.15, 0.1)))
    long = size * rng.uniform(0.8, 1.3)
    wooden = (cone(-0.35 * long * UP, long * UP, 0.03 * size, 0.03 * size, sides=5), "wood")
    match kind:
        case "sword":
            wide = size * rng.uniform(0.04, 0.1)
            blade = loft(
                [0.15 * size * UP, 0.85 * long * UP, long * UP],
                [0.025 * size, 0.02 * size, 0.0],
                [wide, 0.85 * wide, 0.0],
                sides=4,
            )
            return [
                (blade, metal),
                (box(0.14 * size * UP, (0.035 * size, 0.03 * size, 0.17 * size)), "gold"),
                (cone(-0.15 * size * UP, 0.14 * size * UP, 0.035 * size, 0.035 * size), "dark"),
            ]
        case "axe":
            head = loft(
                [0.85 * long * UP + 0.02 * size * FRONT, 0.85 * long * UP + 0.28 * size * FRONT],
                [0.04 * size, 0.01 * size],
                [0.1 * size, 0.26 * size],
                sides=4,
            )
            return [wooden, (head, metal)]
        case "hammer":
            middle = 0.95 * long * UP
            return [wooden, (box(middle, (0.13 * size, 0.13 * size, 0.26 * size), bevel=0.2), metal)]
        case "staff":
            return [wooden, (ellipsoid(1.05 * long * UP, (0.1 * size,) * 3, rings=4, sides=6), "accent2")]
        case "spear":
            return [wooden, (cone(0.95 * long * UP, 1.3 * long * UP, 0.07 * size, sides=4), metal)]
        case "gun":
            barrel = box(
                0.1 * size * UP + 0.25 * size * FRONT, (0.05 * size, 0.07 * size, 0.35 * size), bevel=0.2
            )
            return [
                (barrel, "dark"),
                (box((0, -0.02 * size, 0.05 * size), (0.04 * size, 0.12 * size, 0.06 * size)), metal),
            ]
    return [
        (
            tube(
                [
                    (0, -0.2 * long, 0, 0.035 * size),
                    (0, 0.4 * long, 0.05 * size, 0.05 * size),
                    (0, 0.9 * long, 0, 0.07 * size),
                ],
                rings=4,
                sides=5,
            ),
            "wood",
        )
    ]


def add_tool(rig: Rig, hand: int, place: np.ndarray, rng: np.random.Generator, size: float) -> None:
    """Put something into a hand."""
    lean = np.deg2rad(rng.uniform(20, 95))
    turn = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    for shape, color in make_tool(rng, size):
        rig.add(shape.placed(place, turn), color, hand, held=True)


def add_shield(
    rig: Rig, hand: int, place: np.ndarray, rng: np.random.Generator, size: float, side: int
) -> None:
    """Strap a round, square or pointed shield to an arm, on its outer side."""
    sides = int(rng.choice((4, 6, 10)))
    out = side * RIGHT * rng.uniform(0.5, 1.0) + FRONT * rng.uniform(0.3, 1.0)
    out = out / np.linalg.norm(out)
    center = place + 0.14 * size * out
    wide, tall = size * rng.uniform(0.25, 0.45), size * rng.uniform(0.3, 0.5)
    face = loft(
        [center, center + 0.05 * size * out],
        [wide, 0.9 * wide],
        [tall, 0.9 * tall],
        sides=sides,
        right=np.cross(UP, out),
    )
    rig.add(face, str(rng.choice(("accent", "wood", "steel", "accent2"))), hand, held=True)
    boss = loft(
        [center, center + 0.09 * size * out], [0.3 * wide, 0.15 * wide], sides=8, right=np.cross(UP, out)
    )
    rig.add(boss, str(rng.choice(("gold", "steel"))), hand, held=True)
