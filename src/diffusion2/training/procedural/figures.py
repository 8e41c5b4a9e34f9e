"""Creatures that are no animals: people, robots, ghosts, blobs, monsters and plants with a face."""

from dataclasses import replace

import numpy as np

from diffusion2.training.procedural.outfits import (
    HATS,
    add_belt,
    add_cape,
    add_hair,
    add_hat,
    add_shield,
    add_tool,
)
from diffusion2.training.procedural.palette import draw_coat
from diffusion2.training.procedural.parts import (
    Head,
    add_ears,
    add_eyes,
    add_horns,
    add_mouth,
    add_single_eye,
    add_wings,
    direction,
    fin_shape,
)
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    RIGHT,
    UP,
    Shape,
    box,
    cone,
    ellipsoid,
    loft,
    surface,
    tube,
)


def _upright(rig: Rig, hips: float, chest: float, neck: float) -> tuple[int, int, int]:
    """Make the bones of an upright body: hips, chest and head."""
    root = rig.bone((0, hips, 0))
    upper = rig.bone((0, chest, 0), root)
    head = rig.bone((0, neck, 0), upper)
    rig.limbs += [Limb("spine", [upper]), Limb("neck", [head])]
    return root, upper, head


def make_humanoid(rig: Rig, rng: np.random.Generator) -> None:
    """Make a person, a knight, a wizard, an elf, a zombie, or an animal that walks upright."""
    beast, robe = rng.random() < 0.22, rng.random() < 0.15
    legs, torso = rng.uniform(0.2, 0.5), rng.uniform(0.22, 0.36)
    skull = rng.uniform(0.09, 0.13) if rng.random() < 0.35 else rng.uniform(0.16, 0.27)
    wide = rng.uniform(0.11, 0.19) * (1.15 if skull > 0.2 else 1.0)
    deep = wide * rng.uniform(0.55, 0.9)
    neck = legs + torso
    root, chest, head_bone = _upright(rig, legs, legs + 0.45 * torso, neck)
    skin = "main" if beast else "skin"
    top = (
        str(rng.choice(("accent", "main", "steel", "second"), p=(0.4, 0.25, 0.15, 0.2)))
        if not beast or rng.random() < 0.5
        else "main"
    )
    bottom = (
        str(rng.choice(("accent2", "dark", "third", "main"), p=(0.4, 0.25, 0.2, 0.15)))
        if not beast or rng.random() < 0.3
        else "main"
    )
    coat = draw_coat(rng, rig.palette, (top, "second", "third"))
    waist = rng.uniform(0.75, 1.15)
    shape = tube(
        [
            (0, legs - 0.04, 0, 0.95 * wide, 0.95 * deep),
            (0, legs + 0.3 * torso, 0, waist * wide, waist * deep),
            (0, legs + 0.8 * torso, 0, 1.05 * wide, deep),
            (0, neck, 0, 0.5 * wide, 0.6 * deep),
        ],
        rings=7,
        sides=8,
        rounded=(0.1, 0.1),
        roundness=rng.uniform(2.0, 3.5),
    )
    rig.add(shape, coat.body(shape) if rng.random() < 0.4 else top, [root, chest], (0.0, 0.45), soft=0.8)
    center = np.array([0, neck + 0.85 * skull, 0.05 * skull])
    long = rng.uniform(0.9, 1.15)
    skull_shape = ellipsoid(
        center,
        (skull, long * skull, skull * rng.uniform(0.9, 1.1)),
        rings=7,
        sides=10,
        roundness=rng.uniform(2.0, 3.2),
    )
    head = Head(skull_shape, head_bone, center, skull, center + skull * FRONT)
    rig.add(skull_shape, skin, head_bone)
    rig.add(cone(np.array([0, neck - 0.05, 0]), center, 0.4 * skull, 0.4 * skull), skin, head_bone)
    _add_face(rig, head, rng, beast)
    _dress_head(rig, head, rng, beast)
    hands = _add_arms(
        rig, rng, chest, np.array([0.95 * wide, legs + 0.82 * torso, 0]), legs + torso, 0.3 * wide, top, skin
    )
    if robe:
        skirt = tube(
            [
                (0, 0.03, 0, wide * rng.uniform(1.3, 1.8), deep * rng.uniform(1.4, 2.0)),
                (0, 0.5 * legs, 0, 1.25 * wide, 1.3 * deep),
                (0, legs + 0.05, 0, wide, deep),
            ],
            rings=4,
            sides=10,
            rounded=(0, 0),
        )
        rig.add(skirt, top, root)
    thick = min(0.5 * wide, 0.16)
    leg_top = (0.52 * wide, legs + 0.02, 0.0)
    _add_human_legs(rig, root, rng, leg_top, legs, thick, bottom)
    _dress_body(rig, rng, (root, chest), (legs, torso, wide, deep), robe)
    _fill_hands(rig, rng, hands, legs + torso)


