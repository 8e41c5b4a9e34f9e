"""Every kind of input through the commands, with networks of random weights: what is known stays known."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import diffusion2
from diffusion2.cli import main
from diffusion2.priors.loading import load_priors
from diffusion2.runs.matrix_files import read_matrix, read_pictures

from ..inputs.models import BOX, FACES, write_obj
from ..inputs.tiny_pipeline import write_tiny_pipeline
from ..meshes.opengl import need_opengl
from .conftest import SETTINGS

pytestmark = pytest.mark.usefixtures("use_mini_weights")


@pytest.fixture
def walk(tmp_path):
    """A folder of frames: a dark disc walks to the right."""
    folder = tmp_path / "a walk – 01"
    folder.mkdir()
    for index in range(7):
        picture = Image.new("RGB", (96, 64), "white")
        ImageDraw.Draw(picture).ellipse((8 + 8 * index, 22, 28 + 8 * index, 42), fill=(30, 60, 90))
        picture.save(folder / f"frame {index}.png")
    return folder


@pytest.fixture
def turns(tmp_path):
    """A folder of four views of a box."""
    folder = tmp_path / "turns"
    folder.mkdir()
    for index in range(4):
        picture = Image.new("RGBA", (64, 64))
        picture.paste((200, 60 * index, 30, 255), (20 - index, 20, 44 + index, 44))
        picture.save(folder / f"{index}.png")
    return folder


def call(command, run, *arguments):
    return main([command, *map(str, arguments), "--out", str(run), *SETTINGS])


def track(row):
    """Where the dark disc is in every frame of a row, in pixels from the left."""
    weights = 1 - row.amin(1)
    columns = torch.arange(row.shape[-1], dtype=torch.float32)
    return (weights.sum(1) * columns).sum(1) / weights.sum((1, 2))


def test_the_reference_row_is_the_users_video_to_the_pixel(walk, tmp_path):
    assert call("sample", tmp_path / "run", walk) == 0
    matrix = read_matrix(tmp_path / "run")
    video, _ = read_pictures(tmp_path / "run" / "conditions" / "video", "frame")
    assert torch.equal(matrix.images[-1], video)
    assert not torch.equal(matrix.images[0], video)
    # three frames spread over seven at 24 a second
    assert matrix.fps == pytest.approx(2 / (6 / 24))
    steps = track(matrix.images[-1]).diff()
    # the disc of 20 pixels goes 48; both together are framed to 0.7 of 32 pixels, in two even steps
    assert steps.tolist() == pytest.approx([24 / 68 * 0.7 * 32] * 2, abs=0.3)


def test_towards_the_last_frame_the_video_still_runs_forward(walk, tmp_path):
    assert call("sample", tmp_path / "run", walk, "--reference-frame", "last") == 0
    matrix = read_matrix(tmp_path / "run")
    assert matrix.reference_frame == 2
    assert (track(matrix.images[-1]).diff() > 0).all()
    assert matrix.times.tolist() == [0, 0.5, 1]
    picture = Image.open(tmp_path / "run" / "conditions" / "picture.png")
    last = Image.open(tmp_path / "run" / "conditions" / "video" / "frame_002.png")
    assert picture.tobytes() == last.tobytes()


def test_a_picture_can_be_the_last_frame(tmp_path, picture):
    assert call("sample", tmp_path / "first", picture) == 0
    assert call("sample", tmp_path / "last", picture, "--reference-frame", "last") == 0
    first, last = read_matrix(tmp_path / "first"), read_matrix(tmp_path / "last")
    # the same frames, made from the picture on, but time runs towards it
    assert torch.equal(first.images, last.images.flip(1))


@pytest.mark.parametrize("option", ["--given-views", "--views"])
def test_given_views_stand_in_the_column(turns, tmp_path, option):
    assert call("sample", tmp_path / "run", f"{option}={turns}") == 0
    matrix = read_matrix(tmp_path / "run")
    views, _ = read_pictures(tmp_path / "run" / "conditions" / "views", "view")
    assert torch.equal(matrix.images[:, 0], views)
    assert not torch.equal(matrix.images[:, 1], views)


def test_row_and_column_together(walk, turns, tmp_path):
    assert call("sample", tmp_path / "run", walk, "--given-views", turns) == 0
    matrix = read_matrix(tmp_path / "run")
    video, _ = read_pictures(tmp_path / "run" / "conditions" / "video", "frame")
    views, _ = read_pictures(tmp_path / "run" / "conditions" / "views", "view")
    assert torch.equal(matrix.images[-1], video)
    assert torch.equal(matrix.images[:-1, 0], views[:-1])


def test_a_model_is_animated_where_it_stands(tmp_path):
    need_opengl()
    path = write_obj(tmp_path / "a box.obj", BOX * [3, 2, 1] + 5, FACES)
    assert call("generate", tmp_path / "run", path) == 0
    matrix = read_matrix(tmp_path / "run")
    views, _ = read_pictures(tmp_path / "run" / "conditions" / "views", "view")
    assert torch.equal(matrix.images[:, 0], views)
    asset = diffusion2.load_asset(tmp_path / "run")
    frame = asset.metadata.model_frame
    assert frame is not None
    assert frame.to_model(np.zeros((1, 3)))[0] == pytest.approx([6.5, 6, 5.5])
    # the same when the second stage is run alone
    options = ["--warmup-iterations", "2", "--joint-iterations", "2", "--gaussians", "100", "--overwrite"]
    assert main(["reconstruct", str(tmp_path / "run"), *options]) == 0
    assert diffusion2.load_asset(tmp_path / "run").metadata.model_frame == frame


def test_words_start_a_run(tmp_path):
    pipeline = write_tiny_pipeline(tmp_path / "pipeline")
    words = ["--prompt", "a fox", "--text-model", pipeline, "--text-steps", 1, "--framing", "keep"]
    assert call("sample", tmp_path / "run", *words) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["input"]["prompt"] == "a fox"
    assert config["input"]["settings"]["text_steps"] == 1
    # the pipeline is not needed any more
    shutil.rmtree(pipeline)
    (tmp_path / "run" / "cameras.json").unlink()
    assert main(["sample", "--out", str(tmp_path / "run"), "--resume"]) == 0


def interrupted(monkeypatch, run, *arguments):
    """Start a run and stop it when the matrix is begun; the references are there then."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("diffusion2.pipeline.flow.sample_matrix", interrupt)
        assert call("sample", run, *arguments) == 130


