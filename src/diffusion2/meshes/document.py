"""The container of glTF: binary or JSON, buffers and other files, and accessors as arrays.

Source: glTF 2.0 specification, sections 3.6 (binary data) and 4 (GLB).
"""

import base64
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import numpy as np

from diffusion2.errors import InputError, in_one_line
from diffusion2.events import Report, Warned, ignore
from diffusion2.meshes.extensions import not_drawn, unsupported
from diffusion2.meshes.files import find_file
from diffusion2.meshes.meshopt import decode_view

COMPONENTS = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
MAX_NUMBERS = 1 << 28
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")


class Document:
    """One open glTF file.

    Attributes:
        path: the file.
        content: its JSON.

    Args:
        path: a `.glb` or `.gltf` file; the suffix does not matter.
        report: takes notes of what is guessed and left out.

    Raises:
        InputError: it can't be read, is no glTF 2.0, or requires what is not supported.
    """

    def __init__(self, path: Path, report: Report = ignore) -> None:
        self.path, self._report = path, report
        self.content, self._binary = _read_chunks(path)
        asset = self.content.get("asset", {})
        version = str(asset.get("version", "2.0") if isinstance(asset, dict) else asset)
        if version.split(".")[0] != "2":
            raise InputError(f"{path} is glTF {version}: only version 2 can be read, convert it")
        required = unsupported(map(str, self.content.get("extensionsRequired", [])))
        if required:
            raise InputError(
                f"{path} requires the extension {required[0]}, which is not supported: save it without"
            )
        left_out = not_drawn(self.content)
        if left_out:
            report(
                Warned(
                    f"{path} uses what is not drawn here: {', '.join(left_out)}; where that matters, bake it "
                    "into the colours"
                )
            )
        self._buffers: dict[int, bytes] = {}
        self._views: dict[int, bytes] = {}

    def table(self, name: str) -> list[dict[str, Any]]:
        """Return one of the JSON's tables, empty where it is not there.

        Raises:
            InputError: it is no list of objects.
        """
        entries = self.content.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{self.path} is damaged: its {name} are no list of objects")
        return entries

    def entry(self, table: str, index: Any) -> dict[str, Any]:
        """Return what a number elsewhere in the JSON refers to.

        Raises:
            InputError: there is no such entry in the table.
        """
        entries = self.table(table)
        if type(index) is not int or not 0 <= index < len(entries):
            raise InputError(f"{self.path} is damaged: it refers to {table}[{index!r}] of {len(entries)}")
        return entries[index]

    def resource(self, uri: str) -> bytes:
        """Read what a URI points to: data in the URI itself, or a file beside the model.

        Raises:
            InputError: it is missing, or does not lie in the model's folder or below.
        """
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            try:
                return base64.b64decode(body) if head.endswith(";base64") else unquote_to_bytes(body)
            except ValueError as error:
                raise InputError(f"{self.path} is damaged: data in one of its URIs is no base64") from error
        found, as_named = find_file(self.path.parent, uri)
        if found is None:
            name = os.path.normpath(unquote(uri).replace("\\", "/"))
            if urlsplit(uri).scheme or os.path.isabs(name) or name.startswith("..") or "\0" in name:
                raise InputError(
                    f"{self.path} refers to {uri!r}, which is not in its folder: put the file beside it"
                )
            raise InputError(
                f"{self.path} needs the file {name}, which is not there: it belongs beside the model"
            )
        if not as_named:
            self._report(Warned(f"{self.path} names {uri!r}: {found} is taken for it"))
        try:
            return found.read_bytes()
        except OSError as error:
            raise InputError(
                f"{found}, which {self.path} needs, can't be read ({in_one_line(error)})"
            ) from error

    def view(self, index: int) -> bytes:
        """Return the bytes of a buffer view, decompressed."""
        if index not in self._views:
            view = self.entry("bufferViews", index)
            packed = next((v for k, v in view.get("extensions", {}).items() if k in MESHOPT), None)
            data = self._bytes(view if packed is None else packed, index)
            if packed is not None:
                try:
                    data = decode_view(data, packed)
                except (ValueError, IndexError) as error:
                    raise InputError(
                        f"{self.path}: the compressed buffer view {index} is damaged ({in_one_line(error)})"
                    ) from error
            self._views[index] = data
        return self._views[index]

    def _bytes(self, view: dict[str, Any], index: int) -> bytes:
        number = view["buffer"]
        if number not in self._buffers:
            uri = self.entry("buffers", number).get("uri")
            self._buffers[number] = self._binary if uri is None else self.resource(uri)
        start, length = view.get("byteOffset", 0), view["byteLength"]
        data = self._buffers[number][start : start + length]
        if start < 0 or length < 0 or len(data) < length:
            raise InputError(f"{self.path} is cut off: buffer view {index} reaches past the end of its data")
        return data

    def accessor(self, index: int) -> np.ndarray:
        """Return an accessor as (count, width); normalised integers as float64, the rest as stored."""
        accessor = self.entry("accessors", index)
        dtype, width = self._dtype(accessor, index), WIDTHS.get(accessor["type"])
        if width is None:
            raise InputError(f"{self.path} is damaged: accessor {index} is of type {accessor['type']!r}")
        count = self._count(accessor, index)
        if count * width > MAX_NUMBERS:
            raise InputError(f"{self.path} is too large: accessor {index} has {count} entries")
        if "bufferView" in accessor:
            values = self._rows(accessor, dtype, width, count, index)
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in accessor:
            values = self._with_replacements(values, accessor["sparse"], index)
        if accessor.get("normalized") and dtype.kind in "iu":
            return np.maximum(values.astype(np.float64) / np.iinfo(dtype).max, -1.0)
        return values

    def _dtype(self, numbers: dict[str, Any], index: int) -> np.dtype:
        kind = numbers["componentType"]
        if kind not in COMPONENTS:
            raise InputError(f"{self.path} is damaged: accessor {index} has components of type {kind!r}")
        return np.dtype(COMPONENTS[kind])

    def _count(self, numbers: dict[str, Any], index: int) -> int:
        count = numbers["count"]
        if type(count) is not int or count < 0:
            raise InputError(f"{self.path} is damaged: accessor {index} has {count!r} entries")
        return count

    def _rows(self, place: dict[str, Any], dtype: np.dtype, width: int, count: int, index: int) -> np.ndarray:
        """Read rows of numbers, which other data may lie between."""
        size = dtype.itemsize * width
        stride = self.entry("bufferViews", place["bufferView"]).get("byteStride") or size
        start = place.get("byteOffset", 0)
        raw = np.frombuffer(self.view(place["bufferView"]), np.uint8)[start:]
        if start < 0 or stride < 0 or (count and len(raw) < stride * (count - 1) + size):
            raise InputError(f"{self.path} is cut off: accessor {index} reaches past the end of its data")
        rows = np.lib.stride_tricks.as_strided(raw, (count, size), (stride, 1))
        return np.ascontiguousarray(rows).view(dtype)

    def _with_replacements(self, values: np.ndarray, sparse: dict[str, Any], index: int) -> np.ndarray:
        """Put in the rows of a sparse accessor that differ from its base."""
        places, count = sparse["indices"], self._count(sparse, index)
        rows = self._rows(places, self._dtype(places, index), 1, count, index)[:, 0]
        if count and rows.max() >= len(values):
            raise InputError(f"{self.path}: accessor {index} replaces entry {rows.max()} of {len(values)}")
        values = values.copy()
        values[rows] = self._rows(sparse["values"], values.dtype, values.shape[1], count, index)
        return values


def as_floats(values: np.ndarray) -> np.ndarray:
    """Return numbers as float64; what is no number becomes 0."""
    with np.errstate(invalid="ignore"):  # some of what is no number says so when it is converted
        return np.nan_to_num(values.astype(np.float64))


def _read_chunks(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the JSON and the binary data of a file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read ({in_one_line(error)})") from error
    if data[:8] == b"glTF\1\0\0\0":
        raise InputError(f"{path} is glTF 1: only version 2 can be read, convert it")
    chunks = dict(_glb_chunks(data)) if data[:4] == b"glTF" else {JSON_CHUNK: data}
    if JSON_CHUNK not in chunks:
        raise InputError(f"{path} can't be read as glTF: it is cut off or damaged, its JSON is missing")
    try:
        content = json.loads(chunks[JSON_CHUNK])
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} can't be read as glTF: its JSON is damaged ({in_one_line(error)})"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} can't be read as glTF: its JSON is no object")
    return content, chunks.get(BINARY_CHUNK, b"")


def _glb_chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, content) of a binary glTF's chunks."""
    at = 12
    while at + 8 <= len(data):
        length, kind = struct.unpack_from("<II", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length
