"""Four-legged animals, and the neck and the head that they share with dinosaurs."""

from dataclasses import dataclass

import numpy as np

from diffusion2.training.procedural.faces import Head, add_ears, add_eyes, add_horns, add_mouth
from diffusion2.training.procedural.limbs import Leg, add_legs, add_spikes, add_tail, add_wings, fin
from diffusion2.training.procedural.palette import draw_coat
from diffusion2.training.procedural.rays import surface
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import FRONT, UP, Shape, cone, ellipsoid, loft, tube, xyz

Range = tuple[float, float]


@dataclass(frozen=True)
class Build:
    """What makes a kind of animal, in lengths of its body.

    Attributes:
        legs: their length.
        girth: half height of the body.
        neck: its length.
        pitch_deg: how steep the neck is.
        skull: its radius.
        snout: its length.
        ears: as of `add_ears`, or "none".
        horns: as of `add_horns`; "trunk", "shell" or "none".
        tail: as of `add_tail`.
        feet: as of `Leg.ends`.
    """

    legs: Range
    girth: Range
    neck: Range
    pitch_deg: Range
    skull: Range
    snout: Range
    ears: str
    horns: str
    tail: str
    feet: str


def _build(numbers: str, words: str) -> Build:
    """Read a row of the table: low and high of six sizes, and four words."""
    values = [float(number) for number in numbers.split()]
    legs, girth, neck, pitch_deg, skull, snout = zip(values[::2], values[1::2], strict=True)
    ears, horns, tail, feet = words.split()
    return Build(legs, girth, neck, pitch_deg, skull, snout, ears, horns, tail, feet)


#             legs     girth      neck       pitch  skull      snout      ears    horns    tail   feet
BUILDS = (
    _build("0.60 0.85  0.17 0.21  0.35 0.50  45 65  0.15 0.19  0.20 0.30", "pointed single   bushy  hoof"),
    _build("0.40 0.60  0.22 0.28  0.15 0.25  10 35  0.16 0.20  0.18 0.24", "wide    curved   tufted hoof"),
    _build("0.40 0.65  0.15 0.20  0.15 0.28  35 60  0.15 0.20  0.14 0.25", "pointed none     bushy  paw"),
    _build("0.40 0.60  0.15 0.22  0.15 0.25  35 60  0.16 0.22  0.16 0.24", "floppy  none     thin   paw"),
    _build("0.35 0.50  0.13 0.18  0.10 0.20  35 60  0.17 0.25  0.06 0.10", "pointed none     thin   paw"),
    _build("0.20 0.35  0.24 0.32  0.08 0.14   0 20  0.19 0.25  0.12 0.18", "pointed none     thin   hoof"),
    _build("0.30 0.42  0.23 0.30  0.10 0.18  10 35  0.20 0.26  0.12 0.18", "round   none     short  paw"),
    _build("0.15 0.25  0.22 0.30  0.05 0.10  10 35  0.20 0.30  0.12 0.20", "round   none     thin   paw"),
    _build("0.18 0.32  0.22 0.30  0.10 0.16  40 60  0.20 0.30  0.06 0.12", "long    none     short  paw"),
    _build("0.60 0.85  0.14 0.18  0.30 0.45  50 70  0.14 0.18  0.14 0.20", "pointed branched short  hoof"),
    _build("0.55 0.80  0.17 0.22  0.45 1.00  65 85  0.13 0.17  0.12 0.18", "pointed straight short  hoof"),
    _build("0.35 0.50  0.28 0.34  0.08 0.14  20 35  0.24 0.30  0.06 0.10", "wide    trunk    thin   round"),
    _build("0.25 0.40  0.26 0.34  0.10 0.18  25 45  0.14 0.18  0.12 0.16", "floppy  curved   short  hoof"),
    _build("0.12 0.25  0.12 0.18  0.10 0.20   5 25  0.13 0.17  0.15 0.35", "none    straight thick  claw"),
    _build("0.35 0.50  0.20 0.27  0.60 1.10  30 70  0.10 0.14  0.08 0.14", "none    none     thick  round"),
    _build("0.10 0.20  0.15 0.20  0.15 0.25  20 45  0.14 0.20  0.06 0.10", "none    shell    thin   round"),
)


