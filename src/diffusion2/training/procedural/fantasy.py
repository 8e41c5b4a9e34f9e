"""Ghosts, blobs, monsters, and plants with a face."""

from dataclasses import replace

import numpy as np

from diffusion2.training.procedural.faces import (
    Head,
    add_ears,
    add_eyes,
    add_horns,
    add_mouth,
    add_single_eye,
)
from diffusion2.training.procedural.limbs import add_wings
from diffusion2.training.procedural.outfits import add_hat, add_tool
from diffusion2.training.procedural.palette import draw_coat
from diffusion2.training.procedural.people import upright_bones
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


def make_ghost(rig: Rig) -> None:
    """Make a ghost: a cloth over nothing, with a wavy hem, or drawn out behind it."""
    if rig.chance(0.55):
        rig.palette.rgb[rig.palette.index("main")] = rig.between(0.9, 0.98)
    tall, wide = rig.between(0.7, 1.1), rig.between(0.24, 0.36)
    root, chest, bone = upright_bones(rig, 0.3 * tall, 0.5 * tall, 0.6 * tall)
    cloth = _make_cloth(rig, tall, wide)
    rig.add(cloth, "main", [root, chest, bone], (0.0, 0.4, 0.65), soft=1.0)
    head = Head(cloth, bone, 0.75 * tall * UP, wide)
    add_eyes(rig, head, wide * rig.between(0.13, 0.26), rig.between(18, 28), rig.between(-2, 14))
    add_mouth(rig, head, rig.between(-25, -14), rig.between(9, 22))
    place = surface(cloth, cloth.at(0.5), xyz(1.0, 0, 0.3)[None])[0][0]
    reach = wide * rig.between(0.5, 1.0)
    path = [place - 0.1 * RIGHT, place + reach * xyz(0.6, 0.1, 0.3), place + reach * xyz(0.9, -0.15, 0.6)]
    arm = tube(path, wide * np.array([0.3, 0.25, 0.16]), rings=5, sides=7, right=FRONT)
    hands = rig.limb_pair("arm", arm, "main", chest, spread=1.2)
    match rig.pick("hat horns tool none", 0.3, 0.12, 0.1, 0.48):
        case "hat":
            add_hat(rig, replace(head, size=0.75 * wide), rig.pick("cone top cap crown straw"))
        case "horns":
            add_horns(rig, head, "straight", 0.7 * wide)
        case "tool":
            add_tool(rig, hands[1], path[-1], 0.7 * tall)


def _make_cloth(rig: Rig, tall: float, wide: float) -> Shape:
    trailing, flare = rig.chance(0.35), rig.between(0.85, 1.3)
    back = rig.between(0.2, 0.5) if trailing else 0.0
    low, lower = (0.12, 0.75) if trailing else (flare, 0.5 * (1 + flare))
    path = [(0, 0, -back), (0, 0.25 * tall, -0.3 * back), (0, 0.65 * tall, 0), (0, tall, 0)]
    cloth = tube(path, wide * np.array([low, lower, 1.0, 0.75]), rings=9, sides=18, rounded=(0.0, 0.3))
    if trailing:
        return cloth
    vertices, waves = cloth.vertices.copy(), int(rig.rng.integers(4, 8))
    wave = np.exp(-vertices[:, 1] / (0.12 * tall)) * np.cos(
        waves * np.arctan2(np.abs(vertices[:, 0]), vertices[:, 2])
    )
    vertices[:, 1] += 0.08 * tall * wave
    vertices[:, [0, 2]] *= 1 + 0.12 * wave[:, None]
    return replace(cloth, vertices=vertices)


