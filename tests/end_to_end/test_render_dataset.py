"""`diffusion2 render-dataset` as a user calls it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2.cli import main
from diffusion2.runs.matrix_files import read_matrix

from ..meshes.animated_models import cube, sliding_cube
from ..meshes.make_gltf import GltfBuilder
from ..meshes.opengl import need_opengl

SMALL = ["--views", "3", "--frames", "4", "--size", "32"]


@pytest.fixture
def model(tmp_path):
    return sliding_cube(tmp_path / "cube.glb")


@pytest.fixture
def opengl():
    need_opengl()


def call(*arguments: object) -> int:
    return main(["render-dataset", *map(str, arguments)])


def snapshot(folder: Path):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_clips_of_a_model_are_listed(model, capsys):
    assert call(model, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [["2.000", "s", "slide"], ["2.000", "s", "swing"]]
    assert len(lines) == 4


@pytest.mark.usefixtures("opengl")
def test_a_model_becomes_a_folder_that_reads_as_a_run(model, tmp_path, capsys):
    out = tmp_path / "new" / "gt"
    assert call(model, "--out", out, "--clip", "turn", "--azimuth-deg", "90", *SMALL) == 0
    assert "3 views, 4 frames at 2 fps; turn from 0 s for 2.0 s, a loop" in capsys.readouterr().out
    matrix = read_matrix(out)
    assert matrix.images.shape == (3, 4, 3, 32, 32)
    assert matrix.alphas is not None
    np.testing.assert_allclose(matrix.cameras.azimuths_deg, [120, 240, 360])
    np.testing.assert_allclose(matrix.cameras.elevations_deg, 10)
    assert sorted(p.name for p in out.iterdir()) == ["cameras.json", "matrix", "source.json"]
    # the first picture of the reference view shows the right side, which is green
    assert torch.equal(matrix.images[-1, 0, :, 18, 16], torch.tensor([0.0, 1.0, 0.0]))


@pytest.mark.usefixtures("opengl")
def test_the_first_clip_is_the_default_and_azimuths_may_be_any(model, tmp_path):
    azimuths = [0, -75, 15, 105, 195]
    out = tmp_path / "gt"
    assert call(model, "--out", out, "--frames", "3", "--size", "16", "--azimuths-deg", *azimuths) == 0
    matrix = read_matrix(out)
    np.testing.assert_allclose(matrix.cameras.azimuths_deg, azimuths)
    assert '"clip": "slide"' in (out / "source.json").read_text()


@pytest.mark.usefixtures("opengl")
def test_the_same_call_gives_the_same_files(model, tmp_path):
    for name in ("a", "b"):
        assert call(model, "--out", tmp_path / name, "--clip", "turn", *SMALL) == 0
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


@pytest.mark.usefixtures("opengl")
def test_a_data_set_is_replaced_only_when_told(model, tmp_path, capsys):
    out = tmp_path / "gt"
    assert call(model, "--out", out, *SMALL) == 0
    before = snapshot(out)
    assert call(model, "--out", out, "--clip", "turn", *SMALL) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert snapshot(out) == before
    assert call(model, "--out", out, "--clip", "turn", "--overwrite", *SMALL) == 0
    assert snapshot(out) != before


@pytest.mark.usefixtures("opengl")
def test_a_model_without_animation_is_shown_still_when_told(tmp_path, capsys):
    builder = GltfBuilder()
    builder.node(mesh=cube(builder))
    path = builder.write(tmp_path / "still.glb")
    assert call(path, "--out", tmp_path / "gt", *SMALL) == 2
    assert "--still" in capsys.readouterr().err
    assert call(path, "--out", tmp_path / "gt", "--still", *SMALL) == 0
    images = read_matrix(tmp_path / "gt").images
    assert images.shape[:2] == (3, 4)
    assert (images == images[:, :1]).all()


BAD = {
    "no output": ([], "--out"),
    "no such clip": (["--out", "{d}/gt", "--clip", "walk"], "it has: slide, swing, turn, pose"),
    "a clip without length": (["--out", "{d}/gt", "--clip", "pose"], "single pose"),
    "no views": (["--out", "{d}/gt", "--views", "0"], "--views"),
    "too many pictures": (["--out", "{d}/gt", "--views", "500", "--size", "2000"], "GB"),
    "a size of nothing": (["--out", "{d}/gt", "--size", "0"], "--size"),
    "an elevation over the top": (["--out", "{d}/gt", "--elevation-deg", "90"], "--elevation-deg"),
    "no number": (["--out", "{d}/gt", "--object-size", "nan"], "--object-size"),
    "an infinite azimuth": (["--out", "{d}/gt", "--azimuths-deg", "0", "inf"], "--azimuths-deg"),
    "a time that is not there": (["--out", "{d}/gt", "--start", "3"], "does not lie in it"),
    "too long": (["--out", "{d}/gt", "--duration", "3"], "no loop"),
    "two speeds": (["--out", "{d}/gt", "--duration", "1", "--fps", "3"], "one follows from the other"),
    "still with a speed": (["--out", "{d}/gt", "--still", "--fps", "3"], "--still"),
    "a file in the way": (["--out", "{d}/cube.glb"], "is a file"),
    "other files in the way": (["--out", "{d}"], "other files"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_call_is_one_line_and_changes_nothing(name, model, tmp_path, capsys):
    arguments, reason = BAD[name]
    before = snapshot(tmp_path)
    assert call(model, *(a.replace("{d}", str(tmp_path)) for a in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert reason in error
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "gt").exists()


@pytest.mark.parametrize("content", [None, b"", b"no model", b"glTF\x02\x00\x00\x00"])
def test_what_is_no_model_is_one_line(content, tmp_path, capsys):
    path = tmp_path / "bad.glb"
    if content is not None:
        path.write_bytes(content)
    assert call(path, "--out", tmp_path / "gt") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "bad.glb" in error
    assert error.count("\n") == 1