@dataclass(frozen=True)
class Body:
    """A body on four legs: its surface, the bones of hips and chest, its middle's height and half sizes."""

    shape: Shape
    bones: tuple[int, int]
    high: float
    wide: float
    girth: float


def make_quadruped(rig: Rig) -> None:
    """Make a four-legged animal: a known build, or one that mixes two."""
    first = BUILDS[int(rig.rng.integers(len(BUILDS)))]
    other = BUILDS[int(rig.rng.integers(len(BUILDS)))] if rig.chance(0.3) else first
    build = Build(**{name: getattr(first if rig.chance(0.6) else other, name) for name in vars(first)})
    legs, girth, neck = (rig.between(*bounds) for bounds in (build.legs, build.girth, build.neck))
    pitch, skull, snout = (rig.between(*bounds) for bounds in (build.pitch_deg, build.skull, build.snout))
    if rig.chance(0.3):  # a cub, or a toy: short legs, large head
        legs, skull, snout, neck = 0.6 * legs, 1.35 * skull, 0.9 * snout, 0.7 * neck
    body = _make_body(rig, legs, girth)
    _add_four_legs(rig, body, build.feet)
    start = xyz(0, body.high + 0.35 * girth, 0.36)
    head = add_neck_and_head(rig, body.bones[1], start, Neck(neck, pitch, skull, snout, girth))
    add_features(rig, head, build.ears, build.horns)
    base = surface(body.shape, body.shape.at(0.1), xyz(0, 0.5, -1.0)[None])[0][0] + 0.05 * FRONT
    size = rig.between(0.4, 0.8) * (1.3 if build.tail == "thick" else 1.0)
    add_tail(rig, body.bones[0], base, build.tail, size)
    if build.horns == "shell":
        _add_shell(rig, body)
    else:
        _add_load(rig, body)


def _make_body(rig: Rig, legs: float, girth: float) -> Body:
    wide, high = girth * rig.between(0.65, 1.0), legs + 0.75 * girth
    heights = [0, 0.02, rig.between(-0.05, 0.03), 0, 0.02]
    middles = np.column_stack([np.zeros(5), high + np.array(heights), [-0.5, -0.3, 0, 0.3, 0.5]])
    shape = tube(
        *(middles, wide * np.array([0.75, 1.0, rig.between(0.85, 1.15), 0.95, 0.65])),
        girth * np.array([0.8, 0.95, rig.between(0.85, 1.1), rig.between(0.95, 1.15), 0.75]),
        rings=int(rig.rng.integers(7, 12)),
        sides=2 * int(rig.rng.integers(3, 6)),
        rounded=(0.22, 0.2),
        roundness=rig.between(1.8, 3.0),
        rough=rig.rough,
    )
    root = rig.bone((0, high, -0.3))
    chest = rig.bone((0, high, 0.1), root)
    rig.add(shape, "coat", [root, chest], (0.0, 0.5), soft=1.0)
    rig.limbs.append(Limb("spine", [chest]))
    return Body(shape, (root, chest), high, wide, girth)


def _add_four_legs(rig: Rig, body: Body, feet: str) -> None:
    thick = min(body.girth * rig.between(0.36, 0.52), 0.62 * body.wide)
    thin = thick * (rig.between(0.7, 1.0) if feet == "round" else rig.between(0.42, 0.7))
    spread = body.wide * rig.between(0.55, 0.75)
    splay = 0.35 if feet == "claw" else rig.between(-0.02, 0.06)
    pace, back = (0.5 if rig.chance(0.6) else 0.1), (0.25 if rig.chance(0.7) else 0.5)
    for bone, z, bend, phase, grown in (
        (body.bones[1], 0.33, -0.06, 0.0, 1.0),
        (body.bones[0], -0.36, 0.1, back, 1.2),
    ):
        hip = xyz(spread, body.high - 0.25 * body.girth, z)
        foot = xyz(spread + splay * body.high, 0.0, z + rig.between(-0.03, 0.03))
        bend = bend * rig.between(0.3, 1.6)
        add_legs(rig, bone, Leg(hip, foot, grown * thick, thin, bend, feet, (phase, phase + pace)))