def make_blob(rig: Rig) -> None:
    """Make a slime, a ball with legs, or a one-eyed, horned or winged monster."""
    size, tall = 0.4, rig.between(0.65, 1.25)
    legs = rig.between(0.1, 0.25) if rig.chance(0.55) else 0.0
    root = rig.bone((0, legs, 0))
    bone = rig.bone((0, legs + 0.2, 0), root)
    rig.limbs.append(Limb("neck", [bone]))
    if rig.chance(0.5):
        path = [(0, legs + size * tall * rise, 0) for rise in (0, 0.4, 1.3, 1.9)]
        widths = size * np.array([rig.between(0.8, 1.2), rig.between(0.9, 1.05), 0.75, 0.4])
        body = tube(path, widths, rings=8, sides=12, rounded=(0.12, 0.35), rough=rig.rough)
    else:
        radii = size * np.array([1, tall, 0.9])
        body = ellipsoid(
            (0, legs + size * tall, 0), radii, rings=8, sides=12, roundness=rig.between(2.0, 3.5)
        )
    rig.add(body, "coat", bone)
    head = Head(body, bone, (legs + 0.9 * size * tall) * UP, size)
    if rig.chance(0.3):
        add_single_eye(rig, head, size * rig.between(0.3, 0.5), rig.between(10, 25))
    else:
        add_eyes(rig, head, size * rig.between(0.14, 0.28), rig.between(20, 32), rig.between(5, 28))
    add_mouth(rig, head, rig.between(-20, -8), rig.between(18, 38))
    match rig.pick("horns ears hat none", 0.3, 0.2, 0.1, 0.4):
        case "horns":
            add_horns(rig, head, rig.pick("straight curved antennae single"), 0.8 * size)
        case "ears":
            add_ears(rig, head, rig.pick("pointed round long floppy wide"), "main", 0.7 * size)
        case "hat":
            add_hat(rig, replace(head, size=0.5 * size), rig.pick("cone top crown straw"))
    _add_blob_limbs(rig, root, head, legs)


def _add_blob_limbs(rig: Rig, root: int, head: Head, legs: float) -> None:
    size = head.size
    if legs:
        thick, foot = size * rig.between(0.16, 0.28), xyz(0.52 * size, 0.06, 0)
        leg = loft([xyz(0.5 * size, legs + 0.12, 0), foot], [thick, 0.8 * thick], sides=6)
        ankles = rig.limb_pair("leg", leg, "limb", root)
        shoe = ellipsoid(foot + 0.4 * thick * FRONT, (thick, 0.06, 1.6 * thick))
        rig.add_pair(shoe, rig.pick("dark accent second"), ankles)
    if rig.chance(0.5):
        place, thick = head.on(84, -6)[0], size * rig.between(0.1, 0.2)
        end = place + size * rig.between(0.4, 1.0) * xyz(0.8, rig.between(-0.8, 0.3), 0.3)
        path = [place - 0.05 * RIGHT, 0.5 * (place + end) - 0.05 * UP, end]
        arm = tube(path, thick * np.array([1, 0.9, 1]), rings=5, sides=6, rounded=(0, 0.2), right=FRONT)
        hands = rig.limb_pair("arm", arm, "limb", head.bone, (0.0, 0.5), spread=1.2)
        if rig.chance(0.2):
            add_tool(rig, hands[1], end, 2 * size)
    if rig.chance(0.15):
        place, _ = head.on(122, 28)
        add_wings(rig, head.bone, place, rig.pick("bat feather membrane"), size * rig.between(0.9, 1.5))


def make_plant(rig: Rig) -> None:
    """Make a plant with a face: a flower, a cactus, a mushroom, a tree or a fruit, some in a pot."""
    kind, green = rig.pick("flower cactus mushroom tree fruit"), rig.pick("leaf main", 7, 3)
    tall = rig.between(0.3, 0.6)
    bones = upright_bones(rig, 0.05, 0.4 * tall, tall)
    root, chest, bone = bones
    if rig.chance(0.4):
        pot = loft(
            [(0, -0.25, 0), (0, 0.02, 0), (0, 0.025, 0), (0, 0.07, 0)], [0.14, 0.2, 0.23, 0.23], sides=10
        )
        rig.add(pot, rig.pick("accent wood accent2"), root)
    stem = {"flower": 0.045, "cactus": 0.2, "mushroom": 0.14, "tree": 0.11, "fruit": 0.06}[
        kind
    ] * rig.between(0.8, 1.3)
    thick = kind == "cactus"
    path = [(0, 0, 0), (0, 0.5 * tall, 0), (0, tall + (0.25 if thick else 0.05), 0)]
    trunk = tube(path, stem * np.array([1.15, 1.0, 0.9 if thick else 0.85]), rounded=(0, 0.3 if thick else 0))
    rig.add(
        trunk, {"mushroom": "bone", "tree": "wood"}.get(kind, green), list(bones), (0.0, 0.35, 0.8), soft=1.0
    )
    head = _add_top(rig, kind, Head(trunk, bone, tall * UP, 1.2 * stem), chest)
    eye = head.size * (0.24 if head.shape is trunk else 0.16) * rig.between(0.8, 1.3)
    add_eyes(rig, head, eye, rig.between(20, 32), rig.between(2, 16))
    add_mouth(rig, head, -20, rig.between(16, 28))
    wooden = kind in ("cactus", "tree")
    for height in rig.rng.uniform(0.2, 0.6, int(rig.rng.integers(1, 3))):
        start, long = xyz(0.7 * stem, height * tall, 0), rig.between(0.15, 0.3)
        if wooden:
            path = start + long * np.array([(0, 0, 0), (0.9, 0.1, 0), (1.1, 1.1, 0)])
            arm = tube(path, stem * np.array([0.45, 0.42, 0.3]), sides=6, rounded=(0, 0.3), right=FRONT)
        else:
            path = start + long * np.array([(0, 0, 0), (0.5, 0.4, 0.05), (1.0, 0.45, 0.1)])
            arm = loft(path, [0.02, 0.35 * long, 0], [0.02, 0.025, 0], sides=6, right=FRONT)
        rig.limb_pair(
            "arm", arm, "wood" if kind == "tree" else green, chest, (0.0, 0.5), (0.0, 0.3), spread=1.2
        )


