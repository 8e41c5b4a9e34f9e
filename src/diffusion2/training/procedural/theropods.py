"""Animals on two legs: dinosaurs that lean forward, and birds."""

import numpy as np

from diffusion2.training.procedural.faces import Head, add_beak, add_eyes
from diffusion2.training.procedural.limbs import Leg, add_legs, add_spikes, add_wings, fin
from diffusion2.training.procedural.quadrupeds import Neck, add_features, add_neck_and_head
from diffusion2.training.procedural.rays import surface
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import FRONT, RIGHT, UP, Shape, cone, ellipsoid, tube, xyz


def make_dinosaur(rig: Rig) -> None:
    """Make an animal that leans forward on two legs, with a thick tail: a raptor, a kangaroo, a dragon."""
    legs, girth, lean = rig.between(0.35, 0.6), rig.between(0.15, 0.25), rig.between(0.15, 1.1)
    wide, high = girth * rig.between(0.7, 0.95), legs + 0.5 * girth
    ahead, hips, long = xyz(0, np.sin(lean), np.cos(lean)), xyz(0, high, 0), rig.between(0.6, 1.1)
    end = hips - long * FRONT + 0.5 * long * rig.between(-0.6, 0.25) * UP
    end[1] = max(end[1], 0.06)
    middle = hips - 0.45 * long * FRONT + 0.3 * (end - hips) * UP
    path = [end, middle, hips, hips + 0.25 * ahead, hips + 0.45 * ahead]
    widths, heights = wide * np.array([0.1, 0.4, 1, 1, 0.72]), girth * np.array([0.1, 0.42, 1, 1.02, 0.75])
    body = tube(path, widths, heights, rings=11, rounded=(0.0, 0.15), rough=rig.rough)
    root = rig.bone(hips)
    chest = rig.bone(hips + 0.2 * ahead, root)
    tail = [rig.bone(hips - 0.12 * FRONT, root)]
    tail.append(rig.bone(body.at(0.36), tail[0]))
    tail.append(rig.bone(body.at(0.18), tail[1]))
    bones, starts = [*tail[::-1], root, chest], (0.0, 0.18, 0.36, 0.56, 0.78)
    rig.add(body, "coat", bones, starts, soft=0.9)
    rig.limbs += [Limb("spine", [chest]), Limb("tail", tail)]
    hip, foot = xyz(0.72 * wide, high - 0.1 * girth, 0), xyz(0.8 * wide, 0, 0.02)
    thick = girth * rig.between(0.5, 0.68)
    add_legs(
        rig, root, Leg(hip, foot, thick, 0.3 * thick, rig.between(0.05, 0.2), rig.pick("claw paw", 7, 3))
    )
    shoulder = surface(body, body.at(0.85), xyz(1.0, -0.3, 0.1)[None])[0][0]
    hand = shoulder + rig.between(0.15, 0.3) * xyz(0.1, -0.8, 0.5)
    path = [shoulder - 0.05 * RIGHT, 0.5 * (shoulder + hand) - 0.05 * FRONT, hand]
    arm = tube(path, 0.2 * girth * np.array([1.3, 1.0, 0.8]), rings=5, sides=6)
    rig.limb_pair("arm", arm, "limb", chest, (0.0, 0.5))
    sizes = (rig.between(0.08, 0.35), rig.between(30, 80), rig.between(0.12, 0.2), rig.between(0.12, 0.26))
    head = add_neck_and_head(rig, chest, hips + 0.36 * ahead, Neck(*sizes, 0.8 * girth))
    ears = rig.pick("none long", 0.85, 0.15)
    add_features(
        rig, head, ears, rig.pick("none straight curved single", 6, 2, 1, 1) if ears == "none" else "none"
    )
    if rig.chance(0.35):
        add_spikes(rig, body, bones, starts, rig.pick("second third accent"), girth * rig.between(0.4, 1.0))
    if rig.chance(0.18):
        point = surface(body, body.at(0.82), xyz(0.6, 1.0, -0.3)[None])[0][0]
        add_wings(rig, chest, point, "bat", rig.between(0.5, 1.0))


