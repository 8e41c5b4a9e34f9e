"""Robots, and machines that walk on jointed legs."""

import numpy as np

from diffusion2.training.procedural.faces import (
    Head,
    add_eyes,
    add_horns,
    add_mouth,
    add_single_eye,
    direction,
)
from diffusion2.training.procedural.outfits import add_tool
from diffusion2.training.procedural.people import upright_bones
from diffusion2.training.procedural.rays import surface
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    RIGHT,
    UP,
    box,
    cone,
    ellipsoid,
    loft,
    tube,
    xyz,
)


def _paint_metal(rig: Rig) -> None:
    """Make machines white or grey more often than what has fur."""
    rgb, main = rig.palette.rgb, rig.palette.index("main")
    match rig.pick("white grey drawn", 0.3, 0.25, 0.45):
        case "white":
            rgb[main] = rig.between(0.88, 0.97)
        case "grey":
            rgb[main] = rig.between(0.4, 0.75) * np.array([0.97, 1.0, 1.03])
    if rig.chance(0.6):
        rgb[rig.palette.index("second")] = rig.between(0.15, 0.7)


def make_robot(rig: Rig) -> None:
    """Make a robot: of boxes, balls and tubes, on legs, on wheels, or in the air."""
    _paint_metal(rig)
    stand = rig.pick("legs wheels hover single", 0.55, 0.2, 0.15, 0.1)
    legs = rig.between(0.2, 0.45) if stand == "legs" else 0.18
    torso, wide = rig.between(0.22, 0.42), rig.between(0.14, 0.24)
    deep, neck = wide * rig.between(0.6, 1.0), legs + torso
    root, chest, bone = upright_bones(rig, legs, legs + 0.3 * torso, neck)
    middle = (legs + 0.5 * torso) * UP
    if rig.chance(0.6):
        trunk = box(middle, (wide, 0.5 * torso, deep), rig.between(0, 0.3), rig.between(0.8, 1.3))
    else:
        widths = wide * np.array([rig.between(0.5, 1.0), 1.0, 0.7])
        path = [(0, legs, 0), (0, legs + 0.6 * torso, 0), (0, neck, 0)]
        trunk = tube(path, widths, sides=10, rounded=(0.2, 0.3))
    rig.add(trunk, "main", chest)
    panel = surface(trunk, middle, direction(0, rig.between(-10, 20))[None])[0][0]
    rig.add(box(panel, (0.55 * wide, 0.2 * torso, 0.03)), rig.pick("second dark accent"), chest)
    if rig.chance(0.5):
        for x in (0.12 * wide, 0.3 * wide):
            lamp = ellipsoid(panel + xyz(x, 0.08 * torso, 0.03), 0.04 * torso + 0.01, rings=3, sides=6)
            rig.add_pair(lamp, "accent2", chest)
    _add_head(rig, bone, neck, wide)
    shoulder = surface(trunk, (legs + 0.78 * torso) * UP, RIGHT[None])[0][0]
    _add_arms(rig, chest, shoulder, neck)
    _add_stand(rig, root, stand, legs, wide, deep)


def _add_stand(rig: Rig, root: int, stand: str, legs: float, wide: float, deep: float) -> None:
    """Add what a robot stands on."""

    def wheel(x: float, z: float, half: float, radius: float, color: str) -> None:
        path = [(x - half, 0.13, z), (x + half, 0.13, z)]
        shape = loft(path, [radius, radius], sides=10, right=FRONT)
        (rig.add_pair if x else rig.add)(shape, color, root)

    match stand:
        case "legs":
            thin, x = wide * rig.between(0.2, 0.4), 0.6 * wide
            sides, path = int(rig.pick("4 6 8")), [(x, legs, 0), (x, 0.5 * legs, 0.02), (x, 0.05, 0)]
            leg = loft(path, thin * np.array([0.7, 0.9, 0.9]), sides=sides)
            ankles = rig.limb_pair("leg", leg, rig.pick("second steel main"), root, (0.0, 0.5), soft=0.2)
            rig.add_pair(ellipsoid((x, legs, 0), 1.3 * thin, rings=5), "dark", root)
            rig.add_pair(box((x, 0.05, 0.4 * thin), (1.3 * thin, 0.05, 2 * thin), bevel=0.2), "third", ankles)
        case "wheels":
            for z in (0.6 * deep, -0.6 * deep) if rig.chance(0.6) else (0.0,):
                wheel(0.8 * wide + 0.045, z, 0.045, 0.13, "dark")
                wheel(0.8 * wide + 0.09, z, 0.01, 0.06, "steel")
            rig.add(box((0, 0.16, 0), (0.8 * wide, 0.07, 0.9 * deep)), "second", root)
        case "hover":
            rig.add(loft([(0, 0.02, 0), (0, legs, 0)], [0.15 * wide, 0.7 * wide]), "second", root)
        case _:
            rig.add(cone(legs * UP, 0.16 * UP, 0.3 * wide, 0.3 * wide), "steel", root)
            wheel(0.0, 0.0, 0.06, 0.15, "dark")


