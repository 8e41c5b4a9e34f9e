"""Warps: smooth, the same on both sides, never inside out, and normals go with them."""

from dataclasses import replace

import numpy as np
import pytest

from diffusion2.training.procedural import procedural_creature
from diffusion2.training.warping import warped

SEEDS = range(5)


@pytest.fixture(params=SEEDS)
def model(request):
    return warped(procedural_creature(request.param), np.random.default_rng(request.param))


def inside(warp, count=200):
    """Points of the box about a model."""
    return warp.center + warp.size * np.random.default_rng(1).uniform(-0.5, 0.5, (count, 3))


def test_derivatives_are_those_of_finite_differences(model):
    points, h = inside(model.warp, 20), 1e-6
    moved, derivatives = model.warp.move(points)
    for axis in range(3):
        step = h * np.eye(3)[axis]
        slopes = (model.warp.move(points + step)[0] - model.warp.move(points - step)[0]) / (2 * h)
        assert np.allclose(slopes, derivatives[:, :, axis], atol=1e-6)
    assert np.abs(moved - points).max() > 0.01 * model.warp.size


def test_nothing_is_turned_inside_out(model):
    for seed in range(40):
        warp = warped(model, np.random.default_rng(seed)).warp
        assert np.linalg.det(warp.move(inside(warp))[1]).min() > 0.1


def test_left_and_right_stay_mirror_images(model):
    warp = model.warp
    points = inside(warp)
    left = warp.axes[1]
    mirrored = points - 2 * ((points - warp.center) @ left)[:, None] * left
    moved, other = warp.move(points)[0], warp.move(mirrored)[0]
    assert np.allclose(other, moved - 2 * ((moved - warp.center) @ left)[:, None] * left)


def test_a_front_elsewhere_only_turns_the_warp(model):
    warp, angle = model.warp, np.deg2rad(90.0)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = replace(warp, axes=warp.axes @ turn.T, center=turn @ warp.center)
    points = inside(warp)
    assert np.allclose(turned.move(points @ turn.T)[0], warp.move(points)[0] @ turn.T)


def test_normals_stay_upright_on_their_triangles(model):
    plain = procedural_creature(0)
    for seed in SEEDS:
        changed = warped(plain, np.random.default_rng(seed))
        for part, before, after in zip(plain.primitives, plain.posed(), changed.posed(), strict=True):
            assert np.allclose(np.linalg.norm(after.normals, axis=1), 1)
            # what a normal's angle to its triangle was, it about remains
            first = part.triangles[:, 0]
            was, now = (np.einsum("ti,ti->t", faces(p, part), p.normals[first]) for p in (before, after))
            assert np.abs(was - now).mean() < 0.05


def faces(posed, part):
    """Unit normals of the triangles."""
    a, b, c = (posed.positions[part.triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