def make_bird(rig: Rig) -> None:
    """Make a bird: from chicks, penguins and owls to long-legged ones, with spread or folded wings."""
    tilt, long, girth = rig.between(0.1, 1.3), rig.between(0.45, 0.72), rig.between(0.17, 0.29)
    legs = rig.between(0.06, 0.2) if rig.chance(0.82) else rig.between(0.35, 0.6)
    ahead = xyz(0, np.sin(tilt), np.cos(tilt))
    center = (legs + 0.9 * girth + 0.3 * long * np.sin(tilt)) * UP
    back, front = center - 0.5 * long * ahead, center + 0.5 * long * ahead
    path = [back, center - 0.15 * long * ahead, center + 0.2 * long * ahead, front]
    widths = girth * np.array([0.25, 1, 0.95, 0.55])
    sides = 2 * int(rig.rng.integers(4, 6))
    body = tube(path, widths, rings=8, sides=sides, rounded=(0.15, 0.25), rough=rig.rough)
    root = rig.bone(center)
    rig.add(body, "coat", root)
    _add_bird_head(rig, root, front, ahead, girth)
    foot, hip = xyz(0.45 * girth, 0, 0.03), xyz(0.4 * girth, legs + 0.6 * girth, 0)
    thin = rig.between(0.012, 0.024)
    add_legs(rig, root, Leg(hip, foot, 1.6 * thin, thin, rig.between(-0.12, 0.0), "claw"), "beak")
    if rig.chance(0.4):
        point = surface(body, body.at(0.62), xyz(1.0, 0.35, 0)[None])[0][0]
        add_wings(rig, root, point - 0.03 * RIGHT, "feather", rig.between(0.4, 0.8))
    else:
        _add_folded_wings(rig, body, root, long, girth)
    share, spread = np.linspace(-1, 1, 4), girth * rig.between(0.4, 1.2)
    fan = back - rig.between(0.15, 0.4) * (ahead - 0.3 * UP) + np.outer(spread * share, RIGHT)
    tail = fin(back + 0.08 * ahead + np.outer(0.3 * girth * share, RIGHT), fan, 0.03)
    rig.limb("tail", tail, rig.pick("main third second"), root)


def _add_bird_head(rig: Rig, root: int, front: np.ndarray, ahead: np.ndarray, girth: float) -> None:
    reach = rig.between(0.0, 0.06) if rig.chance(0.75) else rig.between(0.15, 0.45)
    skull = girth * rig.between(0.5, 1.0)
    end = front + (reach + 0.4 * skull) * xyz(0, 0.85, 0.5)
    thick = min(0.5 * girth, 0.7 * skull)
    path = [front - 0.1 * ahead, 0.5 * (front + end) + 0.12 * reach * FRONT, end]
    neck = tube(path, [0.6 * girth, thick, 0.8 * thick], rings=5, rounded=(0, 0.1))
    bones = rig.limb("neck", neck, "main", root, (0.0, 0.5) if reach > 0.1 else (0.0,), soft=1.0).bones
    bone = rig.bone(end, bones[-1])
    bones.append(bone)
    center = end + 0.15 * skull * FRONT
    shape = ellipsoid(center, (skull, skull * rig.between(0.9, 1.1), skull * rig.between(0.95, 1.2)), rings=6)
    rig.add(shape, rig.pick("coat main"), bone)
    head = Head(shape, bone, center, skull)
    add_beak(rig, head, skull * rig.between(0.5, 1.6), skull * rig.between(0.22, 0.42))
    if rig.chance(0.3):  # an owl's, or a chick's
        add_eyes(rig, head, skull * rig.between(0.25, 0.4), 34, rig.between(15, 30))
    else:
        add_eyes(rig, head, skull * rig.between(0.14, 0.26), rig.between(45, 70), rig.between(15, 30))
    if rig.chance(0.35):
        color, crest = rig.pick("third accent"), head.on(0, 80)[0]
        for k in range(3):
            start = crest - (0.3 * k - 0.2) * skull * FRONT
            tip = start + skull * (rig.between(0.35, 0.8) * UP - 0.4 * FRONT)
            rig.add(cone(start - 0.2 * skull * UP, tip, 0.16 * skull, 0.03 * skull, sides=4), color, bone)


def _add_folded_wings(rig: Rig, body: Shape, root: int, long: float, girth: float) -> None:
    shoulder = surface(body, body.at(0.72), xyz(1.0, 0.3, 0)[None])[0][0]
    tip = surface(body, body.at(0.15), xyz(1.0, 0.35, 0)[None])[0][0] + xyz(0.03, 0, -0.1 * long)
    path = [shoulder, 0.5 * (shoulder + tip) + 0.22 * girth * RIGHT, tip]
    widths, heights = girth * np.array([0.06, 0.1, 0.03]), girth * np.array([0.3, 0.5, 0.08])
    wing = tube(path, widths, heights, sides=6, rounded=(0.3, 0.1))
    rig.limb_pair("wing", wing, rig.pick("main third second"), root, phases=(0.0, 0.0))
