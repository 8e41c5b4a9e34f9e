"""Reading and posing glTF models."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.meshes import MeshRenderer, frame_points, load_model
from diffusion2.meshes.animation import slerp
from diffusion2.pictures import pixels_on_white

sys.path.insert(0, str(Path(__file__).parent))
from make_gltf import bending_bar, write_bending_bar


@pytest.mark.parametrize("interpolation", ["LINEAR", "CUBICSPLINE"])
def test_a_skinned_bar_bends_as_its_bone_turns(tmp_path, interpolation):
    model = load_model(write_bending_bar(tmp_path / "bar.glb", interpolation=interpolation))
    [(rest, _)] = model.pose("bend", 0.0)
    [(bent, _)] = model.pose("bend", 1.0)
    # glTF (x, y, z) is (z, x, y) in the world: the bar stands up along z
    np.testing.assert_allclose(rest[:, 2], [0, 0, 1, 1, 2, 2], atol=1e-6)
    # 90 deg about glTF's z carries the tip (±0.1, 2, 0), seen from the joint at y = 1, to (-1, ±0.1)
    np.testing.assert_allclose(bent[4], [0, -1, 0.9], atol=1e-6)
    np.testing.assert_allclose(bent[5], [0, -1, 1.1], atol=1e-6)
    np.testing.assert_allclose(bent[:4], rest[:4], atol=1e-6)


def test_half_way_a_linear_turn_is_half_the_angle(tmp_path):
    model = load_model(write_bending_bar(tmp_path / "bar.glb"))
    [(half, _)] = model.pose("bend", 0.5)
    np.testing.assert_allclose(half[4:].mean(0), [0, -np.sqrt(0.5), 1 + np.sqrt(0.5)], atol=1e-6)


def test_not_a_number_weights_count_for_the_first_joint(tmp_path):
    model = load_model(write_bending_bar(tmp_path / "bar.glb", nan_weights=True))
    [(positions, _)] = model.pose("bend", 1.0)
    assert np.isfinite(positions).all()
    np.testing.assert_allclose(positions[0], [0, -0.1, 0], atol=1e-6)


def test_times_outside_a_clip_hold_its_ends(tmp_path):
    model = load_model(write_bending_bar(tmp_path / "bar.glb"))
    np.testing.assert_array_equal(model.pose("bend", 9.0)[0][0], model.pose("bend", 1.0)[0][0])
    np.testing.assert_array_equal(model.pose("bend", -1.0)[0][0], model.pose("bend", 0.0)[0][0])


def test_slerp_takes_the_shorter_way():
    start, end = np.array([0, 0, 0, 1.0]), -np.array([0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    middle = slerp(start, end, 0.5)
    np.testing.assert_allclose(middle, [0, 0, np.sin(np.pi / 8), np.cos(np.pi / 8)], atol=1e-9)


@pytest.mark.parametrize("damage", ["missing", "empty", "not glTF", "cut off", "no triangles"])
def test_what_is_no_model_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "bad.glb"
    data = {
        "empty": b"",
        "not glTF": b"\x00\x01\x02 this is not a model",
        "cut off": bending_bar()[:-200],
        "no triangles": b'{"asset": {"version": "2.0"}}',
    }
    if damage != "missing":
        path.write_bytes(data[damage])
    with pytest.raises(InputError, match=r"bad\.glb") as raised:
        load_model(path)
    assert "\n" not in str(raised.value)


def test_an_unknown_clip_is_refused_with_the_names_there_are(tmp_path):
    model = load_model(write_bending_bar(tmp_path / "bar.glb"))
    with pytest.raises(InputError, match="bend"):
        model.pose("walk", 0.0)


@pytest.fixture
def renderer(tmp_path):
    if importlib.util.find_spec("moderngl") is None:
        pytest.skip("needs moderngl")
    model = load_model(write_bending_bar(tmp_path / "bar.glb"))
    try:
        return MeshRenderer(model, 64)
    except BackendUnavailable as error:
        pytest.skip(f"needs off-screen OpenGL: {error}")


def test_every_camera_of_an_orbit_sees_the_whole_framed_object(renderer):
    points = np.concatenate([renderer.model.pose("bend", s)[0][0] for s in (0.0, 0.5, 1.0)])
    framing = frame_points(points, 0.9)
    for seconds in (0.0, 1.0):
        rgba = renderer.render(orbit(7, 20.0, height=64), framing, "bend", seconds)
        border = np.concatenate([rgba[:, 0], rgba[:, -1], rgba[:, :, 0], rgba[:, :, -1]], axis=1)
        assert (rgba[..., 3] > 0).any(axis=(1, 2)).all()
        assert not border[..., 3].any()


def test_the_renderer_puts_points_where_the_cameras_say(renderer):
    framing = frame_points(renderer.model.pose()[0][0], 0.9)
    tip = framing.apply(renderer.model.pose("bend", 1.0)[0][0])[4:].mean(0)
    camera = make_cameras([25.0], 10.0, height=64)
    seen = camera.viewmats[0] @ np.append(tip, 1)
    u, v, _ = camera.Ks[0] @ (seen[:3] / seen[2])
    rgba = renderer.render(camera, framing, "bend", 1.0)[0]
    columns = np.nonzero(rgba[..., 3].any(0))[0]
    # the tip is the object's outermost point towards -y, which is left in this picture
    assert abs(columns[0] - u) < 2.5
    assert rgba[round(v) - 2 : round(v) + 3, columns[0] : columns[0] + 3, 3].any()


def test_red_is_red_and_recolouring_turns_it(renderer):
    framing = frame_points(renderer.model.pose()[0][0], 0.9)
    camera = make_cameras([0.0], 0.0, height=64)
    plain = pixels_on_white(renderer.render(camera, framing)[0])
    swap = np.array([[[0, 1, 0], [1, 0, 0], [0, 0, 1.0]]])
    swapped = pixels_on_white(renderer.render(camera, framing, recolor=swap)[0])
    assert plain[32, 32, 0] > 100 > plain[32, 32, 1]
    assert swapped[32, 32, 1] > 100 > swapped[32, 32, 0]