def _add_face(rig: Rig, head: Head, rng: np.random.Generator, beast: bool) -> None:
    size = head.size * rng.uniform(0.12, 0.26)
    add_eyes(rig, head, rng, size, rng.uniform(20, 30), rng.uniform(-5, 14))
    add_mouth(rig, head, rng, -25, rng.uniform(12, 26))
    if beast and rng.random() < 0.7:
        point, _ = head.on(0, -12)
        muzzle = ellipsoid(
            point, (0.45 * head.size, 0.32 * head.size, 0.5 * head.size * rng.uniform(0.6, 1.4)), rings=5
        )
        rig.add(muzzle, str(rng.choice(("main", "second"))), head.bone)
        tip = muzzle.spine[-1] + 0.1 * head.size * UP
        rig.add(
            ellipsoid(tip, (0.15 * head.size, 0.1 * head.size, 0.1 * head.size), rings=4, sides=6),
            "dark",
            head.bone,
        )
    elif rng.random() < 0.6:
        point, _ = head.on(0, -6)
        big = rng.uniform(0.09, 0.2) * head.size
        rig.add(
            ellipsoid(point, (0.8 * big, big, big * 1.2), rings=4, sides=6),
            "main" if beast else "skin",
            head.bone,
        )


def _dress_head(rig: Rig, head: Head, rng: np.random.Generator, beast: bool) -> None:
    """Give a head ears, hair, a hat or a helmet."""
    if beast:
        add_ears(
            rig,
            head,
            rng,
            str(rng.choice(("pointed", "round", "long", "floppy"))),
            "main",
            head.size * rng.uniform(0.6, 1.0),
        )
        if rng.random() < 0.25:
            add_horns(rig, head, rng, str(rng.choice(("straight", "curved"))), 0.8 * head.size)
        return
    draw = rng.random()
    if draw < 0.2:
        add_hat(rig, head, rng, "helmet")
    else:
        if draw < 0.85:
            add_hair(rig, head, rng)
        if draw > 0.62:
            add_hat(rig, head, rng, str(rng.choice(HATS)), str(rng.choice(("accent", "accent2", "main"))))
    point, _ = head.on(88, -5)
    ear = ellipsoid(point, (0.12 * head.size, 0.24 * head.size, 0.16 * head.size), rings=4, sides=6)
    rig.add_pair(ear, "skin", head.bone)


def _add_arms(
    rig: Rig,
    rng: np.random.Generator,
    chest: int,
    shoulder: np.ndarray,
    tall: float,
    thick: float,
    sleeve: str,
    skin: str,
) -> tuple[tuple[int, np.ndarray], tuple[int, np.ndarray]]:
    """Add arms that hang or stand off; tells bone and place of the left and of the right hand."""
    spread = np.deg2rad(rng.uniform(15, 85))
    long = tall * rng.uniform(0.42, 0.62)
    out = np.array([np.sin(spread), -np.cos(spread), 0.0])
    hand = shoulder + long * out + 0.04 * FRONT
    elbow = shoulder + 0.5 * long * out - 0.03 * FRONT
    arm = tube(
        [(*(shoulder - 0.3 * thick * RIGHT), 1.15 * thick), (*elbow, thick), (*hand, 0.75 * thick)],
        rings=6,
        sides=6,
        rounded=(0.15, 0),
        right=FRONT,
    )
    bare = rng.uniform(0.3, 1.2)
    paint = np.where(arm.u > bare, rig.palette.index(skin), rig.palette.index(sleeve))
    left, right = rig.limb_pair("arm", arm, paint, chest, (0.0, 0.5), (0.0, 0.5), soft=0.5)
    palm = ellipsoid(hand + 0.5 * thick * out, (0.95 * thick, 1.05 * thick, 0.95 * thick), rings=4, sides=7)
    bones = (left.bones[1], right.bones[1])
    rig.add_pair(palm, skin if rng.random() < 0.8 else "dark", bones)
    mirror = np.array([-1, 1, 1])
    return (bones[0], hand + 0.5 * thick * out), (bones[1], mirror * (hand + 0.5 * thick * out))


def _add_human_legs(
    rig: Rig,
    root: int,
    rng: np.random.Generator,
    hip: tuple[float, float, float],
    legs: float,
    thick: float,
    color: str,
) -> None:
    boots = rng.random() < 0.5
    thin = thick * rng.uniform(0.6, 0.95)
    x = hip[0] * rng.uniform(0.95, 1.15)
    leg = tube(
        [
            (*hip, thick, 1.1 * thick),
            (x, 0.5 * legs, 0.02, 0.5 * (thick + thin), 0.5 * (thick + thin)),
            (x, 0.4 * thin, 0, thin, thin),
        ],
        rings=6,
        sides=6,
        rounded=(0.1, 0),
    )
    shoe = str(rng.choice(("dark", "wood", "accent2", "steel")))
    paint = np.where(leg.u > (0.62 if boots else 2.0), rig.palette.index(shoe), rig.palette.index(color))
    left, right = rig.limb_pair("leg", leg, paint, root, (0.0, 0.5), (0.0, 0.5), soft=0.5)
    foot = ellipsoid(
        (x, 0.55 * thin, 0.55 * thin), (1.1 * thin, 0.6 * thin, 1.8 * thin), rings=5, sides=8, roundness=3.0
    )
    rig.add_pair(foot, shoe, (left.bones[1], right.bones[1]))