def _add_head(rig: Rig, bone: int, neck: float, wide: float) -> None:
    size = wide * rig.between(0.55, 1.05)
    center = xyz(0, neck + 0.95 * size, 0)
    rig.add(cone((neck - 0.04) * UP, center, 0.35 * size, 0.3 * size, sides=8), "dark", bone)
    match rig.pick("box ball dome", 2, 1, 1):
        case "box":
            halves = (size * rig.between(0.9, 1.25), 0.75 * size, size * rig.between(0.7, 1.0))
            shape = box(center, halves, bevel=rig.between(0, 0.35))
        case "ball":
            shape = ellipsoid(center, (size, 0.9 * size, size), rings=7, sides=10)
        case _:
            path = [center - 0.7 * size * UP, center, center + 0.8 * size * UP]
            shape = tube(path, size * np.array([0.95, 1.0, 0.7]), sides=10, rounded=(0, 0.5))
    rig.add(shape, rig.pick("main second", 3, 1), bone)
    head = Head(shape, bone, center, size)
    _add_robot_face(rig, head)
    match rig.pick("aerial ears antennae none", 0.35, 0.25, 0.15, 0.25):
        case "aerial":
            top, _ = head.on(0, 90)
            rig.add(cone(top - 0.05 * UP, top + 0.5 * size * UP, 0.05 * size, 0.04 * size), "steel", bone)
            rig.add(ellipsoid(top + 0.55 * size * UP, 0.12 * size, sides=6), "accent", bone)
        case "ears":
            path = head.on(90, 0)[0] + np.outer([-0.05 * size, 0.18 * size], RIGHT)
            rig.add_pair(loft(path, [0.35 * size, 0.28 * size], right=FRONT), "accent", bone)
        case "antennae":
            add_horns(rig, head, "antennae", 0.8 * size)


def _add_robot_face(rig: Rig, head: Head) -> None:
    size, bone = head.size, head.bone
    match rig.pick("screen single lenses toy", 0.35, 0.2, 0.2, 0.25):
        case "screen":
            point, _ = head.on(0, 0)
            rig.add(box(point, (0.72 * size, 0.42 * size, 0.06 * size), bevel=0.25), "dark", bone)
            eye = box(point + size * xyz(0.32, 0.05, 0.07), (0.13 * size, 0.18 * size, 0.02), bevel=0.3)
            rig.add_pair(eye, rig.pick("iris eyewhite"), bone)
            if rig.chance(0.5):
                rig.add(
                    box(point + size * xyz(0, -0.22, 0.07), (0.25 * size, 0.03 * size, 0.02)),
                    "eyewhite",
                    bone,
                )
        case "single":
            add_single_eye(rig, head, size * rig.between(0.3, 0.5), rig.between(-5, 10))
        case "lenses":
            point, _ = head.on(25, 8)
            path = point + np.outer([-0.1 * size, 0.15 * size], FRONT)
            rig.add_pair(loft(path, [0.28 * size, 0.24 * size]), "dark", bone)
            path = point + np.outer([0, 0.18 * size], FRONT)
            rig.add_pair(loft(path, [0.17 * size, 0.15 * size]), rig.pick("iris eyewhite"), bone)
        case _:
            add_eyes(rig, head, size * rig.between(0.18, 0.3), 25, 8)
            add_mouth(rig, head, -22, 22)


