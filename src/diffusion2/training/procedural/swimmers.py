"""Creatures that swim or crawl: fish, whales, snakes, jellyfish and octopuses."""

import numpy as np

from diffusion2.training.procedural.palette import draw_coat
from diffusion2.training.procedural.parts import (
    Head,
    add_eyes,
    add_horns,
    add_mouth,
    add_spikes,
    fin_shape,
)
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    RIGHT,
    UP,
    Shape,
    cone,
    ellipsoid,
    loft,
    surface,
    tube,
)

BODY_STARTS = (0.0, 0.38, 0.6, 0.8)


def _swimming_body(rig: Rig, shape: Shape, color: np.ndarray, kind: str) -> list[int]:
    """Bind a body that begins at its nose to a head and three bones of a tail; the root is its middle."""
    root = rig.bone(shape.at(0.38))
    head = rig.bone(shape.at(0.34), root)
    first = rig.bone(shape.at(0.6), root)
    last = rig.bone(shape.at(0.8), first)
    rig.add(shape, color, [head, root, first, last], BODY_STARTS, soft=0.9)
    rig.limbs += [Limb("neck", [head]), Limb(kind, [first, last])]
    return [head, root, first, last]


def make_fish(rig: Rig, rng: np.random.Generator) -> None:
    """Make a fish: deep, slender or round, with thin fins."""
    coat = draw_coat(rng, rig.palette)
    form = rng.choice(("deep", "slender", "round", "common"), p=(0.25, 0.22, 0.2, 0.33))
    tall, wide = {
        "deep": (0.34, 0.12),
        "slender": (0.15, 0.11),
        "round": (0.3, 0.27),
        "common": (0.24, 0.16),
    }[form]
    tall, wide = tall * rng.uniform(0.85, 1.2), wide * rng.uniform(0.8, 1.25)
    snout, peak, arch = rng.uniform(0.15, 0.65), rng.uniform(0.25, 0.5), rng.uniform(-0.06, 0.08)
    body = tube(
        [
            (0, -0.02, 0.5, snout * wide * 0.8, snout * tall),
            (0, 0.0, 0.5 - 0.5 * peak, 0.92 * wide, 0.9 * tall),
            (0, arch, 0.5 - peak, wide, tall),
            (0, 0.5 * arch, -0.2, 0.55 * wide, 0.6 * tall),
            (0, 0, -0.5, 0.16 * wide, 0.2 * tall),
        ],
        rings=int(rng.integers(8, 13)),
        sides=int(rng.choice((6, 8, 10))),
        rounded=(0.12, 0.0),
        rng=rng if rng.random() < 0.5 else None,
        roundness=rng.uniform(1.6, 2.6),
        right=-RIGHT,
    )
    bones = _swimming_body(rig, body, coat.body(body), "wave")
    fins = str(rng.choice(("second", "third", "main", "accent"), p=(0.3, 0.4, 0.2, 0.1)))
    _add_tail_fin(rig, body, bones[3], rng, fins, tall)
    thin = rng.uniform(0.014, 0.03)
    high = tall * rng.uniform(0.3, 1.0)
    _add_ridge(rig, body, bones, (rng.uniform(0.25, 0.4), rng.uniform(0.6, 0.85)), high, thin, fins, UP, rng)
    if rng.random() < 0.8:
        _add_ridge(
            rig,
            body,
            bones,
            (rng.uniform(0.55, 0.65), 0.85),
            high * rng.uniform(0.4, 1.0),
            thin,
            fins,
            -UP,
            rng,
        )
    point, _ = surface(body, body.at(0.4), np.array([[1.0, rng.uniform(-0.6, 0.1), 0.1]]))
    reach = rng.uniform(0.14, 0.32)
    out = 0.7 * RIGHT - FRONT + rng.uniform(-0.6, 0.2) * UP
    base = point[0] - 0.02 * RIGHT + np.array([[0, 0.05, 0.0], [0, -0.05, 0.02]])
    edge = base + reach * out / np.linalg.norm(out) + np.array([[0, 0.06, -0.02], [0, -0.08, 0.06]])
    rig.limb_pair("fin", fin_shape(base, edge, thin, 3), fins, bones[1], phases=(0.0, 0.0))
    head = Head(body, bones[0], body.at(0.16), tall * 0.7, body.spine[0])
    size = rng.uniform(0.05, 0.12) if form != "slender" else rng.uniform(0.03, 0.055)
    add_eyes(rig, head, rng, size * (0.8 + tall), rng.uniform(58, 88), rng.uniform(8, 35))
    add_mouth(
        rig,
        Head(body, bones[0], body.at(0.1), 0.6 * tall, body.spine[0]),
        rng,
        rng.uniform(-35, -5),
        rng.uniform(35, 70),
    )
    if rng.random() < 0.12:
        add_spikes(rig, body, bones, BODY_STARTS, rng, fins, 0.3)
    if rng.random() < 0.08:
        _add_lure(rig, body, bones[0])


