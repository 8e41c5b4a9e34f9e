"""Surfaces of one side: outlines let through what is behind them, and no sheet is lost."""

import sys
from pathlib import Path

import numpy as np
import pytest

from diffusion2.cameras import make_cameras
from diffusion2.meshes import MeshRenderer, load_model
from diffusion2.meshes.framing import Framing
from diffusion2.meshes.sides import front_only

sys.path.insert(0, str(Path(__file__).parent))
from make_gltf import SQUARE, SQUARE_TRIANGLES, GltfBuilder

SHEET = np.asarray(SQUARE_TRIANGLES, np.int64).reshape(-1, 3)


def ball(radius=1.0, rings=12, top=0.0):
    """A ball, or what is left of it below an angle from its top, counter-clockwise from outside."""
    turns = 24
    polar, around = np.linspace(top, np.pi, rings + 1), np.arange(turns) * 2 * np.pi / turns
    points = np.array(
        [[np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)] for p in polar for a in around]
    )
    triangles = []
    for ring in range(rings):
        for k in range(turns):
            a, b = ring * turns + k, ring * turns + (k + 1) % turns
            triangles += [[a, a + turns, b], [b, a + turns, b + turns]]
    return radius * points, np.array(triangles)


def inside_out(mesh):
    return mesh[0], mesh[1][:, ::-1]


def together(*meshes):
    starts = np.cumsum([0, *(len(points) for points, _ in meshes)])
    parts = zip(meshes, starts, strict=False)
    return np.concatenate([m[0] for m in meshes]), np.concatenate([m[1] + start for m, start in parts])


@pytest.mark.parametrize("shift", [0.0, 1e3])
@pytest.mark.parametrize("top", [0.0, 0.4, np.pi / 2])
def test_only_the_inside_of_a_hollow_shape_is_seen_from_its_front_only(top, shift):
    points, triangles = ball(top=top)
    assert not front_only(points + shift, triangles).any()
    assert front_only(points + shift, triangles[:, ::-1]).all()


@pytest.mark.parametrize("bend", [0.0, 0.3])
def test_a_sheet_keeps_both_sides_whichever_way_it_looks(bend):
    points, triangles = np.mgrid[0:1:9j, 0:1:9j].reshape(2, -1).T, []
    points = np.column_stack([points, bend * np.sin(3 * points[:, 0])])
    corner = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    triangles = np.concatenate(
        [np.stack([corner, corner + 9, corner + 1], 1), np.stack([corner + 1, corner + 9, corner + 10], 1)]
    )
    assert not front_only(points, triangles).any()
    assert not front_only(points, triangles[:, ::-1]).any()


def test_a_tube_without_ends_is_told_by_the_side_that_its_front_is_on():
    points, triangles = ball()
    middle = np.abs(points[triangles][:, :, 2]).max(1) < 0.8
    assert not front_only(points, triangles[middle]).any()
    assert front_only(points, triangles[middle][:, ::-1]).all()


def test_a_hull_is_found_among_the_surfaces_of_one_material():
    body, hull = ball(1.0), inside_out(ball(1.05))
    points, triangles = together(body, ball(0.9), hull)
    found = front_only(points, triangles)
    assert found.tolist() == [False] * 2 * len(body[1]) + [True] * len(hull[1])


def test_a_material_of_hulls_is_one_all_over():
    """Also where a hull is round a sheet, and thus a sheet."""
    points, triangles = together(inside_out(ball()), (np.asarray(SQUARE, float), SHEET))
    assert front_only(points, triangles).all()


def test_corners_at_one_place_are_one():
    points, triangles = ball(0.5)
    loose = points[triangles[:, ::-1].ravel()]
    assert front_only(loose, np.arange(len(loose)).reshape(-1, 3)).all()


def test_damaged_positions_do_no_harm():
    points, triangles = ball()
    points[5] = np.nan
    points[9] = 1e300
    assert front_only(points, triangles).shape == (len(triangles),)
    assert not front_only(np.zeros((4, 3)), SHEET).any()


def look(builder, tmp_path):
    model = load_model(builder.write(tmp_path / "a.glb"))
    renderer = MeshRenderer(model, 64)
    picture = renderer.render(make_cameras([0.0], 0.0, height=64), Framing(np.zeros(3), 0.4))[0]
    renderer.close()
    return picture


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    ("turned", "double_sided", "is_outline"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_a_hull_turned_inside_out_is_a_thin_outline(tmp_path, turned, double_sided, is_outline, mirrored):
    """Also on a node that mirrors it, which turns what its front is as well."""
    builder = GltfBuilder()
    body, hull = ball(0.9), inside_out(ball(1.0)) if turned else ball(1.0)
    for color, sides in ([1, 0, 0, 1], True), ([0, 0, 0, 1], double_sided):
        material = {"pbrMetallicRoughness": {"baseColorFactor": color}, "doubleSided": sides}
        builder.append("materials", material | {"extensions": {"KHR_materials_unlit": {}}})
    for number, (points, triangles) in enumerate((body, hull)):
        indices = triangles.astype(np.uint16).ravel()
        mesh = builder.mesh({"POSITION": points.astype(np.float32)}, indices, material=number)
        builder.node(mesh=mesh, scale=[-1, 1, 1] if mirrored else [1, 1, 1])
    picture = look(builder, tmp_path)
    red = (picture[..., 0] > 200) & (picture[..., 3] == 255)
    black = (picture[..., :3].max(-1) < 50) & (picture[..., 3] > 127)
    assert bool(red.any()) == is_outline
    if is_outline:
        assert red[32, 32]
        assert 0.15 < black.sum() / red.sum() < 0.35  # (1 / 0.9)^2 - 1 is 0.23, and pixels at the edges


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize("azimuth_deg", [0, 180])
def test_a_sheet_of_one_side_is_seen_from_both(tmp_path, azimuth_deg):
    builder = GltfBuilder()
    builder.append("materials", {})
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES, material=0))
    model = load_model(builder.write(tmp_path / "a.glb"))
    renderer = MeshRenderer(model, 64)
    picture = renderer.render(
        make_cameras([azimuth_deg], 0.0, height=64), Framing(np.array([0, 0.5, 0.5]), 0.5)
    )[0]
    renderer.close()
    assert picture[32, 32, 3] == 255
