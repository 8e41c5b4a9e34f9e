"""Procedural creatures: what a training set of them may rely on."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from diffusion2.cameras import make_cameras
from diffusion2.meshes import MeshRenderer, frame_points
from diffusion2.training.procedural import FAMILIES, family_of, make_creature, procedural_creature
from diffusion2.training.procedural.palette import KINDS, draw_coat, draw_palette
from diffusion2.training.procedural.rays import surface
from diffusion2.training.procedural.rig import creased_normals
from diffusion2.training.procedural.shapes import (
    FRONT,
    UP,
    box,
    cone,
    ellipsoid,
    facing,
    loft,
    sheet,
    tube,
)

from ..meshes.opengl import need_opengl

SEEDS = range(40)
SIDES = make_cameras([0.0, 90.0, 180.0, 270.0], 10.0, height=96)
ROUNDING = 1e-9  # of positions of about one unit, computed in float64
# Eyes of the others sit on the sides of a head, or on stalks: some of them is seen from behind, too.
FACES_AHEAD = ("humanoid", "robot", "ghost", "plant", "jellyfish")


@pytest.fixture(scope="module")
def creatures():
    return [make_creature(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def one_of_each():
    return {family: [make_creature(seed, family) for seed in range(2)] for family in FAMILIES}


def _same(a, b):
    if len(a.primitives) != len(b.primitives) or list(a.clips) != list(b.clips):
        return False
    return all(
        np.array_equal(p.positions, q.positions) and np.array_equal(p.colors, q.colors)
        for p, q in zip(a.primitives, b.primitives, strict=True)
    )


def _points(model, clip=None, seconds=0.0):
    return np.concatenate([positions for positions, _ in model.pose(clip, seconds)])


def test_the_same_seed_gives_the_same_model():
    first, second = procedural_creature(7), procedural_creature(7)
    assert _same(first, second)
    for clip in first.clips:
        assert np.array_equal(_points(first, clip, 0.3), _points(second, clip, 0.3))


def test_different_seeds_give_different_models(creatures):
    assert not any(_same(a.model, b.model) for a, b in itertools.pairwise(creatures))
    assert len({creature.model.name for creature in creatures}) == len(creatures)


def test_every_family_is_drawn_as_often_as_the_table_says():
    assert sum(share for _, share in FAMILIES.values()) == pytest.approx(1.0)
    drawn = [family_of(seed) for seed in range(2000)]
    assert make_creature(11).family == drawn[11]
    for family, (_, share) in FAMILIES.items():
        # five standard deviations of a count of 2000
        assert abs(drawn.count(family) - 2000 * share) <= 5 * np.sqrt(2000 * share * (1 - share))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_creature_is_finite_and_of_a_low_poly_size(one_of_each, family):
    for creature in one_of_each[family]:
        model = creature.model
        assert creature.family == family
        assert 250 <= sum(len(p.triangles) for p in model.primitives) <= 2500
        for primitive in model.primitives:
            assert np.isfinite(primitive.positions).all()
            assert primitive.colors.min() >= 0
            assert primitive.colors.max() <= 1
            np.testing.assert_allclose(np.linalg.norm(primitive.normals, axis=1), 1, atol=ROUNDING)
            assert primitive.joints.max() < len(model.skins[0].joints)
            assert primitive.weights.min() >= 0
            np.testing.assert_allclose(primitive.weights.sum(1), 1, atol=ROUNDING)


def test_clips_loop_and_move(creatures):
    for creature in creatures[:15]:
        model = creature.model
        assert model.clips
        moves = []
        for name, clip in model.clips.items():
            start, half = _points(model, name, 0.0), _points(model, name, 0.3 * clip.duration)
            assert np.isfinite(half).all()
            np.testing.assert_allclose(_points(model, name, clip.duration), start, atol=ROUNDING)
            moves.append(np.abs(half - start).max() / np.ptp(start, axis=0).max())
        assert max(moves) > 0.01


def test_bodies_are_mirror_images_of_themselves_at_rest(creatures):
    symmetric = [creature for creature in creatures if not creature.holds]
    assert len(symmetric) > 0.7 * len(creatures)
    for creature in symmetric:
        for primitive in creature.model.primitives:
            points = primitive.positions
            here, there = (_sorted(p) for p in (points, points * [-1, 1, 1]))
            np.testing.assert_allclose(here, there, atol=1e-6)  # sorting needs rounded numbers


def _sorted(points):
    return np.unique(np.round(points, 7) + 0.0, axis=0)


def test_poses_are_not_symmetric(creatures):
    spread = []
    for creature in creatures[:20]:
        name = next(iter(creature.model.clips))
        points = _points(creature.model, name, 0.2)
        spread.append(abs(points[:, 1].max() + points[:, 1].min()) / np.ptp(points[:, 1]))
    assert np.mean(np.array(spread) > 0.01) > 0.5


def test_normals_point_outward(creatures):
    for creature in creatures[:20]:
        for primitive in creature.model.primitives:
            corners = primitive.positions[primitive.triangles]
            faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            facing_out = np.einsum("ti,tki->tk", faces, primitive.normals[primitive.triangles])
            assert facing_out.min() > 0


SHAPES = {
    "loft": loft([[0, 0, 0], [0, 0.1, 1], [0, 0.5, 2]], [0.3, 0.5, 0.0], [0.2, 0.2, 0.0], sides=7),
    "tube": tube([(0, 0, 0), (0, -1, 0), (0, -2, 0.5)], [0.2, 0.3, 0.1]),
    "ellipsoid": ellipsoid((1, 2, 3), (1, 2, 3)),
    "box": box((0, 0, 0), (1, 2, 3)),
    "bevelled": box((0, 0, 0), (1, 2, 3), bevel=0.2, taper=0.5),
    "cone": cone(np.zeros(3), np.array([1.0, 0, 0]), 0.3),
    "sheet": sheet(np.array([[[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 0], [1, 1, 0.2], [2, 1, 0.0]]]), 0.1),
}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_closed_and_turned_outward(name, mirrored):
    shape = SHAPES[name].mirrored() if mirrored else SHAPES[name]
    edges = np.concatenate([shape.triangles[:, [k, (k + 1) % 3]] for k in range(3)])
    forth, back = ({tuple(edge) for edge in e.tolist()} for e in (edges, edges[:, ::-1]))
    assert len(forth) == len(edges)
    assert forth == back
    corners = shape.vertices[shape.triangles] - shape.vertices.mean(0)
    assert np.linalg.det(corners).sum() / 6 > 0
    assert shape.along.min() >= 0
    assert shape.along.max() <= 1
    assert len(shape.u) == len(shape.v) == len(shape.triangles)


def test_a_box_has_the_volume_it_was_asked_for():
    corners = SHAPES["box"].vertices[SHAPES["box"].triangles]
    assert np.linalg.det(corners).sum() / 6 == pytest.approx(8 * 1 * 2 * 3)


def test_rays_leave_a_shape_where_it_ends():
    points, normals = surface(SHAPES["box"], np.zeros(3), np.array([FRONT, UP, [1.0, 0, 0]]))
    np.testing.assert_allclose(points, [[0, 0, 3], [0, 2, 0], [1, 0, 0]], atol=ROUNDING)
    np.testing.assert_allclose(normals, [FRONT, UP, [1, 0, 0]], atol=ROUNDING)


def test_facing_turns_the_front_to_a_direction():
    for direction in ([1.0, 2, 3], [0, 1, 0], [0, -1, 0], [0, 0, -1]):
        turn = facing(np.array(direction))
        np.testing.assert_allclose(turn @ FRONT, direction / np.linalg.norm(direction), atol=ROUNDING)
        assert np.linalg.det(turn) == pytest.approx(1.0)


def test_a_crease_angle_decides_what_is_smooth():
    shape = SHAPES["box"]
    flat, _ = creased_normals(shape.vertices, shape.triangles, 0.0)
    creased, _ = creased_normals(shape.vertices, shape.triangles, 60.0)
    smooth, _ = creased_normals(shape.vertices, shape.triangles, 120.0)
    np.testing.assert_allclose(flat, creased, atol=ROUNDING)
    assert np.abs(smooth - flat).max() > 0.3


def test_light_dark_grey_and_bright_creatures_occur():
    mains = []
    for seed in range(120):
        palette = draw_palette(np.random.default_rng(seed))
        mains.append(palette.rgb[palette.index("main")])
    high, low = np.max(mains, axis=1), np.min(mains, axis=1)
    assert np.mean(low > 0.85) > 0.05
    assert np.mean(high < 0.2) > 0.02
    assert np.mean((high - low < 0.1) & (high > 0.25) & (high < 0.8)) > 0.02
    assert np.mean(high - low > 0.4) > 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_coats_are_the_same_on_both_sides(kind):
    palette = draw_palette(np.random.default_rng(0))
    coat = replace(draw_coat(np.random.default_rng(1), palette), kind=kind)
    for sides in (6, 8, 10):
        shape = tube([(0, 0, -1), (0, 0, 0), (0, 0, 1)], [0.3, 0.5, 0.2], rings=8, sides=sides)
        middles = shape.vertices[shape.triangles].reshape(-1, 2, 3, 3).mean((1, 2))  # of the quads
        colors = coat.body(shape)[::2]
        quads = len(middles) - sides  # the caps are triangles, two of which are no quad
        for middle, color in zip(middles[:quads], colors[:quads], strict=True):
            other = np.abs(middles[:quads] - middle * [-1, 1, 1]).sum(1).argmin()
            assert color == colors[other]


def test_every_side_shows_one_thing_in_one_piece(one_of_each):
    need_opengl()
    for creature in itertools.chain(*one_of_each.values()):
        for mask in _render(creature.model)[..., 3] > 60:
            assert mask.mean() > 0.01
            # thin parts may be interrupted where they cover less than a pixel
            assert _largest_piece(mask) > 0.96 * mask.sum()


def _largest_piece(mask):
    """Count the pixels of the largest connected part."""
    most, left = 0, mask.copy()
    while left.sum() > most:
        piece = np.zeros_like(mask)
        piece.flat[left.argmax()] = True
        size = 0
        while piece.sum() > size:
            size = piece.sum()
            for axis, step in itertools.product((0, 1), (-1, 1)):
                piece |= np.roll(piece, step, axis)
            piece &= mask
        most, left = max(most, size), left & ~piece
    return most


@pytest.mark.parametrize("family", FAMILIES)
def test_eyes_are_seen_from_the_front_and_not_from_behind(one_of_each, family):
    need_opengl()
    for creature in one_of_each[family]:
        names = ("eyewhite", "pupil", "iris") if family in FACES_AHEAD else ("pupil",)
        eyes = [
            replace(primitive, colors=np.full_like(primitive.colors, name in names))
            for primitive, name in zip(creature.model.primitives, creature.colors, strict=True)
        ]
        pictures = _render(replace(creature.model, primitives=eyes))
        front, left, back, _ = (pictures[..., 0] > 100).sum((1, 2))
        assert max(front, left) > 0
        assert back <= 0.5 * max(front, left)
        if family in FACES_AHEAD:
            assert front > 0
            assert back == 0


def _render(model):
    renderer = MeshRenderer(model, SIDES.height)
    pictures = renderer.render(SIDES, frame_points(_points(model)))
    renderer.close()
    return pictures
