"""Many inputs by one command, with networks of random weights; without videos and viewers."""

import json
import os

import pytest
from PIL import Image, ImageDraw

import diffusion2
from diffusion2.cli import main
from diffusion2.events import StageStarted
from diffusion2.pipeline import results as shown
from diffusion2.priors.loading import KeptPriors, load_priors

from .conftest import SETTINGS

pytestmark = pytest.mark.usefixtures("use_mini_weights", "quick_results")
OPTIONS = ["--preset", "mini", *SETTINGS]


@pytest.fixture
def quick_results(monkeypatch):
    monkeypatch.setattr(shown, "write_orbit_video", lambda asset, path, progress: path.write_bytes(b"x"))
    monkeypatch.setattr(shown, "write_viewer", lambda asset, path, title: path.write_text("x"))


@pytest.fixture
def place(tmp_path):
    """Two discs of different colours, and a file that is none."""
    for name, colour in (("red", (200, 40, 30)), ("blue", (30, 80, 200))):
        image = Image.new("RGBA", (64, 64))
        ImageDraw.Draw(image).ellipse((10, 10, 54, 54), fill=(*colour, 255))
        image.save(tmp_path / f"{name}.png")
    (tmp_path / "poison.png").write_text("no picture")
    return tmp_path


def call(place, *options, inputs=("*.png",)):
    return main(
        ["generate", *(str(place / name) for name in inputs), "--out", str(place / "out"), *OPTIONS, *options]
    )


def results(run):
    """What a run makes, without what says when."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name not in ("config.json", "events.jsonl")
    }


def times(place):
    return {path.name: path.stat().st_mtime_ns for path in (place / "out").glob("*/asset.safetensors")}


def test_many_inputs_become_what_each_becomes_alone_and_a_bad_one_is_named_at_the_end(
    place, capsys, monkeypatch
):
    loaded = []

    def count(settings, networks):
        loaded.append(settings)
        return load_priors(settings, networks)

    monkeypatch.setattr("diffusion2.priors.loading.load_priors", count)
    assert call(place) == 1
    said = capsys.readouterr()
    assert len(loaded) == 1
    assert said.out.splitlines()[-2:] == [
        "2 of 3 runs are finished",
        f"failed: poison: {place / 'poison.png'} is no picture, video or 3D model that can be read: give a "
        "PNG, an MP4 or a GLB file",
    ]
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: 1 of 3 runs failed, poison: ")
    assert sorted(path.name for path in (place / "out").iterdir()) == [
        "blue",
        "contact_sheet.png",
        "red",
        "summary.json",
    ]
    summary = json.loads((place / "out" / "summary.json").read_text())
    assert [(run["name"], run["state"]) for run in summary["runs"]] == [
        ("blue", "finished"),
        ("poison", "failed"),
        ("red", "finished"),
    ]
    assert main(["generate", str(place / "red.png"), "--out", str(place / "alone"), *OPTIONS]) == 0
    assert results(place / "alone") == results(place / "out" / "red")

    # again: what is finished stays as it is, and what failed is tried anew
    before = times(place)
    (place / "poison.png").write_bytes((place / "red.png").read_bytes())
    assert call(place) == 0
    assert "2 of 3 runs are finished already" in capsys.readouterr().out
    after = times(place)
    assert {name: after[name] for name in before} == before
    assert diffusion2.RunFolder(place / "out" / "poison").is_finished

    # with other settings: refused before anything runs
    assert call(place, "--seed", "1") == 2
    assert "other settings" in capsys.readouterr().err
    assert times(place) == after


def test_an_interrupted_batch_goes_on_where_it_was(place, capsys):
    (place / "poison.png").unlink()
    stages = []

    def interrupt(event):
        if isinstance(event, StageStarted):
            stages.append(event.stage)
            if stages.count("decode") == 2:
                raise KeyboardInterrupt

    settings = diffusion2.PRESETS["mini"].with_texts(
        {
            name.removeprefix("--").replace("-", "_"): text
            for name, text in zip(SETTINGS[::2], SETTINGS[1::2], strict=True)
        }
    )
    with pytest.raises(KeyboardInterrupt):
        diffusion2.generate_many([place / "*.png"], place / "out", settings, report=interrupt)
    summary = json.loads((place / "out" / "summary.json").read_text())
    assert (summary["finished"], summary["waiting"]) == (1, 1)
    stages.clear()
    summary = diffusion2.generate_many([place / "*.png"], place / "out", settings, report=interrupt)
    assert "references" not in stages
    assert stages.count("reconstruction") == 1
    assert [run.path.name for run in summary.runs] == ["blue", "red"]
    assert [path.name for path in summary.contact_sheets] == ["contact_sheet.png"]
    summary.check()


REFUSED = {
    "a missing file": (["red.png", "no.png"], [], "no.png"),
    "words beside many": (["*.png"], ["--prompt", "a fox"], "--prompt belongs to one input"),
    "a folder that is a run": (["*.png"], [], "holds a run"),
    "an address without Ray": (["*.png"], ["--ray-address", "auto"], "--ray-address is for --engine ray"),
    "both ways": (["*.png"], ["--resume", "--overwrite"], "choose one"),
    "an engine that is none": (["*.png"], ["--engine", "spark"], "engine"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_call_is_refused_before_anything_runs(place, capsys, case):
    inputs, options, said = REFUSED[case]
    if case == "a folder that is a run":
        (place / "out").mkdir()
        (place / "out" / "config.json").write_text('{"settings": {}}')
    before = sorted(place.rglob("*"))
    assert call(place, *options, inputs=inputs) == 2
    assert said in capsys.readouterr().err
    assert sorted(place.rglob("*")) == before


def test_one_of_several_processes_makes_no_batch(place, capsys, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert call(place) == 2
    assert "OMPI_COMM_WORLD_SIZE" in capsys.readouterr().err


def test_ray_that_is_not_installed_is_named(place, capsys, monkeypatch):
    monkeypatch.setattr("diffusion2.batch.ray_engine.find_spec", lambda name: None)
    assert call(place, "--engine", "ray") == 2
    assert "pip install 'diffusion2[cluster]'" in capsys.readouterr().err
    assert not os.path.exists(place / "out")


def test_pairs_are_loaded_again_only_for_what_they_depend_on(mini_weights):
    mini = diffusion2.PRESETS["mini"]
    load = KeptPriors()
    first = load(mini)
    assert load(mini.with_texts({"seed": "5", "sampling.steps": "3"})) is first
    assert load(mini.with_texts({"sampling.precision": "float32"})) is not first
    with pytest.raises(diffusion2.InputError, match="size must be a multiple"):
        load(mini.with_texts({"sampling.precision": "float32", "size": "33"}))
