"""Where the numbers of a glTF file are: accessors of every kind, and files beside the model."""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from diffusion2.errors import InputError
from diffusion2.meshes import load_model
from diffusion2.meshes.document import Document

sys.path.insert(0, str(Path(__file__).parent))
from make_gltf import SQUARE, SQUARE_TRIANGLES, GltfBuilder, bending_bar


def square(**top):
    builder = GltfBuilder(**top)
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES))
    return builder


def read(builder, tmp_path, index):
    path = tmp_path / "arrays.gltf"
    path.write_bytes(builder.gltf())
    return Document(path).accessor(index)


def test_sparse_entries_replace_those_of_the_base(tmp_path):
    builder = GltfBuilder()
    base = np.arange(12, dtype=np.float32).reshape(4, 3)
    sparse = {
        "count": 2,
        "indices": {"bufferView": builder.view(np.array([1, 3], np.uint16).tobytes()), "componentType": 5123},
        "values": {"bufferView": builder.view(np.array([[7, 8, 9], [-1, -2, -3]], np.float32).tobytes())},
    }
    on_base = builder.accessor(base, bufferView=builder.view(base.tobytes()), sparse=sparse)
    alone = builder.accessor(base, sparse=sparse)
    expected = [[0, 1, 2], [7, 8, 9], [6, 7, 8], [-1, -2, -3]]
    np.testing.assert_array_equal(read(builder, tmp_path, on_base), expected)
    np.testing.assert_array_equal(
        read(builder, tmp_path, alone), [[0, 0, 0], [7, 8, 9], [0, 0, 0], [-1, -2, -3]]
    )
    sparse["indices"]["bufferView"] = builder.view(np.array([1, 4], np.uint16).tobytes())
    with pytest.raises(InputError, match="replaces entry 4 of 4"):
        read(builder, tmp_path, on_base)


def test_interleaved_arrays_are_told_apart(tmp_path):
    builder = GltfBuilder()
    rows = np.zeros(3, np.dtype([("position", "<f4", 3), ("color", "u1", 4), ("uv", "<f4", 2)]))
    rows["position"], rows["uv"] = np.arange(9).reshape(3, 3), np.arange(6).reshape(3, 2) / 8
    rows["color"] = np.arange(12).reshape(3, 4)
    view = builder.view(rows.tobytes(), byteStride=rows.dtype.itemsize)
    for name, offset in (("position", 0), ("color", 12), ("uv", 16)):
        index = builder.accessor(rows[name], bufferView=view, byteOffset=offset)
        np.testing.assert_array_equal(read(builder, tmp_path, index), rows[name])


def test_the_last_row_of_an_interleaved_array_needs_no_padding(tmp_path):
    builder = GltfBuilder()
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    padded = np.zeros((3, 5), np.float32)
    padded[:, :2] = values
    view = builder.view(padded.tobytes()[:-12], byteStride=20)
    np.testing.assert_array_equal(read(builder, tmp_path, builder.accessor(values, bufferView=view)), values)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([-128, -127, 0, 127], np.int8), [-1, -1, 0, 1]),
        (np.array([-32768, 16384], np.int16), [-1, 16384 / 32767]),
        (np.array([0, 51, 255], np.uint8), [0, 0.2, 1]),
        (np.array([0, 65535], np.uint16), [0, 1]),
    ],
)
def test_normalised_integers_are_fractions(tmp_path, stored, expected):
    builder = GltfBuilder()
    index = builder.accessor(stored, normalized=True)
    np.testing.assert_allclose(read(builder, tmp_path, index)[:, 0], expected, rtol=1e-12)


def test_a_file_beside_the_model_holds_its_arrays(tmp_path):
    builder = square()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my arrays.bin").write_bytes(builder.binary)
    path = tmp_path / "square.gltf"
    path.write_bytes(builder.gltf("sub/my%20arrays.bin"))
    assert len(load_model(path).primitives[0].positions) == 4


