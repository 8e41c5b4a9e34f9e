"""What a picture lacks is named, and what is required and lacking is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from diffusion2.errors import InputError
from diffusion2.meshes import load_model
from diffusion2.meshes.extensions import not_drawn

sys.path.insert(0, str(Path(__file__).parent))
from make_gltf import SQUARE, SQUARE_TRIANGLES, GltfBuilder


def square(**top):
    builder = GltfBuilder(**top)
    builder.append("materials", {})
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES, material=0))
    return builder


def told(path):
    notes = []
    load_model(path, notes.append)
    return [note.message for note in notes]


@pytest.mark.parametrize("name", ["EXT_wonder", "KHR_materials_transmission", "KHR_lights_punctual"])
def test_what_is_required_and_not_drawn_is_an_error_by_name(tmp_path, name):
    with pytest.raises(InputError, match=f"requires the extension {name}, which is not supported: save it"):
        load_model(square(extensionsRequired=[name]).write(tmp_path / "a.glb"))


@pytest.mark.parametrize("name", ["KHR_materials_unlit", "KHR_xmp_json_ld", "KHR_materials_variants", "VRM"])
def test_what_is_required_and_changes_nothing_is_read(tmp_path, name):
    assert told(square(extensionsRequired=[name], extensionsUsed=[name]).write(tmp_path / "a.glb")) == []


def test_all_that_a_picture_lacks_is_said_in_one_line_by_name(tmp_path):
    builder = square(extensionsUsed=["KHR_materials_clearcoat", "EXT_wonder", "KHR_texture_transform"])
    builder.document["materials"][0]["extensions"] = {"KHR_materials_clearcoat": {"clearcoatFactor": 1}}
    builder.node(extensions={"KHR_lights_punctual": {"light": 0}})
    [line] = told(builder.write(tmp_path / "a.glb"))
    for name in ("KHR_materials_clearcoat (varnish)", "EXT_wonder", "KHR_lights_punctual (lights)"):
        assert name in line
    assert "KHR_texture_transform" not in line


@pytest.mark.parametrize(
    "content",
    [
        {"extensionsUsed": ["KHR_lights_punctual", "KHR_materials_ior"]},  # declared, and not used
        {"materials": [{"extensions": {"KHR_materials_ior": {"ior": 1.5}}}]},
        {"materials": [{"extensions": {"KHR_materials_sheen": {"sheenColorFactor": [0, 0, 0]}}}]},
        {"textures": [{"source": 0, "extensions": {"KHR_texture_basisu": {"source": 1}}}]},
        {"extensionsUsed": ["VRMC_vrm", "MSFT_lod"], "nodes": [{"extensions": {"MSFT_lod": {"ids": [1]}}}]},
        {"materials": [{"extensions": "none"}]},
    ],
)
def test_nothing_is_said_of_what_changes_no_picture(content):
    assert not_drawn(content) == []


def instances(tmp_path, **attributes):
    builder = square()
    arrays = {name: builder.accessor(np.array(values, np.float32)) for name, values in attributes.items()}
    builder.document["nodes"][0]["extensions"] = {"EXT_mesh_gpu_instancing": {"attributes": arrays}}
    return load_model(builder.write(tmp_path / "a.glb"))


def test_instances_stand_where_they_should_and_have_their_colours(tmp_path):
    model = instances(
        tmp_path,
        TRANSLATION=[[0, 0, 0], [5, 0, 0]],
        SCALE=[[1, 1, 1], [-2, 2, 2]],
        _COLOR_0=[[1, 0, 0], [0, 1, 0]],
    )
    [primitive] = model.primitives
    np.testing.assert_allclose(primitive.positions, np.concatenate([SQUARE, SQUARE * [-2, 2, 2] + [5, 0, 0]]))
    np.testing.assert_array_equal(primitive.colors[[0, 4]], [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(primitive.triangles, [[0, 1, 2], [0, 2, 3], [6, 5, 4], [7, 6, 4]])


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"TRANSLATION": [[0, 0, 0]], "SCALE": [[1, 1, 1]] * 2}, "differ in number"),
        ({"TRANSLATION": [[0, 0]]}, "other than 3 numbers"),
        ({"TRANSLATION": np.zeros((4_000_000, 3))}, "too large: 4,000,000 instances"),
        ({}, "differ in number|lacks"),
    ],
)
def test_instances_that_make_no_sense_are_refused(tmp_path, attributes, reason):
    with pytest.raises(InputError, match=reason):
        instances(tmp_path, **attributes)


def test_a_file_of_version_1_is_named_as_such(tmp_path):
    (tmp_path / "a.glb").write_bytes(b"glTF" + (1).to_bytes(4, "little") + bytes(12))
    with pytest.raises(InputError, match="glTF 1"):
        load_model(tmp_path / "a.glb")