@pytest.mark.parametrize("kind", ["video", "views", "both", "last"])
def test_a_run_is_resumed_to_the_identical_result_without_its_input(kind, walk, turns, tmp_path, monkeypatch):
    arguments = {
        "video": [walk],
        "views": ["--given-views", turns],
        "both": [walk, "--given-views", turns],
        "last": [walk, "--reference-frame", "last"],
    }[kind]
    assert call("sample", tmp_path / "whole", *arguments) == 0
    interrupted(monkeypatch, tmp_path / "run", *arguments)
    shutil.rmtree(walk)
    shutil.rmtree(turns)
    assert main(["sample", "--out", str(tmp_path / "run"), "--resume"]) == 0
    whole, resumed = read_matrix(tmp_path / "whole"), read_matrix(tmp_path / "run")
    assert torch.equal(whole.images, resumed.images)
    assert (whole.fps, whole.reference_frame) == (resumed.fps, resumed.reference_frame)


def test_a_run_is_not_resumed_with_another_input_or_reading(walk, turns, tmp_path, monkeypatch, capsys):
    interrupted(monkeypatch, tmp_path / "run", walk)
    for arguments, message in (
        ([turns], "not the input"),
        ([walk, "--video", walk], "not the input"),
        ([walk, "--mask", walk], "not the input"),
        ([walk, "--start", "0.1"], "other settings"),
        (["--prompt", "a fox"], "not the input"),
    ):
        capsys.readouterr()
        assert main(["sample", *map(str, arguments), "--out", str(tmp_path / "run"), "--resume"]) == 2
        assert message in capsys.readouterr().err
    (walk / "frame 3.png").write_bytes((walk / "frame 4.png").read_bytes())
    assert main(["sample", str(walk), "--out", str(tmp_path / "run"), "--resume"]) == 2


def test_options_reach_the_priors(walk, turns, tmp_path, monkeypatch):
    seen = {}

    def listening(settings, networks):
        pair = load_priors(settings, networks)
        for name in ("video", "multiview"):
            prior = getattr(pair, name)

            def prepare(*arguments, _name=name, _prepare=prior.prepare, **options):
                seen[_name] = (arguments, options)
                return _prepare(*arguments, **options)

            object.__setattr__(prior, "prepare", prepare)
        return pair

    monkeypatch.setattr("diffusion2.pipeline.flow.load_priors", listening)
    options = ["--elevation", "-5", "--azimuths", "45", "90", "200", "360", "--fps", "4", "--motion", "40"]
    options.append("--sampling.no-mirror")
    assert call("sample", tmp_path / "run", walk, *options) == 2  # too short for 3 frames at 4 a second
    options[8] = "12"
    assert call("sample", tmp_path / "run", walk, *options) == 0
    assert seen["video"][1]["fps_id"] == 12
    assert seen["video"][1]["motion_bucket_id"] == 40
    cameras = seen["multiview"][0][1]
    assert cameras.azimuths_deg.tolist() == [45, 90, 200, 360]
    assert set(cameras.elevations_deg) == {-5}
    matrix = read_matrix(tmp_path / "run")
    assert matrix.fps == 12
    assert matrix.cameras.azimuths_deg.tolist() == [45, 90, 200, 360]