def _dress_body(
    rig: Rig,
    rng: np.random.Generator,
    bones: tuple[int, int],
    size: tuple[float, float, float, float],
    robe: bool,
) -> None:
    """Add a belt, a cape, shoulder pieces, a skirt, a backpack or a scarf."""
    legs, torso, wide, deep = size
    root, chest = bones
    if rng.random() < 0.4:
        add_belt(
            rig,
            root,
            np.array([0, legs + 0.12 * torso, 0]),
            wide,
            deep,
            str(rng.choice(("dark", "wood", "accent2"))),
        )
    if not robe and rng.random() < 0.2:
        skirt = loft(
            [(0, legs - rng.uniform(0.08, 0.16), 0), (0, legs + 0.08, 0)],
            [1.35 * wide, 0.98 * wide],
            [1.5 * deep, deep],
            sides=10,
        )
        rig.add(skirt, str(rng.choice(("accent", "accent2", "second"))), root)
    draw = rng.random()
    if draw < 0.25:
        add_cape(
            rig,
            chest,
            np.array([0, legs + 0.95 * torso, -0.9 * deep]),
            wide,
            rng.uniform(0.6, 1.0) * (legs + torso),
            rng,
        )
    elif draw < 0.4:
        pack = box(
            (0, legs + 0.55 * torso, -1.45 * deep), (0.75 * wide, 0.36 * torso, 0.5 * deep), bevel=0.25
        )
        rig.add(pack, str(rng.choice(("wood", "accent2", "leaf"))), chest)
    elif draw < 0.48:
        add_wings(
            rig,
            chest,
            np.array([0.25 * wide, legs + 0.75 * torso, -0.8 * deep]),
            rng,
            str(rng.choice(("feather", "bat", "membrane"))),
            rng.uniform(0.35, 0.6),
        )
    if rng.random() < 0.3:
        pad = ellipsoid((1.15 * wide, legs + 0.9 * torso, 0), (0.5 * wide, 0.35 * wide, 0.5 * wide), rings=5)
        rig.add_pair(pad, str(rng.choice(("steel", "gold", "accent2"))), chest)
    if rng.random() < 0.15:
        scarf = loft(
            [(0, legs + 0.9 * torso, 0), (0, legs + 1.08 * torso, 0)],
            [0.75 * wide, 0.6 * wide],
            [0.95 * deep, 0.8 * deep],
            sides=8,
        )
        rig.add(scarf, "accent2", chest)


def _fill_hands(
    rig: Rig,
    rng: np.random.Generator,
    hands: tuple[tuple[int, np.ndarray], tuple[int, np.ndarray]],
    tall: float,
) -> None:
    (left, left_place), (right, right_place) = hands
    if rng.random() < 0.45:
        add_tool(rig, right, right_place, rng, tall * rng.uniform(0.7, 1.1))
        if rng.random() < 0.5:
            add_shield(rig, left, left_place, rng, tall * rng.uniform(0.6, 1.0), 1)


def make_robot(rig: Rig, rng: np.random.Generator) -> None:
    """Make a robot: of boxes, balls and tubes, on legs, wheels, or in the air."""
    _robot_colors(rig, rng)
    stand = str(rng.choice(("legs", "wheels", "hover", "one"), p=(0.55, 0.2, 0.15, 0.1)))
    legs = rng.uniform(0.2, 0.45) if stand == "legs" else 0.18
    torso, wide = rng.uniform(0.22, 0.42), rng.uniform(0.14, 0.24)
    deep, neck = wide * rng.uniform(0.6, 1.0), legs + torso
    root, chest, head_bone = _upright(rig, legs, legs + 0.3 * torso, neck)
    middle = np.array([0, legs + 0.5 * torso, 0])
    if rng.random() < 0.6:
        trunk = box(middle, (wide, 0.5 * torso, deep), bevel=rng.uniform(0, 0.3), taper=rng.uniform(0.8, 1.3))
    else:
        trunk = tube(
            [
                (0, legs, 0, wide * rng.uniform(0.5, 1.0)),
                (0, legs + 0.6 * torso, 0, wide),
                (0, neck, 0, 0.7 * wide),
            ],
            rings=6,
            sides=10,
            rounded=(0.2, 0.3),
        )
    rig.add(trunk, "main", chest)
    panel, _ = surface(trunk, middle, direction(0, rng.uniform(-10, 20))[None])
    rig.add(
        box(panel[0], (0.55 * wide, 0.2 * torso, 0.03)), str(rng.choice(("second", "dark", "accent"))), chest
    )
    if rng.random() < 0.5:
        for x in (0.2, 0.5):
            rig.add_pair(
                ellipsoid(
                    panel[0] + np.array([x * 0.6 * wide, 0.08 * torso, 0.03]),
                    (0.04 * torso + 0.01,) * 3,
                    rings=3,
                    sides=6,
                ),
                "accent2",
                chest,
            )
    _add_robot_head(rig, rng, head_bone, neck, wide)
    _add_robot_arms(rig, rng, chest, np.array([wide, legs + 0.8 * torso, 0]), torso + legs)
    thin = wide * rng.uniform(0.2, 0.4)
    match stand:
        case "legs":
            x = 0.6 * wide
            joint = ellipsoid((x, legs, 0), (1.3 * thin,) * 3, rings=5)
            leg = loft(
                [(x, legs, 0), (x, 0.5 * legs, 0.02), (x, 0.05, 0)],
                [0.7 * thin, 0.9 * thin, 0.9 * thin],
                sides=int(rng.choice((4, 6, 8))),
            )
            left, right = rig.limb_pair(
                "leg", leg, str(rng.choice(("second", "steel", "main"))), root, (0.0, 0.5), soft=0.2
            )
            rig.add_pair(joint, "dark", root)
            rig.add_pair(
                box((x, 0.05, 0.4 * thin), (1.3 * thin, 0.05, 2 * thin), bevel=0.2),
                "third",
                (left.bones[1], right.bones[1]),
            )
        case "wheels":
            for z in (0.6 * deep, -0.6 * deep) if rng.random() < 0.6 else (0.0,):
                x = 0.8 * wide
                wheel = loft([(x, 0.13, z), (x + 0.09, 0.13, z)], [0.13, 0.13], sides=10, right=FRONT)
                rig.add_pair(wheel, "dark", root)
                rig.add_pair(
                    loft([(x + 0.08, 0.13, z), (x + 0.1, 0.13, z)], [0.06, 0.06], sides=8, right=FRONT),
                    "steel",
                    root,
                )
            rig.add(box((0, 0.16, 0), (0.8 * wide, 0.07, 0.9 * deep)), "second", root)
        case "hover":
            rig.add(loft([(0, 0.02, 0), (0, legs, 0)], [0.15 * wide, 0.7 * wide], sides=8), "second", root)
        case _:
            rig.add(
                cone(np.array([0, legs, 0]), np.array([0, 0.16, 0]), 0.3 * wide, 0.3 * wide), "steel", root
            )
            rig.add(
                loft([(-0.06, 0.15, 0), (0.06, 0.15, 0)], [0.15, 0.15], sides=12, right=FRONT), "dark", root
            )


