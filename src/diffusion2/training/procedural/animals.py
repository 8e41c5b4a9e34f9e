"""Creatures on legs: quadrupeds, two-legged dinosaurs, birds, insects and their like."""

import numpy as np

from diffusion2.training.procedural.palette import Coat, draw_coat
from diffusion2.training.procedural.parts import (
    Head,
    add_beak,
    add_ears,
    add_eyes,
    add_horns,
    add_leg,
    add_mouth,
    add_spikes,
    add_tail,
    add_wings,
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

# One row a build, in lengths of the body: legs, girth, neck and its pitch (deg), skull, snout; ears, horns,
# tail, feet.
QUADRUPEDS = {
    "horse": (
        (0.6, 0.85),
        (0.17, 0.21),
        (0.35, 0.5),
        (45, 65),
        (0.15, 0.19),
        (0.2, 0.3),
        "pointed",
        "single",
        "bushy",
        "hoof",
    ),
    "cow": (
        (0.4, 0.6),
        (0.22, 0.28),
        (0.15, 0.25),
        (10, 35),
        (0.16, 0.2),
        (0.18, 0.24),
        "wide",
        "curved",
        "tufted",
        "hoof",
    ),
    "dog": (
        (0.4, 0.65),
        (0.15, 0.2),
        (0.15, 0.28),
        (35, 60),
        (0.15, 0.2),
        (0.14, 0.25),
        "pointed",
        "",
        "bushy",
        "paw",
    ),
    "hound": (
        (0.4, 0.6),
        (0.15, 0.22),
        (0.15, 0.25),
        (35, 60),
        (0.16, 0.22),
        (0.16, 0.24),
        "floppy",
        "",
        "thin",
        "paw",
    ),
    "cat": (
        (0.35, 0.5),
        (0.13, 0.18),
        (0.1, 0.2),
        (35, 60),
        (0.17, 0.25),
        (0.06, 0.1),
        "pointed",
        "",
        "thin",
        "paw",
    ),
    "pig": (
        (0.2, 0.35),
        (0.24, 0.32),
        (0.08, 0.14),
        (0, 20),
        (0.19, 0.25),
        (0.12, 0.18),
        "pointed",
        "",
        "thin",
        "hoof",
    ),
    "bear": (
        (0.3, 0.42),
        (0.23, 0.3),
        (0.1, 0.18),
        (10, 35),
        (0.2, 0.26),
        (0.12, 0.18),
        "round",
        "",
        "short",
        "paw",
    ),
    "mouse": (
        (0.15, 0.25),
        (0.22, 0.3),
        (0.05, 0.1),
        (10, 35),
        (0.2, 0.3),
        (0.12, 0.2),
        "round",
        "",
        "thin",
        "paw",
    ),
    "rabbit": (
        (0.18, 0.32),
        (0.22, 0.3),
        (0.1, 0.16),
        (40, 60),
        (0.2, 0.3),
        (0.06, 0.12),
        "long",
        "",
        "short",
        "paw",
    ),
    "deer": (
        (0.6, 0.85),
        (0.14, 0.18),
        (0.3, 0.45),
        (50, 70),
        (0.14, 0.18),
        (0.14, 0.2),
        "pointed",
        "branched",
        "short",
        "hoof",
    ),
    "llama": (
        (0.55, 0.8),
        (0.17, 0.22),
        (0.45, 1.0),
        (65, 85),
        (0.13, 0.17),
        (0.12, 0.18),
        "pointed",
        "straight",
        "short",
        "hoof",
    ),
    "elephant": (
        (0.35, 0.5),
        (0.28, 0.34),
        (0.08, 0.14),
        (20, 35),
        (0.24, 0.3),
        (0.06, 0.1),
        "wide",
        "trunk",
        "thin",
        "round",
    ),
    "sheep": (
        (0.25, 0.4),
        (0.26, 0.34),
        (0.1, 0.18),
        (25, 45),
        (0.14, 0.18),
        (0.12, 0.16),
        "floppy",
        "curved",
        "short",
        "hoof",
    ),
    "lizard": (
        (0.12, 0.25),
        (0.12, 0.18),
        (0.1, 0.2),
        (5, 25),
        (0.13, 0.17),
        (0.15, 0.35),
        "",
        "straight",
        "thick",
        "claw",
    ),
    "sauropod": (
        (0.35, 0.5),
        (0.2, 0.27),
        (0.6, 1.1),
        (30, 70),
        (0.1, 0.14),
        (0.08, 0.14),
        "",
        "",
        "thick",
        "round",
    ),
    "turtle": (
        (0.1, 0.2),
        (0.15, 0.2),
        (0.15, 0.25),
        (20, 45),
        (0.14, 0.2),
        (0.06, 0.1),
        "",
        "shell",
        "thin",
        "round",
    ),
}


def make_quadruped(rig: Rig, rng: np.random.Generator) -> None:
    """Make a four-legged animal: a known build, or one that mixes two."""
    builds = list(QUADRUPEDS.values())
    first = rng.integers(len(builds))
    second = rng.integers(len(builds)) if rng.random() < 0.3 else first
    mixed = [builds[first if rng.random() < 0.6 else second][k] for k in range(10)]
    legs, girth, reach, pitch, skull, snout = (rng.uniform(*bounds) for bounds in mixed[:6])
    ears, horns, tail, feet = mixed[6:]
    if rng.random() < 0.3:  # a cub, or a toy: short legs, large head
        legs, skull, snout, reach = 0.6 * legs, 1.35 * skull, 0.9 * snout, 0.7 * reach
    coat = draw_coat(rng, rig.palette)
    wide, sag = girth * rng.uniform(0.65, 1.0), rng.uniform(-0.05, 0.03)
    high = legs + 0.75 * girth
    body = tube(
        [
            (0, high, -0.5, 0.75 * wide, 0.8 * girth),
            (0, high + 0.02, -0.3, wide, 0.95 * girth),
            (0, high + sag, 0.0, wide * rng.uniform(0.85, 1.15), girth * rng.uniform(0.85, 1.1)),
            (0, high, 0.3, 0.95 * wide, girth * rng.uniform(0.95, 1.15)),
            (0, high + 0.02, 0.5, 0.65 * wide, 0.75 * girth),
        ],
        rings=int(rng.integers(7, 12)),
        sides=int(rng.choice((6, 8, 10))),
        rounded=(0.22, 0.2),
        rng=rng if rng.random() < 0.5 else None,
        roundness=rng.uniform(1.8, 3.0),
    )
    root = rig.bone((0, high, -0.3))
    chest = rig.bone((0, high, 0.1), root)
    rig.add(body, coat.body(body), [root, chest], (0.0, 0.5), soft=1.0)
    rig.limbs.append(Limb("spine", [chest]))
    _add_four_legs(rig, coat, (root, chest), rng, (high, wide, girth), str(feet))
    head = _add_neck_and_head(
        rig, coat, chest, rng, np.array([0, high + 0.35 * girth, 0.36]), (reach, pitch, skull, snout, girth)
    )
    _add_features(rig, head, rng, str(ears), str(horns))
    start, _ = surface(body, body.at(0.1), np.array([[0, 0.5, -1.0]]))
    size = rng.uniform(0.4, 0.8) * (1.3 if tail == "thick" else 1.0)
    add_tail(rig, coat, root, start[0] + 0.05 * FRONT, rng, str(tail), size)
    _add_back(rig, body, (root, chest), rng, (high, wide, girth), horns == "shell")


def _add_four_legs(
    rig: Rig,
    coat: Coat,
    bones: tuple[int, int],
    rng: np.random.Generator,
    size: tuple[float, float, float],
    feet: str,
) -> None:
    high, wide, girth = size
    thick = min(girth * rng.uniform(0.36, 0.52), 0.62 * wide)
    thin = thick * (rng.uniform(0.7, 1.0) if feet == "round" else rng.uniform(0.42, 0.7))
    spread = wide * rng.uniform(0.55, 0.75)
    splay = 0.35 if feet == "claw" else rng.uniform(-0.02, 0.06)
    pace = (0.0, 0.5) if rng.random() < 0.6 else (0.0, 0.1)
    back = 0.25 if rng.random() < 0.7 else 0.5
    for bone, z, bend, shift in ((bones[1], 0.33, -0.06, 0.0), (bones[0], -0.36, 0.1, back)):
        hip = (spread, high - 0.25 * girth, z)
        foot = (spread + splay * high, 0.0, z + rng.uniform(-0.03, 0.03))
        phases = (pace[0] + shift, pace[1] + shift)
        grown = 1.2 if z < 0 else 1.0
        add_leg(rig, coat, bone, hip, foot, (grown * thick, thin), bend * rng.uniform(0.3, 1.6), phases, feet)


def _add_neck_and_head(
    rig: Rig,
    coat: Coat,
    chest: int,
    rng: np.random.Generator,
    start: np.ndarray,
    size: tuple[float, float, float, float, float],
) -> Head:
    """Add a neck and a head with a snout; sizes: reach, pitch (deg), skull, snout, the body's girth."""
    reach, pitch, skull, snout, girth = size
    pitch = np.deg2rad(pitch)
    end = start + (reach + 0.12) * np.array([0, np.sin(pitch), np.cos(pitch)])
    thick = 0.6 * skull
    neck = tube(
        [
            (*start, 0.55 * girth, 0.7 * girth),
            (
                *(0.5 * (start + end) - 0.04 * reach * UP),
                0.5 * (0.5 * girth + thick),
                0.55 * (0.5 * girth + thick),
            ),
            (*end, 0.85 * thick, thick),
        ],
        rings=5,
        sides=8,
        rounded=(0, 0.1),
    )
    bones = rig.limb(
        "neck", neck, coat.plain().body(neck), chest, (0.0, 0.5) if reach > 0.3 else (0.0,), soft=1.0
    ).bones
    bone = rig.bone(end, bones[-1])
    bones.append(bone)
    center = end + 0.25 * skull * FRONT
    droop = rng.uniform(0.0, 0.5)
    ahead = np.array([0, -np.sin(droop), np.cos(droop)])
    blunt = rng.uniform(0.35, 0.7)
    low = -0.22 * skull * UP
    tip = center + (0.75 * skull + snout) * ahead + low
    shape = tube(
        [
            (*(center - 0.95 * skull * FRONT), 0.5 * skull, 0.5 * skull),
            (*(center - 0.3 * skull * FRONT + 0.05 * UP * skull), 0.95 * skull, 0.95 * skull),
            (*(center + 0.35 * skull * ahead), 0.85 * skull, 0.85 * skull),
            (*(0.5 * (center + tip) + 0.3 * skull * ahead + 0.5 * low), 0.55 * skull, 0.52 * skull),
            (*tip, blunt * skull, 0.85 * blunt * skull),
        ],
        rings=9,
        sides=8,
        rounded=(0.2, 0.12),
        roundness=rng.uniform(1.9, 3.0),
    )
    paint = coat.body(shape)
    if rng.random() < 0.35:  # a muzzle of another colour
        paint = np.where(shape.u > 0.68, coat.colors[1], coat.colors[0])
    rig.add(shape, paint, bone)
    head = Head(shape, bone, center, skull, tip)
    if rng.random() < 0.75:
        nose = 0.35 * blunt * skull
        rig.add(
            ellipsoid(tip + 0.4 * blunt * skull * UP, (1.2 * nose, nose, 0.9 * nose), rings=4, sides=6),
            "dark" if rng.random() < 0.8 else "pink",
            bone,
        )
    if rng.random() < 0.35:
        _add_jaw(rig, head, blunt, snout)
    elif rng.random() < 0.6:
        add_mouth(rig, Head(shape, bone, tip - 0.3 * skull * FRONT, 0.6 * skull, tip), rng, -30, 55)
    if rng.random() < 0.25:
        _add_mane(rig, neck, bones, rng, skull)
    return head


def _add_jaw(rig: Rig, head: Head, blunt: float, snout: float) -> None:
    hinge = head.center + head.size * (0.35 * FRONT - 0.62 * UP)
    tip = head.muzzle - head.size * (0.75 * blunt * UP + 0.1 * FRONT)
    wide = 0.9 * blunt * head.size
    jaw = loft(
        [hinge, 0.5 * (hinge + tip), tip],
        [0.9 * wide, wide, 0.75 * wide],
        [0.2 * head.size, 0.2 * head.size, 0.12 * head.size],
        sides=6,
    )
    rig.limb("jaw", jaw, "second", head.bone)
    rig.add(
        loft(
            [hinge + 0.16 * head.size * UP, tip + 0.1 * head.size * UP - 0.2 * (tip - hinge)],
            [0.7 * wide, 0.6 * wide],
            [0.1 * head.size] * 2,
            sides=6,
        ),
        "mouth",
        rig.limbs[-1].bones[0],
    )


def _add_mane(rig: Rig, neck: Shape, bones: list[int], rng: np.random.Generator, skull: float) -> None:
    if rng.random() < 0.4:  # a lion's
        ruff = ellipsoid(neck.at(1.0), (1.75 * skull, 1.75 * skull, 0.8 * skull), rings=4, sides=10)
        rig.add(ruff, "third", bones[-1])
        return
    shares = np.linspace(0.1, 1.0, 4)
    base = np.stack([neck.at(s) for s in shares]) + 0.4 * skull * UP
    out = np.array([0, 0.7, -0.7])
    edge = base + out * skull * rng.uniform(0.5, 0.9)
    rig.add(fin_shape(base, edge, 0.22 * skull, 5), "third", bones[0])


def _add_features(rig: Rig, head: Head, rng: np.random.Generator, ears: str, horns: str) -> None:
    cute = rng.random() < 0.5
    size = head.size * (rng.uniform(0.22, 0.36) if cute else rng.uniform(0.13, 0.2))
    add_eyes(rig, head, rng, size, rng.uniform(38, 55) if cute else rng.uniform(50, 72), rng.uniform(12, 32))
    if ears:
        add_ears(
            rig,
            head,
            rng,
            ears,
            str(rng.choice(("main", "second", "third"), p=(0.7, 0.1, 0.2))),
            head.size * rng.uniform(0.7, 1.15),
        )
    if horns == "trunk":
        start = head.muzzle + 0.1 * head.size * UP
        trunk = tube(
            [
                (*start, 0.42 * head.size),
                (*(start + head.size * (0.7 * FRONT - 0.9 * UP)), 0.34 * head.size),
                (*(start + head.size * (0.6 * FRONT - 1.9 * UP)), 0.26 * head.size),
                (*(start + head.size * (1.1 * FRONT - rng.uniform(1.2, 2.4) * UP)), 0.2 * head.size),
            ],
            rings=8,
            sides=7,
            rounded=(0.1, 0),
        )
        rig.limb("trunk", trunk, "main", head.bone, (0.0, 0.35, 0.7), soft=1.0)
        if rng.random() < 0.6:
            tusk = head.muzzle + head.size * (0.4 * RIGHT - 0.2 * UP)
            rig.add_pair(
                cone(
                    tusk - 0.2 * head.size * FRONT,
                    tusk + head.size * (0.9 * FRONT - 0.1 * UP),
                    0.12 * head.size,
                ),
                "bone",
                head.bone,
            )
    elif horns in ("straight", "curved", "branched", "single") and rng.random() < (
        0.2 if horns == "single" else 0.7
    ):
        add_horns(rig, head, rng, horns, head.size * rng.uniform(0.6, 1.1))


def _add_back(
    rig: Rig,
    body: Shape,
    bones: tuple[int, int],
    rng: np.random.Generator,
    size: tuple[float, float, float],
    shell: bool,
) -> None:
    """Add what lies on a back: a shell, spikes, a saddle, or wings."""
    high, wide, girth = size
    if shell:
        dome = tube(
            [
                (0, high - 0.3 * girth, 0, 0.5, 0.52),
                (0, high, 0, 0.5, 0.55),
                (0, high + girth, 0, 0.42, 0.45),
                (0, high + 1.5 * girth, 0, 0.2, 0.25),
            ],
            rings=5,
            sides=10,
            rounded=(0.02, 0.4),
        )
        coat = draw_coat(rng, rig.palette, ("third", "second", "accent"))
        rig.add(dome, coat.body(dome), bones[0])
        return
    draw = rng.random()
    if draw < 0.1:
        add_spikes(
            rig,
            body,
            list(bones),
            (0.0, 0.5),
            rng,
            str(rng.choice(("second", "third", "accent"))),
            girth * rng.uniform(0.5, 1.1),
        )
    elif draw < 0.18:
        root, _ = surface(body, body.at(0.62), np.array([[0.7, 1.0, 0]]))
        add_wings(
            rig,
            bones[1],
            root[0] - 0.03 * UP,
            rng,
            str(rng.choice(("feather", "bat"))),
            rng.uniform(0.5, 0.9),
        )
    elif draw < 0.28:
        ring = loft(
            [(0, high, -0.14), (0, high, 0.14)],
            [1.08 * wide, 1.06 * wide],
            [1.12 * girth, 1.1 * girth],
            sides=10,
        )
        rig.add(ring, "accent", bones[0])
        rig.add(ellipsoid((0, high + 1.15 * girth, 0), (0.5 * wide, 0.07, 0.16), rings=4), "dark", bones[0])


def make_dinosaur(rig: Rig, rng: np.random.Generator) -> None:
    """Make an animal that leans forward on two legs, with a thick tail: a raptor, a kangaroo, a dragon."""
    coat = draw_coat(rng, rig.palette)
    legs, girth, lean = rng.uniform(0.35, 0.6), rng.uniform(0.15, 0.25), rng.uniform(0.15, 1.1)
    wide, high = girth * rng.uniform(0.7, 0.95), legs + 0.5 * girth
    ahead = np.array([0, np.sin(lean), np.cos(lean)])
    hips = np.array([0, high, 0.0])
    chest_at = hips + 0.45 * ahead
    long = rng.uniform(0.6, 1.1)
    tail_end = hips - long * FRONT + rng.uniform(-0.6, 0.25) * long * UP * 0.5
    tail_end[1] = max(tail_end[1], 0.06)
    middle = hips - 0.45 * long * FRONT + 0.3 * (tail_end - hips) * UP
    body = tube(
        [
            (*tail_end, 0.02, 0.02),
            (*middle, 0.4 * wide, 0.42 * girth),
            (*hips, wide, girth),
            (*(hips + 0.25 * ahead), wide, 1.02 * girth),
            (*chest_at, 0.72 * wide, 0.75 * girth),
        ],
        rings=11,
        sides=8,
        rounded=(0.0, 0.15),
        rng=rng if rng.random() < 0.4 else None,
    )
    root = rig.bone(hips)
    chest = rig.bone(hips + 0.2 * ahead, root)
    tail = [rig.bone(hips - 0.12 * FRONT, root)]
    tail.append(rig.bone(body.at(0.36), tail[0]))
    tail.append(rig.bone(body.at(0.18), tail[1]))
    starts = (0.0, 0.18, 0.36, 0.56, 0.78)
    bones = [tail[2], tail[1], tail[0], root, chest]
    rig.add(body, coat.body(body), bones, starts, soft=0.9)
    rig.limbs += [Limb("spine", [chest]), Limb("tail", tail)]
    thick = girth * rng.uniform(0.5, 0.68)
    add_leg(
        rig,
        coat,
        root,
        (0.72 * wide, high - 0.1 * girth, 0.0),
        (0.8 * wide, 0.0, 0.02),
        (thick, 0.3 * thick),
        rng.uniform(0.05, 0.2),
        (0.0, 0.5),
        str(rng.choice(("claw", "paw"), p=(0.7, 0.3))),
    )
    arm, _ = surface(body, body.at(0.85), np.array([[1.0, -0.3, 0.1]]))
    hand = arm[0] + rng.uniform(0.15, 0.3) * np.array([0.1, -0.8, 0.5])
    thin = 0.2 * girth
    upper = tube(
        [
            (*(arm[0] - 0.05 * RIGHT), 1.3 * thin),
            (*(0.5 * (arm[0] + hand) - 0.05 * FRONT), thin),
            (*hand, 0.8 * thin),
        ],
        rings=5,
        sides=6,
    )
    rig.limb_pair("arm", upper, coat.leg(upper), chest, (0.0, 0.5))
    pitch = rng.uniform(30, 80)
    size = (rng.uniform(0.08, 0.35), pitch, rng.uniform(0.12, 0.2), rng.uniform(0.12, 0.26), 0.8 * girth)
    head = _add_neck_and_head(rig, coat, chest, rng, chest_at + 0.2 * girth * UP, size)
    ears, horns = (
        ("long", "")
        if rng.random() < 0.15
        else ("", str(rng.choice(("straight", "curved", "single", ""), p=(0.2, 0.1, 0.1, 0.6))))
    )
    _add_features(rig, head, rng, ears, horns)
    if rng.random() < 0.35:
        add_spikes(
            rig,
            body,
            bones,
            starts,
            rng,
            str(rng.choice(("second", "third", "accent"))),
            girth * rng.uniform(0.4, 1.0),
        )
    if rng.random() < 0.18:
        root_at, _ = surface(body, body.at(0.82), np.array([[0.6, 1.0, -0.3]]))
        add_wings(rig, chest, root_at[0], rng, "bat", rng.uniform(0.5, 1.0))


def make_bird(rig: Rig, rng: np.random.Generator) -> None:
    """Make a bird: from penguins and owls to long-legged ones, with spread or folded wings."""
    coat = draw_coat(rng, rig.palette)
    tilt, long, girth = rng.uniform(0.1, 1.3), rng.uniform(0.5, 0.75), rng.uniform(0.16, 0.27)
    legs = rng.uniform(0.08, 0.25) if rng.random() < 0.75 else rng.uniform(0.4, 0.7)
    ahead = np.array([0, np.sin(tilt), np.cos(tilt)])
    center = np.array([0, legs + 0.9 * girth + 0.3 * long * np.sin(tilt), 0.0])
    back, front = center - 0.5 * long * ahead, center + 0.5 * long * ahead
    body = tube(
        [
            (*back, 0.25 * girth, 0.25 * girth),
            (*(center - 0.15 * long * ahead), girth, girth),
            (*(center + 0.2 * long * ahead), 0.95 * girth, girth),
            (*front, 0.55 * girth, 0.55 * girth),
        ],
        rings=8,
        sides=int(rng.choice((8, 10))),
        rounded=(0.15, 0.25),
    )
    root = rig.bone(center)
    rig.add(body, coat.body(body), root)
    reach, skull = (
        (rng.uniform(0.0, 0.08) if rng.random() < 0.7 else rng.uniform(0.2, 0.5)),
        girth * rng.uniform(0.5, 0.95),
    )
    end = front + (reach + 0.4 * skull) * np.array([0, 0.85, 0.5])
    thick = min(0.5 * girth, 0.7 * skull)
    neck = tube(
        [
            (*(front - 0.1 * ahead), 0.6 * girth),
            (*(0.5 * (front + end) + 0.12 * reach * FRONT), thick),
            (*end, 0.8 * thick),
        ],
        rings=5,
        sides=7,
        rounded=(0, 0.1),
    )
    bones = rig.limb(
        "neck", neck, coat.plain().body(neck), root, (0.0, 0.5) if reach > 0.15 else (0.0,), soft=1.0
    ).bones
    bone = rig.bone(end, bones[-1])
    bones.append(bone)
    skull_shape = ellipsoid(
        end + 0.15 * skull * FRONT,
        (skull, skull * rng.uniform(0.9, 1.1), skull * rng.uniform(0.95, 1.2)),
        rings=6,
        sides=8,
    )
    rig.add(
        skull_shape, coat.body(skull_shape) if rng.random() < 0.5 else coat.plain().body(skull_shape), bone
    )
    head = Head(skull_shape, bone, end + 0.15 * skull * FRONT, skull, end + skull * FRONT)
    add_beak(rig, head, rng, skull * rng.uniform(0.5, 1.6), skull * rng.uniform(0.22, 0.4))
    owl = rng.random() < 0.3
    add_eyes(
        rig,
        head,
        rng,
        skull * (rng.uniform(0.25, 0.4) if owl else rng.uniform(0.14, 0.26)),
        32 if owl else rng.uniform(45, 70),
        rng.uniform(15, 30),
    )
    if rng.random() < 0.3:
        crest, color = head.on(0, 80)[0], str(rng.choice(("third", "accent")))
        for k in range(3):
            start = crest - (0.25 * k - 0.1) * skull * FRONT
            rig.add(
                cone(
                    start - 0.2 * skull * UP,
                    start + skull * (rng.uniform(0.4, 0.8) * UP - 0.4 * FRONT),
                    0.14 * skull,
                    0.03 * skull,
                    sides=4,
                ),
                color,
                bone,
            )
    thin = rng.uniform(0.018, 0.035)
    hip = (0.45 * girth, legs + 0.6 * girth, center[2] + 0.0)
    add_leg(
        rig,
        coat,
        root,
        hip,
        (0.45 * girth, 0.0, center[2] + 0.05),
        (1.6 * thin, thin),
        rng.uniform(-0.12, 0.0),
        (0.0, 0.5),
        "claw",
        color="beak",
    )
    if rng.random() < 0.5:
        place, _ = surface(body, body.at(0.62), np.array([[1.0, 0.35, 0]]))
        add_wings(rig, root, place[0] - 0.03 * RIGHT, rng, "feather", rng.uniform(0.45, 0.9))
    else:
        _add_folded_wings(rig, body, root, rng, long, girth)
    share = np.linspace(-1, 1, 4)[:, None]
    width, spread = 0.3 * girth, girth * rng.uniform(0.4, 1.2)
    fan = back - rng.uniform(0.15, 0.4) * (ahead - 0.3 * UP) + share * spread * RIGHT
    tail = fin_shape(back + 0.08 * ahead + share * width * RIGHT, fan, 0.03, 4)
    rig.limb("tail", tail, str(rng.choice(("main", "third", "second"))), root)


def _add_folded_wings(
    rig: Rig, body: Shape, root: int, rng: np.random.Generator, long: float, girth: float
) -> None:
    shoulder, _ = surface(body, body.at(0.72), np.array([[1.0, 0.3, 0.0]]))
    tip, _ = surface(body, body.at(0.15), np.array([[1.0, 0.35, 0.0]]))
    end = tip[0] - 0.1 * long * FRONT + 0.03 * RIGHT
    middle = 0.5 * (shoulder[0] + end) + 0.22 * girth * RIGHT
    wing = tube(
        [
            (*shoulder[0], 0.06 * girth, 0.3 * girth),
            (*middle, 0.1 * girth, 0.5 * girth),
            (*end, 0.03 * girth, 0.08 * girth),
        ],
        rings=6,
        sides=6,
        rounded=(0.3, 0.1),
    )
    rig.limb_pair("wing", wing, str(rng.choice(("main", "third", "second"))), root, phases=(0.0, 0.0))


def make_insect(rig: Rig, rng: np.random.Generator) -> None:
    """Make an insect, a spider or a crab: up to three parts, six or eight legs, perhaps wings or claws."""
    coat = draw_coat(rng, rig.palette)
    form = str(rng.choice(("bee", "beetle", "ant", "spider", "crab"), p=(0.28, 0.2, 0.14, 0.2, 0.18)))
    legs = rng.uniform(0.15, 0.4)
    chest_r = {"bee": 0.15, "beetle": 0.13, "ant": 0.1, "spider": 0.14, "crab": 0.2}[form] * rng.uniform(
        0.85, 1.2
    )
    wide = 1.7 if form == "crab" else 1.0
    high = legs + 0.5 * chest_r
    root = rig.bone((0, high, 0))
    chest = ellipsoid(
        (0, high, 0),
        (wide * chest_r, chest_r * (0.7 if form == "crab" else 0.9), chest_r * 1.15),
        rings=6,
        sides=8,
    )
    rig.add(chest, coat.body(chest), root)
    if form != "crab":
        size = rng.uniform(0.14, 0.26)
        lift = rng.uniform(-0.1, 0.25)
        middle = np.array([0, high + lift * size, -chest_r - 0.75 * size * rng.uniform(1.0, 1.4)])
        long = size * rng.uniform(1.2, 1.7)
        abdomen = tube(
            [
                (*(middle + long * FRONT), 0.35 * size),
                (*(middle + 0.4 * long * FRONT), 0.95 * size),
                (*(middle - 0.3 * long * FRONT), size),
                (*(middle - long * FRONT - 0.1 * UP), 0.35 * size),
            ],
            rings=9,
            sides=8,
            rounded=(0.2, 0.2),
        )
        limb = rig.limb("tail", abdomen, coat.body(abdomen), root, (0.0,))
        if form == "bee":
            rig.add(cone(abdomen.spine[-1], abdomen.spine[-1] - 0.14 * FRONT, 0.04), "dark", limb.bones[0])
        if form == "beetle":
            for half in (1, -1):
                case = ellipsoid(
                    middle + 0.12 * size * UP + 0.2 * half * size * RIGHT,
                    (0.92 * size, size, 1.02 * long),
                    rings=6,
                    sides=8,
                )
                rig.add(case, coat.body(case), limb.bones[0])
    skull = chest_r * rng.uniform(0.6, 1.15)
    if form == "crab":
        head = Head(chest, root, np.array([0, high, 0.0]), chest_r, np.array([0, high, chest_r]))
    else:
        place = np.array([0, high + 0.15 * chest_r, chest_r + 0.6 * skull])
        bone = rig.bone((0, high, 0.8 * chest_r), root)
        rig.limbs.append(Limb("neck", [bone]))
        shape = ellipsoid(place, (skull, 0.9 * skull, 0.9 * skull), rings=5, sides=8)
        rig.add(shape, coat.plain().body(shape), bone)
        head = Head(shape, bone, place, skull, place + skull * FRONT)
    _add_insect_face(rig, head, rng, form, skull)
    pairs = 4 if form in ("spider", "crab") else 3
    _add_insect_legs(rig, root, rng, pairs, (high, legs, wide * chest_r, chest_r), form)
    if form == "bee" or (form == "beetle" and rng.random() < 0.3):
        start = np.array([0.5 * chest_r, high + 0.8 * chest_r, -0.1 * chest_r])
        add_wings(rig, root, start, rng, "membrane", rng.uniform(0.3, 0.55))
    if form == "crab":
        _add_claws(rig, root, rng, high, wide * chest_r, chest_r)


def _add_insect_face(rig: Rig, head: Head, rng: np.random.Generator, form: str, skull: float) -> None:
    if form == "crab":
        point, _ = head.on(28, 45)
        stalk = point + 0.1 * UP
        rig.add_pair(cone(point - 0.03 * UP, stalk, 0.022, 0.018), "main", head.bone)
        ball = ellipsoid(stalk, (0.05, 0.05, 0.05), rings=4)
        rig.add_pair(ball, "eyewhite", head.bone)
        rig.add_pair(ellipsoid(stalk + 0.03 * FRONT, (0.03, 0.03, 0.03), rings=4), "pupil", head.bone)
        add_mouth(rig, head, rng, -10, 25)
        return
    add_eyes(rig, head, rng, skull * rng.uniform(0.28, 0.5), rng.uniform(38, 65), rng.uniform(8, 30))
    if form != "spider":
        add_horns(rig, head, rng, "antennae", skull * rng.uniform(0.8, 1.5))
    if rng.random() < 0.4:
        add_mouth(rig, head, rng, -25, 28)
    elif rng.random() < 0.6:
        point, _ = head.on(25, -30)
        rig.add_pair(
            cone(
                point - 0.1 * skull * FRONT, point + 0.4 * skull * np.array([-0.3, -0.4, 1.0]), 0.13 * skull
            ),
            "dark",
            head.bone,
        )


def _add_insect_legs(
    rig: Rig,
    root: int,
    rng: np.random.Generator,
    pairs: int,
    size: tuple[float, float, float, float],
    form: str,
) -> None:
    high, legs, wide, chest = size
    reach, thin = legs * rng.uniform(0.9, 1.6), rng.uniform(0.014, 0.03)
    arch = rng.uniform(0.2, 0.7) * legs
    color = str(rng.choice(("dark", "main", "third"), p=(0.5, 0.3, 0.2)))
    for k, turn in enumerate(np.linspace(0.75, -0.75, pairs)):
        out = np.array([np.cos(turn), 0, np.sin(turn)])
        hip = np.array([0.6 * wide * np.cos(turn), high - 0.25 * chest, 0.9 * chest * np.sin(turn)])
        knee = hip + (0.45 * reach + 0.3 * wide) * out + arch * UP
        foot = hip + (reach + 0.3 * wide) * out
        foot[1] = 0.0
        leg = loft([hip, knee, foot], [1.3 * thin, thin, 0.6 * thin], sides=5, right=UP)
        phase = 0.5 * (k % 2)
        rig.limb_pair("leg", leg, color, root, (0.0, 0.45), (phase, phase + 0.5), soft=0.3)


def _add_claws(rig: Rig, root: int, rng: np.random.Generator, high: float, wide: float, chest: float) -> None:
    size = rng.uniform(0.09, 0.15)
    start, elbow = (
        np.array([0.8 * wide, high, 0.5 * chest]),
        np.array([1.25 * wide, high + 0.02, 0.9 * chest]),
    )
    wrist = np.array([0.95 * wide, high + 0.08, 1.5 * chest])
    arm = tube([(*start, 0.035), (*elbow, 0.04), (*wrist, 0.03)], rings=5, sides=6, rounded=(0, 0), right=UP)
    left, right = rig.limb_pair("arm", arm, "main", root, (0.0, 0.5))
    hands = (left.bones[1], right.bones[1])
    palm = ellipsoid(wrist + 0.4 * size * FRONT, (0.6 * size, 0.55 * size, 0.8 * size), rings=5)
    rig.add_pair(palm, "main", hands)
    for x, thick in ((0.35, 0.3), (-0.35, 0.22)):
        base = wrist + size * np.array([0.8 * x, 0, 0.9])
        rig.add_pair(
            loft(
                [base, base + size * np.array([0.6 * x, 0, 0.5]), base + size * np.array([-0.2 * x, 0, 1.1])],
                [thick * size, 0.8 * thick * size, 0.0],
                [thick * size, 0.8 * thick * size, 0.0],
                sides=5,
            ),
            str(rng.choice(("main", "second"))),
            hands,
        )
