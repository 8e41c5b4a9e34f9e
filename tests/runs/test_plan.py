"""What a run is said to be made with is what it is made with."""

import json
from dataclasses import replace

import pytest

from diffusion2.config import PRESETS, GenerateSettings, InputSettings
from diffusion2.errors import InputError
from diffusion2.runs.plan import Plan, plan_resumed, plan_run
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source

SOURCE = Source(prompt="a fox")


@pytest.fixture(autouse=True)
def best(monkeypatch):
    """Let `mini` be the best preset that this machine runs."""
    asked = []

    def choose(folder=None):
        asked.append(folder)
        return "mini", "as a test says"

    monkeypatch.setattr("diffusion2.runs.plan.choose_preset", choose)
    return asked


@pytest.mark.parametrize("name", PRESETS)
def test_the_name_of_a_preset_and_its_settings_are_the_same(name):
    by_name, by_settings = plan_run(SOURCE, name), plan_run(SOURCE, PRESETS[name])
    assert by_name.settings == by_settings.settings == PRESETS[name]
    assert by_name.changes == by_settings.changes == {}
    unnamed = replace(PRESETS[name], preset="none")
    assert plan_run(SOURCE, unnamed).settings == PRESETS[name]


def test_settings_that_vary_a_preset_are_recorded_as_its_changes():
    sampling = replace(PRESETS["released"].sampling, steps=70)
    config = plan_run(SOURCE, replace(PRESETS["released"], seed=3, sampling=sampling)).to_config("cpu")
    assert config["preset"] == config["settings"]["preset"] == "released"
    assert config["preset_changes"] == {"seed": 3, "sampling.steps": 70}


def test_settings_of_no_preset_are_said_to_be_of_none():
    plan = plan_run(SOURCE, GenerateSettings(seed=3))
    assert (plan.settings.preset, plan.changes, plan.reason) == ("none", {}, "settings as given")


def test_why_a_preset_was_taken_is_said(best):
    assert plan_run(SOURCE, None) == Plan(SOURCE, PRESETS["mini"], "the best that runs here: as a test says")
    assert plan_run(SOURCE, "mini").reason == "as asked"
    assert plan_run(SOURCE, PRESETS["mini"]).reason == "the best that runs here: as a test says"
    assert plan_run(SOURCE, replace(PRESETS["paper"], weights="there")).reason == "as asked"
    assert best == [None, None, "there"]


def test_a_preset_that_is_not_there_is_refused_with_those_that_are():
    for name in ("huge", "none"):
        with pytest.raises(InputError, match="mini, paper, released, fast"):
            plan_run(SOURCE, name)


def test_what_is_neither_a_preset_nor_settings_is_refused():
    with pytest.raises(InputError, match="GenerateSettings, not"):
        plan_run(SOURCE, PRESETS["mini"].sampling)
    with pytest.raises(InputError, match="did you mean paper"):
        plan_run(SOURCE, "papre")


@pytest.fixture
def begun(tmp_path):
    """A run that was begun with a varied preset."""
    (tmp_path / "a.png").write_bytes(b"a")
    run = RunFolder(tmp_path / "run")
    source = Source(str(tmp_path / "a.png"), settings=InputSettings(start=1))
    run.start(Plan(source, replace(PRESETS["mini"], seed=3), "why").to_config("cpu"))
    return run


@pytest.mark.parametrize("preset", [None, "mini", replace(PRESETS["mini"], seed=3)])
def test_a_run_goes_on_with_what_it_began_with(begun, preset):
    plan = plan_resumed(begun, Source(), preset)
    assert plan.settings == replace(PRESETS["mini"], seed=3)
    assert plan.source == begun.read_source()
    assert plan.reason == "as the run began"


@pytest.mark.parametrize(
    "preset", ["paper", PRESETS["mini"], replace(PRESETS["mini"], seed=3, preset="paper"), GenerateSettings()]
)
def test_a_run_does_not_go_on_with_other_settings(begun, preset):
    with pytest.raises(InputError, match="other settings"):
        plan_resumed(begun, Source(), preset)


def test_a_run_does_not_go_on_with_another_input_or_reading(begun, tmp_path):
    (tmp_path / "b.png").write_bytes(b"b")
    with pytest.raises(InputError, match="not the input"):
        plan_resumed(begun, Source(tmp_path / "b.png"), None)
    with pytest.raises(InputError, match="other settings"):
        plan_resumed(begun, Source(settings=InputSettings(start=2)), None)


def test_a_run_of_an_older_version_goes_on(begun):
    config = json.loads(begun.config_path.read_text())
    del config["settings"]["preset"], config["preset_changes"]
    begun.config_path.write_text(json.dumps(config))
    assert plan_resumed(begun, Source(), "mini").settings == replace(PRESETS["mini"], seed=3)
    with pytest.raises(InputError, match="other settings"):
        plan_resumed(begun, Source(), "paper")
