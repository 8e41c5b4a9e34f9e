"""Figures that walk upright: people, knights, wizards, elves, zombies, and animals in clothes."""

from dataclasses import dataclass

import numpy as np

from diffusion2.training.procedural.faces import Head, add_ears, add_eyes, add_horns, add_mouth
from diffusion2.training.procedural.limbs import add_wings
from diffusion2.training.procedural.outfits import (
    HATS,
    add_belt,
    add_cape,
    add_hair,
    add_hat,
    add_shield,
    add_tool,
)
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import FRONT, RIGHT, UP, box, cone, ellipsoid, loft, tube, xyz


@dataclass(frozen=True)
class Trunk:
    """Sizes of an upright body: where its hips and its neck are, half width and half depth."""

    hips: float
    neck: float
    wide: float
    deep: float

    def height(self, share: float) -> float:
        """Tell the height of a share of the way from the hips to the neck."""
        return self.hips + share * (self.neck - self.hips)


def upright_bones(rig: Rig, hips: float, chest: float, neck: float) -> tuple[int, int, int]:
    """Make the bones of an upright body: hips, chest and head."""
    root = rig.bone((0, hips, 0))
    upper = rig.bone((0, chest, 0), root)
    head = rig.bone((0, neck, 0), upper)
    rig.limbs += [Limb("spine", [upper]), Limb("neck", [head])]
    return root, upper, head


def make_humanoid(rig: Rig) -> None:
    """Make a person, a knight, a wizard, an elf, a zombie, or an animal that walks upright."""
    beast = rig.chance(0.22)
    legs, torso = rig.between(0.2, 0.5), rig.between(0.22, 0.36)
    skull = rig.between(0.09, 0.13) if rig.chance(0.35) else rig.between(0.16, 0.27)
    wide = rig.between(0.11, 0.19) * (1.15 if skull > 0.2 else 1.0)
    body = Trunk(legs, legs + torso, wide, wide * rig.between(0.55, 0.9))
    root, chest, bone = upright_bones(rig, legs, body.height(0.45), body.neck)
    bare = beast and rig.chance(0.4)
    top = "main" if bare else rig.pick("accent main steel second", 0.4, 0.25, 0.15, 0.2)
    bottom = "main" if bare else rig.pick("accent2 dark third main", 0.4, 0.25, 0.2, 0.15)
    middles = [(0, y, 0) for y in (legs - 0.04, body.height(0.3), body.height(0.8), body.neck)]
    profile, waist = np.array([0.95, 1, 1.05, 0.5]), np.array([1, rig.between(0.75, 1.15), 1, 1])
    shape = tube(
        *(middles, wide * profile * waist, body.deep * np.array([0.95, 1, 1, 0.6]) * waist),
        rings=7,
        rounded=(0.1, 0.1),
        roundness=rig.between(2.0, 3.5),
    )
    rig.add(shape, "coat" if top == "main" else top, [root, chest], (0.0, 0.45), soft=0.8)
    center, skin = xyz(0, body.neck + 0.85 * skull, 0.05 * skull), "main" if beast else "skin"
    radii = (skull, skull * rig.between(0.9, 1.15), skull * rig.between(0.9, 1.1))
    face = ellipsoid(center, radii, rings=7, sides=10, roundness=rig.between(2.0, 3.2))
    rig.add(face, skin, bone)
    rig.add(cone((body.neck - 0.05) * UP, center, 0.4 * skull, 0.4 * skull), skin, bone)
    head = Head(face, bone, center, skull)
    _add_face(rig, head, beast)
    _dress_head(rig, head, beast)
    _add_arms(rig, chest, body, top, skin)
    if robe := rig.chance(0.15):
        middles, flare = [(0, 0.03, 0), (0, 0.5 * legs, 0), (0, legs + 0.05, 0)], rig.between(1.3, 1.8)
        widths = np.array([flare, 1.25, 1.0])
        rig.add(
            tube(middles, wide * widths, body.deep * widths, rings=4, sides=10, rounded=(0, 0)), top, root
        )
    _add_legs(rig, root, body, bottom)
    _dress_body(rig, root, chest, body, robe)


def _add_face(rig: Rig, head: Head, beast: bool) -> None:
    size = head.size
    add_eyes(rig, head, size * rig.between(0.12, 0.26), rig.between(20, 30), rig.between(-5, 14))
    add_mouth(rig, head, -25, rig.between(12, 26))
    if beast and rig.chance(0.7):
        radii = size * np.array([0.45, 0.32, 0.5 * rig.between(0.6, 1.4)])
        muzzle = ellipsoid(head.on(0, -12)[0], radii, rings=5)
        rig.add(muzzle, rig.pick("main second"), head.bone)
        nose = ellipsoid(muzzle.spine[-1] + 0.1 * size * UP, size * np.array([0.15, 0.1, 0.1]), sides=6)
        rig.add(nose, "dark", head.bone)
    elif rig.chance(0.6):
        big = rig.between(0.09, 0.2) * size
        nose = ellipsoid(head.on(0, -6)[0], (0.8 * big, big, 1.2 * big), sides=6)
        rig.add(nose, "main" if beast else "skin", head.bone)


