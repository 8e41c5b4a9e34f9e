"""3D models in odd forms look like their plain twins, and what was guessed is said."""

import re

import pytest

from diffusion2.runs.source import InputSettings

from .conftest import read
from .model_twins import TWINS

pytestmark = pytest.mark.usefixtures("needs_renderer")


@pytest.mark.parametrize("name", TWINS)
def test_a_model_in_another_form_gives_the_same_views(tmp_path, name):
    make, make_twin, note = TWINS[name]
    pictures, told = [], []
    for part, maker in (("odd", make), ("plain", make_twin)):
        folder = tmp_path / part
        folder.mkdir()
        conditions, notes = read(maker(folder), InputSettings(model_up="y"), size=64, views=4)
        pictures.append(conditions.views)
        told.append(notes)
    # bytes of colours are rounded once more or less; a side without its texture makes 0.02 and more
    assert (pictures[0] - pictures[1]).abs().mean() < 0.002
    assert bool(told[0]) == (note is not None), told[0]
    assert note is None or re.search(note, told[0][0]), told[0]
    assert len(told[0]) <= 1
    assert all("\n" not in line and len(line.replace(str(tmp_path), "")) < 320 for line in told[0])
