"""One creature a seed: its family, its build, its colours and its clips."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diffusion2.meshes.model import AnimatedModel
from diffusion2.training.procedural.fantasy import make_blob, make_ghost, make_plant
from diffusion2.training.procedural.insects import make_insect
from diffusion2.training.procedural.machines import make_robot, make_walker
from diffusion2.training.procedural.motion import make_clips
from diffusion2.training.procedural.palette import draw_coat, draw_palette
from diffusion2.training.procedural.people import make_humanoid
from diffusion2.training.procedural.quadrupeds import make_quadruped
from diffusion2.training.procedural.rig import Rig, Style
from diffusion2.training.procedural.swimmers import make_fish, make_jellyfish, make_snake, make_whale
from diffusion2.training.procedural.theropods import make_bird, make_dinosaur

# Family: how it is built, and how often it is drawn.
FAMILIES: dict[str, tuple[Callable[[Rig], None], float]] = {
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
class ProceduralCreature:
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


def family_of(seed: int) -> str:
    """Tell which of `FAMILIES` a seed belongs to."""
    names = list(FAMILIES)
    rng = np.random.default_rng((seed, 0))
    return names[int(rng.choice(len(names), p=[share for _, share in FAMILIES.values()]))]


def make_creature(seed: int, family: str | None = None) -> ProceduralCreature:
    """Make a creature; the same seed gives the same one, up to rounding, on every machine.

    Args:
        seed: not negative.
        family: one of `FAMILIES`; drawn by the seed if None.
    """
    family = family or family_of(seed)
    rng = np.random.default_rng((seed, 1))
    palette = draw_palette(rng)
    rig = Rig(rng, palette, draw_coat(rng, palette), rng if rng.random() < 0.45 else None)
    FAMILIES[family][0](rig)
    style = Style(
        crease_deg=rig.between(35, 75) if rig.chance(0.4) else 0.0,
        gradient=rig.between(0.2, 0.7) if rig.chance(0.25) else 0.0,
        unevenness=rig.between(0.03, 0.12) if rig.chance(0.25) else 0.0,
    )
    clips = make_clips(rig)
    model, colors = rig.model(f"{family}_{seed:06d}", clips, style)
    return ProceduralCreature(family, model, colors, rig.holds)


def procedural_creature(seed: int) -> AnimatedModel:
    """Make the model of a procedural creature: low-poly, rigged, with clips, its front on glTF's +z.

    The same seed gives the same model, up to rounding, on every machine.
    """
    return make_creature(seed).model
