"""Creatures that swim or crawl: fish, whales, snakes, jellyfish and octopuses."""

import numpy as np

from diffusion2.training.procedural.faces import Head, add_eyes, add_horns, add_mouth
from diffusion2.training.procedural.limbs import add_spikes, fin
from diffusion2.training.procedural.rays import surface
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    RIGHT,
    UP,
    Shape,
    cone,
    ellipsoid,
    loft,
    tube,
    xyz,
)

STARTS = (0.0, 0.38, 0.6, 0.8)


def _swimming_body(rig: Rig, shape: Shape, kind: str) -> list[int]:
    """Bind a body that begins at its nose to a head, a middle (the root) and two bones of a tail."""
    root = rig.bone(shape.at(0.38))
    head = rig.bone(shape.at(0.34), root)
    first = rig.bone(shape.at(0.6), root)
    bones = [head, root, first, rig.bone(shape.at(0.8), first)]
    rig.add(shape, "coat", bones, STARTS, soft=0.9)
    rig.limbs += [Limb("neck", [head]), Limb(kind, bones[2:])]
    return bones


def make_fish(rig: Rig) -> None:
    """Make a fish: deep, slender or round, with thin fins."""
    form = rig.pick("deep slender round common", 0.25, 0.22, 0.2, 0.33)
    tall, wide = {
        "deep": (0.34, 0.12),
        "slender": (0.15, 0.11),
        "round": (0.3, 0.27),
        "common": (0.24, 0.16),
    }[form]
    tall, wide = tall * rig.between(0.85, 1.2), wide * rig.between(0.8, 1.25)
    snout, peak, arch = rig.between(0.15, 0.65), rig.between(0.25, 0.5), rig.between(-0.06, 0.08)
    middles = [
        (0, -0.02, 0.5),
        (0, 0, 0.5 - 0.5 * peak),
        (0, arch, 0.5 - peak),
        (0, 0.5 * arch, -0.2),
        (0, 0, -0.5),
    ]
    widths, heights = np.array([0.8 * snout, 0.92, 1, 0.55, 0.16]), np.array([snout, 0.9, 1, 0.6, 0.2])
    body = tube(
        *(middles, wide * widths, tall * heights),
        rings=int(rig.rng.integers(8, 13)),
        sides=2 * int(rig.rng.integers(3, 6)),
        rounded=(0.12, 0.0),
        roundness=rig.between(1.6, 2.6),
        right=-RIGHT,
        rough=rig.rough,
    )
    bones = _swimming_body(rig, body, "wave")
    color, thin = rig.pick("second third main accent", 0.3, 0.4, 0.2, 0.1), rig.between(0.014, 0.03)
    _add_tail_fin(rig, body, bones[3], color, tall)
    high = tall * rig.between(0.3, 1.0)
    _add_ridge(rig, body, bones, (rig.between(0.25, 0.4), rig.between(0.6, 0.85)), high, thin, color, UP)
    if rig.chance(0.8):
        low = high * rig.between(0.4, 1.0)
        _add_ridge(rig, body, bones, (rig.between(0.55, 0.65), 0.85), low, thin, color, -UP)
    side = xyz(1.0, rig.between(-0.6, 0.1), 0.1)
    base = surface(body, body.at(0.4), side[None])[0] + [[-0.02, 0.05, 0.0], [-0.02, -0.05, 0.02]]
    out = xyz(0.7, rig.between(-0.6, 0.2), -1.0)
    edge = base + rig.between(0.14, 0.32) * out / np.linalg.norm(out) + [[0, 0.06, -0.02], [0, -0.08, 0.06]]
    rig.limb_pair("fin", fin(base, edge, thin, 3), color, bones[1], phases=(0.0, 0.0))
    size = (0.8 + tall) * (rig.between(0.03, 0.055) if form == "slender" else rig.between(0.05, 0.12))
    add_eyes(
        rig, Head(body, bones[0], body.at(0.16), 0.7 * tall), size, rig.between(58, 86), rig.between(8, 35)
    )
    add_mouth(rig, Head(body, bones[0], body.at(0.1), 0.6 * tall), rig.between(-35, -5), rig.between(35, 70))
    if rig.chance(0.12):
        add_spikes(rig, body, bones, STARTS, color, 0.3)
    if rig.chance(0.08):
        point = surface(body, body.at(0.2), UP[None])[0][0]
        path = [point, point + xyz(0, 0.25, 0.1), point + xyz(0, 0.2, 0.3)]
        lure = rig.limb("ear", tube(path, [0.012, 0.01, 0.008], sides=4, rounded=(0, 0)), "dark", bones[0])
        rig.add(ellipsoid(path[-1], 0.045, sides=6), "accent", lure.bones[0])