def _robot_colors(rig: Rig, rng: np.random.Generator) -> None:
    """Let robots be white, grey or of a bright colour more often than furry ones are."""
    draw = rng.random()
    rgb = rig.palette.rgb
    if draw < 0.3:
        rgb[rig.palette.index("main")] = rng.uniform(0.88, 0.97)
    elif draw < 0.55:
        rgb[rig.palette.index("main")] = rng.uniform(0.4, 0.75) * np.array([0.97, 1.0, 1.03])
    if rng.random() < 0.6:
        rgb[rig.palette.index("second")] = rng.uniform(0.15, 0.7)


def _add_robot_head(rig: Rig, rng: np.random.Generator, bone: int, neck: float, wide: float) -> None:
    size = wide * rng.uniform(0.55, 1.05)
    center = np.array([0, neck + 0.95 * size, 0])
    rig.add(cone(np.array([0, neck - 0.04, 0]), center, 0.35 * size, 0.3 * size, sides=8), "dark", bone)
    kind = rng.choice(("box", "ball", "dome"), p=(0.5, 0.25, 0.25))
    if kind == "box":
        shape = box(
            center,
            (size * rng.uniform(0.9, 1.25), 0.75 * size, size * rng.uniform(0.7, 1.0)),
            bevel=rng.uniform(0, 0.35),
        )
    elif kind == "ball":
        shape = ellipsoid(center, (size, 0.9 * size, size), rings=7, sides=10)
    else:
        shape = tube(
            [
                (*(center - 0.7 * size * UP), 0.95 * size),
                (*center, size),
                (*(center + 0.8 * size * UP), 0.7 * size),
            ],
            rings=6,
            sides=10,
            rounded=(0, 0.5),
        )
    rig.add(shape, str(rng.choice(("main", "second"), p=(0.75, 0.25))), bone)
    head = Head(shape, bone, center, size, center + size * FRONT)
    draw = rng.random()
    if draw < 0.35:  # eyes that glow on a dark screen
        point, _ = head.on(0, 0)
        rig.add(box(point, (0.72 * size, 0.42 * size, 0.06 * size), bevel=0.25), "dark", bone)
        eye = box(
            point + 0.07 * size * FRONT + size * np.array([0.32, 0.05, 0]),
            (0.13 * size, 0.18 * size, 0.02),
            bevel=0.3,
        )
        rig.add_pair(eye, str(rng.choice(("iris", "eyewhite"))), bone)
        if rng.random() < 0.5:
            rig.add(
                box(point + size * np.array([0, -0.22, 0.07]), (0.25 * size, 0.03 * size, 0.02)),
                "eyewhite",
                bone,
            )
    elif draw < 0.55:
        add_single_eye(rig, head, size * rng.uniform(0.3, 0.5), rng.uniform(-5, 10), "iris")
    elif draw < 0.75:
        point, _ = head.on(25, 8)
        rig.add_pair(
            loft(
                [point - 0.1 * size * FRONT, point + 0.15 * size * FRONT], [0.28 * size, 0.24 * size], sides=8
            ),
            "dark",
            bone,
        )
        rig.add_pair(
            loft([point, point + 0.18 * size * FRONT], [0.17 * size, 0.15 * size], sides=8),
            str(rng.choice(("iris", "eyewhite"))),
            bone,
        )
    else:
        add_eyes(rig, head, rng, size * rng.uniform(0.18, 0.3), 25, 8)
        add_mouth(rig, head, rng, -22, 22)
    draw = rng.random()
    if draw < 0.35:
        top, _ = head.on(0, 90)
        rig.add(cone(top - 0.05 * UP, top + 0.5 * size * UP, 0.05 * size, 0.04 * size), "steel", bone)
        rig.add(ellipsoid(top + 0.55 * size * UP, (0.12 * size,) * 3, rings=4, sides=6), "accent", bone)
    elif draw < 0.6:
        side, _ = head.on(90, 0)
        rig.add_pair(
            loft(
                [side - 0.05 * size * RIGHT, side + 0.18 * size * RIGHT],
                [0.35 * size, 0.28 * size],
                sides=8,
                right=FRONT,
            ),
            "accent",
            bone,
        )
    elif draw < 0.75:
        add_horns(rig, head, rng, "antennae", 0.8 * size)


