"""From a picture to all results by the commands, with networks of random weights."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import diffusion2
from diffusion2.cli import main
from diffusion2.events import StageProgress
from diffusion2.runs.matrix_files import read_pictures

from .conftest import SETTINGS, SIZE

pytestmark = pytest.mark.usefixtures("use_mini_weights")


@pytest.fixture(scope="module")
def made(mini_weights, tmp_path_factory):
    """One complete run, as the command makes it; tests copy it before they change it."""
    place = tmp_path_factory.mktemp("made")
    image = Image.new("RGBA", (64, 64))
    image.paste((200, 40, 30, 255), (16, 20, 48, 44))
    image.save(place / "box.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFUSION2_MINI_WEIGHTS", str(mini_weights))
        assert main(["generate", str(place / "box.png"), "--out", str(place / "run"), *SETTINGS]) == 0
    return place


def matrix_bytes(run):
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in (run / "matrix").rglob("*.png")}


def test_a_run_leaves_what_the_layout_says(made):
    run = made / "run"
    assert sorted(p.name for p in run.iterdir()) == [
        "asset.safetensors",
        "cameras.json",
        "conditions",
        "config.json",
        "events.jsonl",
        "latents",
        "matrix",
        "orbit.mp4",
        "viewer.html",
    ]
    assert len(matrix_bytes(run)) == 12
    assert read_pictures(run / "conditions" / "video", "frame")[0].shape == (3, 3, SIZE, SIZE)
    assert read_pictures(run / "conditions" / "views", "view")[0].shape == (4, 3, SIZE, SIZE)
    assert [p.name for p in (run / "latents").iterdir()] == ["step_002.safetensors"]


def test_the_config_says_how_the_run_was_made(made):
    config = json.loads((made / "run" / "config.json").read_text())
    assert config["settings"]["sampling"]["steps"] == 4
    assert config["preset"] == "mini"
    assert config["preset_changes"]["sampling.steps"] == 4
    assert "sampling.mirror" not in config["preset_changes"]
    assert len(config["weights"]) == 4
    assert config["versions"]["torch"]
    assert config["device"] == "cpu"


def test_the_events_have_the_time_of_every_stage(made):
    records = [json.loads(line) for line in (made / "run" / "events.jsonl").read_text().splitlines()]
    seconds = {r["stage"]: r["seconds"] for r in records if r["event"] == "StageFinished"}
    assert {"references", "matrix", "decode", "reconstruction"} <= set(seconds)
    assert all(s >= 0 for s in seconds.values())
    assert any("toy creatures" in r.get("message", "") for r in records)
    assert records[-1]["event"] == "RunFinished"


def test_the_asset_is_dynamic_and_can_be_rendered(made):
    asset = diffusion2.load_asset(made / "run")
    assert asset.deformation is not None
    rendering = diffusion2.render(asset, diffusion2.make_cameras([0, 90], height=16), time=0.5)
    assert rendering.rgb.shape == (2, 16, 16, 3)
    assert torch.isfinite(rendering.rgb).all()


def test_the_same_seed_gives_the_same_matrix_and_another_seed_another(made, tmp_path):
    picture = str(made / "box.png")
    assert main(["sample", picture, "--out", str(tmp_path / "same"), *SETTINGS]) == 0
    assert matrix_bytes(tmp_path / "same") == matrix_bytes(made / "run")
    assert not (tmp_path / "same" / "asset.safetensors").exists()
    assert main(["sample", picture, "--out", str(tmp_path / "other"), *SETTINGS, "--seed", "1"]) == 0
    assert matrix_bytes(tmp_path / "other") != matrix_bytes(made / "run")


@pytest.mark.parametrize("done", [0, 1, 3])
def test_an_interrupted_run_resumes_to_the_identical_result(made, tmp_path, done, monkeypatch, capsys):
    """Interrupt after so many evaluations of the matrix: before and after the checkpoint."""
    import diffusion2.pipeline as pipeline

    sample = pipeline.sample

    def interrupted(*arguments, report, **options):
        def listen(event):
            report(event)
            if isinstance(event, StageProgress) and event.stage == "matrix" and event.done == done:
                raise KeyboardInterrupt

        return sample(*arguments, report=listen, **options)

    call = ["sample", str(made / "box.png"), "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "sample", interrupted)
        assert main([*call, *SETTINGS]) == 130
    assert not (tmp_path / "run" / "cameras.json").exists()
    assert "--resume" in capsys.readouterr().err
    assert main([*call, "--resume"]) == 0
    assert matrix_bytes(tmp_path / "run") == matrix_bytes(made / "run")


def test_an_interrupted_replacement_keeps_the_old_run(made, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    monkeypatch.setattr("diffusion2.pipeline.flow.sample_matrix", interrupt)
    assert main(["sample", str(made / "box.png"), "--out", str(run), *SETTINGS, "--overwrite"]) == 130
    assert f"kept in {run / '.previous'}" in capsys.readouterr().out
    assert matrix_bytes(run / ".previous") == matrix_bytes(made / "run")


def test_a_run_that_reconstruct_finished_is_kept_when_it_is_replaced(made, tmp_path, monkeypatch):
    """Interrupted in stage 2, finished by `reconstruct`, then replaced by a run that is interrupted, too."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    call = ["generate", str(made / "box.png"), "--out", str(run), *SETTINGS, "--seed", "1", "--overwrite"]
    with monkeypatch.context() as patch:
        patch.setattr("diffusion2.pipeline.results.reconstruct_matrix", interrupt)
        assert main(call) == 130
    assert matrix_bytes(run / ".previous") == matrix_bytes(made / "run")
    assert main(["reconstruct", str(run)]) == 0
    assert not (run / ".previous").exists()
    finished, asset = matrix_bytes(run), (run / "asset.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("diffusion2.pipeline.results.reconstruct_matrix", interrupt)
        assert main(call) == 130
    assert matrix_bytes(run / ".previous") == finished
    assert (run / ".previous" / "asset.safetensors").read_bytes() == asset


@pytest.mark.parametrize("given", [False, True])
def test_stage_2_is_told_whether_the_video_was_given(made, tmp_path, monkeypatch, given):
    told = []

    def spy(*_, video_given, **__):
        told.append(video_given)
        raise KeyboardInterrupt

    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    path = run / "conditions" / "given.json"
    known = json.loads(path.read_text())
    assert known["video"] is False  # it began with a picture
    path.write_text(json.dumps({**known, "video": given}))
    monkeypatch.setattr("diffusion2.pipeline.results.reconstruct_matrix", spy)
    assert main(["reconstruct", str(run), "--overwrite"]) == 130
    assert told == [given]


def test_a_run_is_resumed_at_the_stage_that_is_missing(made, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    asset, viewer = (run / "asset.safetensors").read_bytes(), run / "viewer.html"
    viewer.unlink()
    assert main(["generate", str(made / "box.png"), "--out", str(run), "--resume"]) == 0
    assert viewer.exists()
    assert (run / "asset.safetensors").read_bytes() == asset
    assert matrix_bytes(run) == matrix_bytes(made / "run")


def test_a_run_with_the_loop_reconstructs_twice_and_resumes_in_between(made, tmp_path, monkeypatch):
    loop = [*SETTINGS, "--sampling.loop-rounds", "1"]
    picture, whole, cut = str(made / "box.png"), tmp_path / "whole", tmp_path / "cut"
    assert main(["generate", picture, "--out", str(whole), *loop]) == 0
    records = [json.loads(line) for line in (whole / "events.jsonl").read_text().splitlines()]
    stages = [r["stage"] for r in records if r["event"] == "StageFinished"]
    both = ["references", "matrix", "decode", "reconstruction", "matrix", "decode", "reconstruction"]
    assert stages[: len(both)] == both
    assert matrix_bytes(whole) != matrix_bytes(made / "run")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("diffusion2.pipeline.results.reconstruct_matrix", interrupt)
        assert main(["generate", picture, "--out", str(cut), *loop]) == 130
    assert [*(cut / "latents").glob("step_*.safetensors")]
    assert not (cut / "cameras.json").exists()
    assert main(["generate", picture, "--out", str(cut), "--resume"]) == 0
    assert matrix_bytes(cut) == matrix_bytes(whole)


def test_white_parts_that_the_priors_cannot_see_are_named(made, tmp_path, capsys):
    image = Image.new("RGBA", (64, 64))
    image.paste((255, 255, 255, 255), (16, 20, 48, 44))
    image.paste((200, 40, 30, 255), (26, 24, 48, 44))
    image.save(tmp_path / "half.png")
    assert main(["sample", str(tmp_path / "half.png"), "--out", str(tmp_path / "run"), *SETTINGS]) == 0
    assert "% of the object is white up to its outline" in capsys.readouterr().out
    assert main(["sample", str(made / "box.png"), "--out", str(tmp_path / "red"), *SETTINGS]) == 0
    assert "of the object is white" not in capsys.readouterr().out


def test_overwrite_replaces_the_run(made, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    call = ["sample", str(made / "box.png"), "--out", str(run), *SETTINGS, "--seed", "1"]
    assert main(call) == 2
    assert matrix_bytes(run) == matrix_bytes(made / "run")
    assert main([*call, "--overwrite"]) == 0
    assert matrix_bytes(run) != matrix_bytes(made / "run")
    assert not (run / "asset.safetensors").exists()
    assert not (run / ".previous").exists()


def test_damaged_weights_leave_the_old_run_alone(made, tmp_path, monkeypatch, mini_weights, capsys):
    weights = tmp_path / "weights"
    shutil.copytree(mini_weights, weights)
    next((weights / "video").glob("*.safetensors")).write_bytes(b"cut short")
    monkeypatch.setenv("DIFFUSION2_MINI_WEIGHTS", str(weights))
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    assert main(["generate", str(made / "box.png"), "--out", str(run), "--overwrite"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert matrix_bytes(run) == matrix_bytes(made / "run")
    assert (run / "viewer.html").exists()


def test_a_size_that_does_not_fit_the_networks_is_refused(made, tmp_path, capsys):
    assert main(["generate", str(made / "box.png"), "--out", str(tmp_path / "run"), "--size", "33"]) == 2
    assert "multiple of 8" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_that_another_program_wrote_is_reconstructed(made, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    shutil.copytree(made / "run" / "matrix", folder / "matrix")
    shutil.copy(made / "run" / "cameras.json", folder)
    call = ["reconstruct", str(folder), "--warmup-iterations", "2", "--joint-iterations", "2"]
    assert main([*call, "--gaussians", "100"]) == 0
    assert {"asset.safetensors", "orbit.mp4", "viewer.html"} <= {p.name for p in folder.iterdir()}
    assert main(call) == 2


@pytest.mark.parametrize(("compared", "kept"), [("matrix", True), ("asset", False)])
def test_a_new_asset_leaves_no_scores_of_the_former_one(made, tmp_path, compared, kept):
    folder = tmp_path / "run"
    shutil.copytree(made / "run", folder)
    (folder / "evaluation.json").write_text(json.dumps({"compared": compared}))
    (folder / "evaluation.html").write_text("scores")
    former = (folder / "orbit.mp4").read_bytes()
    call = ["reconstruct", str(folder), "--overwrite", "--warmup-iterations", "2", "--joint-iterations", "2"]
    assert main([*call, "--gaussians", "50"]) == 0
    assert {(folder / f"evaluation.{suffix}").exists() for suffix in ("json", "html")} == {kept}
    assert (folder / "orbit.mp4").read_bytes() != former


def test_render_writes_colour_alpha_and_depth(made, tmp_path):
    call = ["render", str(made / "run"), "--width", "20", "--height", "12", "--elevations-deg", "-10"]
    assert main([*call, "--out", str(tmp_path / "frames"), "--orbit", "3"]) == 0
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == [
        f"{kind}_{k:03d}.{suffix}"
        for kind, suffix in (("alpha", "png"), ("depth", "npy"), ("rgb", "png"))
        for k in range(3)
    ]
    assert np.load(tmp_path / "frames" / "depth_000.npy").shape == (12, 20)
    assert main([*call, "--out", str(tmp_path / "a.png"), "--times", "1", "--azimuths-deg", "45"]) == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (20, 12)
    assert main([*call, "--out", str(tmp_path / "a.mp4"), "--orbit", "4"]) == 0
    assert (tmp_path / "a.mp4").stat().st_size > 100


def test_export_writes_by_suffix(made, tmp_path, capsys):
    assert main(["export", str(made / "run" / "asset.safetensors"), str(tmp_path / "a.html")]) == 0
    assert (tmp_path / "a.html").stat().st_size > 1000
    capsys.readouterr()
    assert main(["export", str(made / "run"), str(tmp_path / "a.xyz")]) == 2
    said = capsys.readouterr().err
    assert all(suffix in said for suffix in (".glb", ".ply", ".mp4", ".html", ".splat")), said


def test_the_python_interface_does_the_same(made, tmp_path):
    settings = diffusion2.RunFolder(made / "run").read_settings()
    run = diffusion2.generate(made / "box.png", tmp_path / "run", settings)
    assert matrix_bytes(run.path) == matrix_bytes(made / "run")
    asset = diffusion2.load_asset(run.asset_path)
    assert len(asset.at(0.5).means) > 0
    with pytest.raises(diffusion2.InputError, match="preset"):
        diffusion2.generate(made / "box.png", tmp_path / "other", preset="huge")


def same_asset(first, second):
    return first.asset_path.read_bytes() == second.asset_path.read_bytes()


def test_stage_1_and_2_are_public_functions(made, tmp_path):
    """`reconstruct` draws with the run's seed and settings, as the command does."""
    settings = replace(diffusion2.RunFolder(made / "run").read_settings(), seed=5)
    whole = diffusion2.generate(made / "box.png", tmp_path / "whole", settings)
    run = diffusion2.sample(made / "box.png", tmp_path / "run", settings)
    assert not run.asset_path.exists()
    assert diffusion2.reconstruct(run.path) == run
    assert same_asset(run, whole)
    assert matrix_bytes(run.path) == matrix_bytes(whole.path)
    diffusion2.reconstruct(run.path, seed=6, overwrite=True)
    assert not same_asset(run, whole)
    with pytest.raises(diffusion2.InputError, match="seed"):
        diffusion2.reconstruct(run.path, seed=-1, overwrite=True)
