"""Decompressing buffer views of EXT_meshopt_compression.

Source: the extension's specification, appendices A (bitstream) and B (filters), version 0 of the
attributes and version 1 of the triangles, which is what `gltfpack` writes by default. There is no
complete decoder among Python packages; this one is plain Python, about a second for 100,000 vertices.
"""

from typing import Any

import numpy as np

GROUP = 16
ATTRIBUTES_HEADER, TRIANGLES_HEADER, INDICES_HEADER = 0xA0, 0xE1, 0xD1
MAX_BYTES = 1 << 30


def decode_view(data: bytes, packed: dict[str, Any]) -> bytes:
    """Decompress a buffer view.

    Args:
        data: the compressed bytes.
        packed: the extension's JSON: count, byteStride, mode, filter.

    Raises:
        ValueError: the data is damaged, or of a later version of the format.
    """
    count, stride, mode = packed["count"], packed["byteStride"], packed["mode"]
    if not 0 <= count * stride <= MAX_BYTES:
        raise ValueError(f"{count} elements of {stride} bytes are too many")
    if mode == "ATTRIBUTES":
        values = decode_attributes(data, count, stride)
        return _FILTERS[packed.get("filter", "NONE")](values).tobytes()
    if mode not in ("TRIANGLES", "INDICES") or stride not in (2, 4):
        raise ValueError(f"the mode {mode!r} with {stride} bytes is unknown")
    indices = (decode_triangles if mode == "TRIANGLES" else decode_indices)(data, count)
    return np.array(indices, np.uint32).astype(np.uint16 if stride == 2 else np.uint32).tobytes()