def _add_robot_arms(
    rig: Rig, rng: np.random.Generator, chest: int, shoulder: np.ndarray, tall: float
) -> None:
    thick, long = tall * rng.uniform(0.04, 0.08), tall * rng.uniform(0.4, 0.6)
    place = shoulder + 1.2 * thick * RIGHT
    spread = np.deg2rad(rng.uniform(5, 60))
    out = np.array([np.sin(spread), -np.cos(spread), 0.1])
    hand = place + long * out
    arm = loft(
        [place, place + 0.45 * long * out, place + 0.55 * long * out, hand],
        [0.7 * thick, 0.7 * thick, thick, thick],
        sides=int(rng.choice((4, 6, 8))),
        right=FRONT,
    )
    left, right = rig.limb_pair(
        "arm", arm, str(rng.choice(("main", "second", "steel"))), chest, (0.0, 0.5), soft=0.15
    )
    hands = (left.bones[1], right.bones[1])
    rig.add_pair(
        ellipsoid(place, (1.5 * thick,) * 3, rings=5), str(rng.choice(("second", "dark", "main"))), chest
    )
    draw = rng.random()
    if draw < 0.4:  # a gripper
        rig.add_pair(ellipsoid(hand, (1.2 * thick,) * 3, rings=4, sides=6), "dark", hands)
        for x in (0.9, -0.9):
            start = hand + x * thick * FRONT
            finger = loft(
                [
                    start,
                    start + thick * (1.4 * out + 0.4 * x * FRONT),
                    start + thick * (2.6 * out - 0.4 * x * FRONT),
                ],
                [0.4 * thick, 0.4 * thick, 0.2 * thick],
                sides=4,
                right=FRONT,
            )
            rig.add_pair(finger, "steel", hands)
    elif draw < 0.6:
        barrel = loft(
            [hand - 0.3 * thick * out, hand + 2.5 * thick * out],
            [1.3 * thick, 0.9 * thick],
            sides=8,
            right=FRONT,
        )
        rig.add_pair(barrel, "dark", hands)
    else:
        rig.add_pair(
            ellipsoid(hand + 0.5 * thick * out, (1.5 * thick,) * 3, rings=5),
            str(rng.choice(("second", "dark", "accent"))),
            hands,
        )
        if rng.random() < 0.3:
            add_tool(rig, right.bones[1], (hand + 0.5 * thick * out) * np.array([-1, 1, 1]), rng, 0.9 * tall)


def make_walker(rig: Rig, rng: np.random.Generator) -> None:
    """Make a machine: a body with an eye on three to six jointed legs, perhaps with a gun on top."""
    _robot_colors(rig, rng)
    size, high = rng.uniform(0.16, 0.26), rng.uniform(0.3, 0.55)
    root = rig.bone((0, high, 0))
    body_bone = rig.bone((0, high, 0), root)
    rig.limbs.append(Limb("neck", [body_bone]))
    center = np.array([0, high + 0.3 * size, 0])
    round_ = rng.random() < 0.5
    body: Shape = (
        ellipsoid(
            center, (size, size * rng.uniform(0.7, 1.0), size * rng.uniform(0.9, 1.3)), rings=7, sides=10
        )
        if round_
        else box(
            center,
            (size, 0.7 * size, size * rng.uniform(0.9, 1.4)),
            bevel=rng.uniform(0.1, 0.4),
            taper=rng.uniform(0.6, 1.0),
        )
    )
    coat = draw_coat(rng, rig.palette)
    rig.add(body, coat.body(body), body_bone)
    head = Head(body, body_bone, center, size, center + size * FRONT)
    if rng.random() < 0.6:
        add_single_eye(rig, head, size * rng.uniform(0.25, 0.5), rng.uniform(0, 15), "iris")
    else:
        add_eyes(rig, head, rng, size * rng.uniform(0.15, 0.25), rng.uniform(18, 35), rng.uniform(5, 20))
    pairs = int(rng.choice((1, 2, 3), p=(0.2, 0.5, 0.3)))
    thick, color = size * rng.uniform(0.1, 0.2), str(rng.choice(("second", "steel", "dark")))
    for k, turn in enumerate(np.linspace(0.8, -0.8, pairs) if pairs > 1 else [0.0]):
        out = np.array([np.cos(turn), 0, np.sin(turn)])
        hip = np.array([0, high, 0]) + 0.85 * size * out
        knee = hip + size * rng.uniform(0.6, 1.0) * out + rng.uniform(0.0, 0.5) * size * UP
        foot = hip + size * rng.uniform(0.5, 1.2) * out
        foot[1] = 0.03
        leg = loft(
            [hip, knee, 0.5 * (knee + foot), foot],
            [thick, 0.8 * thick, 1.1 * thick, 0.7 * thick],
            sides=6,
            right=np.cross(UP, out),
        )
        left, right = rig.limb_pair(
            "leg", leg, color, root, (0.0, 0.4), (0.5 * (k % 2), 0.5 * (k % 2) + 0.5), soft=0.15
        )
        rig.add_pair(
            ellipsoid(knee, (1.2 * thick,) * 3, rings=4, sides=6), "main", (left.bones[1], right.bones[1])
        )
        rig.add_pair(
            cone(foot + 0.05 * UP, foot - 0.03 * UP, thick, 1.6 * thick),
            "dark",
            (left.bones[1], right.bones[1]),
        )
    if rng.random() < 0.35:
        top = center + 0.8 * size * UP
        rig.add(box(top, (0.3 * size, 0.3 * size, 0.5 * size), bevel=0.2), "second", body_bone)
        for x in (0.0,) if rng.random() < 0.5 else (0.18,):
            barrel = cone(
                top + size * np.array([x, 0.1, 0.2]),
                top + size * np.array([x, 0.1, 1.5]),
                0.12 * size,
                0.1 * size,
            )
            (rig.add_pair if x else rig.add)(barrel, "dark", body_bone)
    elif rng.random() < 0.5:
        add_horns(rig, head, rng, "antennae", size)


