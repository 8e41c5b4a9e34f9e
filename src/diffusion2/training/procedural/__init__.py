"""A seeded generator of low-poly creatures, to train with beside, or without, models from files."""

from diffusion2.training.procedural.creatures import (
    FAMILIES,
    ProceduralCreature,
    family_of,
    make_creature,
    procedural_creature,
)

__all__ = ["FAMILIES", "ProceduralCreature", "family_of", "make_creature", "procedural_creature"]