def decode_attributes(data: bytes, count: int, stride: int) -> np.ndarray:
    """Decode (count, stride) uint8: deltas of bytes in groups of 16, block by block."""
    _check_header(data, ATTRIBUTES_HEADER)
    if stride % 4 or not 0 < stride <= 256 or len(data) < 1 + max(stride, 32):
        raise ValueError("the attributes have no whole element")
    result = np.empty((count, stride), np.uint8)
    previous = np.frombuffer(data, np.uint8)[-stride:]
    block = min(8192 // stride & ~(GROUP - 1), 256)
    at = 1
    for first in range(0, count, block):
        length = min(block, count - first)
        deltas = np.empty((stride, length), np.uint8)
        for k in range(stride):
            row, at = _decode_bytes(data, at, length)
            deltas[k] = row
        signed = np.where(deltas & 1, ~(deltas >> 1), deltas >> 1)  # zigzag
        values = previous[:, None] + np.cumsum(signed, axis=1, dtype=np.uint8)
        result[first : first + length] = values.T
        previous = values[:, -1]
    return result


def _decode_bytes(data: bytes, at: int, length: int) -> tuple[np.ndarray, int]:
    """Decode one byte of each element of a block: a header of 2 bits a group, then the groups."""
    groups = -(-length // GROUP)
    header = at
    at += -(-groups // 4)
    out = np.zeros(groups * GROUP, np.uint8)
    for g in range(groups):
        mode = data[header + g // 4] >> 2 * (g % 4) & 3
        if mode == 0:
            continue
        bits = (0, 2, 4, 8)[mode]
        group = np.frombuffer(data, np.uint8, 2 * bits, at)
        at += 2 * bits
        if mode < 3:
            shifts = np.arange(8 - bits, -1, -bits)
            group = (group[:, None] >> shifts & (1 << bits) - 1).astype(np.uint8).ravel()
            large = np.nonzero(group == (1 << bits) - 1)[0]
            group[large] = np.frombuffer(data, np.uint8, len(large), at)
            at += len(large)
        out[g * GROUP : (g + 1) * GROUP] = group
    return out[:length], at


def decode_triangles(data: bytes, count: int) -> list[int]:
    """Decode `count` indices of a triangle list: each triangle builds on recent edges and vertices."""
    _check_header(data, TRIANGLES_HEADER)
    if count % 3 or len(data) < 1 + count // 3 + 16:
        raise ValueError("the triangles are not whole")
    table = data[-16:]
    reader = _IndexReader(data, 1 + count // 3)
    edges, vertices = [(0, 0)] * 16, [0] * 16  # the newest comes first
    upcoming = 0
    result: list[int] = []

    def index(nibble: int) -> int:
        nonlocal upcoming
        if nibble == 0:
            upcoming += 1
            return upcoming - 1
        return reader.delta() if nibble == 0xF else vertices[nibble - 1]

    for code in data[1 : 1 + count // 3]:
        high, low = code >> 4, code & 0xF
        if high < 0xF:
            a, b = edges[high]
            if low == 0:
                c, upcoming = upcoming, upcoming + 1
            elif low < 0xD:
                c = vertices[low]
            elif low == 0xF:
                c = reader.delta()
            else:
                c = reader.last = reader.last + (1 if low == 0xE else -1)
            new_edges, new_vertices = [(c, b), (a, c)], [] if 0 < low < 0xD else [c]
        else:
            pair = reader.byte() if low >= 0xE else table[low]
            if low >= 0xE and pair == 0:
                upcoming = 0
            a = index(0xF if low == 0xF else 0)
            b, c = index(pair >> 4), index(pair & 0xF)
            new_edges, new_vertices = [(b, a), (c, b), (a, c)], [a]
            new_vertices += [v for v, n in ((b, pair >> 4), (c, pair & 0xF)) if n in (0, 0xF)]
        edges = [*reversed(new_edges), *edges][:16]
        vertices = [*reversed(new_vertices), *vertices][:16]
        result += (a, b, c)
    return result


def decode_indices(data: bytes, count: int) -> list[int]:
    """Decode `count` indices, each a difference from one of two running values."""
    _check_header(data, INDICES_HEADER)
    reader = _IndexReader(data, 1)
    last, result = [0, 0], []
    for _ in range(count):
        value = reader.variable()
        last[value & 1] = (last[value & 1] + _zigzag(value >> 1)) & 0xFFFFFFFF
        result.append(last[value & 1])
    return result


class _IndexReader:
    """Reads numbers of variable length, and indices as differences from the one before."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at, self.last = data, at, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def variable(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 28:
                raise ValueError("a number is too long")

    def delta(self) -> int:
        self.last = (self.last + _zigzag(self.variable())) & 0xFFFFFFFF
        return self.last


def _zigzag(value: int) -> int:
    return ~(value >> 1) if value & 1 else value >> 1


def _check_header(data: bytes, header: int) -> None:
    if not data or data[0] != header:
        found = f"{data[0]:#x}" if data else "nothing"
        raise ValueError(f"the data begins with {found}, not {header:#x}: another version of the format")


def _octahedral(values: np.ndarray) -> np.ndarray:
    """Unfold unit vectors from the square; the fourth component stays."""
    kind = {4: np.int8, 8: np.int16}[values.shape[1]]
    stored = np.ascontiguousarray(values).view(kind)
    x, y, one = (stored[:, k].astype(np.float32) for k in range(3))
    x, y = x / np.maximum(one, 1), y / np.maximum(one, 1)
    z = 1 - np.abs(x) - np.abs(y)
    beyond = np.minimum(z, 0)
    vectors = np.stack([x - np.copysign(beyond, x), y - np.copysign(beyond, y), z], axis=1)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    result = stored.copy()
    result[:, :3] = np.rint(vectors * np.iinfo(kind).max)
    return result


def _quaternion(values: np.ndarray) -> np.ndarray:
    """Add the largest component of each quaternion, which is not stored."""
    stored = np.ascontiguousarray(values).view(np.int16)
    one = (stored[:, 3:] | 3).astype(np.float32)
    others = stored[:, :3] / one * np.float32(np.sqrt(0.5))
    largest = np.sqrt(np.maximum(1 - (others**2).sum(1, keepdims=True), 0))
    place = (stored[:, 3:] & 3).astype(np.int64)
    result = np.empty((len(stored), 4), np.float32)
    np.put_along_axis(result, (place + np.arange(4)) % 4, np.hstack([largest, others]), axis=1)
    return np.rint(result * 32767).astype(np.int16)


def _exponential(values: np.ndarray) -> np.ndarray:
    """Turn exponents of 8 bits and mantissas of 24 bits into float32."""
    stored = np.ascontiguousarray(values).view(np.int32)
    return np.ldexp((stored << 8 >> 8).astype(np.float32), stored >> 24).astype(np.float32)


_FILTERS = {
    "NONE": lambda values: values,
    "OCTAHEDRAL": _octahedral,
    "QUATERNION": _quaternion,
    "EXPONENTIAL": _exponential,
}
