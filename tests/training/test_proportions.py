"""Proportions: meshes stay whole, both sides alike, in every pose; unscaled, nothing changes."""

from dataclasses import replace

import numpy as np
import pytest

from diffusion2.meshes.animation import Channel, Clip
from diffusion2.meshes.model import AnimatedModel, Node, Primitive, Skin
from diffusion2.training import proportions
from diffusion2.training.proportions import reproportioned

NONE, UPRIGHT, ONES = np.zeros(3), np.array([0, 0, 0, 1.0]), np.ones(3)


def node(parent, translation):
    return Node(parent, np.asarray(translation, float), UPRIGHT, ONES, None, np.zeros(0))


def bound(place):
    matrix = np.eye(4)
    matrix[:3, 3] = -np.asarray(place, float)
    return matrix


def primitive(of_node, skin, positions, joints):
    count = len(positions)
    return Primitive(
        of_node,
        skin,
        np.asarray(positions, float),
        np.tile([0.0, 0, 1], (count, 1)),
        np.array([[0, 1, 2]], np.int32),
        np.ones((count, 3)),
        np.zeros((count, 2)),
        None,
        joints if joints is None else np.asarray(joints)[:, None],
        None if joints is None else np.ones((count, 1)),
        np.zeros((0, count, 3)),
    )


@pytest.fixture
def model():
    """A body, an arm on each side, and a hat that hangs on the body and is bound to nothing."""
    nodes = [node(-1, [0, 1, 0]), node(0, [1, 0, 0]), node(0, [-1, 0, 0]), node(0, [0, 0.5, 0])]
    places = [[0, 1, 0], [1, 1, 0], [-1, 1, 0]]
    skin = Skin([0, 1, 2], np.stack([bound(place) for place in places]))
    skinned = primitive(0, 0, [[0, 1.2, 0], [1.3, 1, 0.1], [-1.3, 1, 0.1], [0.2, 1, 0]], [0, 1, 2, 0])
    hat = primitive(3, None, [[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], None)
    lifted = Channel(1, "translation", np.array([0.0, 1.0]), np.array([[1.0, 0, 0], [1, 0.4, 0]]), "LINEAR")
    return AnimatedModel(
        "arms", [skinned, hat], {"lift": Clip("lift", [lifted])}, nodes, [skin], [0, 1, 2, 3]
    )


def body_factor(model, changed):
    """What scales the body, found from two of its vertices."""
    before, after = (m.pose()[0][0] for m in (model, changed))
    return (after[0] - after[3])[[1, 2]] / (before[0] - before[3])[[1, 2]]


def test_left_and_right_stay_alike(model):
    for seed in range(5):
        positions = reproportioned(model, np.random.default_rng(seed)).pose()[0][0]
        left, right = positions[1], positions[2]
        assert np.allclose(left * [1, -1, 1], right)
        assert not np.allclose(left, model.pose()[0][0][1], atol=1e-2)


def test_what_hangs_on_a_joint_goes_along(model):
    changed = reproportioned(model, np.random.default_rng(1))
    across, upward = body_factor(model, changed)
    hat, before = changed.pose()[1][0], model.pose()[1][0]
    root = np.array([0, 0, 1.0])
    assert np.allclose(hat - root, (before - root) * [across, across, upward])


def test_a_joint_moves_as_far_as_its_parent_is_scaled(model):
    changed = reproportioned(model, np.random.default_rng(1))
    _, upward = body_factor(model, changed)
    rest, lifted = (changed.pose("lift", seconds)[0][0] for seconds in (0.0, 1.0))
    assert np.allclose(rest, changed.pose()[0][0])
    assert np.allclose(lifted[1] - rest[1], [0, 0, 0.4 * upward])
    assert np.allclose(np.delete(lifted, 1, 0), np.delete(rest, 1, 0))


def test_places_written_as_matrices_are_scaled_too(model):
    def as_matrix(part):
        matrix = np.eye(4)
        matrix[:3, 3] = part.translation
        return replace(part, matrix=matrix)

    written = replace(model, nodes=[as_matrix(part) for part in model.nodes])
    for a, b in zip(
        *(reproportioned(m, np.random.default_rng(2)).pose() for m in (model, written)), strict=True
    ):
        assert np.allclose(a[0], b[0])


def test_without_deviation_or_joints_nothing_changes(model, monkeypatch):
    unbound = replace(model, primitives=model.primitives[1:], skins=[])
    assert reproportioned(unbound, np.random.default_rng(0)) is unbound
    monkeypatch.setattr(proportions, "SIZE_DEVIATION", 0.0)
    monkeypatch.setattr(proportions, "LENGTH_DEVIATION", 0.0)
    same = reproportioned(model, np.random.default_rng(0))
    for seconds in (0.0, 0.7):
        for a, b in zip(model.pose("lift", seconds), same.pose("lift", seconds), strict=True):
            assert np.allclose(a[0], b[0])
            assert np.allclose(a[1], b[1])


def test_deviations_are_as_stated():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (50, 3))
    fields = np.stack([proportions._field(points, rng) for _ in range(400)])
    assert abs(fields.mean()) < 0.05
    assert 0.6 < fields.std() < 1.0