def make_ghost(rig: Rig, rng: np.random.Generator) -> None:
    """Make a ghost: a cloth over nothing, with a wavy hem."""
    if rng.random() < 0.55:
        rig.palette.rgb[rig.palette.index("main")] = rng.uniform(0.9, 0.98)
    tall, wide = rng.uniform(0.7, 1.1), rng.uniform(0.24, 0.36)
    root, chest, head_bone = _upright(rig, 0.3 * tall, 0.5 * tall, 0.6 * tall)
    waves, sides = int(rng.integers(4, 8)), 20
    flare, tail = rng.uniform(0.85, 1.3), rng.uniform(-0.3, 0.3)
    trailing = rng.random() < 0.35  # its end is drawn out behind it
    end = 0.12 if trailing else flare
    back = rng.uniform(0.2, 0.5) if trailing else 0.0
    cloth = tube(
        [
            (0, 0.0, -back, end * wide),
            (0, 0.25 * tall, -0.3 * back, (0.75 if trailing else 0.5 * (1 + flare)) * wide),
            (0, 0.65 * tall, 0, wide),
            (0, tall, 0, 0.75 * wide),
        ],
        rings=9,
        sides=sides,
        rounded=(0.0, 0.3),
    )
    if not trailing:
        vertices = cloth.vertices.copy()
        low = np.exp(-vertices[:, 1] / (0.12 * tall))
        angle = np.arctan2(np.abs(vertices[:, 0]), vertices[:, 2])
        vertices[:, 1] += 0.08 * tall * low * np.cos(waves * angle)
        vertices[:, [0, 2]] *= (1 + 0.12 * low * np.cos(waves * angle + tail))[:, None]
        cloth = Shape(vertices, cloth.triangles, cloth.along, cloth.spine, cloth.u, cloth.v)
    rig.add(cloth, "main", [root, chest, head_bone], (0.0, 0.4, 0.65), soft=1.0)
    head = Head(cloth, head_bone, np.array([0, 0.75 * tall, 0]), wide, np.array([0, 0.7 * tall, wide]))
    add_eyes(rig, head, rng, wide * rng.uniform(0.13, 0.26), rng.uniform(18, 28), rng.uniform(-2, 14))
    add_mouth(rig, head, rng, rng.uniform(-25, -14), rng.uniform(9, 22))
    place, _ = surface(cloth, cloth.at(0.5), np.array([[1.0, 0, 0.3]]))
    reach = wide * rng.uniform(0.5, 1.0)
    arm = tube(
        [
            (*(place[0] - 0.1 * RIGHT), 0.3 * wide),
            (*(place[0] + reach * np.array([0.6, 0.1, 0.3])), 0.25 * wide),
            (*(place[0] + reach * np.array([0.9, -0.15, 0.6])), 0.16 * wide),
        ],
        rings=5,
        sides=7,
        right=FRONT,
    )
    hands = rig.limb_pair("arm", arm, "main", chest, (0.0,))
    if rng.random() < 0.3:
        add_hat(rig, head, rng, str(rng.choice(HATS)))
    elif rng.random() < 0.2:
        add_horns(rig, head, rng, "straight", 0.7 * wide)
    if rng.random() < 0.15:
        add_tool(rig, hands[1].bones[0], arm.spine[-1] * np.array([-1, 1, 1]), rng, 0.7 * tall)