def _dress_head(rig: Rig, head: Head, beast: bool) -> None:
    """Add to a head ears, hair, a hat or a helmet."""
    if beast:
        add_ears(rig, head, rig.pick("pointed round long floppy"), "main", head.size * rig.between(0.6, 1.0))
        if rig.chance(0.25):
            add_horns(rig, head, rig.pick("straight curved"), 0.8 * head.size)
        return
    worn = rig.pick("helmet hair hat both bare", 0.2, 0.42, 0.1, 0.23, 0.05)
    if worn == "helmet":
        add_hat(rig, head, "helmet")
    if worn in ("hair", "both"):
        add_hair(rig, head)
    if worn in ("hat", "both"):
        add_hat(rig, head, rig.pick(HATS), rig.pick("accent accent2 main"))
    ear = ellipsoid(head.on(88, -5)[0], head.size * np.array([0.12, 0.24, 0.16]), sides=6)
    rig.add_pair(ear, "skin", head.bone)


def _add_arms(rig: Rig, chest: int, body: Trunk, sleeve: str, skin: str) -> None:
    """Add arms that hang or stand off, with hands, and often something in them."""
    shoulder, thick = xyz(0.95 * body.wide, body.height(0.82), 0), 0.3 * body.wide
    spread = np.deg2rad(rig.between(15, 85))
    long, out = body.neck * rig.between(0.42, 0.62), xyz(np.sin(spread), -np.cos(spread), 0)
    hand = shoulder + long * out + 0.04 * FRONT
    path = [shoulder - 0.3 * thick * RIGHT, shoulder + 0.5 * long * out - 0.03 * FRONT, hand]
    arm = tube(path, thick * np.array([1.15, 1.0, 0.75]), sides=6, rounded=(0.15, 0), right=FRONT)
    paint = np.where(arm.u > rig.between(0.3, 1.2), rig.palette.index(skin), rig.palette.index(sleeve))
    bones = rig.limb_pair("arm", arm, paint, chest, (0.0, 0.5), soft=0.5, spread=float(spread))
    palm = hand + 0.5 * thick * out
    rig.add_pair(
        ellipsoid(palm, thick * np.array([0.95, 1.05, 0.95]), sides=7), rig.pick(f"{skin} dark", 4, 1), bones
    )
    if rig.chance(0.45):
        add_tool(rig, bones[1], palm, body.neck * rig.between(0.7, 1.1))
        if rig.chance(0.5):
            add_shield(rig, bones[0], palm, body.neck * rig.between(0.6, 1.0))


def _add_legs(rig: Rig, root: int, body: Trunk, color: str) -> None:
    thick, legs = min(0.5 * body.wide, 0.16), body.hips
    thin, x = thick * rig.between(0.6, 0.95), 0.52 * body.wide
    out = x * rig.between(0.95, 1.15)
    path, widths = (
        [(x, legs + 0.02, 0), (out, 0.5 * legs, 0.02), (out, 0.4 * thin, 0)],
        [thick, (thick + thin) / 2, thin],
    )
    leg = tube(path, widths, sides=6, rounded=(0.1, 0))
    shoe, boots = rig.pick("dark wood accent2 steel"), 0.62 if rig.chance(0.5) else 2.0
    paint = np.where(leg.u > boots, rig.palette.index(shoe), rig.palette.index(color))
    ankles = rig.limb_pair("leg", leg, paint, root, (0.0, 0.5), soft=0.5)
    radii = thin * np.array([1.1, 0.6, 1.8])
    rig.add_pair(ellipsoid(thin * xyz(out / thin, 0.55, 0.55), radii, rings=5, roundness=3.0), shoe, ankles)


def _dress_body(rig: Rig, root: int, chest: int, body: Trunk, robe: bool) -> None:
    """Add a belt, a skirt, a cape, a backpack, wings, shoulder pieces, a scarf."""
    wide, deep = body.wide, body.deep
    if rig.chance(0.4):
        add_belt(rig, root, body.height(0.12) * UP, wide, deep)
    if not robe and rig.chance(0.2):
        path = [(0, body.hips - rig.between(0.08, 0.16), 0), (0, body.hips + 0.08, 0)]
        skirt = loft(path, [1.35 * wide, 0.98 * wide], [1.5 * deep, deep], sides=10)
        rig.add(skirt, rig.pick("accent accent2 second"), root)
    match rig.pick("cape pack wings none", 0.25, 0.15, 0.08, 0.52):
        case "cape":
            add_cape(
                rig, chest, xyz(0, body.height(0.95), -0.9 * deep), wide, rig.between(0.6, 1.0) * body.neck
            )
        case "pack":
            middle, tall = xyz(0, body.height(0.55), -1.45 * deep), 0.36 * (body.neck - body.hips)
            rig.add(
                box(middle, (0.75 * wide, tall, 0.5 * deep), bevel=0.25), rig.pick("wood accent2 leaf"), chest
            )
        case "wings":
            root_at = xyz(0.25 * wide, body.height(0.75), -0.8 * deep)
            add_wings(rig, chest, root_at, rig.pick("feather bat membrane"), rig.between(0.35, 0.6))
    if rig.chance(0.3):
        pad = ellipsoid(xyz(1.15 * wide, body.height(0.9), 0), wide * np.array([0.5, 0.35, 0.5]), rings=5)
        rig.add_pair(pad, rig.pick("steel gold accent2"), chest)
    if rig.chance(0.15):
        path = [(0, body.height(0.9), 0), (0, body.height(1.08), 0)]
        rig.add(loft(path, [0.75 * wide, 0.6 * wide], [0.95 * deep, 0.8 * deep]), "accent2", chest)
