"""A picture to a static asset in one pass, and on from there; the lifter's weights are random."""

import json
import shutil

import pytest
import torch
from PIL import Image

import diffusion2
from diffusion2.cli import main
from diffusion2.reconstruction import stage

from .conftest import SETTINGS

pytestmark = pytest.mark.usefixtures("use_mini_weights")


def preview(picture, out, *options):
    return main(["preview", str(picture), "--out", str(out), *options])


def events(run, kind):
    records = map(json.loads, (run / "events.jsonl").read_text().splitlines())
    return [record for record in records if record["event"] == kind]


def test_a_picture_becomes_a_static_asset_that_looks_like_it(picture, tmp_path, capsys):
    run = tmp_path / "run"
    assert preview(picture, run, "--elevation", "20") == 0
    assert str(run / "viewer.html") in capsys.readouterr().out
    asset = diffusion2.load_asset(run)
    assert asset.deformation is None
    assert asset.metadata.frames == 1
    assert asset.metadata.elevation_deg == 20
    assert (run / "orbit.mp4").stat().st_size > 0
    assert not (run / "matrix").exists()
    seen = diffusion2.render(asset, diffusion2.make_cameras([0.0], 20.0, height=32), time=0.0)
    red, green, blue = seen.rgb[0, 12:20, 18:24].mean((0, 1)).tolist()  # beside the eye
    assert red > 2 * max(green, blue)
    assert seen.alpha[0, 16, 16] > 0.5
    assert seen.alpha[0, 0, 0] < 0.1


def test_a_run_goes_on_from_its_preview_to_the_moving_asset(picture, tmp_path, monkeypatch):
    settings = diffusion2.PRESETS["mini"]
    run, straight = tmp_path / "run", tmp_path / "straight"
    assert main(["generate", str(picture), "--out", str(straight), *SETTINGS]) == 0
    began = json.loads((straight / "config.json").read_text())["settings"]
    diffusion2.preview(picture, run, type(settings).from_dict(began))
    still = (run / "viewer.html").read_bytes()
    assert main(["generate", str(picture), "--out", str(run), "--resume"]) == 0
    assert diffusion2.load_asset(run).deformation is not None
    assert (run / "viewer.html").read_bytes() != still
    made, expected = (diffusion2.read_matrix(folder).images for folder in (run, straight))
    # a preview keeps the picture with its alpha, of which these priors know nothing: rounded otherwise
    assert float((made - expected).abs().mean()) < 0.01


def test_stage_2_begins_with_what_was_lifted_where_no_views_were_given(picture, tmp_path, monkeypatch):
    started = []
    warm_up = stage.warm_up
    monkeypatch.setattr(stage, "warm_up", lambda g, *more: started.append(g) or warm_up(g, *more))
    call = ["generate", str(picture), *SETTINGS, "--reconstruction.start", "lifter", "--out"]
    assert main([*call, str(tmp_path / "straight")]) == 0
    began = json.loads((tmp_path / "straight" / "config.json").read_text())["settings"]
    still = diffusion2.preview(picture, tmp_path / "run", diffusion2.GenerateSettings.from_dict(began))
    lifted = diffusion2.load_asset(still.asset_path).gaussians
    assert main(["generate", "--out", str(still.path), "--resume"]) == 0
    assert len(started[0]) == len(started[1]) == 80  # of 200
    assert torch.isin(started[1].means, lifted.means).all()
    # straight on, the picture had no alpha in its file, and it was estimated
    assert (started[0].means - started[1].means).abs().median() < 0.05
    views = ["--views", str(still.views_path)]
    assert main([*call, str(tmp_path / "given"), *views]) == 0
    assert not torch.isin(started[2].means, lifted.means).any()


def test_a_run_is_replaced_only_when_that_is_asked_for_and_the_preview_is_whole(picture, tmp_path, capsys):
    run = tmp_path / "run"
    assert preview(picture, run) == 0
    before = (run / "asset.safetensors").read_bytes()
    assert preview(picture, run) == 2
    assert "already holds a run" in capsys.readouterr().err
    blank = tmp_path / "blank.png"
    Image.new("RGBA", (64, 64)).save(blank)
    assert preview(blank, run, "--overwrite") == 2
    assert (run / "asset.safetensors").read_bytes() == before
    assert preview(picture, run, "--overwrite", "--elevation", "30") == 0
    assert (run / "asset.safetensors").read_bytes() != before
    assert not (run / ".previous").exists()


def test_weights_without_a_lifter_are_refused(picture, tmp_path, mini_weights, monkeypatch, capsys):
    shutil.copytree(mini_weights, tmp_path / "weights", ignore=shutil.ignore_patterns("lifter"))
    monkeypatch.setenv("DIFFUSION2_MINI_WEIGHTS", str(tmp_path / "weights"))
    assert preview(picture, tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert "lifter" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("draw", ["thin", "full", "touching", "white"])
def test_odd_pictures_become_whole_assets(draw, tmp_path):
    boxes = {"thin": (40, 10, 41, 90), "full": (0, 0, 100, 100), "touching": (60, 40, 100, 100)}
    image = Image.new("RGBA", (100, 100), (255, 255, 255, 0))
    box = boxes.get(draw, (30, 20, 70, 80))
    image.paste((255, 255, 255, 255) if draw == "white" else (30, 90, 200, 255), box)
    image.paste((240, 240, 240, 255), (box[0], 30, box[2], 50))
    image.save(tmp_path / "odd.png")
    assert preview(tmp_path / "odd.png", tmp_path / "run") == 0
    asset = diffusion2.load_asset(tmp_path / "run")
    assert len(asset.gaussians) > 0
    assert torch.isfinite(diffusion2.render(asset, diffusion2.make_cameras([0.0, 90.0], height=32)).rgb).all()


def test_a_full_disk_is_one_line_that_says_what_to_do(picture, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diffusion2.pipeline.results.write_orbit_video", full)
    assert preview(picture, tmp_path / "run") == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "No space left on device; when that is mended, start it again with --overwrite" in said