def make_blob(rig: Rig, rng: np.random.Generator) -> None:
    """Make a slime, a ball with legs, a one-eyed or horned monster, or a skull."""
    coat = draw_coat(rng, rig.palette)
    size, tall = 0.4, rng.uniform(0.65, 1.25)
    legs = rng.uniform(0.1, 0.25) if rng.random() < 0.55 else 0.0
    root = rig.bone((0, legs, 0))
    bone = rig.bone((0, legs + 0.2, 0), root)
    rig.limbs.append(Limb("neck", [bone]))
    if rng.random() < 0.5:
        flare = rng.uniform(0.8, 1.2)
        body = tube(
            [
                (0, legs, 0, flare * size),
                (0, legs + 0.4 * size * tall, 0, size * rng.uniform(0.9, 1.05)),
                (0, legs + 1.3 * size * tall, 0, 0.75 * size),
                (0, legs + 1.9 * size * tall, 0, 0.4 * size),
            ],
            rings=8,
            sides=12,
            rounded=(0.12, 0.35),
            rng=rng if rng.random() < 0.4 else None,
        )
    else:
        body = ellipsoid(
            (0, legs + size * tall, 0),
            (size, size * tall, 0.9 * size),
            rings=8,
            sides=12,
            roundness=rng.uniform(2.0, 3.5),
        )
    middle = np.array([0, legs + 0.9 * size * tall, 0])
    rig.add(body, coat.body(body), bone)
    head = Head(body, bone, middle, size, middle + size * FRONT)
    if rng.random() < 0.3:
        add_single_eye(
            rig, head, size * rng.uniform(0.3, 0.5), rng.uniform(10, 25), str(rng.choice(("ball", "iris")))
        )
    else:
        add_eyes(rig, head, rng, size * rng.uniform(0.14, 0.28), rng.uniform(20, 32), rng.uniform(5, 28))
    add_mouth(rig, head, rng, rng.uniform(-20, -8), rng.uniform(18, 38))
    draw = rng.random()
    if draw < 0.3:
        add_horns(rig, head, rng, str(rng.choice(("straight", "curved", "antennae", "single"))), 0.8 * size)
    elif draw < 0.5:
        add_ears(
            rig,
            head,
            rng,
            str(rng.choice(("pointed", "round", "long", "floppy", "wide"))),
            "main",
            0.7 * size,
        )
    elif draw < 0.6:
        add_hat(rig, replace(head, size=0.5 * size), rng, str(rng.choice(HATS[:4])))
    if legs:
        thick = size * rng.uniform(0.16, 0.28)
        leg = loft([(0.5 * size, legs + 0.12, 0), (0.52 * size, 0.06, 0)], [thick, 0.8 * thick], sides=6)
        left, right = rig.limb_pair("leg", leg, coat.leg(leg), root, (0.0,))
        rig.add_pair(
            ellipsoid((0.52 * size, 0.06, 0.4 * thick), (thick, 0.06, 1.6 * thick), rings=4),
            str(rng.choice(("dark", "accent", "second"))),
            (left.bones[0], right.bones[0]),
        )
    if rng.random() < 0.5:
        place, _ = surface(body, middle, np.array([[1.0, -0.1, 0.1]]))
        reach, thick = size * rng.uniform(0.4, 1.0), size * rng.uniform(0.1, 0.2)
        end = place[0] + reach * np.array([0.8, rng.uniform(-0.8, 0.3), 0.3])
        arm = tube(
            [
                (*(place[0] - 0.05 * RIGHT), thick),
                (*(0.5 * (place[0] + end) - 0.05 * UP), 0.9 * thick),
                (*end, thick),
            ],
            rings=5,
            sides=6,
            rounded=(0, 0.2),
            right=FRONT,
        )
        arms = rig.limb_pair("arm", arm, coat.leg(arm), bone, (0.0, 0.5))
        if rng.random() < 0.2:
            add_tool(rig, arms[1].bones[1], end * np.array([-1, 1, 1]), rng, 2 * size)
    if rng.random() < 0.15:
        place, _ = surface(body, middle, np.array([[0.8, 0.5, -0.5]]))
        add_wings(
            rig,
            bone,
            place[0],
            rng,
            str(rng.choice(("bat", "feather", "membrane"))),
            size * rng.uniform(0.9, 1.5),
        )


def make_plant(rig: Rig, rng: np.random.Generator) -> None:
    """Make a plant with a face: a flower, a cactus, a mushroom, a tree, a fruit, in a pot or on roots."""
    kind = str(rng.choice(("flower", "cactus", "mushroom", "tree", "fruit")))
    greens = str(rng.choice(("leaf", "main"), p=(0.7, 0.3)))
    tall = rng.uniform(0.3, 0.6)
    root, chest, bone = _upright(rig, 0.05, 0.4 * tall, tall)
    if rng.random() < 0.4:
        pot = loft(
            [(0, -0.25, 0), (0, 0.02, 0), (0, 0.02, 0), (0, 0.07, 0)], [0.14, 0.2, 0.23, 0.23], sides=10
        )
        rig.add(pot, str(rng.choice(("accent", "wood", "accent2"))), root)
    stem = {"flower": 0.045, "cactus": 0.2, "mushroom": 0.14, "tree": 0.11, "fruit": 0.06}[
        kind
    ] * rng.uniform(0.8, 1.3)
    trunk = tube(
        [
            (0, 0, 0, 1.15 * stem),
            (0, 0.5 * tall, 0, stem),
            (0, tall + (0.25 if kind == "cactus" else 0.05), 0, (0.9 if kind == "cactus" else 0.85) * stem),
        ],
        rings=6,
        sides=8,
        rounded=(0, 0.3 if kind == "cactus" else 0),
    )
    color = {"mushroom": "bone", "tree": "wood"}.get(kind, greens)
    rig.add(trunk, color, [root, chest, bone], (0.0, 0.35, 0.8), soft=1.0)
    head = _add_plant_head(rig, rng, kind, bone, chest, tall, stem, trunk)
    eye = 0.24 if kind in ("cactus", "tree", "mushroom") else 0.16
    add_eyes(rig, head, rng, head.size * eye * rng.uniform(0.8, 1.3), rng.uniform(20, 32), rng.uniform(2, 16))
    add_mouth(rig, head, rng, -20, rng.uniform(16, 28))
    for height in rng.uniform(0.2, 0.6, rng.integers(1, 3)):
        start = np.array([0.7 * stem, height * tall, 0])
        long = rng.uniform(0.15, 0.3)
        if kind in ("cactus", "tree"):
            arm = tube(
                [
                    (*start, 0.45 * stem),
                    (*(start + long * np.array([0.9, 0.1, 0])), 0.42 * stem),
                    (*(start + long * np.array([1.1, 1.1, 0])), 0.3 * stem),
                ],
                rings=6,
                sides=6,
                rounded=(0, 0.3),
                right=FRONT,
            )
        else:
            tip = start + long * np.array([1.0, 0.45, 0.1])
            arm = fin_shape(
                np.array([start - 0.02 * FRONT, start + 0.02 * FRONT]),
                np.array([tip - 0.1 * long * FRONT, tip + 0.1 * long * FRONT]),
                0.025,
                3,
            )
            arm = loft(
                [start, 0.5 * (start + tip) + 0.05 * UP, tip],
                [0.02, 0.35 * long, 0.0],
                [0.02, 0.025, 0.0],
                sides=6,
                right=FRONT,
            )
        rig.limb_pair("arm", arm, greens if kind != "tree" else "wood", chest, (0.0, 0.5), (0.0, 0.3))


