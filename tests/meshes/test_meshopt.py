"""Decompressing meshopt streams: those that its own encoder wrote, and the one of the specification."""

import sys
from pathlib import Path

import numpy as np
import pytest

from diffusion2.errors import InputError
from diffusion2.meshes import load_model
from diffusion2.meshes.meshopt import decode_attributes, decode_indices, decode_triangles, decode_view

sys.path.insert(0, str(Path(__file__).parent))
from make_gltf import SQUARE, SQUARE_TRIANGLES, GltfBuilder

# 20 elements of 4 bytes: k * 3 mod 7, 200 - k, k // 4, and 1 but for element 9, where it is 250
ELEMENTS = bytes.fromhex(
    "a00a066767676676767667670000000000000515555555550000000500808080800000000100003c000d0e"
    "0000000000000000000000000000000000000000000000000000000000c80001"
)
TRIANGLES = bytes.fromhex("e1fe1e1f0e401f120ffffef0060403069f00800384007687566778a9866589689801690000")
CORNERS = [
    *([0, 3, 1], [1, 3, 4], [4, 3, 6], [4, 6, 7], [1, 4, 2], [2, 4, 5], [5, 4, 7], [5, 7, 8]),
    *([8, 0, 200], [3, 4, 5]),
]
# (1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1), (0.6, 0, 0.8), (-2/3, 1/3, -2/3), each with a fourth byte
UNIT_VECTORS = bytes.fromhex("7f007f0000817f0000007f007f7f7f0036007f009a4c7f00")


