"""Depths of meshes against closed forms, and models that are stretched."""

import numpy as np
import pytest

from diffusion2.cameras import make_cameras
from diffusion2.meshes import MeshRenderer, stretch
from diffusion2.meshes.framing import Framing

from .opengl import need_opengl
from .shapes import box, sphere

SIZE = 64
AS_IT_IS = Framing(np.zeros(3), 1.0)


def rays(camera) -> np.ndarray:
    """Return directions (S, S, 3) of depth 1 through the pixels' middles."""
    line = (np.arange(SIZE) + 0.5 - SIZE / 2) / camera.Ks[0, 0, 0]
    across, down = np.meshgrid(line, line)
    return np.stack([across, down, np.ones_like(across)], -1)


@pytest.mark.parametrize("elevation_deg", [-20.0, 10.0, 70.0])
def test_a_spheres_depths_are_those_of_its_equation(elevation_deg):
    need_opengl()
    radius, camera = 0.4, make_cameras([35.0], elevation_deg, height=SIZE)
    front, back = MeshRenderer(sphere(radius), SIZE).depths(camera, AS_IT_IS)[0]
    # |d ray - (0, 0, 2)| = radius
    length = (rays(camera) ** 2).sum(-1)
    root = 4 - length * (4 - radius**2)
    inside = root > 0.05
    assert np.isnan(front[root < -0.05]).all()
    assert np.isnan(back[root < -0.05]).all()
    # 96 rings leave a chord's height of radius * (pi / 96)^2 / 8, seen at a slope of up to 4
    half = np.sqrt(np.where(inside, root, 0))
    np.testing.assert_allclose(front[inside], ((2 - half) / length)[inside], atol=1e-3)
    np.testing.assert_allclose(back[inside], ((2 + half) / length)[inside], atol=1e-3)


def test_a_boxs_front_and_back_are_flat_and_as_far_apart_as_it_is_deep():
    need_opengl()
    # the file's z is the project's x, along which the camera of azimuth 0 looks
    front, back = MeshRenderer(box((0.6, 0.4, 0.3)), SIZE).depths(
        make_cameras([0.0], 0.0, height=SIZE), AS_IT_IS
    )[0]
    middle = np.s_[26:38, 22:42]
    np.testing.assert_allclose(front[middle], 1.85, atol=1e-4)
    np.testing.assert_allclose(back[middle], 2.15, atol=1e-4)


def test_depths_are_known_where_the_picture_shows_something_and_front_is_never_behind_back():
    need_opengl()
    renderer, cameras = MeshRenderer(box(), SIZE), make_cameras([20.0, 130.0], [30.0, -10.0], height=SIZE)
    framing = Framing(np.zeros(3), 0.4)
    depths, alphas = renderer.depths(cameras, framing), renderer.render(cameras, framing)[..., 3]
    known = np.isfinite(depths)
    assert (known[:, 0] == known[:, 1]).all()
    assert known[:, 0][alphas == 255].all()
    assert not known[:, 0][alphas == 0].any()
    assert (depths[:, 0][known[:, 0]] <= depths[:, 1][known[:, 1]]).all()


def test_measuring_depths_leaves_pictures_as_they_were():
    need_opengl()
    renderer, camera = MeshRenderer(sphere(), SIZE), make_cameras([20.0], 30.0, height=SIZE)
    framing = Framing(np.zeros(3), 0.4)
    before = renderer.render(camera, framing)
    renderer.depths(camera, framing)
    assert np.array_equal(renderer.render(camera, framing), before)


def test_a_stretched_sphere_is_an_ellipsoid_in_every_pose_and_its_normals_stay_perpendicular():
    factors = np.array([2.0, 1.0, 0.5])
    posed = stretch(sphere(), factors).posed("slide", 0.5)[0]
    # the file's left, up and front are the project's y, z and x
    along = np.array([0.5, 2.0, 1.0])
    unit = (posed.positions - np.array([0, 2.0 * 1.5, 0])) / along
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-9)
    gradient = unit / along
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    np.testing.assert_allclose(posed.normals, gradient, atol=1e-6)
    assert not posed.mirrored
    assert stretch(sphere(), np.array([-1.0, 1.0, 1.0])).posed()[0].mirrored
