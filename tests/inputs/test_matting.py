from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion2.errors import BackendUnavailable, InputError, WeightsError
from diffusion2.inputs.cutting import matting
from diffusion2.inputs.cutting.edges import without_fringe
from diffusion2.inputs.cutting.matting import find_matting_network, object_mask
from diffusion2.runs.source import InputSettings

from .conftest import disc, read


def busy_picture(size=160):
    """A striped ball in front of a noisy landscape, and where it is."""
    rows, columns = np.mgrid[:size, :size]
    ground = np.stack([110 + 40 * np.sin(columns / 17), 150 + 40 * np.cos(rows / 11), 90 + rows / 4], -1)
    ground += np.random.default_rng(0).normal(0, 10, ground.shape)
    inside = (rows - 85) ** 2 + (columns - 75) ** 2 < 45**2
    shade = 1 - ((rows - 65) ** 2 + (columns - 60) ** 2) / 9000
    ball = np.stack([230 * shade, 60 * shade, 50 * shade], -1)
    return Image.fromarray(np.where(inside[..., None], ball, ground).clip(0, 255).astype(np.uint8)), inside


@pytest.fixture
def network():
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'diffusion2[matting]'")
    try:
        return find_matting_network()
    except WeightsError:
        pytest.skip(f"needs a network: {matting.INSTALL}")


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(matting, "PACKAGE", "no-such-package-as-this")
    monkeypatch.setenv(matting.REMBG_VARIABLE, str(tmp_path / "nothing"))


def test_the_network_finds_an_object_on_a_busy_background(network):
    picture, inside = busy_picture()
    mask = np.asarray(object_mask(picture, network)) > 127
    # a published network of 4.5 MB on a ball: nearly all of it, and little else
    assert (mask & inside).sum() / (mask | inside).sum() > 0.9


def test_a_picture_on_a_busy_background_is_cut_out_and_the_user_is_told(network, tmp_path):
    picture, _ = busy_picture()
    picture.save(tmp_path / "a.png")
    conditions, notes = read(tmp_path / "a.png", InputSettings(), size=64)
    assert (conditions.picture[:, 0, 0] == 1).all()
    red, green, _ = conditions.picture[:, 32, 32]
    assert red > 2 * green
    assert "network u2netp.onnx" in notes[0]


def test_a_plain_background_needs_no_network(no_network, tmp_path):
    disc().save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", InputSettings())[1] == []


def test_without_a_network_the_error_says_what_to_do(no_network, tmp_path):
    busy_picture()[0].save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"transparent background, or install .*diffusion2\[matting\]"):
        read(tmp_path / "a.png", InputSettings())
    with pytest.raises(WeightsError, match="pip install"):
        read(tmp_path / "a.png", InputSettings(background="network"))


def test_without_onnxruntime_the_error_says_what_to_do(monkeypatch, tmp_path):
    (tmp_path / "own.onnx").write_bytes(b"network")
    busy_picture()[0].save(tmp_path / "a.png")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailable, match=r"diffusion2\[matting\]"):
        read(tmp_path / "a.png", InputSettings(matting_model=str(tmp_path / "own.onnx")))


def test_a_network_that_rembg_fetched_is_used_if_it_is_the_known_one(no_network, monkeypatch, tmp_path):
    monkeypatch.setenv(matting.REMBG_VARIABLE, str(tmp_path))
    (tmp_path / matting.NETWORK).write_bytes(b"something else")
    with pytest.raises(WeightsError, match="sha256 differs"):
        find_matting_network()


@pytest.mark.parametrize("content", [None, b"no network"])
def test_an_own_network_that_is_none_is_refused(tmp_path, content):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'diffusion2[matting]'")
    path = tmp_path / "own.onnx"
    if content is not None:
        path.write_bytes(content)
    busy_picture()[0].save(tmp_path / "a.png")
    with pytest.raises(WeightsError, match=r"own\.onnx"):
        read(tmp_path / "a.png", InputSettings(matting_model=str(path)))


def test_the_soft_edge_takes_the_objects_colour():
    picture, inside = busy_picture()
    mask = Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).resize((80, 80)).resize((160, 160))
    cleaned = np.asarray(without_fringe(picture, mask)).astype(float)
    alpha = cleaned[..., 3]
    edge = (alpha > 20) & (alpha < 235) & ~inside
    assert edge.sum() > 20
    # the ball is red everywhere; the ground is nowhere
    assert (cleaned[edge][:, 0] > 2 * cleaned[edge][:, 1]).mean() > 0.95
    sure = alpha >= 242
    assert np.array_equal(cleaned[sure][:, :3], np.asarray(picture)[sure])


def test_a_small_object_is_looked_at_once_more_from_near(monkeypatch):
    looks = []

    def look(picture, network):
        looks.append(picture.size)
        mask = Image.new("L", picture.size)
        if len(looks) == 1:
            mask.paste(200, (60, 40, 100, 60))
        else:
            mask.paste(255, (5, 5, 20, 20))
        return mask

    monkeypatch.setattr(matting, "_look", look)
    mask = object_mask(Image.new("RGB", (200, 100)), Path("any"))
    # the second look is at the first's box and a quarter of its 40 pixels around it, from (50, 30) on
    assert looks == [(200, 100), (60, 40)]
    assert mask.getbbox() == (55, 35, 70, 50)


def test_an_object_that_fills_the_picture_is_looked_at_once(monkeypatch):
    looks = []
    monkeypatch.setattr(matting, "_look", lambda p, _: looks.append(p.size) or Image.new("L", p.size, 255))
    assert object_mask(Image.new("RGB", (64, 64)), Path("any")).getextrema() == (255, 255)
    assert len(looks) == 1
