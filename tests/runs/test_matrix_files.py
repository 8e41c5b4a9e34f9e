import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion2.cameras import orbit
from diffusion2.errors import AssetFormatError
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.pictures import to_8_bit
from diffusion2.runs.matrix_files import read_matrix, write_matrix


def make_matrix(views=3, frames=2, height=12, width=16, alphas=False):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(views, frames, 3, height, width, generator=generator)
    alpha = None
    if alphas:
        alpha = torch.rand(views, frames, 1, height, width, generator=generator)
        alpha[..., :3, :] = 0
        images = images * alpha + 1 - alpha
    cameras = orbit(views, 15.0, height=height, width=width)
    return ImageMatrix(images, cameras, frame_times(frames), 7.0, alpha)


@pytest.fixture
def folder(tmp_path):
    write_matrix(tmp_path, make_matrix())
    return tmp_path


def test_a_matrix_of_8_bit_values_survives_exactly(tmp_path):
    matrix = make_matrix()
    write_matrix(tmp_path, matrix)
    read = read_matrix(tmp_path)
    assert torch.equal(read.images, to_8_bit(matrix.images))
    assert read.alphas is None
    assert read.fps == 7.0
    assert torch.equal(read.times, matrix.times)
    np.testing.assert_allclose(read.cameras.viewmats, matrix.cameras.viewmats, atol=1e-12)
    np.testing.assert_allclose(read.cameras.Ks, matrix.cameras.Ks, atol=1e-12)


def test_alpha_survives_and_colours_are_composited_on_white(tmp_path):
    matrix = make_matrix(alphas=True)
    write_matrix(tmp_path, matrix)
    read = read_matrix(tmp_path)
    assert read.alphas is not None
    # half a step of 8 bits for alpha; one step for colour, which suffers the rounding of both
    torch.testing.assert_close(read.alphas, matrix.alphas, atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(read.images, matrix.images, atol=1.01 / 255, rtol=0)


def test_cameras_json_has_everything_other_programs_need(folder):
    content = json.loads((folder / "cameras.json").read_text())
    assert len(content["views"]) == 3
    assert len(content["frames"]) == 2
    assert set(content["views"][0]) == {"azimuth_deg", "elevation_deg", "radius", "fov_deg", "viewmat", "K"}
    assert content["views"][-1]["azimuth_deg"] == 360


def test_numbers_without_leading_zeros_are_read_in_order(folder):
    for view in (folder / "matrix").iterdir():
        view.rename(view.with_name(f"view_{int(view.name[5:])}"))
    assert torch.equal(read_matrix(folder).images, to_8_bit(make_matrix().images))


def test_writing_again_replaces_all_of_the_old_matrix(tmp_path):
    write_matrix(tmp_path, make_matrix(views=4, frames=3))
    write_matrix(tmp_path, make_matrix(views=2, frames=2))
    assert read_matrix(str(tmp_path)).images.shape[:2] == (2, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cameras.json", "matrix"]


def _drop(key):
    def change(folder: Path):
        path = folder / "cameras.json"
        content = json.loads(path.read_text())
        del content[key]
        path.write_text(json.dumps(content))

    return change


def _set(list_name, key, value):
    def change(folder: Path):
        path = folder / "cameras.json"
        content = json.loads(path.read_text())
        content[list_name][0][key] = value
        path.write_text(json.dumps(content))

    return change


BREAKS = {
    "no cameras": lambda f: (f / "cameras.json").unlink(),
    "cameras are no JSON": lambda f: (f / "cameras.json").write_text("{"),
    "cameras are a list": lambda f: (f / "cameras.json").write_text("[]"),
    "no views": _drop("views"),
    "no frames": _drop("frames"),
    "no fps": _drop("fps"),
    "azimuth is text": _set("views", "azimuth_deg", "left"),
    "radius is not a number": _set("views", "radius", float("nan")),
    "radius is negative": _set("views", "radius", -1),
    "fields of view differ": _set("views", "fov_deg", 50),
    "time outside its range": _set("frames", "time", 2),
    "no pictures": lambda f: [p.unlink() for p in (f / "matrix" / "view_001").iterdir()],
    "a view is missing": lambda f: (f / "matrix" / "view_001").rename(f / "elsewhere"),
    "a frame is missing": lambda f: (f / "matrix" / "view_000" / "frame_000.png").unlink(),
    "a picture is damaged": lambda f: (f / "matrix" / "view_000" / "frame_001.png").write_bytes(b"PNG"),
    "a picture has another size": lambda f: Image.new("RGB", (5, 5)).save(
        f / "matrix" / "view_002" / "frame_001.png"
    ),
    "a view too many": lambda f: (
        (f / "matrix" / "view_003").mkdir(),
        [
            (f / "matrix" / "view_003" / p.name).write_bytes(p.read_bytes())
            for p in (f / "matrix" / "view_000").iterdir()
        ],
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_folder_gives_one_clear_error(folder, name):
    BREAKS[name](folder)
    with pytest.raises(AssetFormatError) as caught:
        read_matrix(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_references_survive_their_file(tmp_path):
    part = make_matrix(views=4, frames=3)[[3, 0, 1], ::-1]
    assert (part.reference_view, part.reference_frame) == (0, 2)
    write_matrix(tmp_path, part)
    read = read_matrix(tmp_path)
    assert (read.reference_view, read.reference_frame) == (0, 2)
    content = json.loads((tmp_path / "cameras.json").read_text())
    (tmp_path / "cameras.json").write_text(json.dumps({**content, "reference_view": 3}))
    with pytest.raises(AssetFormatError, match='"reference_view" must be an index into "views", not 3'):
        read_matrix(tmp_path)