@dataclass(frozen=True)
class Neck:
    """Sizes of a neck and a head: length, steepness, radius of the skull, snout, and the body's girth."""

    reach: float
    pitch_deg: float
    skull: float
    snout: float
    girth: float


def add_neck_and_head(rig: Rig, chest: int, start: np.ndarray, size: Neck) -> Head:
    """Add a neck, and a head with a snout, a nose, and a mouth or a jaw."""
    pitch, skull, reach = np.deg2rad(size.pitch_deg), size.skull, size.reach
    end = start + (reach + 0.12) * xyz(0, np.sin(pitch), np.cos(pitch))
    thick = 0.6 * skull
    middle = 0.5 * (0.5 * size.girth + thick)
    path = [start, 0.5 * (start + end) - 0.04 * reach * UP, end]
    widths, heights = [0.55 * size.girth, middle, 0.85 * thick], [0.7 * size.girth, 1.1 * middle, thick]
    neck = tube(path, widths, heights, rings=5, rounded=(0, 0.1))
    bones = rig.limb("neck", neck, "main", chest, (0.0, 0.5) if reach > 0.3 else (0.0,), soft=1.0).bones
    bone = rig.bone(end, bones[-1])
    bones.append(bone)
    center, droop = end + 0.25 * skull * FRONT, rig.between(0.0, 0.5)
    ahead, low = xyz(0, -np.sin(droop), np.cos(droop)), -0.22 * skull * UP
    blunt, tip = rig.between(0.35, 0.7), center + (0.75 * skull + size.snout) * ahead + low
    cheek = 0.5 * (center + tip) + 0.3 * skull * ahead + 0.5 * low
    path = [
        center - 0.95 * skull * FRONT,
        center + skull * xyz(0, 0.05, -0.3),
        center + 0.35 * skull * ahead,
        cheek,
        tip,
    ]
    widths = skull * np.array([0.5, 0.95, 0.85, 0.55, blunt])
    heights = skull * np.array([0.5, 0.95, 0.85, 0.52, 0.85 * blunt])
    shape = tube(path, widths, heights, rings=9, rounded=(0.2, 0.12), roundness=rig.between(1.9, 3.0))
    paint = rig.paint(shape, "coat")
    if rig.chance(0.35):  # a muzzle of another colour
        paint = np.where(shape.u > 0.68, *(rig.palette.index(name) for name in ("second", "main")))
    rig.add(shape, paint, bone)
    if rig.chance(0.75):
        nose = 0.35 * blunt * skull * np.array([1.2, 1.0, 0.9])
        rig.add(
            ellipsoid(tip + 0.4 * blunt * skull * UP, tuple(nose), sides=6), rig.pick("dark pink", 4, 1), bone
        )
    head = Head(shape, bone, center, skull)
    if rig.chance(0.35):
        _add_jaw(rig, head, tip, blunt * skull)
    elif rig.chance(0.6):
        add_mouth(rig, Head(shape, bone, tip - 0.3 * skull * FRONT, 0.6 * skull), -30, 55)
    if rig.chance(0.25):
        _add_mane(rig, neck, bones, skull)
    return head


def _add_jaw(rig: Rig, head: Head, muzzle: np.ndarray, blunt: float) -> None:
    size = head.size
    hinge = head.center + size * xyz(0, -0.62, 0.35)
    tip = muzzle - 0.75 * blunt * UP - 0.1 * size * FRONT
    widths = blunt * np.array([0.8, 0.9, 0.7])
    jaw = loft([hinge, 0.5 * (hinge + tip), tip], widths, size * np.array([0.2, 0.2, 0.12]), sides=6)
    limb = rig.limb("jaw", jaw, "second", head.bone)
    inside = [hinge + 0.16 * size * UP, 0.2 * hinge + 0.8 * tip + 0.1 * size * UP]
    rig.add(loft(inside, [0.63 * blunt, 0.54 * blunt], [0.1 * size] * 2, sides=6), "mouth", limb.bones[0])