def _add_tail_fin(
    rig: Rig, body: Shape, bone: int, rng: np.random.Generator, color: str, tall: float
) -> None:
    """Add an upright tail fin: forked, fanned, or round."""
    start = body.spine[-1] + 0.05 * FRONT
    high, long = tall * rng.uniform(0.6, 1.4), rng.uniform(0.16, 0.34)
    fork = rng.choice((0.65, 0.3, -0.25), p=(0.45, 0.25, 0.3))
    height = np.linspace(1, -1, 5)
    edge = (
        start
        - (long * (1 - fork * (1 - np.abs(height))) * (1 - 0.25 * (fork < 0) * np.abs(height)))[:, None]
        * FRONT
    )
    edge = edge + (high * height * rng.uniform(0.8, 1.2))[:, None] * UP
    base = start + (0.18 * tall * height)[:, None] * UP
    fin = fin_shape(base, edge, 0.03, 5)
    rig.limb("fin", fin, color, bone)


def _add_ridge(
    rig: Rig,
    body: Shape,
    bones: list[int],
    span: tuple[float, float],
    high: float,
    thin: float,
    color: str,
    up: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Add a fin along the back or the belly, which bends with the body."""
    shares = np.linspace(*span, 5)
    base = np.stack([surface(body, body.at(s), up[None])[0][0] for s in shares]) - 0.015 * up
    slope = rng.uniform(0.2, 0.9)
    rise = np.interp(np.linspace(0, 1, 5), [0, rng.uniform(0.15, 0.5), 1], [0.25, 1.0, rng.uniform(0.1, 0.8)])
    edge = base + (high * rise)[:, None] * up - (slope * high * rise)[:, None] * FRONT
    fin = fin_shape(base, edge, thin, 5)
    # Across a ridge its columns lie along the body: bind each to the bone that moves the body there.
    along = np.tile(np.tile(shares, 2), 2)
    rig.add(
        Shape(fin.vertices, fin.triangles, along, fin.spine, fin.u, fin.v),
        color,
        bones,
        BODY_STARTS,
        soft=0.9,
    )


def _add_lure(rig: Rig, body: Shape, bone: int) -> None:
    point, _ = surface(body, body.at(0.2), UP[None])
    rod = tube(
        [
            (*point[0], 0.012),
            (*(point[0] + np.array([0, 0.25, 0.1])), 0.01),
            (*(point[0] + np.array([0, 0.2, 0.3])), 0.008),
        ],
        rings=5,
        sides=4,
        rounded=(0, 0),
    )
    limb = rig.limb("ear", rod, "dark", bone)
    rig.add(ellipsoid(rod.spine[-1], (0.04, 0.05, 0.04), rings=4, sides=6), "accent", limb.bones[0])


def make_whale(rig: Rig, rng: np.random.Generator) -> None:
    """Make a whale, a dolphin or a seal: level flukes, flippers, a blunt head or a beak."""
    coat = draw_coat(rng, rig.palette)
    girth, blunt, rise = rng.uniform(0.12, 0.26), rng.uniform(0.25, 0.85), rng.uniform(0.0, 0.12)
    body = tube(
        [
            (0, 0, 0.5, blunt * girth, blunt * girth),
            (0, 0.01, 0.28, girth, 0.95 * girth),
            (0, 0, 0.0, girth, girth),
            (0, 0.3 * rise, -0.3, 0.5 * girth, 0.5 * girth),
            (0, rise, -0.55, 0.15 * girth, 0.13 * girth),
        ],
        rings=10,
        sides=int(rng.choice((8, 10))),
        rounded=(0.2 * blunt + 0.05, 0.0),
        rng=rng if rng.random() < 0.3 else None,
        right=-RIGHT,
    )
    bones = _swimming_body(rig, body, coat.body(body), "undulation")
    flippers = str(rng.choice(("main", "second", "third"), p=(0.6, 0.15, 0.25)))
    start = body.spine[-1] + 0.04 * FRONT
    span, chord = girth * rng.uniform(0.9, 1.5), girth * rng.uniform(0.5, 0.9)
    share = np.linspace(0, 1, 4)[:, None]
    front = start + share * (span * RIGHT) - share**2 * chord * FRONT
    back = start - 0.5 * chord * FRONT + share * (span * RIGHT) - share * 0.7 * chord * FRONT
    rig.limb_pair("fluke", fin_shape(back, front, 0.03, 4), flippers, bones[3])
    point, _ = surface(body, body.at(0.36), np.array([[1.0, -0.5, 0.0]]))
    reach = girth * rng.uniform(0.8, 1.8)
    base = point[0] - 0.04 * RIGHT + np.array([[0, 0, -0.06], [0, 0, 0.06]])
    edge = base + reach * np.array([0.8, -0.45, -0.5]) + np.array([[0, 0, 0.02], [0, 0, -0.04]])
    rig.limb_pair("fin", fin_shape(base, edge, 0.04, 3), flippers, bones[1], phases=(0.0, 0.0))
    if rng.random() < 0.65:
        _add_ridge(rig, body, bones, (0.42, 0.58), girth * rng.uniform(0.4, 1.3), 0.035, flippers, UP, rng)
    head = Head(body, bones[0], body.at(0.2), girth, body.spine[0])
    if rng.random() < 0.4:
        long = rng.uniform(0.1, 0.22)
        beak = tube(
            [
                (0, -0.25 * girth, 0.42, 0.5 * girth, 0.35 * girth),
                (0, -0.35 * girth, 0.5 + long, 0.2 * girth, 0.14 * girth),
            ],
            rings=4,
            sides=8,
            rounded=(0, 0.3),
        )
        rig.add(beak, coat.plain().body(beak), bones[0])
    add_eyes(rig, head, rng, girth * rng.uniform(0.1, 0.22), rng.uniform(60, 85), rng.uniform(-12, 15))
    add_mouth(rig, head, rng, rng.uniform(-35, -15), rng.uniform(40, 65))
    if rng.random() < 0.12:
        add_horns(rig, head, rng, "single", 0.5)


def make_snake(rig: Rig, rng: np.random.Generator) -> None:
    """Make a snake, a worm or a caterpillar: on the ground, or with its front raised."""
    coat = draw_coat(rng, rig.palette)
    count, thick = int(rng.integers(6, 9)), rng.uniform(0.05, 0.1)
    raised = rng.random() < 0.6
    if raised:
        tall = rng.uniform(0.4, 0.8)
        path = np.array(
            [
                (0, tall, 0.1),
                (0, 0.75 * tall, 0.0),
                (0, 0.35 * tall, -0.12),
                (0, thick, 0.02),
                (0, thick, -0.3),
                (0, thick, -0.65),
                (0, 0.6 * thick, -rng.uniform(0.85, 1.3)),
            ]
        )
    else:
        path = np.array(
            [
                (0, 1.3 * thick, 0.7),
                (0, thick, 0.4),
                (0, thick, 0.1),
                (0, thick, -0.2),
                (0, thick, -0.5),
                (0, thick, -0.75),
                (0, 0.8 * thick, -1.0),
            ]
        )
    fat = np.array([0.8, 0.95, 1.05, 1.1, 1.0, 0.8, 0.15]) * thick
    if rng.random() < 0.25:
        fat[-2:] = thick
    body = tube(np.column_stack([path, fat, fat]), rings=16, sides=6, rounded=(0, 0.06), right=-RIGHT)
    starts = tuple(np.linspace(0, 1, count, endpoint=False))
    middle = count // 2
    root = rig.bone(body.at(starts[middle]))
    bones = [root] * count
    for k in range(middle + 1, count):
        bones[k] = rig.bone(body.at(starts[k]), bones[k - 1])
    for k in range(middle - 1, -1, -1):  # the front bones turn about their rear ends
        bones[k] = rig.bone(body.at(starts[k + 1]), bones[k + 1])
    rig.add(body, coat.body(body), bones, starts, soft=1.0)
    rig.limbs += [Limb("wave", bones[middle + 1 :]), Limb("neck", bones[:middle][::-1])]
    size = thick * rng.uniform(1.3, 2.0)
    place = path[0] + 0.3 * size * UP
    flat = rng.uniform(0.7, 1.0)
    skull = tube(
        [
            (*(place - 0.9 * size * FRONT), 0.6 * size, 0.6 * size),
            (*place, size, flat * size),
            (*(place + size * FRONT), 0.7 * size, 0.55 * size),
            (*(place + 1.7 * size * FRONT - 0.1 * size * UP), 0.45 * size, 0.35 * size),
        ],
        rings=7,
        sides=8,
        rounded=(0.2, 0.2),
    )
    rig.add(skull, coat.plain().body(skull), bones[0])
    head = Head(skull, bones[0], place, size, skull.spine[-1])
    add_eyes(rig, head, rng, size * rng.uniform(0.2, 0.4), rng.uniform(35, 62), rng.uniform(12, 35))
    if rng.random() < 0.5:
        tip = head.muzzle - 0.15 * size * UP
        rig.limb(
            "jaw",
            loft(
                [tip - 0.3 * size * FRONT, tip + 0.5 * size * FRONT, tip + size * FRONT - 0.2 * size * UP],
                [0.1 * size] * 3,
                [0.03 * size] * 3,
                sides=4,
            ),
            "pink",
            bones[0],
        )
    else:
        add_mouth(rig, head, rng, -20, 50)
    if raised and rng.random() < 0.5:
        hood = ellipsoid(body.at(0.14), (thick * rng.uniform(2.2, 3.2), 3.2 * thick, 0.45 * thick), rings=4)
        rig.add(hood, str(rng.choice(("main", "second", "third"))), bones[1])
    if rng.random() < 0.15:
        add_horns(rig, head, rng, str(rng.choice(("straight", "curved", "antennae"))), 1.2 * size)


def make_jellyfish(rig: Rig, rng: np.random.Generator) -> None:
    """Make a jellyfish or an octopus: a dome with a face, and arms below it."""
    coat = draw_coat(rng, rig.palette)
    root = rig.bone((0, 0.5, 0))
    head_bone = rig.bone((0, 0.5, 0), root)
    rig.limbs.append(Limb("neck", [head_bone]))
    wide, tall, octopus = rng.uniform(0.22, 0.36), rng.uniform(0.2, 0.45), rng.random() < 0.5
    brim = wide * (0.75 if octopus else rng.uniform(1.0, 1.25))
    dome = tube(
        [
            (0, 0.38, 0, 0.7 * brim),
            (0, 0.42, 0, brim),
            (0, 0.5 + 0.3 * tall, 0, wide),
            (0, 0.5 + tall, 0, 0.75 * wide),
        ],
        rings=7,
        sides=10,
        rounded=(0.05, 0.5),
        rng=rng if rng.random() < 0.3 else None,
    )
    rig.add(dome, coat.body(dome), head_bone)
    count = int(rng.integers(3, 5))
    long, thick = (
        rng.uniform(0.35, 0.8),
        wide * (rng.uniform(0.16, 0.26) if octopus else rng.uniform(0.06, 0.14)),
    )
    curl = rng.uniform(0.2, 1.2) if octopus else rng.uniform(0.0, 0.3)
    for k in range(count):
        angle = np.pi * (k + 0.5) / count
        out = np.array([np.sin(angle), 0, np.cos(angle)])
        start = 0.62 * brim * out + np.array([0, 0.42, 0])
        arm = tube(
            [
                (*start, thick),
                (*(start + 0.3 * long * out * curl - 0.4 * long * UP), 0.8 * thick),
                (*(start + 0.9 * long * out * curl - (0.75 if octopus else 1.0) * long * UP), 0.3 * thick),
            ],
            rings=6,
            sides=5,
            rounded=(0, 0.1),
        )
        rig.limb_pair(
            "tentacle", arm, coat.leg(arm), root, (0.0, 0.35, 0.65), (k / count, k / count + 0.3), soft=1.0
        )
    head = Head(dome, head_bone, np.array([0, 0.5 + 0.15 * tall, 0]), wide, np.array([0, 0.5, wide]))
    add_eyes(rig, head, rng, wide * rng.uniform(0.14, 0.26), rng.uniform(18, 35), rng.uniform(-5, 20))
    add_mouth(rig, head, rng, -18, rng.uniform(12, 25))
    if rng.random() < 0.15:
        start = np.array([0, 0.48 + tall, 0])
        rig.add(cone(start, start + 0.3 * UP, 0.12), "accent", head_bone)