def test_arrays_may_be_in_several_buffers_and_in_uris(tmp_path):
    builder = square()
    document = json.loads(builder.gltf())
    # the indices go into a buffer of their own
    data = SQUARE_TRIANGLES.tobytes()
    document["buffers"].append({"byteLength": 12, "uri": "data:;base64," + base64.b64encode(data).decode()})
    document["bufferViews"][1] = {"buffer": 1, "byteOffset": 0, "byteLength": 12}
    path = tmp_path / "square.gltf"
    path.write_text(json.dumps(document))
    np.testing.assert_array_equal(load_model(path).primitives[0].triangles, [[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("arrays.bin", "needs the file arrays.bin"),
        ("../arrays.bin", "not in its folder"),
        ("a/../../arrays.bin", "not in its folder"),
        ("%2e%2e/arrays.bin", "not in its folder"),
        ("/etc/hostname", "not in its folder"),
        ("file:///etc/hostname", "not in its folder"),
        ("https://example.org/arrays.bin", "not in its folder"),
    ],
)
def test_files_that_are_missing_or_elsewhere_are_refused(tmp_path, uri, reason):
    builder = square()
    (tmp_path / "arrays.bin").write_bytes(builder.binary)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "square.gltf"
    path.write_bytes(builder.gltf(uri))
    with pytest.raises(InputError, match=reason) as raised:
        load_model(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"asset": {"version": "1.0"}}, "glTF 1.0"),
        ({"extensionsRequired": ["EXT_wonder"]}, "EXT_wonder"),
        ({"scenes": [{"nodes": [5]}]}, "damaged"),
        ({"nodes": [{"mesh": 3}]}, "damaged"),
        ({"nodes": [{"mesh": 0, "children": [0]}]}, "no tree"),
        ({"nodes": [{"mesh": 0, "children": [2]}, {"children": [2]}, {}]}, "no tree"),
        ({"nodes": [{"mesh": 0, "translation": [0, 1]}]}, "damaged"),
        ({"nodes": [{"mesh": 0, "scale": [1, 1, None]}]}, "damaged"),
        ({"accessors": []}, "damaged"),
        ({"accessors": "none"}, "damaged"),
    ],
)
def test_a_document_that_makes_no_sense_is_refused_in_one_line(tmp_path, change, reason):
    builder = square()
    builder.document.update(change)
    path = builder.write(tmp_path / "square.glb")
    with pytest.raises(InputError, match=reason) as raised:
        load_model(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("accessors", 0, "bufferView"), 99, r"refers to bufferViews\[99\] of 7"),
        (("accessors", 0, "componentType"), 1, "accessor 0 has components of type 1"),
        (("accessors", 0, "type"), "VEC9", "accessor 0 is of type 'VEC9'"),
        (("accessors", 0, "count"), None, "accessor 0 has None entries"),
        (("accessors", 0, "count"), ..., "a part of it lacks 'count'"),
        (("bufferViews", 0, "buffer"), -1, r"refers to buffers\[-1\] of 1"),
        (("meshes", 0, "primitives"), ..., "a part of it lacks 'primitives'"),
        (("meshes", 0, "primitives", 0, "material"), 1, r"refers to materials\[1\] of 1"),
        (("nodes", 0, "mesh"), -1, r"refers to meshes\[-1\] of 1"),
        (("nodes", 0, "skin"), 1, r"refers to skins\[1\] of 1"),
        (("nodes", 0, "weights"), [[1]], r"a node has \[\[1\]\] where numbers belong"),
        (("skins", 0, "joints", 0), 1.5, r"refers to nodes\[1.5\] of 3"),
        (("animations", 0, "channels", 0, "sampler"), 4, "clip 'bend' refers to sampler 4 of 1"),
        (("animations", 0, "channels", 0, "target", "node"), 3, r"refers to nodes\[3\] of 3"),
        (("nodes",), {"0": {}}, "nodes are no list"),
        (("extensionsRequired",), 1, "of another kind"),
    ],
)
def test_a_damaged_part_is_named_in_words(tmp_path, place, value, reason):
    with pytest.raises(InputError, match=reason):
        load_model(damaged_bar(tmp_path, place, value))