def _add_mane(rig: Rig, neck: Shape, bones: list[int], skull: float) -> None:
    if rig.chance(0.4):  # a lion's
        wide = skull * rig.between(1.35, 1.75)
        rig.add(ellipsoid(neck.at(1.0), (wide, wide, 0.7 * skull), sides=10), "third", bones[-1])
        return
    base = np.stack([neck.at(share) for share in np.linspace(0.1, 1.0, 4)]) + 0.4 * skull * UP
    edge = base + skull * rig.between(0.5, 0.9) * xyz(0, 0.7, -0.7)
    rig.add(fin(base, edge, 0.22 * skull, 5), "third", bones[0])


def add_features(rig: Rig, head: Head, ears: str, horns: str) -> None:
    """Add to a head with a snout its eyes, ears, and horns or a trunk."""
    size, cute = head.size, rig.chance(0.5)
    eye = size * (rig.between(0.22, 0.36) if cute else rig.between(0.13, 0.2))
    add_eyes(rig, head, eye, rig.between(38, 55) if cute else rig.between(50, 72), rig.between(12, 32))
    if ears != "none":
        add_ears(
            rig, head, ears, rig.pick("main second third", 0.7, 0.1, 0.2), size * rig.between(0.65, 1.05)
        )
    if horns == "trunk":
        start = head.on(0, -12)[0] - 0.3 * size * FRONT
        steps = [(0, 0, 0), (0, -0.6, 0.9), (0, -1.6, 0.85), (0, -rig.between(1.2, 2.4), 1.4)]
        widths = size * np.array([0.42, 0.34, 0.26, 0.2])
        trunk = tube(start + size * np.array(steps), widths, rings=8, sides=7, rounded=(0.1, 0))
        rig.limb("trunk", trunk, "main", head.bone, (0.0, 0.35, 0.7), soft=1.0)
        if rig.chance(0.6):
            tusk = start + size * xyz(0.4, -0.3, 0.1)
            rig.add_pair(cone(tusk, tusk + size * xyz(0, -0.1, 1.1), 0.12 * size), "bone", head.bone)
    elif horns in ("straight", "curved", "branched", "single") and rig.chance(
        0.2 if horns == "single" else 0.7
    ):
        add_horns(rig, head, horns, size * rig.between(0.6, 1.1))


def _add_shell(rig: Rig, body: Body) -> None:
    middles = [(0, body.high + rise * body.girth, 0) for rise in (-0.3, 0.0, 1.0, 1.5)]
    dome = tube(
        middles, [0.5, 0.5, 0.42, 0.2], [0.52, 0.55, 0.45, 0.25], rings=5, sides=10, rounded=(0.02, 0.4)
    )
    coat = draw_coat(rig.rng, rig.palette, ("third", "second", "accent"))
    rig.add(dome, coat.body(dome), body.bones[0])


def _add_load(rig: Rig, body: Body) -> None:
    """Add what some backs carry: spikes, wings, or a saddle."""
    kind = rig.pick("none spikes wings saddle", 0.72, 0.1, 0.08, 0.1)
    root, chest = body.bones
    if kind == "spikes":
        size = body.girth * rig.between(0.5, 1.1)
        add_spikes(rig, body.shape, [root, chest], (0.0, 0.5), rig.pick("second third accent"), size)
    elif kind == "wings":
        point = surface(body.shape, body.shape.at(0.62), xyz(0.7, 1.0, 0)[None])[0][0]
        add_wings(rig, chest, point - 0.03 * UP, rig.pick("feather bat"), rig.between(0.5, 0.9))
    elif kind == "saddle":
        path, wide, girth = [(0, body.high, -0.14), (0, body.high, 0.14)], 1.08 * body.wide, 1.12 * body.girth
        rig.add(loft(path, [wide, wide], [girth, girth], sides=10), "accent", root)
        rig.add(ellipsoid((0, body.high + girth, 0), (0.5 * body.wide, 0.07, 0.16)), "dark", root)
