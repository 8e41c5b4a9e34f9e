"""Where the options of a run take their defaults from."""

import json
from dataclasses import asdict, replace

import pytest

from diffusion2.cli import parse
from diffusion2.config import PRESETS, GenerateSettings, InputSettings, ReconstructionSettings
from diffusion2.runs.source import Source


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """Let the best preset be `fast`; the folders of weights that were asked about."""
    folders = []

    def choose(folder=None):
        folders.append(folder)
        return "fast", "as a test says"

    monkeypatch.setattr("diffusion2.weights.catalogue.choose_preset", choose)
    return folders


def generate(*options):
    return parse(["generate", "a.png", "--out", "new", *options])


def test_the_preset_is_the_best_of_the_weights_that_are_named(asked):
    assert generate().settings == PRESETS["fast"]
    assert generate("--weights", "there").settings == replace(PRESETS["fast"], weights="there")
    assert asked == [None, "there"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_that_is_named_chooses_the_defaults(name, asked):
    for spelled in (["--preset", name], [f"--preset={name}"], ["--preset", "paper", "--preset", name]):
        assert generate(*spelled).settings == PRESETS[name]
    assert generate("--preset", name, "--seed", "3").settings == replace(PRESETS[name], seed=3)
    assert asked == []


def test_no_preset_gives_the_plain_defaults():
    assert generate("--preset", "none").settings == GenerateSettings()


def write_run(folder, began, inputs=None):
    source = Source(settings=inputs or InputSettings())
    folder.mkdir(exist_ok=True)
    config = {"settings": asdict(began), "input": source.to_record()}
    (folder / "config.json").write_text(json.dumps(config))


def test_a_run_that_goes_on_has_the_settings_and_the_reading_it_began_with(tmp_path):
    began, inputs = replace(PRESETS["mini"], seed=7), InputSettings(start=2)
    write_run(tmp_path / "run", began, inputs)
    for command in (
        parse(["generate", "--out", str(tmp_path / "run"), "--resume"]),
        parse(["sample", "--resume", f"--out={tmp_path / 'run'}"]),
    ):
        assert (command.settings, command.input_settings) == (began, inputs)
    assert generate("--resume").settings == PRESETS["fast"]  # there is none: that is said later


def test_a_run_is_reconstructed_with_the_settings_it_began_with(tmp_path):
    began = replace(PRESETS["mini"], seed=7)
    write_run(tmp_path, began)
    command = parse(["reconstruct", str(tmp_path)])
    assert command.reconstruction == began.reconstruction != ReconstructionSettings()
    assert command.seed == 7
    assert parse(["reconstruct", "--seed", "3", str(tmp_path)]).seed == 3


def test_a_foreign_folder_is_reconstructed_with_the_plain_defaults(tmp_path):
    command = parse(["reconstruct", str(tmp_path)])
    assert command.reconstruction == ReconstructionSettings()
    assert command.seed == 0
