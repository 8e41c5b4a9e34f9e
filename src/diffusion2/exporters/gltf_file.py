"""Putting a binary glTF file together: tables of JSON, and arrays as accessors.

Source: glTF 2.0 specification, sections 3.6 (binary data) and 4 (GLB).
"""

import json
import struct
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

ELEMENT_TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
COMPONENT_TYPES = {"u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
TARGETS = {"vertices": 34962, "triangles": 34963, "values": None}
MAGIC, VERSION = 0x46546C67, 2
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942


class GltfFile:
    """A glTF file that grows.

    Attributes:
        content: its JSON, where entries may be added to.
    """

    def __init__(self) -> None:
        self.content: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": f"diffusion2 {version('diffusion2')}"}
        }
        self._binary = bytearray()

    def add(self, table: str, **entry: Any) -> int:
        """Append an entry to one of the JSON's tables and return its index."""
        entries = self.content.setdefault(table, [])
        entries.append(entry)
        return len(entries) - 1

    def use(self, *extensions: str) -> None:
        """Say that the file uses extensions, which programs may do without."""
        names = self.content.setdefault("extensionsUsed", [])
        names.extend(name for name in extensions if name not in names)

    def add_bytes(self, data: bytes, **view: Any) -> int:
        """Append bytes as a buffer view and return its index."""
        self._binary.extend(b"\0" * (-len(self._binary) % 4))
        start = len(self._binary)
        self._binary.extend(data)
        return self.add("bufferViews", buffer=0, byteOffset=start, byteLength=len(data), **view)

    def add_array(
        self,
        values: np.ndarray,
        use: Literal["vertices", "triangles", "values"] = "values",
        *,
        bounds: bool = False,
    ) -> int:
        """Append an array as an accessor and return its index.

        Args:
            values: (count,), (count, 2 to 4) or (count, 4, 4); uint8, uint16, uint32 or float32. Rows of
                vertices fill multiples of four bytes. Matrices are stored column by column.
            use: what it is for.
            bounds: have its least and largest values beside it, as places and key times must.
        """
        kind = ELEMENT_TYPES[values.shape[1:]]
        if kind == "MAT4":
            values = values.transpose(0, 2, 1)
        data = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        target = TARGETS[use]
        view = self.add_bytes(data.tobytes(), **({} if target is None else {"target": target}))
        limits = {}
        if bounds:
            rows = data.reshape(len(data), -1)
            limits = {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        component = COMPONENT_TYPES[data.dtype.str[1:]]
        return self.add(
            "accessors", bufferView=view, componentType=component, count=len(data), type=kind, **limits
        )

    def save(self, path: Path) -> None:
        """Write the file."""
        binary = bytes(self._binary) + b"\0" * (-len(self._binary) % 4)
        content = self.content | {"buffers": [{"byteLength": len(binary)}]}
        text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(binary)
        with path.open("wb") as file:
            file.write(struct.pack("<III", MAGIC, VERSION, size))
            file.write(struct.pack("<II", len(text), JSON_CHUNK) + text)
            file.write(struct.pack("<II", len(binary), BINARY_CHUNK) + binary)