def _add_arms(rig: Rig, chest: int, shoulder: np.ndarray, tall: float) -> None:
    thick, long = tall * rig.between(0.04, 0.08), tall * rig.between(0.4, 0.6)
    place, spread = shoulder + 0.9 * thick * RIGHT, np.deg2rad(rig.between(5, 60))
    out = xyz(np.sin(spread), -np.cos(spread), 0.1)
    path = place + np.outer([0, 0.45 * long, 0.55 * long, long], out)
    arm = loft(path, thick * np.array([0.7, 0.7, 1, 1]), sides=int(rig.pick("4 6 8")), right=FRONT)
    color, hand = rig.pick("main second steel"), path[-1]
    hands = rig.limb_pair("arm", arm, color, chest, (0.0, 0.5), soft=0.15, spread=float(spread))
    rig.add_pair(ellipsoid(place, 1.5 * thick, rings=5), rig.pick("second dark main"), chest)
    match rig.pick("gripper barrel ball", 0.4, 0.2, 0.4):
        case "gripper":
            rig.add_pair(ellipsoid(hand, 1.2 * thick, sides=6), "dark", hands)
            for side in (FRONT, -FRONT):
                start = hand + 0.9 * thick * side
                path = [
                    start,
                    start + thick * (1.4 * out + 0.36 * side),
                    start + thick * (2.6 * out - 0.36 * side),
                ]
                rig.add_pair(
                    loft(path, thick * np.array([0.4, 0.4, 0.2]), sides=4, right=FRONT), "steel", hands
                )
        case "barrel":
            path = hand + np.outer([-0.3 * thick, 2.5 * thick], out)
            rig.add_pair(loft(path, [1.3 * thick, 0.9 * thick], right=FRONT), "dark", hands)
        case _:
            fist = hand + 0.5 * thick * out
            rig.add_pair(ellipsoid(fist, 1.5 * thick, rings=5), rig.pick("second dark accent"), hands)
            if rig.chance(0.3):
                add_tool(rig, hands[1], fist, 0.9 * tall)


def make_walker(rig: Rig) -> None:
    """Make a machine: a body with an eye or two on two to six jointed legs, perhaps with a gun on top."""
    _paint_metal(rig)
    size, high = rig.between(0.18, 0.28), rig.between(0.28, 0.5)
    root = rig.bone((0, high, 0))
    bone = rig.bone((0, high, 0), root)
    rig.limbs.append(Limb("neck", [bone]))
    center, long = (high + 0.3 * size) * UP, size * rig.between(0.9, 1.3)
    if rig.chance(0.5):
        body = ellipsoid(center, (size, size * rig.between(0.7, 1.0), long), rings=7, sides=10)
    else:
        body = box(center, (size, 0.7 * size, long), rig.between(0.1, 0.4), rig.between(0.6, 1.0))
    rig.add(body, "coat", bone)
    head = Head(body, bone, center, size)
    if rig.chance(0.6):
        add_single_eye(rig, head, size * rig.between(0.25, 0.5), rig.between(0, 15))
    else:
        add_eyes(rig, head, size * rig.between(0.15, 0.25), rig.between(18, 35), rig.between(5, 20))
    _add_jointed_legs(rig, root, size, high)
    if rig.chance(0.35):
        top, x = center + 0.8 * size * UP, 0.0 if rig.chance(0.5) else 0.18
        rig.add(box(top, (0.3 * size, 0.3 * size, 0.5 * size), bevel=0.2), "second", bone)
        start = top + size * xyz(x, 0.1, 0.2)
        barrel = cone(start, start + 1.3 * size * FRONT, 0.12 * size, 0.1 * size)
        (rig.add_pair if x else rig.add)(barrel, "dark", bone)
    elif rig.chance(0.5):
        add_horns(rig, head, "antennae", size)


def _add_jointed_legs(rig: Rig, root: int, size: float, high: float) -> None:
    pairs = int(rig.pick("1 2 3", 2, 5, 3))
    thick, color = size * rig.between(0.1, 0.22), rig.pick("second steel dark")
    knee_at, rise, reach = rig.between(0.4, 0.9), rig.between(0.0, 0.5), rig.between(0.5, 1.2)
    for k, turn in enumerate(np.linspace(0.8, -0.8, pairs) if pairs > 1 else [0.0]):
        out = xyz(np.cos(turn), 0, np.sin(turn))
        hip = high * UP + 0.85 * size * out
        knee, foot = (
            hip + size * (knee_at * out + rise * UP),
            (hip + size * reach * out) * xyz(1, 0, 1) + 0.03 * UP,
        )
        path, widths = [hip, knee, 0.5 * (knee + foot), foot], thick * np.array([1, 0.8, 1.1, 0.7])
        leg, phase = loft(path, widths, sides=6, right=np.cross(UP, out)), 0.5 * (k % 2)
        bones = rig.limb_pair("leg", leg, color, root, (0.0, 0.4), (phase, phase + 0.5), soft=0.15)
        rig.add_pair(ellipsoid(knee, 1.2 * thick, sides=6), "main", bones)
        rig.add_pair(cone(foot + 0.05 * UP, foot - 0.03 * UP, thick, 1.6 * thick), "dark", bones)
