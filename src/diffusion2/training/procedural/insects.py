"""Insects, spiders and crabs."""

from dataclasses import dataclass

import numpy as np

from diffusion2.training.procedural.faces import Head, add_eyes, add_horns, add_mouth
from diffusion2.training.procedural.limbs import add_wings
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import FRONT, RIGHT, UP, cone, ellipsoid, loft, tube, xyz


@dataclass(frozen=True)
class Chest:
    """The middle of an insect: its kind, its bone, its height, and its half width and half height."""

    form: str
    bone: int
    high: float
    wide: float
    tall: float


def make_insect(rig: Rig) -> None:
    """Make an insect, a spider or a crab: up to three parts, six or eight legs, perhaps wings or claws."""
    form = rig.pick("bee beetle ant spider crab", 0.3, 0.22, 0.12, 0.18, 0.18)
    tall = {"bee": 0.16, "beetle": 0.15, "ant": 0.11, "spider": 0.15, "crab": 0.22}[form] * rig.between(
        0.85, 1.2
    )
    wide = (1.7 if form == "crab" else 1.0) * tall
    high = rig.between(0.08, 0.3) + 0.5 * tall
    chest = Chest(form, rig.bone((0, high, 0)), high, wide, tall)
    flat = 0.7 if form == "crab" else 0.9
    shape = ellipsoid((0, high, 0), (wide, flat * tall, 1.15 * tall), rings=6)
    rig.add(shape, "coat", chest.bone)
    if form == "crab":
        _add_stalks(rig, Head(shape, chest.bone, xyz(0, high, 0), tall))
        _add_claws(rig, chest)
    else:
        _add_abdomen(rig, chest)
        _add_head(rig, chest)
    for k, turn in enumerate(np.linspace(0.75, -0.75, 4 if form in ("spider", "crab") else 3)):
        _add_leg(rig, chest, float(turn), 0.5 * (k % 2))
    if form == "bee" or (form == "beetle" and rig.chance(0.3)):
        start = xyz(0.5 * tall, high + 0.8 * tall, -0.1 * tall)
        add_wings(rig, chest.bone, start, "membrane", rig.between(0.3, 0.55))


def _add_abdomen(rig: Rig, chest: Chest) -> None:
    size = rig.between(0.15, 0.27)
    middle = xyz(
        0, chest.high + rig.between(-0.1, 0.25) * size, -chest.tall - 0.75 * size * rig.between(1.0, 1.4)
    )
    long = size * rig.between(1.2, 1.7)
    path = middle + np.outer(long * np.array([1, 0.4, -0.3, -1]), FRONT) - np.outer([0, 0, 0, 0.1], UP)
    shape = tube(path, size * np.array([0.35, 0.95, 1.0, 0.35]), rings=9, rounded=(0.2, 0.2), rough=rig.rough)
    bone = rig.limb("tail", shape, "coat", chest.bone).bones[0]
    if chest.form == "bee":
        rig.add(cone(shape.spine[-1], shape.spine[-1] - 0.14 * FRONT, 0.04), "dark", bone)
    if chest.form == "beetle":
        radii = (0.92 * size, size, 1.02 * long)
        rig.add_pair(ellipsoid(middle + size * xyz(0.2, 0.12, 0), radii, rings=6), "coat", bone)


def _add_head(rig: Rig, chest: Chest) -> None:
    skull = chest.tall * rig.between(0.65, 1.2)
    center = xyz(0, chest.high + 0.15 * chest.tall, chest.tall + 0.6 * skull)
    bone = rig.bone((0, chest.high, 0.8 * chest.tall), chest.bone)
    rig.limbs.append(Limb("neck", [bone]))
    shape = ellipsoid(center, (skull, 0.9 * skull, 0.9 * skull), rings=5)
    rig.add(shape, rig.pick("main second dark", 6, 2, 1), bone)
    head = Head(shape, bone, center, skull)
    add_eyes(rig, head, skull * rig.between(0.28, 0.5), rig.between(38, 62), rig.between(8, 30))
    if chest.form != "spider":
        add_horns(rig, head, "antennae", skull * rig.between(0.8, 1.5))
    if rig.chance(0.4):
        add_mouth(rig, head, -25, 28)
    elif rig.chance(0.6):
        point, _ = head.on(25, -30)
        tip = point + 0.4 * skull * xyz(-0.3, -0.4, 1.0)
        rig.add_pair(cone(point - 0.1 * skull * FRONT, tip, 0.13 * skull), "dark", bone)


def _add_leg(rig: Rig, chest: Chest, turn: float, phase: float) -> None:
    crab = chest.form == "crab"
    reach, thin = chest.high * (0.9 if crab else 1.3) + 0.05, 0.035 if crab else 0.036 - 0.05 * chest.high
    out = xyz(np.cos(turn), 0, np.sin(turn))
    hip = xyz(0.6 * chest.wide * out[0], chest.high - 0.25 * chest.tall, 0.9 * chest.tall * out[2])
    far = 0.3 * chest.wide
    knee = hip + (0.45 * reach + far) * out + 0.4 * chest.high * UP
    foot = (hip + (reach + far) * out) * xyz(1, 0, 1)
    color = "main" if crab else "dark"
    leg = loft([hip, knee, foot], [1.3 * thin, thin, 0.6 * thin], sides=5, right=UP)
    rig.limb_pair("leg", leg, color, chest.bone, (0.0, 0.45), (phase, phase + 0.5), soft=0.3)


def _add_stalks(rig: Rig, head: Head) -> None:
    point, _ = head.on(28, 45)
    top = point + 0.1 * UP
    rig.add_pair(cone(point - 0.03 * UP, top, 0.022, 0.018), "main", head.bone)
    rig.add_pair(ellipsoid(top, 0.05), "eyewhite", head.bone)
    rig.add_pair(ellipsoid(top + 0.03 * FRONT, 0.03), "pupil", head.bone)
    add_mouth(rig, head, -10, 25)


def _add_claws(rig: Rig, chest: Chest) -> None:
    size, wide, tall = rig.between(0.09, 0.15), chest.wide, chest.tall
    wrist = xyz(0.95 * wide, chest.high + 0.08, 1.5 * tall)
    path = [xyz(0.8 * wide, chest.high, 0.5 * tall), xyz(1.25 * wide, chest.high + 0.02, 0.9 * tall), wrist]
    arm = tube(path, [0.035, 0.04, 0.03], rings=5, sides=6, rounded=(0, 0), right=UP)
    hands = rig.limb_pair("arm", arm, "main", chest.bone, (0.0, 0.5))
    rig.add_pair(
        ellipsoid(wrist + 0.4 * size * FRONT, size * np.array([0.6, 0.55, 0.8]), rings=5), "main", hands
    )
    color = rig.pick("main second")
    for x, thick in ((0.35, 0.3 * size), (-0.35, 0.22 * size)):
        base = wrist + size * (0.8 * x * RIGHT + 0.9 * FRONT)
        path = [base, base + size * xyz(0.6 * x, 0, 0.5), base + size * xyz(-0.2 * x, 0, 1.1)]
        rig.add_pair(loft(path, [thick, 0.8 * thick, 0], sides=5), color, hands)