@pytest.mark.parametrize("value", [..., 99, -1, "x", None, []], ids=str)
def test_no_damage_of_the_json_ends_in_a_traceback_or_a_bare_word(tmp_path, value):
    content = bar_content()
    for place in places(content):
        try:
            model = load_model(damaged_bar(tmp_path, place, value))
            for clip in (None, *model.clips):
                model.pose(clip, 0.3)
        except InputError as error:
            said = str(error)
            assert "\n" not in said
            assert len(said.removeprefix(str(tmp_path)).split()) > 4, (place, said)
            assert "Error" not in said, (place, said)


def bar_content():
    data = bending_bar()
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length])


def damaged_bar(tmp_path, place, value):
    """Write the bending bar with another value in a place of its JSON, or none (...)."""
    data, content = bending_bar(), bar_content()
    binary = data[20 + int.from_bytes(data[12:16], "little") + 8 :]
    content["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(binary).decode()
    part = content
    for key in place[:-1]:
        part = part[key]
    if value is ...:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    path = tmp_path / "bar.gltf"
    path.write_text(json.dumps(content))
    return path


def places(value, place=()):
    """List where the JSON has a value, as keys from the outside in."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    inner = [p for key in keys for p in places(value[key], (*place, key))]
    return [*([place] if place else []), *inner]


@pytest.mark.parametrize("data", [b"glTF" + bytes(20), b"[]", b"{", b"\xff\xfe", b""])
def test_a_file_without_its_json_is_refused_in_words(tmp_path, data):
    path = tmp_path / "no.glb"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"JSON is missing|JSON is no object|JSON is damaged"):
        load_model(path)


@pytest.mark.parametrize(
    ("accessor", "reason"),
    [
        ({"count": 5}, "cut off"),
        ({"count": -1}, "has -1 entries"),
        ({"count": 10**12, "bufferView": None}, "too large"),
        ({"byteOffset": 8}, "cut off"),
        ({"byteOffset": -8}, "cut off"),
    ],
)
def test_an_accessor_beyond_its_data_is_refused(tmp_path, accessor, reason):
    builder = square()
    builder.document["accessors"][0].update(accessor)
    if accessor.get("bufferView", 0) is None:
        del builder.document["accessors"][0]["bufferView"]
    with pytest.raises(InputError, match=reason):
        load_model(builder.write(tmp_path / "square.glb"))


def test_only_the_nodes_of_the_default_scene_are_drawn(tmp_path):
    builder = square(scenes=[{"nodes": [0]}, {"nodes": [1, 3]}], scene=1)
    builder.node(children=[2], translation=[5, 0, 0])
    builder.node(mesh=0)
    builder.node(mesh=0, translation=[0, 7, 0])
    model = load_model(builder.write(tmp_path / "scenes.glb"))
    # two instances of one mesh, each on its node
    lows = [positions.min(0).tolist() for positions, _ in model.pose()]
    assert lows == [[0, 5, 0], [0, 0, 7]]
    assert model.primitives[0].positions is model.primitives[1].positions


def test_positions_that_are_no_numbers_are_zero_and_huge_ones_are_no_crash(tmp_path):
    builder = GltfBuilder()
    positions = SQUARE.copy()
    positions[1] = np.nan
    positions[2] = 3e38
    builder.node(mesh=builder.mesh({"POSITION": positions}, SQUARE_TRIANGLES), scale=[1e300, 1, 1])
    [(posed, _)] = load_model(builder.write(tmp_path / "square.glb")).pose()
    np.testing.assert_array_equal(posed[1], [0, 0, 0])
    assert not np.isfinite(posed[2]).all()
