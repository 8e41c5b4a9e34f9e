"""Small glTF files made in the tests: a builder, and a skinned bar of two bones, one of which bends."""

import base64
import json
import struct
from pathlib import Path

import numpy as np

COMPONENTS = {
    np.dtype(np.int8): 5120,
    np.dtype(np.uint8): 5121,
    np.dtype(np.int16): 5122,
    np.dtype(np.uint16): 5123,
    np.dtype(np.uint32): 5125,
    np.dtype(np.float32): 5126,
}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
SQUARE_TRIANGLES = np.array([0, 1, 2, 0, 2, 3], np.uint16)


class GltfBuilder:
    """Collects arrays and JSON; indices that its methods return go into other parts."""

    def __init__(self, **top: object) -> None:
        self.document = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": [], "nodes": [], **top}
        self.document.setdefault("meshes", [])
        self.binary = b""

    def view(self, data: bytes, **fields: object) -> int:
        place = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **fields}
        self.binary += data + b"\0" * (-len(data) % 4)
        self.document["bufferViews"].append(place)
        return len(self.document["bufferViews"]) - 1

    def accessor(self, array: np.ndarray, **fields: object) -> int:
        """Add (N,) scalars, (N, K) vectors or (N, 4, 4) matrices as rows."""
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        rows = array.reshape(len(array), -1)
        if "bufferView" not in fields and "sparse" not in fields:
            fields["bufferView"] = self.view(np.ascontiguousarray(rows).tobytes())
        self.document["accessors"].append(
            {
                "componentType": COMPONENTS[array.dtype],
                "count": len(rows),
                "type": KINDS[rows.shape[1]],
                **fields,
            }
        )
        return len(self.document["accessors"]) - 1

    def append(self, table: str, value: dict) -> int:
        self.document.setdefault(table, []).append(value)
        return len(self.document[table]) - 1

    def mesh(self, attributes: dict, indices: np.ndarray | None = None, **fields: object) -> int:
        """Add a mesh of one primitive; attributes are arrays, or indices of accessors."""
        weights = fields.pop("weights", None)
        primitive = {"attributes": self._accessors(attributes), **fields}
        if indices is not None:
            primitive["indices"] = self.accessor(indices)
        if "targets" in primitive:
            primitive["targets"] = [self._accessors(target) for target in primitive["targets"]]
        return self.append(
            "meshes", {"primitives": [primitive]} | ({} if weights is None else {"weights": weights})
        )

    def _accessors(self, arrays: dict) -> dict[str, int]:
        return {k: v if isinstance(v, int) else self.accessor(v) for k, v in arrays.items()}

    def node(self, **fields: object) -> int:
        return self.append("nodes", dict(fields))

    def skin(self, joints: list[int], inverse_bind: np.ndarray | None = None) -> int:
        skin = {"joints": joints}
        if inverse_bind is not None:  # matrices are stored by columns
            skin["inverseBindMatrices"] = self.accessor(inverse_bind.transpose(0, 2, 1).astype(np.float32))
        return self.append("skins", skin)

    def clip(self, name: str | None, *channels: tuple) -> int:
        """Add an animation of (node, path, times, values, interpolation) channels."""
        samplers, targets = [], []
        for node, path, times, values, interpolation in channels:
            output = values if isinstance(values, int) else self.accessor(values)
            samplers.append(
                {
                    "input": self.accessor(np.array(times, np.float32)),
                    "output": output,
                    "interpolation": interpolation,
                }
            )
            targets.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})
        animation = {"samplers": samplers, "channels": targets}
        return self.append("animations", animation | ({} if name is None else {"name": name}))

    def texture(self, png: bytes, **sampler: int) -> int:
        image = self.append("images", {"bufferView": self.view(png), "mimeType": "image/png"})
        return self.append("textures", {"source": image, "sampler": self.append("samplers", dict(sampler))})

    def glb(self) -> bytes:
        document = {**self.document, "buffers": [{"byteLength": len(self.binary)}]}
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + b"\0" * (-len(self.binary) % 4)
        header = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(binary))
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        return header + chunks + struct.pack("<II", len(binary), 0x004E4942) + binary

    def gltf(self, uri: str | None = None) -> bytes:
        """Return the JSON; the arrays are in its URI, or belong into the file of the given one."""
        uri = uri or "data:application/octet-stream;base64," + base64.b64encode(self.binary).decode()
        return json.dumps(
            {**self.document, "buffers": [{"byteLength": len(self.binary), "uri": uri}]}
        ).encode()

    def write(self, path: Path) -> Path:
        path.write_bytes(self.glb())
        return path


def bending_bar(*, nan_weights: bool = False, interpolation: str = "LINEAR") -> bytes:
    """Return a bar along y: a fixed lower half, an upper half that turns 90 deg about z in one second."""
    builder = GltfBuilder()
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
    turns = np.array([[0, 0, 0, 1], [0, 0, half, half]], np.float32)
    if interpolation == "CUBICSPLINE":
        turns = np.stack([np.zeros_like(turns), turns, np.zeros_like(turns)], axis=1).reshape(6, 4)
    red = builder.append("materials", {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}})
    mesh = builder.mesh(
        {"POSITION": positions, "JOINTS_0": joints, "WEIGHTS_0": weights}, triangles, material=red
    )
    builder.node(mesh=mesh, skin=0)
    root, bone = builder.node(children=[2]), builder.node(translation=[0, 1, 0])
    builder.skin([root, bone], inverse_bind)
    builder.clip("bend", (bone, "rotation", [0, 1], turns, interpolation))
    return builder.glb()


def write_bending_bar(path: Path, **options: object) -> Path:
    path.write_bytes(bending_bar(**options))  # type: ignore[arg-type]
    return path
