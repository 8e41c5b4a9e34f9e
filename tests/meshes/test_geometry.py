"""Triangles, attributes, skins: what a model is made of, against shapes known in advance."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.meshes import load_model
from diffusion2.meshes.geometry import FAN, STRIP, joint_weights, to_triangles
from diffusion2.meshes.model import normal_matrix

sys.path.insert(0, str(Path(__file__).parent))
from make_gltf import SQUARE, SQUARE_TRIANGLES, GltfBuilder

needs_draco = pytest.mark.skipif(
    importlib.util.find_spec("DracoPy") is None, reason="needs DracoPy: pip install 'diffusion2[draco]'"
)


def world(points):
    """GlTF's (x, y, z) are (z, x, y) in the world."""
    return np.asarray(points)[..., [2, 0, 1]]


def turn_z(angle_deg):
    """The quaternion of a turn about glTF's z."""
    half = np.deg2rad(angle_deg) / 2
    return [0, 0, float(np.sin(half)), float(np.cos(half))]


def areas(positions, triangles):
    """Signed areas of triangles in the xy plane: positive where they are counter-clockwise."""
    a, b, c = (positions[triangles[:, k], :2] for k in range(3))
    (x1, y1), (x2, y2) = (b - a).T, (c - a).T
    return (x1 * y2 - y1 * x2) / 2


# -- triangles --------------------------------------------------------------------------------------


def test_a_strip_and_a_fan_cover_their_shape_once_and_keep_their_side():
    zigzag = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2.0]])
    strip = to_triangles(np.arange(6), STRIP)
    np.testing.assert_allclose(areas(zigzag, strip), [0.5] * 4)
    around = np.array([[0, 0], [1, 0], [1, 1], [0.5, 1.5], [0, 1.0]])
    fan = to_triangles(np.arange(5), FAN)
    assert (areas(around, fan) > 0).all()
    np.testing.assert_allclose(areas(around, fan).sum(), 1.25)


@pytest.mark.parametrize("mode", [4, STRIP, FAN])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_corners_are_no_triangle(mode, count):
    assert to_triangles(np.arange(count), mode).shape == (0, 3)


@pytest.mark.parametrize("indexed", [False, True])
def test_every_way_to_store_a_square_gives_the_same_square(tmp_path, indexed):
    shapes = {
        4: [0, 1, 2, 0, 2, 3],
        STRIP: [0, 1, 3, 2],
        FAN: [0, 1, 2, 3],
    }
    for mode, corners in shapes.items():
        builder = GltfBuilder()
        if indexed:
            mesh = builder.mesh({"POSITION": SQUARE}, np.array(corners, np.uint8), mode=mode)
        else:
            mesh = builder.mesh({"POSITION": SQUARE[corners]}, mode=mode)
        builder.node(mesh=mesh)
        [primitive] = load_model(builder.write(tmp_path / "square.glb")).primitives
        found = areas(primitive.positions, primitive.triangles)
        assert (found > 0).all()
        np.testing.assert_allclose(found.sum(), 1)


def test_points_and_lines_are_left_out(tmp_path):
    builder = GltfBuilder()
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES))
    for mode in (0, 1, 2, 3):
        builder.node(mesh=builder.mesh({"POSITION": SQUARE}, mode=mode))
    assert len(load_model(builder.write(tmp_path / "mixed.glb")).primitives) == 1