def _add_plant_head(
    rig: Rig,
    rng: np.random.Generator,
    kind: str,
    bone: int,
    chest: int,
    tall: float,
    stem: float,
    trunk: Shape,
) -> Head:
    top = np.array([0, tall, 0])
    match kind:
        case "flower":
            size = rng.uniform(0.13, 0.2)
            center = top + 0.6 * size * UP
            disc = ellipsoid(center, (size, size, 0.45 * size), rings=5, sides=12)
            rig.add(disc, str(rng.choice(("gold", "main", "wood"))), bone)
            count, long, color = (
                int(rng.integers(4, 8)),
                size * rng.uniform(0.7, 1.2),
                str(rng.choice(("accent", "main", "white"))),
            )
            for k in range(count):
                turn = np.pi * (k + 0.5) / count
                out = np.array([np.sin(turn), np.cos(turn), 0])
                petal = loft(
                    [
                        center + 0.7 * size * out,
                        center + (size + 0.5 * long) * out,
                        center + (size + long) * out,
                    ],
                    [0.03, 0.025, 0.0],
                    [0.2 * size, 3.0 * size / count, 0.0],
                    sides=6,
                    right=FRONT,
                )
                rig.add_pair(petal, color, bone)
            return Head(disc, bone, center, size, center + size * FRONT)
        case "mushroom":
            size = rng.uniform(0.24, 0.36)
            coat = draw_coat(rng, rig.palette, ("accent", "white", "second"))
            cap = tube(
                [
                    (0, tall - 0.02, 0, 0.6 * size),
                    (0, tall, 0, size),
                    (0, tall + 0.4 * size, 0, 0.8 * size),
                    (0, tall + 0.8 * size, 0, 0.35 * size),
                ],
                rings=6,
                sides=12,
                rounded=(0.05, 0.5),
            )
            rig.add(cap, coat.body(cap), bone)
            return Head(
                trunk, chest, np.array([0, 0.55 * tall, 0]), 1.4 * stem, np.array([0, 0.5 * tall, stem])
            )
        case "tree":
            size = rng.uniform(0.22, 0.34)
            color = str(rng.choice(("leaf", "main", "accent")))
            if rng.random() < 0.5:
                for k in range(3):
                    base = top + (0.5 * k - 0.1) * size * UP
                    rig.add(cone(base, base + size * UP, size * (1.2 - 0.25 * k), sides=8), color, bone)
            else:
                for x, y, z, r in ((0, 0.6, 0, 0.9), (0.6, 0.35, 0.1, 0.6), (0.3, 1.1, -0.2, 0.6)):
                    ball = ellipsoid(top + size * np.array([x, y, z]), (r * size,) * 3, rings=5, sides=8)
                    (rig.add_pair if x else rig.add)(ball, color, bone)
            return Head(
                trunk, chest, np.array([0, 0.55 * tall, 0]), 1.5 * stem, np.array([0, 0.5 * tall, stem])
            )
        case "fruit":
            size = rng.uniform(0.22, 0.3)
            center = top + 0.7 * size * UP
            fruit = ellipsoid(center, (size, size * rng.uniform(0.75, 1.1), size), rings=7, sides=12)
            coat = draw_coat(rng, rig.palette, ("accent", "main", "second"))
            rig.add(fruit, coat.body(fruit), bone)
            peak = center + 0.8 * size * UP
            rig.add(cone(peak, peak + 0.4 * size * UP, 0.08 * size, 0.06 * size), "wood", bone)
            leaf = loft(
                [
                    peak + 0.2 * size * UP,
                    peak + size * (0.45 * RIGHT + 0.4 * UP),
                    peak + size * (0.8 * RIGHT + 0.3 * UP),
                ],
                [0.01, 0.2 * size, 0.0],
                [0.01, 0.03 * size, 0.0],
                sides=4,
                right=FRONT,
            )
            rig.add_pair(leaf, "leaf", bone)
            return Head(fruit, bone, center, size, center + size * FRONT)
    if rng.random() < 0.5:
        bloom = ellipsoid(trunk.spine[-1], (0.08, 0.06, 0.08), rings=4, sides=6)
        rig.add(bloom, "accent", bone)
    return Head(trunk, bone, np.array([0, tall, 0]), 1.2 * stem, np.array([0, tall, stem]))
