"""A small glTF binary made in the test: a skinned bar of two bones, one of which bends."""

import json
import struct
from pathlib import Path

import numpy as np

COMPONENTS = {np.dtype(np.float32): 5126, np.dtype(np.uint16): 5123, np.dtype(np.uint8): 5121}


def bending_bar(*, nan_weights: bool = False, interpolation: str = "LINEAR") -> bytes:
    """Give a bar along y: a fixed lower half, an upper half that turns 90 deg about z in one second."""
    positions = np.array([[x, y, 0] for y in (0, 1, 2) for x in (-0.1, 0.1)], np.float32)
    triangles = np.array([0, 1, 2, 1, 3, 2, 2, 3, 4, 3, 5, 4], np.uint16)
    joints = np.zeros((6, 4), np.uint8)
    joints[4:, 0] = 1
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (6, 1))
    if nan_weights:
        weights[0] = np.nan
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse_bind[1, 1, 3] = -1
    half = np.sqrt(0.5)
    times = np.array([0, 1], np.float32)
    turns = np.array([[0, 0, 0, 1], [0, 0, half, half]], np.float32)
    if interpolation == "CUBICSPLINE":
        turns = np.stack([np.zeros_like(turns), turns, np.zeros_like(turns)], axis=1).reshape(6, 4)
    arrays = [positions, triangles, joints, weights, inverse_bind.transpose(0, 2, 1), times, turns]
    kinds = ["VEC3", "SCALAR", "VEC4", "VEC4", "MAT4", "SCALAR", "VEC4"]
    binary, views, accessors = b"", [], []
    for array, kind in zip(arrays, kinds, strict=True):
        data = np.ascontiguousarray(array).tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        count = array.size if kind == "SCALAR" else len(array)
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": COMPONENTS[array.dtype],
                "count": count,
                "type": kind,
            }
        )
        binary += data + b"\0" * (-len(data) % 4)
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}],
        "meshes": [
            {
                "primitives": [
                    {
                        "attributes": {"POSITION": 0, "JOINTS_0": 2, "WEIGHTS_0": 3},
                        "indices": 1,
                        "material": 0,
                    }
                ]
            }
        ],
        "nodes": [{"mesh": 0, "skin": 0}, {"children": [2]}, {"translation": [0, 1, 0]}],
        "skins": [{"joints": [1, 2], "inverseBindMatrices": 4}],
        "animations": [
            {
                "name": "bend",
                "samplers": [{"input": 5, "output": 6, "interpolation": interpolation}],
                "channels": [{"sampler": 0, "target": {"node": 2, "path": "rotation"}}],
            }
        ],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    header = struct.pack("<4sII", b"glTF", 2, total)
    return (
        header
        + struct.pack("<II", len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(binary), 0x004E4942)
        + binary
    )


def write_bending_bar(path: Path, **options: object) -> Path:
    path.write_bytes(bending_bar(**options))  # type: ignore[arg-type]
    return path
