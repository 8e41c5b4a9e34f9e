"""Clips against closed forms: every interpolation, of every property."""

import sys
from pathlib import Path

import numpy as np
import pytest

from diffusion2.errors import InputError
from diffusion2.meshes import load_model

sys.path.insert(0, str(Path(__file__).parent))
from make_gltf import SQUARE, SQUARE_TRIANGLES, GltfBuilder

FLOAT32 = 1e-6
"""The files hold float32; the poses are computed in float64."""


def world(points):
    """GlTF's (x, y, z) are (z, x, y) in the world."""
    return np.asarray(points)[..., [2, 0, 1]]


def moved_square(tmp_path, path, times, values, interpolation, **node):
    """The square on one node, one of whose properties is animated."""
    builder = GltfBuilder()
    mesh = builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES)
    builder.node(mesh=mesh, **node)
    builder.clip("move", (0, path, times, np.asarray(values, np.float32), interpolation))
    return load_model(builder.write(tmp_path / "square.glb"))


def rotated(points, axis, angle_deg):
    """Rodrigues' formula."""
    axis, angle = np.asarray(axis) / np.linalg.norm(axis), np.deg2rad(angle_deg)
    return (
        points * np.cos(angle)
        + np.cross(axis, points) * np.sin(angle)
        + np.outer(points @ axis, axis) * (1 - np.cos(angle))
    )


def quaternion(axis, angle_deg):
    axis, half = np.asarray(axis) / np.linalg.norm(axis), np.deg2rad(angle_deg) / 2
    return np.array([*(np.sin(half) * axis), np.cos(half)])


@pytest.mark.parametrize("path", ["translation", "scale"])
def test_a_cubic_spline_passes_its_middle_where_hermite_says(tmp_path, path):
    first, second, leaving, arriving = [1, 1, 1], [2, 3, 4], [4, 0, -4], [0, 8, 0]
    keys = [[9, 9, 9], first, leaving, arriving, second, [9, 9, 9]]  # the outer tangents count for nothing
    model = moved_square(tmp_path, path, [2.0, 2.5], keys, "CUBICSPLINE")
    # the mean of the ends, plus the time between them times (leaving - arriving) / 8
    middle = np.array([1.5, 2.0, 2.5]) + 0.5 * (np.array(leaving) - arriving) / 8
    expected = SQUARE + middle if path == "translation" else SQUARE * middle
    np.testing.assert_allclose(model.pose("move", 2.25)[0][0], world(expected), atol=FLOAT32)
    ends = {2.0: first, 2.5: second, 0.0: first, 9.0: second}
    for seconds, value in ends.items():
        expected = SQUARE + value if path == "translation" else SQUARE * value
        np.testing.assert_allclose(model.pose("move", seconds)[0][0], world(expected), atol=FLOAT32)


def test_a_cubic_spline_of_quaternions_is_normalised(tmp_path):
    start, end = quaternion([0, 0, 1], 0), quaternion([0, 0, 1], 90)
    zero = np.zeros(4)
    model = moved_square(tmp_path, "rotation", [0, 1], [zero, start, zero, zero, end, zero], "CUBICSPLINE")
    # without tangents the middle is the mean of both, which points half way between them
    np.testing.assert_allclose(
        model.pose("move", 0.5)[0][0], world(rotated(SQUARE, [0, 0, 1], 45)), atol=FLOAT32
    )


@pytest.mark.parametrize("negated", [False, True])
def test_a_quarter_of_a_linear_turn_is_a_quarter_of_the_angle(tmp_path, negated):
    axis = [1, 1, 1]
    end = quaternion(axis, 120) * (-1 if negated else 1)  # both are the same rotation
    model = moved_square(tmp_path, "rotation", [0, 2], [quaternion(axis, 0), end], "LINEAR")
    np.testing.assert_allclose(model.pose("move", 0.5)[0][0], world(rotated(SQUARE, axis, 30)), atol=FLOAT32)


def test_quaternions_of_any_length_are_rotations(tmp_path):
    axis = [0, 1, 0]
    turns = [3 * quaternion(axis, 0), 0.5 * quaternion(axis, 80)]
    model = moved_square(tmp_path, "rotation", [0, 1], turns, "LINEAR")
    np.testing.assert_allclose(model.pose("move", 0.25)[0][0], world(rotated(SQUARE, axis, 20)), atol=FLOAT32)


