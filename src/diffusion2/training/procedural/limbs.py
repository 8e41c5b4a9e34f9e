"""Legs, tails, wings, fins and spikes."""

from dataclasses import dataclass

import numpy as np

from diffusion2.training.procedural.rays import surface
from diffusion2.training.procedural.rig import Limb, Rig
from diffusion2.training.procedural.shapes import (
    FRONT,
    UP,
    Shape,
    box,
    cone,
    ellipsoid,
    loft,
    sheet,
    spline,
    tube,
    xyz,
)


@dataclass(frozen=True)
class Leg:
    """How a pair of legs is built; positions are of the left one.

    Attributes:
        hip: (3,) where it begins, inside the body.
        foot: (3,) where it stands.
        thick: radius of the thigh.
        thin: radius of the ankle.
        bend: how far the knee lies to the front, in lengths of the leg.
        ends: "paw", "hoof", "claw", "shoe", "round" or "none".
        phases: of the left and the right one in a gait, in turns.
    """

    hip: np.ndarray
    foot: np.ndarray
    thick: float
    thin: float
    bend: float = 0.0
    ends: str = "paw"
    phases: tuple[float, float] = (0.0, 0.5)


def add_legs(rig: Rig, parent: int, leg: Leg, color: str = "limb") -> None:
    """Add a pair of legs with hips and knees."""
    foot, thick, thin = leg.foot, leg.thick, leg.thin
    knee = (leg.hip + foot) / 2 + leg.bend * np.linalg.norm(foot - leg.hip) * FRONT
    ankle = foot + (0.0 if leg.ends == "none" else 0.5 * thin) * UP
    middle = 0.55 * thick + 0.4 * thin
    widths, heights = [thick, middle, thin], [1.15 * thick, 1.05 * middle, thin]
    shape = tube([leg.hip, knee, ankle], widths, heights, sides=6, rounded=(0.2, 0.0))
    ankles = rig.limb_pair("leg", shape, color, parent, (0.0, 0.5), leg.phases, soft=0.6)
    match leg.ends:
        case "paw":
            paw = ellipsoid(foot + thin * (0.6 * UP + 0.5 * FRONT), (1.25 * thin, 0.75 * thin, 1.7 * thin))
            rig.add_pair(paw, np.full(len(paw.triangles), rig.paint(shape, color)[-1]), ankles)
        case "hoof":
            top = foot + thin * (0.9 * UP + 0.1 * FRONT)
            rig.add_pair(cone(top, foot + 0.15 * thin * FRONT, 1.05 * thin, 1.3 * thin), "dark", ankles)
        case "claw":
            for turn in (-0.6, 0.0, 0.6):
                tip = foot + thin * xyz(3.4 * np.sin(turn), 0.2, 3.4 * np.cos(turn))
                rig.add_pair(
                    cone(foot + 0.6 * thin * UP, tip, 0.7 * thin, 0.15 * thin, sides=5), "beak", ankles
                )
        case "shoe":
            middle = foot + thin * (0.55 * UP + 0.5 * FRONT)
            rig.add_pair(box(middle, (1.15 * thin, 0.55 * thin, 1.8 * thin), bevel=0.3), "dark", ankles)
        case "round":
            rig.add_pair(
                cone(foot + 0.8 * thin * UP, foot, 1.15 * thin, 1.35 * thin, sides=8), "dark", ankles
            )


def add_tail(rig: Rig, parent: int, start: np.ndarray, kind: str, size: float) -> Limb:
    """Add a "thin", "bushy", "thick", "short" or "tufted" tail that leaves to the back."""
    rise = rig.between(-0.5, 0.9)
    path = [start, start + size * (0.35 * rise * UP - 0.5 * FRONT)]
    path.append(start + size * (rise * rig.between(0.3, 1.2) * UP - FRONT))
    if kind == "short":
        path = [start, start + 0.18 * size * (0.5 * UP - FRONT), start + 0.35 * size * (0.7 * UP - FRONT)]
    profiles = {
        "thin": (0.05, 0.04, 0.025),
        "bushy": (0.06, 0.17, 0.05),
        "thick": (0.2, 0.11, 0.02),
        "short": (0.12, 0.16, 0.1),
        "tufted": (0.05, 0.035, 0.03),
    }
    shape = tube(path, size * np.array(profiles[kind]), sides=6, rounded=(0.0, 0.2))
    limb = rig.limb("tail", shape, "limb", parent, (0.0, 0.35, 0.68), soft=1.0)
    if kind == "tufted":
        tuft = ellipsoid(path[-1], (0.08 * size, 0.08 * size, 0.14 * size), sides=6)
        rig.add(tuft, "third", limb.bones[-1])
    return limb