def _add_top(rig: Rig, kind: str, stem: Head, chest: int) -> Head:
    """Add what a plant carries; tells where its face is."""
    top, bone = stem.center, stem.bone
    face = Head(stem.shape, chest, 0.55 * top, 1.2 * stem.size)
    match kind:
        case "flower":
            return _add_blossom(rig, top, bone)
        case "mushroom":
            size = rig.between(0.24, 0.36)
            path = top + np.outer(size * np.array([-0.06, 0, 0.4, 0.8]), UP)
            cap = tube(path, size * np.array([0.6, 1, 0.8, 0.35]), sides=12, rounded=(0.05, 0.5))
            rig.add(cap, draw_coat(rig.rng, rig.palette, ("accent", "white", "second")).body(cap), bone)
            return face
        case "tree":
            size, color = rig.between(0.22, 0.34), rig.pick("leaf main accent")
            if rig.chance(0.5):
                for k in range(3):
                    base = top + (0.5 * k - 0.1) * size * UP
                    rig.add(cone(base, base + size * UP, size * (1.2 - 0.25 * k), sides=8), color, bone)
            else:
                for x, y, z, radius in ((0, 0.6, 0, 0.9), (0.6, 0.35, 0.1, 0.6), (0.3, 1.1, -0.2, 0.6)):
                    crown = ellipsoid(top + size * xyz(x, y, z), radius * size, rings=5)
                    (rig.add_pair if x else rig.add)(crown, color, bone)
            return face
        case "fruit":
            size = rig.between(0.22, 0.3)
            center = top + 0.7 * size * UP
            tall = size * rig.between(0.75, 1.1)
            fruit = ellipsoid(center, (size, tall, size), rings=7, sides=12)
            rig.add(fruit, draw_coat(rig.rng, rig.palette, ("accent", "main", "second")).body(fruit), bone)
            peak = center + (tall - 0.12 * size) * UP
            rig.add(cone(peak, peak + 0.4 * size * UP, 0.08 * size, 0.06 * size), "wood", bone)
            path = peak + size * np.array([(0, 0.2, 0), (0.45, 0.4, 0), (0.8, 0.3, 0)])
            leaf = loft(path, [0.01, 0.2 * size, 0], [0.01, 0.03 * size, 0], sides=4, right=FRONT)
            rig.add_pair(leaf, "leaf", bone)
            return Head(fruit, bone, center, size)
    if rig.chance(0.5):
        rig.add(ellipsoid(stem.shape.spine[-1], (0.08, 0.06, 0.08), sides=6), "accent", bone)
    return stem


def _add_blossom(rig: Rig, top: np.ndarray, bone: int) -> Head:
    size = rig.between(0.13, 0.2)
    center = top + 0.6 * size * UP
    disc = ellipsoid(center, (size, size, 0.45 * size), rings=5, sides=12)
    rig.add(disc, rig.pick("gold main wood"), bone)
    count, long, color = int(rig.rng.integers(4, 8)), rig.between(0.7, 1.2), rig.pick("accent main white")
    for k in range(count):
        turn = np.pi * (k + 0.5) / count
        path = center + np.outer(
            size * np.array([0.7, 1 + 0.5 * long, 1 + long]), xyz(np.sin(turn), np.cos(turn), 0)
        )
        petal = loft(path, [0.03, 0.025, 0], [0.2 * size, 3 * size / count, 0], sides=6, right=FRONT)
        rig.add_pair(petal, color, bone)
    return Head(disc, bone, center, size)