def blocks(elements: np.ndarray, before: np.ndarray) -> bytes:
    """Encode (count, stride) uint8 as one block in the plainest way: every group as 16 whole bytes."""
    groups = -(-len(elements) // 16)
    deltas = np.diff(elements.astype(np.int64), axis=0, prepend=before[None].astype(np.int64))
    signed = (deltas + 128) % 256 - 128
    padded = np.zeros((groups * 16, elements.shape[1]), np.uint8)
    padded[: len(elements)] = np.where(signed < 0, -2 * signed - 1, 2 * signed)
    header = b"\xff" * -(-groups // 4)
    return b"".join(header + column.tobytes() for column in padded.T)


def verbatim(elements: np.ndarray) -> bytes:
    """Encode up to 16 elements as a whole stream."""
    return b"\xa0" + blocks(elements, elements[0]) + elements[0].tobytes().rjust(32, b"\0")


def test_elements_are_those_that_were_encoded():
    k = np.arange(20)
    expected = np.stack([k * 3 % 7, 200 - k, k // 4, np.where(k == 9, 250, 1)], axis=1)
    np.testing.assert_array_equal(decode_attributes(ELEMENTS, 20, 4), expected)


def test_the_group_that_the_specification_prints_has_its_deltas():
    group = bytes.fromhex("175ff0bc77a9210034b5")
    # one block of 16 elements of 4 bytes: the first byte has 4-bit deltas, the others have none
    data = b"\xa0" + b"\x02" + group + b"\x00" * 3 + b"\x00" * 32
    found = decode_attributes(data, 16, 4)
    deltas = [-1, -4, -3, 26, -91, 0, -6, 6, -4, -4, 5, -5, 1, -1, 0, 0]
    np.testing.assert_array_equal(found[:, 0], np.cumsum(deltas) % 256)
    assert not found[:, 1:].any()


def test_many_blocks_go_on_from_one_another():
    elements = np.random.default_rng(0).integers(0, 256, (200, 64), dtype=np.uint8)
    # elements of 64 bytes come in blocks of 128
    first, second = blocks(elements[:128], elements[0]), blocks(elements[128:], elements[127])
    data = b"\xa0" + first + second + elements[0].tobytes()
    np.testing.assert_array_equal(decode_attributes(data, 200, 64), elements)


def test_triangles_are_those_that_were_encoded_up_to_where_each_begins():
    found = np.array(decode_triangles(TRIANGLES, 30)).reshape(-1, 3)
    assert {tuple(np.roll(t, -int(t.argmin()))) for t in found} == {
        tuple(np.roll(t, -int(np.argmin(t)))) for t in CORNERS
    }


def test_indices_count_from_two_running_values():
    # deltas +5 and +1 on the first, +200 and -100 on the second
    def number(baseline, delta):
        value = (2 * delta if delta >= 0 else -2 * delta - 1) << 1 | baseline
        return bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7])

    stream = number(0, 5) + number(1, 200) + number(0, 1) + number(1, -100)
    assert decode_indices(b"\xd1" + stream + b"\0" * 4, 4) == [5, 200, 6, 100]


def filtered(elements, name, stride):
    packed = {"count": len(elements), "byteStride": stride, "mode": "ATTRIBUTES", "filter": name}
    return decode_view(verbatim(elements.view(np.uint8).reshape(len(elements), stride)), packed)


def test_octahedral_vectors_unfold():
    vectors = np.frombuffer(UNIT_VECTORS, np.int8).reshape(-1, 4)
    found = np.frombuffer(filtered(vectors, "OCTAHEDRAL", 4), np.int8).reshape(-1, 4)[:, :3] / 127
    expected = [[1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [0.6, 0, 0.8], [-2 / 3, 1 / 3, -2 / 3]]
    np.testing.assert_allclose(found, expected, atol=1.5 / 127)  # two roundings to 1/127


@pytest.mark.parametrize("largest", range(4))
def test_quaternions_get_their_largest_component_back(largest):
    quaternion = np.array([0.8, 0.2, -0.4, 0.4])  # of unit length, the largest first
    one = (1 << 11) - 1  # 12 bits
    stored = np.round(quaternion[1:] * np.sqrt(2) * one).astype(np.int16)
    element = np.array([[*stored, (one & ~3) | largest]], np.int16)
    found = np.frombuffer(filtered(element, "QUATERNION", 8), np.int16) / 32767
    np.testing.assert_allclose(found, np.roll(quaternion, largest), atol=1e-3)


def test_exponents_and_mantissas_become_floats():
    values = [(0, 1), (-3, 5), (4, -7), (-20, 8388607)]
    stored = np.array([[(e << 24) | (m & 0xFFFFFF)] for e, m in values]).astype(np.uint32).view(np.int32)
    found = np.frombuffer(filtered(stored, "EXPONENTIAL", 4), np.float32)
    np.testing.assert_array_equal(found, [1, 0.625, -112, 8388607 / 2**20])


def compressed_square():
    builder = GltfBuilder(extensionsRequired=["EXT_meshopt_compression"])
    builder.node(mesh=builder.mesh({"POSITION": SQUARE}, SQUARE_TRIANGLES))
    packed = verbatim(SQUARE.view(np.uint8).reshape(4, 12))
    place = {
        "buffer": 0,
        "byteOffset": len(builder.binary),
        "byteLength": len(packed),
        "byteStride": 12,
        "count": 4,
        "mode": "ATTRIBUTES",
    }
    builder.view(packed)
    # the buffer of the uncompressed data is not there
    builder.document["bufferViews"][0] = {
        "buffer": 1,
        "byteLength": 48,
        "extensions": {"EXT_meshopt_compression": place},
    }
    return builder


def test_a_compressed_model_is_the_uncompressed_one(tmp_path):
    [primitive] = load_model(compressed_square().write(tmp_path / "square.glb")).primitives
    np.testing.assert_array_equal(primitive.positions, SQUARE)


@pytest.mark.parametrize("change", [{"count": 400}, {"byteLength": 20}, {"mode": "OTHER"}, {"filter": "?"}])
def test_a_damaged_stream_is_refused(tmp_path, change):
    builder = compressed_square()
    builder.document["bufferViews"][0]["extensions"]["EXT_meshopt_compression"].update(change)
    with pytest.raises(InputError, match=r"square\.glb.*damaged"):
        load_model(builder.write(tmp_path / "square.glb"))


def test_a_later_version_of_the_format_is_refused():
    with pytest.raises(ValueError, match="another version"):
        decode_attributes(b"\xa1" + ELEMENTS[1:], 20, 4)