def _add_tail_fin(rig: Rig, body: Shape, bone: int, color: str, tall: float) -> None:
    """Add an upright tail fin: forked, fanned, or round."""
    start = body.spine[-1] + 0.05 * FRONT
    high, long = tall * rig.between(0.6, 1.5), rig.between(0.16, 0.34)
    fork = float(rig.pick("0.65 0.3 -0.25", 0.45, 0.25, 0.3))
    height = np.linspace(1, -1, 5)
    reach = long * (1 - fork * (1 - np.abs(height))) * (1 - 0.25 * (fork < 0) * np.abs(height))
    edge = start - np.outer(reach, FRONT) + np.outer(high * height, UP)
    rig.limb("fin", fin(start + np.outer(0.18 * tall * height, UP), edge, 0.03, 5), color, bone)


def _add_ridge(
    rig: Rig,
    body: Shape,
    bones: list[int],
    span: tuple[float, float],
    high: float,
    thin: float,
    color: str,
    up: np.ndarray,
) -> None:
    """Add a fin along the back or the belly, which bends with the body."""
    shares = np.linspace(*span, 5)
    base = np.stack([surface(body, body.at(s), up[None])[0][0] for s in shares]) - 0.015 * up
    peak = [0, rig.between(0.15, 0.5), 1]
    rise = high * np.interp(np.linspace(0, 1, 5), peak, [0.25, 1.0, rig.between(0.1, 0.8)])
    edge = base + np.outer(rise, up) - np.outer(rig.between(0.2, 0.9) * rise, FRONT)
    shape = fin(base, edge, thin, 5)
    # Its columns lie along the body: bind each to the bone that moves the body there.
    along = np.tile(shares, len(shape.vertices) // len(shares))
    rig.add(
        Shape(shape.vertices, shape.triangles, along, shape.spine, shape.u, shape.v),
        color,
        bones,
        STARTS,
        soft=0.9,
    )


def make_whale(rig: Rig) -> None:
    """Make a whale, a dolphin or a seal: level flukes, flippers, a blunt head or a beak."""
    girth, blunt, rise = rig.between(0.12, 0.26), rig.between(0.25, 0.85), rig.between(0.0, 0.12)
    middles = [(0, 0, 0.5), (0, 0.01, 0.28), (0, 0, 0), (0, 0.3 * rise, -0.3), (0, rise, -0.55)]
    body = tube(
        *(middles, girth * np.array([blunt, 1, 1, 0.5, 0.15]), girth * np.array([blunt, 0.95, 1, 0.5, 0.13])),
        rings=10,
        sides=2 * int(rig.rng.integers(4, 6)),
        rounded=(0.2 * blunt + 0.05, 0.0),
        right=-RIGHT,
        rough=rig.rough,
    )
    bones = _swimming_body(rig, body, "undulation")
    color = rig.pick("main second third", 0.6, 0.15, 0.25)
    start, share = body.spine[-1] + 0.04 * FRONT, np.linspace(0, 1, 4)
    span, chord = girth * rig.between(0.9, 1.5), girth * rig.between(0.6, 1.0)
    front = start + np.outer(span * share, RIGHT) - np.outer(chord * share**2, FRONT)
    back = start - 0.5 * chord * FRONT + np.outer(span * share, RIGHT) - np.outer(0.7 * chord * share, FRONT)
    rig.limb_pair("fluke", fin(back, front, 0.04), color, bones[3])
    base = surface(body, body.at(0.36), xyz(1.0, -0.5, 0.0)[None])[0] + [[-0.04, 0, -0.06], [-0.04, 0, 0.06]]
    edge = base + girth * rig.between(0.8, 1.8) * xyz(0.8, -0.45, -0.5) + [[0, 0, 0.02], [0, 0, -0.04]]
    rig.limb_pair("fin", fin(base, edge, 0.04, 3), color, bones[1], phases=(0.0, 0.0))
    if rig.chance(0.65):
        _add_ridge(rig, body, bones, (0.42, 0.58), girth * rig.between(0.4, 1.3), 0.035, color, UP)
    if rig.chance(0.4):
        path = [xyz(0, -0.25 * girth, 0.42), xyz(0, -0.35 * girth, rig.between(0.6, 0.72))]
        beak = tube(path, [0.5 * girth, 0.2 * girth], [0.35 * girth, 0.14 * girth], rings=4, rounded=(0, 0.3))
        rig.add(beak, "main", bones[0])
    head = Head(body, bones[0], body.at(0.2), girth)
    add_eyes(rig, head, girth * rig.between(0.1, 0.22), rig.between(60, 85), rig.between(-12, 15))
    add_mouth(rig, head, rig.between(-35, -15), rig.between(40, 65))
    if rig.chance(0.12):
        add_horns(rig, head, "single", 0.5)


def make_snake(rig: Rig) -> None:
    """Make a snake, a worm or a caterpillar: on the ground, or with its front raised."""
    count, thick = int(rig.rng.integers(6, 9)), rig.between(0.06, 0.13)
    raised, tall = rig.chance(0.6), rig.between(0.4, 0.8)
    flat = np.outer([0.7, 0.4, 0.1, -0.2, -0.5, -0.75, -1.0], FRONT) + thick * UP
    steep = [(0, tall, 0.1), (0, 0.75 * tall, 0), (0, 0.35 * tall, -0.12), (0, thick, 0.02), (0, thick, -0.3)]
    path = (
        np.array([*steep, (0, thick, -0.65), (0, 0.6 * thick, -rig.between(0.85, 1.3))]) if raised else flat
    )
    fat = thick * np.array([0.8, 0.95, 1.05, 1.1, 1.0, 0.8, 0.15])
    if rig.chance(0.25):
        fat[-2:] = thick
    body = tube(path, fat, rings=16, sides=6, rounded=(0, 0.06), right=-RIGHT)
    starts, middle = tuple(np.linspace(0, 1, count, endpoint=False)), count // 2
    bones = [rig.bone(body.at(starts[middle]))] * count
    for k in range(middle + 1, count):
        bones[k] = rig.bone(body.at(starts[k]), bones[k - 1])
    for k in range(middle - 1, -1, -1):  # the front bones turn about their rear ends
        bones[k] = rig.bone(body.at(starts[k + 1]), bones[k + 1])
    rig.add(body, "coat", bones, starts, soft=1.0)
    rig.limbs += [Limb("wave", bones[middle + 1 :]), Limb("neck", bones[:middle][::-1])]
    size = thick * rig.between(1.3, 2.0)
    center, low = path[0] + 0.3 * size * UP, rig.between(0.7, 1.0)
    path = center + size * np.array([(0, 0, -0.9), (0, 0, 0), (0, 0, 1), (0, -0.1, 1.7)])
    skull = tube(
        path,
        size * np.array([0.6, 1, 0.7, 0.45]),
        size * np.array([0.6, low, 0.55, 0.35]),
        rounded=(0.2, 0.2),
    )
    rig.add(skull, "main", bones[0])
    head = Head(skull, bones[0], center, size)
    add_eyes(rig, head, size * rig.between(0.2, 0.4), rig.between(35, 62), rig.between(12, 35))
    if rig.chance(0.5):
        path = path[-1] + size * np.array([(0, -0.15, -0.3), (0, -0.15, 0.5), (0, -0.35, 1.0)])
        rig.limb("jaw", loft(path, [0.1 * size] * 3, [0.03 * size] * 3, sides=4), "pink", bones[0])
    else:
        add_mouth(rig, head, -20, 50)
    if raised and rig.chance(0.5):
        hood = ellipsoid(body.at(0.14), (thick * rig.between(2.2, 3.2), 3.2 * thick, 0.45 * thick))
        rig.add(hood, rig.pick("main second third"), bones[1])
    if rig.chance(0.15):
        add_horns(rig, head, rig.pick("straight curved antennae"), 1.2 * size)


def make_jellyfish(rig: Rig) -> None:
    """Make a jellyfish or an octopus: a dome with a face, and arms below it."""
    root = rig.bone((0, 0.5, 0))
    bone = rig.bone((0, 0.5, 0), root)
    rig.limbs.append(Limb("neck", [bone]))
    wide, tall, octopus = rig.between(0.22, 0.36), rig.between(0.2, 0.45), rig.chance(0.5)
    brim = wide * (0.75 if octopus else rig.between(1.0, 1.25))
    middles = [(0, 0.38, 0), (0, 0.42, 0), (0, 0.5 + 0.3 * tall, 0), (0, 0.5 + tall, 0)]
    widths = [0.7 * brim, brim, wide, 0.75 * wide]
    dome = tube(middles, widths, rings=7, sides=10, rounded=(0.05, 0.5), rough=rig.rough)
    rig.add(dome, "coat", bone)
    count = int(rig.rng.integers(3, 5))
    long, curl = rig.between(0.35, 0.8), rig.between(0.2, 1.2) if octopus else rig.between(0.0, 0.3)
    thick = wide * (rig.between(0.16, 0.26) if octopus else rig.between(0.06, 0.14))
    for k in range(count):
        angle = np.pi * (k + 0.5) / count
        out, start = xyz(np.sin(angle), 0, np.cos(angle)), 0.42 * UP
        path = [
            start,
            start + long * (0.3 * curl * out - 0.4 * UP),
            start + long * (0.9 * curl * out - 0.9 * UP),
        ]
        arm = tube(
            np.stack(path) + 0.62 * brim * out, thick * np.array([1, 0.8, 0.3]), sides=5, rounded=(0, 0.1)
        )
        phases = (k / count, k / count + 0.3)
        rig.limb_pair("tentacle", arm, "limb", root, (0.0, 0.35, 0.65), phases, soft=1.0)
    head = Head(dome, bone, xyz(0, 0.5 + 0.15 * tall, 0), wide)
    add_eyes(rig, head, wide * rig.between(0.14, 0.26), rig.between(18, 35), rig.between(-5, 20))
    add_mouth(rig, head, -18, rig.between(12, 25))
    if rig.chance(0.15):
        top = xyz(0, 0.48 + tall, 0)
        rig.add(cone(top, top + 0.3 * UP, 0.12), "accent", bone)
