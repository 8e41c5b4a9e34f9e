import json
from dataclasses import asdict

import pytest

from diffusion2.config import PRESETS, GenerateSettings, settings_from_dict
from diffusion2.errors import InputError


@pytest.mark.parametrize("name", PRESETS)
def test_settings_survive_json(name):
    assert settings_from_dict(json.loads(json.dumps(asdict(PRESETS[name])))) == PRESETS[name]


def test_the_paper_preset_has_the_papers_numbers():
    paper = PRESETS["paper"]
    assert (paper.views, paper.frames, paper.size) == (21, 25, 576)
    assert (paper.sampling.steps, paper.sampling.rollback_steps) == (50, 5)
    assert paper.sampling.multiview_weight == 0.5
    assert (paper.reconstruction.warmup_iterations, paper.reconstruction.joint_iterations) == (3000, 2000)


def test_missing_fields_take_their_defaults():
    assert settings_from_dict({"seed": 3, "sampling": {"steps": 4}}).sampling.rho == 7.0


@pytest.mark.parametrize("values", [{"colour": 1}, {"sampling": {"colour": 1}}])
def test_a_field_of_another_version_is_named(values):
    with pytest.raises(InputError, match="colour"):
        settings_from_dict(values)


@pytest.mark.parametrize(
    "change",
    [{"views": 0}, {"frames": 0}, {"size": 8}, {"fps": 0}, {"fps": float("nan")}, {"object_size": 1.1}],
)
def test_values_out_of_range_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        GenerateSettings(**change)