def test_a_step_holds_until_the_next_key(tmp_path):
    model = moved_square(tmp_path, "translation", [0, 1, 2], [[0, 0, 0], [1, 0, 0], [5, 0, 0]], "STEP")
    for seconds, x in ((0.0, 0), (0.99, 0), (1.0, 1), (1.99, 1), (2.0, 5), (7.0, 5)):
        np.testing.assert_allclose(model.pose("move", seconds)[0][0], world(np.add(SQUARE, [x, 0, 0])))


@pytest.mark.parametrize(
    ("dtype", "step"),
    [(np.int8, 1 / 127), (np.int16, 1 / 32767), (np.uint8, 1 / 255), (np.uint16, 1 / 65535)],
)
def test_quantised_quaternions_are_read_as_fractions(tmp_path, dtype, step):
    builder = GltfBuilder()
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES))
    turn = quaternion([0, 0, 1], 60)
    stored = np.round(np.array([turn, turn]) / step).astype(dtype)
    builder.clip("move", (0, "rotation", [0, 1], builder.accessor(stored, normalized=True), "LINEAR"))
    model = load_model(builder.write(tmp_path / "square.glb"))
    # half a step of each component turns by no more than about two steps
    expected = rotated(SQUARE, [0, 0, 1], 60)
    np.testing.assert_allclose(model.pose("move", 0.5)[0][0], world(expected), atol=2 * step * np.sqrt(2))


def test_the_most_negative_fraction_is_minus_one(tmp_path):
    builder = GltfBuilder()
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES))
    stored = np.array([[0, 0, -128, 0]] * 2, np.int8)  # half a turn about z, whose least value is no -128/127
    builder.clip("move", (0, "rotation", [0, 1], builder.accessor(stored, normalized=True), "LINEAR"))
    model = load_model(builder.write(tmp_path / "square.glb"))
    np.testing.assert_allclose(model.pose("move", 0)[0][0], world(SQUARE * [-1, -1, 1]), atol=FLOAT32)


def morphing_square(tmp_path, *, weights=None, node_weights=None, values=None, interpolation="LINEAR"):
    builder = GltfBuilder()
    up, right = np.tile([0, 0, 1.0], (4, 1)), np.tile([2.0, 0, 0], (4, 1))
    fields = {} if weights is None else {"weights": weights}
    mesh = builder.mesh(
        {"POSITION": SQUARE},
        SQUARE_TRIANGLES,
        targets=[{"POSITION": up}, {"NORMAL": right}, {"POSITION": right}],
        **fields,
    )
    builder.node(mesh=mesh, **({} if node_weights is None else {"weights": node_weights}))
    if values is not None:
        builder.clip("morph", (0, "weights", [0, 1], np.asarray(values, np.float32), interpolation))
    return load_model(builder.write(tmp_path / "morph.glb"))


def test_morph_displacements_add_up_by_their_weights(tmp_path):
    model = morphing_square(tmp_path, weights=[0.25, 1, 0.5])
    np.testing.assert_allclose(model.pose()[0][0], world(np.add(SQUARE, [1.0, 0, 0.25])), atol=FLOAT32)


def test_a_nodes_morph_weights_go_before_its_meshs(tmp_path):
    model = morphing_square(tmp_path, weights=[0.25, 1, 0.5], node_weights=[0, 0, -1])
    np.testing.assert_allclose(model.pose()[0][0], world(np.add(SQUARE, [-2.0, 0, 0])), atol=FLOAT32)


def test_without_weights_nothing_is_morphed(tmp_path):
    np.testing.assert_allclose(morphing_square(tmp_path).pose()[0][0], world(SQUARE), atol=FLOAT32)


def test_morph_weights_are_animated(tmp_path):
    model = morphing_square(tmp_path, weights=[9, 9, 9], values=[0, 0, 0, 1, 0, 0.5])
    np.testing.assert_allclose(
        model.pose("morph", 0.25)[0][0], world(np.add(SQUARE, [0.25, 0, 0.25])), atol=FLOAT32
    )
    stepped = morphing_square(tmp_path, values=[0, 0, 0, 1, 0, 0.5], interpolation="STEP")
    np.testing.assert_allclose(stepped.pose("morph", 0.9)[0][0], world(SQUARE), atol=FLOAT32)


