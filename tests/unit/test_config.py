import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import pytest

from diffusion2.cli import parse
from diffusion2.config import PRESETS, GenerateSettings, PresetName, SamplingSettings, settings_from_dict
from diffusion2.errors import InputError
from diffusion2.runs.run_folder import RunFolder

# Each of these once ran as something else, and said nothing.
WRONG_CHOICES = [
    ("sampling", "solver", "heun", "euler or dpmpp-2m"),
    ("sampling", "weight_schedule", "Linear", "constant, linear, cosine or logistic"),
    ("sampling", "rollback_noise", "none", "variance-reducing or variance-preserving"),
    ("", "priors", "sdv", "mini or svd-sv3d"),
    ("reconstruction", "device", "gpu", "auto, cpu or cuda"),
]


def write_config(folder: Path, values: dict) -> RunFolder:
    (folder / "config.json").write_text(json.dumps({"settings": values, "preset": "mini"}))
    return RunFolder(folder)


@pytest.mark.parametrize("name", PRESETS)
def test_settings_survive_json(name):
    assert settings_from_dict(json.loads(json.dumps(asdict(PRESETS[name])))) == PRESETS[name]


def test_the_names_of_presets_are_those_of_the_table():
    assert get_args(PresetName) == tuple(PRESETS)


def test_the_paper_preset_has_the_papers_numbers():
    paper = PRESETS["paper"]
    assert (paper.views, paper.frames, paper.size) == (21, 25, 576)
    assert (paper.sampling.steps, paper.sampling.rollback_steps) == (50, 5)
    assert paper.sampling.multiview_weight == 0.5
    assert (paper.reconstruction.warmup_iterations, paper.reconstruction.joint_iterations) == (3000, 2000)


def test_missing_fields_take_their_defaults():
    assert settings_from_dict({"seed": 3, "sampling": {"steps": 4}}).sampling.rho == 7.0


@pytest.mark.parametrize(("part", "name", "wrong", "known"), WRONG_CHOICES)
def test_an_unknown_choice_is_refused_in_a_call_an_option_and_a_file(part, name, wrong, known, tmp_path):
    expected = f"{name} must be {known}, not '{wrong}'"
    settings = PRESETS["mini"]
    with pytest.raises(InputError, match=f"^{expected}"):
        replace(getattr(settings, part) if part else settings, **{name: wrong})
    option = "--" + ".".join(filter(None, [part, name])).replace("_", "-")
    with pytest.raises(InputError, match=f"{wrong}.*{option}.*{known.split()[0].rstrip(',')}"):
        parse(["generate", "a.png", "--out", str(tmp_path / "new"), option, wrong])
    values = asdict(settings)
    (values[part] if part else values)[name] = wrong
    run = write_config(tmp_path, values)
    dotted = f"{part}.{expected}" if part else expected
    for read in (run.read_settings, lambda: parse(["reconstruct", str(tmp_path)])):
        with pytest.raises(InputError, match=rf"config\.json: {dotted}"):
            read()


def test_a_choice_that_is_nearly_right_is_suggested():
    with pytest.raises(InputError, match=r"not 'Linear' .did you mean linear\?"):
        SamplingSettings(weight_schedule="Linear")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"colour": 1}, "unknown setting colour; known: preset, priors, "),
        ({"sampling": {"slover": 1}}, "unknown setting sampling.slover .did you mean solver.*known: steps, "),
        ({"sampling": {"steps": 1.5}}, "sampling.steps must be a whole number, not 1.5"),
        ({"sampling": {"fps_id": float("nan")}}, "sampling.fps_id must lie between 0 and 1000, not nan"),
        ({"sampling": 3}, "sampling must be a table, not 3"),
        ({"views": True}, "views must be a whole number, not True"),
    ],
)
def test_a_file_that_was_edited_wrongly_is_refused_by_name(values, named, tmp_path):
    with pytest.raises(InputError, match=rf"config\.json: {named}"):
        write_config(tmp_path, values).read_settings()


def test_a_misspelt_option_is_refused_with_the_one_that_is_known():
    with pytest.raises(InputError, match=r"--sampling\.slover.*perhaps you meant --sampling\.solver"):
        parse(["generate", "a.png", "--out", "new", "--sampling.slover", "euler"])


@pytest.mark.parametrize(
    ("earlier", "today"), [("reduced", "variance-reducing"), ("preserving", "variance-preserving")]
)
def test_the_rollback_noise_of_an_earlier_versions_run_has_its_name_of_today(earlier, today, tmp_path):
    values = asdict(PRESETS["paper"])
    values["sampling"]["rollback_noise"] = earlier
    expected = replace(PRESETS["paper"].sampling, rollback_noise=today)
    assert write_config(tmp_path, values).read_settings() == replace(PRESETS["paper"], sampling=expected)


@pytest.mark.parametrize(
    "change",
    [{"views": 0}, {"frames": 0}, {"size": 8}, {"fps": 0}, {"fps": float("nan")}, {"object_size": 1.1}],
)
def test_values_out_of_range_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        GenerateSettings(**change)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"sigma_min": 2.0, "sigma_max": 1.0}, "sigma_min must lie between 1e-06 and 1.0, not 2.0"),
        ({"steps": 2}, "rollback_steps must lie between 0 and 2, not 3"),
        ({"guidance_sigma_high": 1.0, "guidance_sigma_low": 2.0}, "guidance_sigma_low must lie"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(changes, refused):
    with pytest.raises(InputError, match=refused):
        SamplingSettings(**changes)


def test_a_time_behind_the_last_layer_is_refused_before_anything_is_made():
    with pytest.raises(InputError, match="time_layer must lie between 0 and 3, not 4"):
        replace(PRESETS["mini"].reconstruction, time_layer=4)