def add_wings(rig: Rig, parent: int, root: np.ndarray, kind: str, span: float) -> None:
    """Add a pair of "feather", "bat" or "membrane" wings, spread to the sides."""
    sweep, rise = rig.between(-0.45, 0.1), rig.between(0.0, 0.5)
    out = xyz(1.0, rise, 0.0) / np.hypot(1.0, rise)
    chord = span * {"feather": 0.55, "bat": 0.7, "membrane": 0.32}[kind] * rig.between(0.8, 1.2)
    widths = [0.25, 0.8, 1.0, 0.7, 0.15] if kind == "membrane" else [0.9, 1.0, 0.9, 0.7, 0.15]
    depth = chord * np.outer(widths, FRONT)
    share = np.linspace(0, 1, 5)
    lead = root + span * (np.outer(share, out) + np.outer(sweep * share**2, FRONT))
    lead += 0.05 * span * np.outer(np.sin(np.pi * share), UP)
    lag = lead - depth
    if kind == "bat":
        lag[[1, 3]] += 0.25 * chord * FRONT  # scalloped
    if kind == "membrane":
        lead, lag = lead + 0.5 * depth, lag + 0.5 * depth
    grid = np.stack([lag, (lead + lag) / 2 + 0.06 * chord * UP, lead], axis=1)
    shape = sheet(grid, (0.06 if kind == "feather" else 0.035) * span)
    colors = {"feather": "main second third", "bat": "third", "membrane": "white second accent2"}
    paint = rig.paint(shape, rig.pick(colors[kind]))
    if kind == "feather" and rig.chance(0.5):
        paint = np.where(shape.u > 0.6, rig.palette.index("third"), paint)
    rig.limb_pair("wing", shape, paint, parent, (0.0, 0.45), (0.0, 0.0), soft=0.8)
    if kind == "bat":
        arm = tube(lead, np.linspace(0.05, 0.015, 5) * span, rings=4, sides=5, rounded=(0, 0), right=FRONT)
        for limb, bone in zip(rig.limbs[-2:], (arm, arm.mirrored()), strict=True):
            rig.add(bone, "main", limb.bones, (0.0, 0.45), soft=0.8)


def fin(base: np.ndarray, edge: np.ndarray, thickness: float, columns: int = 4) -> Shape:
    """Make a thin fin between two curves: (K, 3) where it is fastened, and (K', 3) its free edge."""
    t = np.linspace(0, 1, columns)
    return sheet(np.stack([spline(base, t), spline(edge, t)]), thickness)


def add_spikes(
    rig: Rig, shape: Shape, bones: list[int], starts: tuple[float, ...], color: str, size: float
) -> None:
    """Put a row of spikes or plates along the top of a body, each on the bone that moves it there."""
    plate = rig.chance(0.5)
    for share in np.linspace(0.12, 0.9, int(rig.rng.integers(4, 9))):
        point = surface(shape, shape.at(share), UP[None])[0][0]
        tall = size * (0.45 + 0.55 * np.sin(np.pi * share)) * (1.3 if plate else 1.0)
        path = [point - 0.3 * tall * UP, point + 0.35 * tall * UP, point + tall * (UP - 0.25 * FRONT)]
        widths, heights = ((0.08, 0.06), (0.4, 0.4)) if plate else ((0.25, 0.16), (0.4, 0.16))
        spike = loft(path, [*(tall * w for w in widths), 0], [*(tall * h for h in heights), 0], sides=4)
        rig.add(spike, color, bones[int(np.searchsorted(starts, share, side="right")) - 1])
