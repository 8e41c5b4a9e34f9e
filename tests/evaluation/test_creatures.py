"""The benchmark's eight creatures and the cache of their true pictures."""

from pathlib import Path

import pytest

from diffusion2.evaluation.creatures import CREATURES

ASSETS = Path("/work/shared/assets")


def test_there_are_eight_creatures_of_about_a_second_each():
    assert len({creature.name for creature in CREATURES}) == 8
    assert all(0.7 <= creature.duration <= 2.0 for creature in CREATURES)


@pytest.mark.skipif(not ASSETS.is_dir(), reason="needs the 3D models in the folder assets")
@pytest.mark.parametrize("creature", CREATURES, ids=lambda c: c.name)
def test_a_creature_was_never_trained_on(creature):
    from diffusion2.training.data import read_split

    assert (creature.file, "animated") in read_split(ASSETS, "val")
