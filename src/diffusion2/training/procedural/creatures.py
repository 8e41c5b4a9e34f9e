"""One creature a seed: its family, its build, its colours and its clips."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diffusion2.meshes.model import AnimatedModel
from diffusion2.training.procedural.animals import make_bird, make_dinosaur, make_insect, make_quadruped
from diffusion2.training.procedural.figures import (
    make_blob,
    make_ghost,
    make_humanoid,
    make_plant,
    make_robot,
    make_walker,
)
from diffusion2.training.procedural.motion import make_clips
from diffusion2.training.procedural.palette import draw_palette
from diffusion2.training.procedural.rig import Rig, Style
from diffusion2.training.procedural.swimmers import make_fish, make_jellyfish, make_snake, make_whale

# Family: how it is built, and how often it is drawn.
FAMILIES: dict[str, tuple[Callable[[Rig, np.random.Generator], None], float]] = {
    "quadruped": (make_quadruped, 0.2),
    "humanoid": (make_humanoid, 0.15),
    "fish": (make_fish, 0.13),
    "robot": (make_robot, 0.09),
    "bird": (make_bird, 0.08),
    "dinosaur": (make_dinosaur, 0.07),
    "insect": (make_insect, 0.06),
    "whale": (make_whale, 0.05),
    "blob": (make_blob, 0.05),
    "snake": (make_snake, 0.03),
    "ghost": (make_ghost, 0.03),
    "walker": (make_walker, 0.02),
    "plant": (make_plant, 0.02),
    "jellyfish": (make_jellyfish, 0.02),
}


@dataclass(frozen=True)
class Creature:
    """A model, and what is known about it.

    Attributes:
        family: one of `FAMILIES`.
        model: its first pose is symmetric but for what it holds; its clips loop.
        colors: the name of each primitive's colour.
        holds: it has something in a hand.
    """

    family: str
    model: AnimatedModel
    colors: list[str]
    holds: bool


def make_creature(seed: int, family: str | None = None) -> Creature:
    """Make a creature; the same seed gives the same one, up to rounding, on every machine.

    Args:
        seed: not negative.
        family: one of `FAMILIES`; drawn by the seed if None.
    """
    rng = np.random.default_rng(seed)
    names = list(FAMILIES)
    drawn = names[rng.choice(len(names), p=[share for _, share in FAMILIES.values()])]
    family = family or drawn
    rig = Rig(draw_palette(rng))
    FAMILIES[family][0](rig, rng)
    smooth = rng.random() < 0.4
    style = Style(
        crease_deg=float(rng.uniform(35, 75)) if smooth else 0.0,
        gradient=float(rng.uniform(0.2, 0.7)) if rng.random() < 0.25 else 0.0,
        unevenness=float(rng.uniform(0.03, 0.12)) if rng.random() < 0.25 else 0.0,
    )
    clips = make_clips(rig, rng, rig.size)
    model, colors = rig.model(f"{family}_{seed:06d}", clips, style, rng)
    return Creature(family, model, colors, rig.holds)


def procedural_creature(seed: int) -> AnimatedModel:
    """Make the model of a procedural creature: low-poly, rigged, with clips, its front on glTF's +z.

    The same seed gives the same model, up to rounding, on every machine.
    """
    return make_creature(seed).model