def test_cubic_morph_weights_come_as_all_tangents_then_all_values_of_a_key(tmp_path):
    zero, first, leaving = [0, 0, 0], [0, 0, 0], [8, 0, 0]
    arriving, second = [0, 0, -4], [1, 0, 0]
    model = morphing_square(
        tmp_path, values=[zero, first, leaving, arriving, second, zero], interpolation="CUBICSPLINE"
    )
    # weight 0: 0.5 + 8 / 8, weight 2: 0 + 4 / 8
    np.testing.assert_allclose(
        model.pose("morph", 0.5)[0][0], world(np.add(SQUARE, [1.0, 0, 1.5])), atol=FLOAT32
    )


def test_quantised_morph_weights_are_read_as_fractions(tmp_path):
    builder = GltfBuilder()
    up = np.tile([0, 0, 1.0], (4, 1))
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES, targets=[{"POSITION": up}]))
    stored = builder.accessor(np.array([0, 255], np.uint8), normalized=True)
    builder.clip("morph", (0, "weights", [0, 1], stored, "LINEAR"))
    model = load_model(builder.write(tmp_path / "morph.glb"))
    np.testing.assert_allclose(
        model.pose("morph", 0.5)[0][0], world(np.add(SQUARE, [0, 0, 0.5])), atol=FLOAT32
    )


def test_a_clip_leaves_what_it_does_not_move_at_rest(tmp_path):
    builder = GltfBuilder()
    mesh = builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES)
    builder.node(mesh=mesh, translation=[0, 0, 7], scale=[2, 2, 2])
    builder.clip("slide", (0, "translation", [0, 1], np.array([[0, 0, 0], [4, 0, 0.0]]), "LINEAR"))
    builder.clip("grow", (0, "scale", [0, 1], np.array([[1, 1, 1], [3, 3, 3.0]]), "LINEAR"))
    model = load_model(builder.write(tmp_path / "square.glb"))
    np.testing.assert_allclose(model.pose("slide", 0.5)[0][0], world(SQUARE * 2 + [2, 0, 0]))
    np.testing.assert_allclose(model.pose("grow", 1.0)[0][0], world(SQUARE * 3 + [0, 0, 7]))
    np.testing.assert_allclose(model.pose()[0][0], world(SQUARE * 2 + [0, 0, 7]))


def test_an_animated_property_takes_the_place_of_a_matrix(tmp_path):
    by_columns = [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 1, 2, 3, 1]
    model = moved_square(
        tmp_path, "translation", [0, 1], [[0, 0, 0], [4.0, 0, 0]], "LINEAR", matrix=by_columns
    )
    np.testing.assert_allclose(model.pose()[0][0], world(SQUARE * 2 + [1, 2, 3]))
    np.testing.assert_allclose(model.pose("move", 1.0)[0][0], world(np.add(SQUARE, [4, 0, 0])))


def test_clips_of_the_same_name_and_of_none_can_all_be_chosen(tmp_path):
    builder = GltfBuilder()
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES))
    for name, x in (("walk", 1.0), ("walk", 2.0), (None, 3.0)):
        builder.clip(name, (0, "translation", [0, 1], np.array([[0, 0, 0], [x, 0, 0]]), "LINEAR"))
    model = load_model(builder.write(tmp_path / "square.glb"))
    reached = {name: model.pose(clip.name, 1.0)[0][0][0, 1] for name, clip in model.clips.items()}
    assert reached == {"walk": 1.0, "walk_1": 2.0, "clip_2": 3.0}


@pytest.mark.parametrize(
    ("times", "values", "interpolation", "reason"),
    [
        ([0, 1], np.zeros((3, 3)), "LINEAR", "9 numbers in place of 6"),
        ([0, 1], np.zeros((2, 3)), "CUBICSPLINE", "6 numbers in place of 18"),
        ([1, 0], np.zeros((2, 3)), "LINEAR", "out of order"),
        ([0, 1], np.zeros((2, 3)), "SMOOTH", "'SMOOTH' is unknown"),
    ],
)
def test_key_frames_that_do_not_fit_are_refused(tmp_path, times, values, interpolation, reason):
    with pytest.raises(InputError, match=reason):
        moved_square(tmp_path, "translation", times, values, interpolation)