@pytest.mark.parametrize(
    ("attributes", "indices", "reason"),
    [
        ({"POSITION": SQUARE}, np.array([0, 1, 4], np.uint16), "vertex 4 of 4"),
        ({"POSITION": SQUARE, "NORMAL": SQUARE[:3]}, SQUARE_TRIANGLES, "3 entries for 4 vertices"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, attributes, indices, reason):
    builder = GltfBuilder()
    builder.node(mesh=builder.mesh(attributes, indices))
    with pytest.raises(InputError, match=reason):
        load_model(builder.write(tmp_path / "square.glb"))


def test_quantised_positions_are_put_in_place_by_their_node(tmp_path):
    builder = GltfBuilder(extensionsRequired=["KHR_mesh_quantization"])
    stored = np.zeros((4, 4), np.int16)  # rows of 6 bytes, padded to 8
    stored[:, :3] = SQUARE * 32767
    view = builder.view(stored.tobytes(), byteStride=8)
    position = builder.accessor(stored[:, :3], bufferView=view, normalized=True)
    normals = np.tile(np.array([0, 0, 127, 0], np.int8), (4, 1))
    normal_view = builder.view(normals.tobytes(), byteStride=4)
    normal = builder.accessor(normals[:, :3], bufferView=normal_view, normalized=True)
    mesh = builder.mesh({"POSITION": position, "NORMAL": normal}, SQUARE_TRIANGLES)
    builder.node(mesh=mesh, scale=[4, 4, 4], translation=[1, 0, 0])
    [(positions, normals)] = load_model(builder.write(tmp_path / "square.glb")).pose()
    np.testing.assert_allclose(positions, world(np.add(SQUARE * 4, [1, 0, 0])), atol=1e-12)
    np.testing.assert_allclose(normals, np.tile([1, 0, 0], (4, 1)), atol=1e-12)


# -- nodes and normals ------------------------------------------------------------------------------


def test_normals_stay_perpendicular_where_a_node_is_stretched_unevenly(tmp_path):
    builder = GltfBuilder()
    slope = np.array([[0, 0, 0], [1, 1, 0], [0, 0, 1.0]], np.float32)  # a plane at 45 deg about z
    normals = np.tile(np.array([np.sqrt(0.5), -np.sqrt(0.5), 0], np.float32), (3, 1))
    builder.node(mesh=builder.mesh({"POSITION": slope, "NORMAL": normals}), scale=[1, 3, 1])
    [(positions, found)] = load_model(builder.write(tmp_path / "slope.glb")).pose()
    edges = positions[1:] - positions[0]
    np.testing.assert_allclose(edges @ found[0], 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)


def test_the_normal_matrix_is_the_inverse_transpose_up_to_length():
    matrices = np.random.default_rng(0).normal(size=(50, 3, 3))
    expected = np.linalg.inv(matrices).transpose(0, 2, 1)
    found = normal_matrix(matrices)
    cosines = np.einsum("nij,nij->n", found, expected)
    cosines /= np.linalg.norm(found, axis=(1, 2)) * np.linalg.norm(expected, axis=(1, 2))
    np.testing.assert_allclose(cosines, 1)


@pytest.mark.parametrize("scale", [[-1, 1, 1], [1, -2, 1], [-1, -1, -1]])
def test_a_mirrored_part_says_so_and_its_normals_stay_outside(tmp_path, scale):
    builder = GltfBuilder()
    normals = np.tile(np.array([0, 0, 1], np.float32), (4, 1))
    mesh = builder.mesh({"POSITION": SQUARE, "NORMAL": normals}, SQUARE_TRIANGLES)
    builder.node(mesh=mesh)
    builder.node(mesh=mesh, scale=scale)
    builder.node(mesh=mesh, scale=[-1, -1, 1])  # that is half a turn, no mirror
    plain, mirrored, turned = load_model(builder.write(tmp_path / "mirror.glb")).posed()
    assert (plain.mirrored, mirrored.mirrored, turned.mirrored) == (False, True, False)
    outside = np.sign(scale[2])
    np.testing.assert_allclose(mirrored.normals, np.tile([outside, 0, 0], (4, 1)), atol=1e-12)


def test_a_part_without_normals_is_drawn_flat(tmp_path):
    builder = GltfBuilder()
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES))
    [primitive] = load_model(builder.write(tmp_path / "square.glb")).primitives
    assert primitive.flat
    np.testing.assert_allclose(primitive.normals, np.tile([0, 0, 1], (4, 1)))


# -- skins ------------------------------------------------------------------------------------------


def skinned_square(tmp_path, attributes, *, inverse_bind=None, node=None, joints=2):
    """The square on joints: joint 0 at rest, joint 1 moved by (0, 0, 8), joint 2 by (6, 0, 0)."""
    builder = GltfBuilder()
    mesh = builder.mesh({"POSITION": SQUARE, **attributes}, SQUARE_TRIANGLES)
    builder.node(mesh=mesh, skin=0, **(node or {}))
    for move in ([0, 0, 0], [0, 0, 8], [6, 0, 0])[:joints]:
        builder.node(translation=move)
    builder.skin(list(range(1, joints + 1)), inverse_bind)
    return load_model(builder.write(tmp_path / "skin.glb"))


def weighted(joints, weights):
    return {
        "JOINTS_0": np.tile(np.array(joints, np.uint8), (4, 1)),
        "WEIGHTS_0": np.array(weights, np.float32),
    }


def test_a_vertex_moves_by_the_weighted_mean_of_its_joints(tmp_path):
    weights = [[1, 0, 0, 0], [0, 1, 0, 0], [0.25, 0.75, 0, 0], [0.5, 0.5, 0, 0]]
    model = skinned_square(tmp_path, weighted([0, 1, 0, 0], weights))
    moved = SQUARE + np.outer([0, 8, 6, 4], [0, 0, 1])
    np.testing.assert_allclose(model.pose()[0][0], world(moved), atol=1e-6)


def test_a_skinned_vertex_turns_about_its_joint(tmp_path):
    builder = GltfBuilder()
    ones = np.tile(np.array([1, 0, 0, 0], np.float32), (4, 1))
    mesh = builder.mesh(
        {"POSITION": SQUARE, "JOINTS_0": np.zeros((4, 4), np.uint16), "WEIGHTS_0": ones}, SQUARE_TRIANGLES
    )
    # the transform of the mesh's own node does not count for a skinned mesh
    builder.node(mesh=mesh, skin=0, translation=[100, 0, 0])
    builder.node(translation=[1, 0, 0], children=[2])
    builder.node(rotation=turn_z(90))
    bind = np.eye(4)[None].copy()
    bind[0, 0, 3] = -1  # the joint stands at x = 1
    builder.skin([2], bind)
    [(positions, _)] = load_model(builder.write(tmp_path / "skin.glb")).pose()
    # (x, y) about (1, 0) by a quarter turn: (1 - y, x - 1)
    x, y, z = SQUARE.T
    np.testing.assert_allclose(positions, world(np.stack([1 - y, x - 1, z], axis=1)), atol=1e-6)


def test_weights_that_are_no_numbers_or_negative_count_for_nothing():
    attributes = {
        "JOINTS_0": np.array([[0, 1, 2, 3]] * 5, np.uint8),
        "WEIGHTS_0": np.array(
            [[2, 2, 0, 0], [1, np.nan, 1, 0], [-1, 0.5, 0, 0], [0, 0, 0, 0], [np.nan, 0, 0, -np.inf]],
            np.float32,
        ),
    }
    _, weights = joint_weights(attributes)
    expected = [[0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(weights, expected)


def test_a_second_set_of_joints_counts_as_the_first(tmp_path):
    attributes = weighted([0, 0, 0, 0], [[0.5, 0, 0, 0]] * 4)
    second = weighted([1, 2, 0, 0], [[0.25, 0.25, 0, 0]] * 4)
    attributes |= {name.replace("_0", "_1"): values for name, values in second.items()}
    model = skinned_square(tmp_path, attributes, joints=3)
    np.testing.assert_allclose(model.pose()[0][0], world(np.add(SQUARE, [1.5, 0, 2])), atol=1e-6)


def test_quantised_weights_are_fractions(tmp_path):
    builder = GltfBuilder()
    stored = builder.accessor(np.tile(np.array([51, 204, 0, 0], np.uint8), (4, 1)), normalized=True)
    joints = np.tile(np.array([0, 1, 0, 0], np.uint8), (4, 1))
    mesh = builder.mesh({"POSITION": SQUARE, "JOINTS_0": joints, "WEIGHTS_0": stored}, SQUARE_TRIANGLES)
    builder.node(mesh=mesh, skin=0)
    builder.node()
    builder.node(translation=[0, 0, 10])
    builder.skin([1, 2])
    [(positions, _)] = load_model(builder.write(tmp_path / "skin.glb")).pose()
    np.testing.assert_allclose(positions, world(np.add(SQUARE, [0, 0, 8])), atol=1e-12)


def test_a_joint_without_weight_may_be_any_and_one_with_weight_must_be_there(tmp_path):
    model = skinned_square(tmp_path, weighted([0, 200, 0, 0], [[1, 0, 0, 0]] * 4))
    np.testing.assert_allclose(model.pose()[0][0], world(SQUARE))
    with pytest.raises(InputError, match="joint 200 of 2"):
        skinned_square(tmp_path, weighted([0, 200, 0, 0], [[0.5, 0.5, 0, 0]] * 4))


def test_nodes_with_and_without_a_skin_may_share_a_mesh(tmp_path):
    builder = GltfBuilder()
    mesh = builder.mesh({"POSITION": SQUARE, **weighted([0, 1, 0, 0], [[0, 1, 0, 0]] * 4)}, SQUARE_TRIANGLES)
    builder.node(mesh=mesh, skin=0)
    builder.node(mesh=mesh, skin=1)
    builder.node(mesh=mesh, translation=[0, 5, 0])
    builder.node()
    builder.node(translation=[0, 0, 8])
    builder.skin([3, 4])
    builder.skin([4, 3])
    poses = [positions for positions, _ in load_model(builder.write(tmp_path / "skins.glb")).pose()]
    for found, move in zip(poses, ([0, 0, 8], [0, 0, 0], [0, 5, 0]), strict=True):
        np.testing.assert_allclose(found, world(np.add(SQUARE, move)))


def test_a_morphed_vertex_is_skinned_after_it_is_morphed(tmp_path):
    builder = GltfBuilder()
    mesh = builder.mesh(
        {"POSITION": SQUARE, **weighted([0, 0, 0, 0], [[1, 0, 0, 0]] * 4)},
        SQUARE_TRIANGLES,
        targets=[{"POSITION": np.tile([1.0, 0, 0], (4, 1))}],
        weights=[1.0],
    )
    builder.node(mesh=mesh, skin=0)
    builder.node(rotation=turn_z(90))
    builder.skin([1])
    [(positions, _)] = load_model(builder.write(tmp_path / "both.glb")).pose()
    x, y, z = SQUARE.T
    np.testing.assert_allclose(positions, world(np.stack([-y, x + 1, z], axis=1)), atol=1e-6)


def test_morphed_normals_follow_their_own_displacements(tmp_path):
    builder = GltfBuilder()
    normals = np.tile(np.array([0, 0, 1], np.float32), (4, 1))
    mesh = builder.mesh(
        {"POSITION": SQUARE, "NORMAL": normals},
        SQUARE_TRIANGLES,
        targets=[{"POSITION": SQUARE * 0}, {"NORMAL": np.tile([1.0, 0, 0], (4, 1))}],
        weights=[0.3, 1.0],
    )
    builder.node(mesh=mesh)
    [(_, found)] = load_model(builder.write(tmp_path / "morph.glb")).pose()
    np.testing.assert_allclose(found, world([[np.sqrt(0.5), 0, np.sqrt(0.5)]] * 4))


# -- Draco ------------------------------------------------------------------------------------------


def draco_square(*, required: bool):
    """A square whose arrays are Draco-compressed; where they are not required, also stored plainly."""
    import DracoPy

    colors = np.array([[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [51, 51, 51, 255]], np.uint8)
    joints = np.tile(np.array([1, 0, 0, 0], np.uint8), (4, 1))
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (4, 1))
    packed = DracoPy.encode(
        SQUARE,
        SQUARE_TRIANGLES.reshape(-1, 3).astype(np.uint32),
        quantization_bits=14,
        preserve_order=True,
        colors=colors,
        generic_attributes={7: joints, 9: weights},
    )
    ids = {entry["attribute_type"]: entry["unique_id"] for entry in DracoPy.decode(packed).attributes}
    builder = GltfBuilder(extensionsUsed=["KHR_draco_mesh_compression"])
    arrays = {"POSITION": SQUARE, "COLOR_0": colors, "JOINTS_0": joints, "WEIGHTS_0": weights}
    mesh = builder.mesh(arrays, SQUARE_TRIANGLES)
    builder.document["accessors"][1]["normalized"] = True
    if required:
        builder.document["extensionsRequired"] = ["KHR_draco_mesh_compression"]
        for accessor in builder.document["accessors"]:
            del accessor["bufferView"]
    [primitive] = builder.document["meshes"][mesh]["primitives"]
    primitive["extensions"] = {
        "KHR_draco_mesh_compression": {
            "bufferView": builder.view(packed),
            "attributes": {"POSITION": ids[0], "COLOR_0": ids[2], "JOINTS_0": 7, "WEIGHTS_0": 9},
        }
    }
    builder.node(mesh=mesh, skin=0)
    builder.node()
    builder.node(translation=[0, 0, 8])
    builder.skin([1, 2])
    return builder


@needs_draco
@pytest.mark.parametrize("required", [False, True])
def test_a_draco_compressed_skin_moves_as_an_uncompressed_one(tmp_path, required):
    model = load_model(draco_square(required=required).write(tmp_path / "square.glb"))
    [primitive] = model.primitives
    # positions were stored in 14 bits
    np.testing.assert_allclose(model.pose()[0][0], world(np.add(SQUARE, [0, 0, 8])), atol=2**-13)
    np.testing.assert_allclose(primitive.colors, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.2, 0.2]])
    np.testing.assert_allclose(areas(primitive.positions, primitive.triangles).sum(), 1, atol=1e-3)


@needs_draco
def test_damaged_draco_data_is_refused(tmp_path):
    builder = draco_square(required=True)
    view = builder.document["bufferViews"][-1]
    builder.binary = builder.binary[: view["byteOffset"] + 40].ljust(len(builder.binary), b"\xff")
    with pytest.raises(InputError, match="damaged"):
        load_model(builder.write(tmp_path / "square.glb"))


@needs_draco
def test_without_the_decoder_the_error_names_what_to_install(tmp_path, monkeypatch):
    path = draco_square(required=True).write(tmp_path / "square.glb")
    spare = draco_square(required=False).write(tmp_path / "spare.glb")
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(BackendUnavailable, match=r"diffusion2\[draco\]"):
        load_model(path)
    np.testing.assert_allclose(load_model(spare).pose()[0][0], world(np.add(SQUARE, [0, 0, 8])))
