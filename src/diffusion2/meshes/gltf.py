"""Reading glTF models with skins, morph targets and animations, and posing them.

A posed model is plain arrays in the project's world axes (z up, the model's front, glTF +z, towards
azimuth 0). Source: glTF 2.0 specification.
"""

import base64
import io
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from PIL import Image

from diffusion2.errors import InputError
from diffusion2.meshes.animation import Channel, Clip, compose_transform

COMPONENTS = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
TRIANGLES = 4
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
# glTF is y up with its front on +z; ours is z up with the reference camera on +x.
WORLD_FROM_GLTF = np.array([[0, 0, 1.0], [1.0, 0, 0], [0, 1.0, 0]])


@dataclass(frozen=True)
class Primitive:
    """One material's triangles of one mesh node, at rest.

    Attributes:
        node: the node it hangs on.
        skin: index of the skin that moves it, or None.
        positions: (P, 3) float64.
        normals: (P, 3) float64.
        triangles: (T, 3) int32.
        colors: (P, 3) linear vertex colours times the material's base colour, in [0, 1].
        uvs: (P, 2) texture coordinates, v down.
        texture: (h, w, 3) uint8 sRGB picture, or None.
        joints: (P, 4) indices into the skin's joints; None without a skin.
        weights: (P, 4) rows that sum to 1; None without a skin.
        targets: (M, P, 3) morph displacements of the positions; M may be 0.
    """

    node: int
    skin: int | None
    positions: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    colors: np.ndarray
    uvs: np.ndarray
    texture: np.ndarray | None
    joints: np.ndarray | None
    weights: np.ndarray | None
    targets: np.ndarray


@dataclass(frozen=True)
class Node:
    """A node's rest pose: its parent, its transform, its morph weights."""

    parent: int
    translation: np.ndarray
    rotation: np.ndarray
    scale: np.ndarray
    matrix: np.ndarray | None
    morph_weights: np.ndarray


@dataclass(frozen=True)
class Skin:
    """Joint nodes and their (J, 4, 4) inverse bind matrices."""

    joints: list[int]
    inverse_bind: np.ndarray


@dataclass(frozen=True)
class AnimatedModel:
    """A glTF model that can be posed.

    Attributes:
        name: the file's stem.
        primitives: what is drawn.
        clips: its animations by name, in the file's order.
    """

    name: str
    primitives: list[Primitive] = field(repr=False)
    clips: dict[str, Clip] = field(repr=False)
    nodes: list[Node] = field(repr=False)
    skins: list[Skin] = field(repr=False)
    order: list[int] = field(repr=False)

    def pose(self, clip: str | None = None, seconds: float = 0.0) -> list[tuple[np.ndarray, np.ndarray]]:
        """Give positions (P, 3) and unit normals (P, 3) of each primitive in world axes.

        Args:
            clip: name of an animation; None for the rest pose.
            seconds: time in the animation.
        """
        globals_, morphs = self._node_state(clip, seconds)
        posed = []
        for primitive in self.primitives:
            positions = primitive.positions
            if len(primitive.targets):
                weights = morphs[primitive.node][: len(primitive.targets)]
                positions = positions + np.einsum("m,mpi->pi", weights, primitive.targets[: len(weights)])
            if primitive.skin is None:
                matrix = globals_[primitive.node]
                positions = positions @ matrix[:3, :3].T + matrix[:3, 3]
                normals = primitive.normals @ matrix[:3, :3].T
            else:
                skin = self.skins[primitive.skin]
                joints = np.stack([globals_[j] for j in skin.joints]) @ skin.inverse_bind
                assert primitive.joints is not None
                assert primitive.weights is not None
                matrices = np.einsum("pk,pkij->pij", primitive.weights, joints[primitive.joints][:, :, :3])
                normals = np.einsum("pij,pj->pi", matrices[:, :, :3], primitive.normals)
                positions = np.einsum("pij,pj->pi", matrices[:, :, :3], positions) + matrices[:, :, 3]
            normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
            posed.append((positions @ WORLD_FROM_GLTF.T, normals @ WORLD_FROM_GLTF.T))
        return posed

    def _node_state(self, clip: str | None, seconds: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
        moved: dict[tuple[int, str], np.ndarray] = {}
        if clip is not None:
            if clip not in self.clips:
                raise InputError(
                    f"{self.name} has no clip {clip!r}; it has: {', '.join(self.clips) or 'none'}"
                )
            moved = {(c.node, c.path): c.at(seconds) for c in self.clips[clip].channels}
        globals_: list[np.ndarray] = [np.eye(4)] * len(self.nodes)
        morphs = [moved.get((i, "weights"), node.morph_weights) for i, node in enumerate(self.nodes)]
        for i in self.order:
            node = self.nodes[i]
            animated = any((i, path) in moved for path in ("translation", "rotation", "scale"))
            if node.matrix is not None and not animated:
                local = node.matrix
            else:
                local = compose_transform(
                    moved.get((i, "translation"), node.translation),
                    moved.get((i, "rotation"), node.rotation),
                    moved.get((i, "scale"), node.scale),
                )
            globals_[i] = globals_[node.parent] @ local if node.parent >= 0 else local
        return globals_, morphs


class _Reader:
    """One open glTF document: accessors, images, and what is built of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            data = path.read_bytes()
            chunks = dict(_glb_chunks(data)) if data[:4] == b"glTF" else {JSON_CHUNK: data}
            self.document: dict[str, Any] = json.loads(chunks[JSON_CHUNK])
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise InputError(f"{path} can't be read as glTF ({error})") from error
        if "KHR_draco_mesh_compression" in self.document.get("extensionsRequired", []):
            raise InputError(f"{path} is Draco-compressed: save it without compression and try again")
        self._binary = chunks.get(BINARY_CHUNK, b"")
        self._buffers: dict[int, bytes] = {}
        self._textures: dict[int, np.ndarray | None] = {}

    def buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            uri = self.document["buffers"][index].get("uri")
            self._buffers[index] = self._binary if uri is None else self._resource(uri)
        return self._buffers[index]

    def _resource(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            return base64.b64decode(uri.split(",", 1)[1])
        return (self.path.parent / unquote(uri)).read_bytes()

    def accessor(self, index: int) -> np.ndarray:
        """Give an accessor as (count, width), normalised integers as floats."""
        accessor = self.document["accessors"][index]
        if "sparse" in accessor:
            raise InputError(f"{self.path} uses sparse accessors, which are not supported")
        dtype, width = np.dtype(COMPONENTS[accessor["componentType"]]), WIDTHS[accessor["type"]]
        count = accessor["count"]
        if "bufferView" not in accessor:
            return np.zeros((count, width), dtype)
        view = self.document["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        size = dtype.itemsize * width
        stride = view.get("byteStride", size)
        raw = np.frombuffer(self.buffer(view["buffer"]), np.uint8)[start:]
        if count and len(raw) < stride * (count - 1) + size:
            raise InputError(f"{self.path} is cut off: accessor {index} reaches past the end of its data")
        rows = np.lib.stride_tricks.as_strided(raw, (count, size), (stride, 1))
        values = np.ascontiguousarray(rows).view(dtype)
        if accessor.get("normalized") and dtype.kind in "iu":
            return np.maximum(values.astype(np.float64) / np.iinfo(dtype).max, -1.0)
        return values

    def texture(self, index: int) -> np.ndarray | None:
        """Give a texture as (h, w, 3) uint8; None where its picture is missing."""
        if index not in self._textures:
            source = self.document["textures"][index].get("source")
            self._textures[index] = None if source is None else self._image(source)
        return self._textures[index]

    def _image(self, index: int) -> np.ndarray | None:
        image = self.document["images"][index]
        try:
            if "bufferView" in image:
                view = self.document["bufferViews"][image["bufferView"]]
                start = view.get("byteOffset", 0)
                data = self.buffer(view["buffer"])[start : start + view["byteLength"]]
            else:
                data = self._resource(image["uri"])
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except OSError:
            return None

    def nodes(self) -> tuple[list[Node], list[int]]:
        """Give the nodes and an order in which parents come before children."""
        raw = self.document.get("nodes", [])
        parents = [-1] * len(raw)
        for i, node in enumerate(raw):
            for child in node.get("children", []):
                parents[child] = i
        nodes = []
        for i, node in enumerate(raw):
            mesh = self.document["meshes"][node["mesh"]] if "mesh" in node else {}
            nodes.append(
                Node(
                    parents[i],
                    np.array(node.get("translation", [0, 0, 0]), np.float64),
                    np.array(node.get("rotation", [0, 0, 0, 1]), np.float64),
                    np.array(node.get("scale", [1, 1, 1]), np.float64),
                    np.array(node["matrix"], np.float64).reshape(4, 4).T if "matrix" in node else None,
                    np.array(node.get("weights", mesh.get("weights", [])), np.float64),
                )
            )
        order, stack = [], [i for i, parent in enumerate(parents) if parent < 0]
        while stack:
            i = stack.pop()
            order.append(i)
            stack.extend(raw[i].get("children", []))
        return nodes, order

    def skins(self) -> list[Skin]:
        skins = []
        for skin in self.document.get("skins", []):
            count = len(skin["joints"])
            inverse = np.tile(np.eye(4), (count, 1, 1))
            if "inverseBindMatrices" in skin:
                values = self.accessor(skin["inverseBindMatrices"]).astype(np.float64)
                inverse = values.reshape(-1, 4, 4).transpose(0, 2, 1)[:count]
            skins.append(Skin(list(skin["joints"]), inverse))
        return skins

    def clips(self) -> dict[str, Clip]:
        clips: dict[str, Clip] = {}
        for i, animation in enumerate(self.document.get("animations", [])):
            channels = []
            for channel in animation["channels"]:
                target = channel["target"]
                if "node" not in target:
                    continue
                sampler = animation["samplers"][channel["sampler"]]
                times = self.accessor(sampler["input"]).astype(np.float64).reshape(-1)
                values = np.nan_to_num(self.accessor(sampler["output"]).astype(np.float64))
                mode = sampler.get("interpolation", "LINEAR")
                rows = (len(times), 3, -1) if mode == "CUBICSPLINE" else (len(times), -1)
                channels.append(Channel(target["node"], target["path"], times, values.reshape(rows), mode))
            name = animation.get("name") or f"clip_{i}"
            clips[name if name not in clips else f"{name}_{i}"] = Clip(name, channels)
        return clips

    def primitives(self) -> list[Primitive]:
        found = []
        for index, node in enumerate(self.document.get("nodes", [])):
            if "mesh" not in node:
                continue
            for primitive in self.document["meshes"][node["mesh"]]["primitives"]:
                if primitive.get("mode", TRIANGLES) == TRIANGLES and "POSITION" in primitive["attributes"]:
                    found.append(self._primitive(index, node.get("skin"), primitive))
        return [primitive for primitive in found if len(primitive.triangles)]

    def _primitive(self, node: int, skin: int | None, raw: dict[str, Any]) -> Primitive:
        attributes = raw["attributes"]
        positions = np.nan_to_num(self.accessor(attributes["POSITION"]).astype(np.float64))
        count = len(positions)
        if "indices" in raw:
            triangles = self.accessor(raw["indices"]).astype(np.int32).reshape(-1)
        else:
            triangles = np.arange(count, dtype=np.int32)
        triangles = triangles[: len(triangles) // 3 * 3].reshape(-1, 3)
        if "NORMAL" in attributes:
            normals = np.nan_to_num(self.accessor(attributes["NORMAL"]).astype(np.float64))
        else:
            normals = vertex_normals(positions, triangles)
        base, texture = self._material(raw.get("material"))
        colors = np.tile(base, (count, 1))
        if "COLOR_0" in attributes:
            colors = colors * self.accessor(attributes["COLOR_0"]).astype(np.float64)[:, :3]
        has_uvs = texture is not None and "TEXCOORD_0" in attributes
        uvs = self.accessor(attributes["TEXCOORD_0"]).astype(np.float64) if has_uvs else np.zeros((count, 2))
        skin = skin if {"JOINTS_0", "WEIGHTS_0"} <= attributes.keys() else None
        joints = weights = None
        if skin is not None:
            joints = self.accessor(attributes["JOINTS_0"]).astype(np.int64)
            weights = np.nan_to_num(self.accessor(attributes["WEIGHTS_0"]).astype(np.float64))
            total = weights.sum(1, keepdims=True)
            weights = np.where(total > 0, weights / np.where(total > 0, total, 1), [1.0, 0, 0, 0])
        targets = [self.accessor(t["POSITION"]) for t in raw.get("targets", []) if "POSITION" in t]
        return Primitive(
            node=node,
            skin=skin,
            positions=positions,
            normals=normals,
            triangles=triangles,
            colors=colors,
            uvs=uvs,
            texture=texture if has_uvs else None,
            joints=joints,
            weights=weights,
            targets=np.array(targets, np.float64).reshape(-1, count, 3),
        )

    def _material(self, index: int | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Give a material's linear base colour (3,) and its texture."""
        if index is None:
            return np.ones(3), None
        pbr = self.document["materials"][index].get("pbrMetallicRoughness", {})
        base = np.array(pbr.get("baseColorFactor", [1, 1, 1])[:3], np.float64)
        reference = pbr.get("baseColorTexture")
        return base, None if reference is None else self.texture(reference["index"])


def _glb_chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, content) of a binary glTF's chunks."""
    at = 12
    while at + 8 <= len(data):
        length, kind = struct.unpack_from("<II", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length


def vertex_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Give area-weighted unit normals (P, 3) of a triangle mesh."""
    corners = positions[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(positions)
    for k in range(3):
        np.add.at(normals, triangles[:, k], faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def load_model(path: str | Path) -> AnimatedModel:
    """Read a `.glb` or `.gltf` file.

    Raises:
        InputError: the file is missing, is not glTF, or holds nothing to draw.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    reader = _Reader(path)
    nodes, order = reader.nodes()
    primitives = reader.primitives()
    if not primitives:
        raise InputError(f"{path} has no triangles to draw")
    return AnimatedModel(path.stem, primitives, reader.clips(), nodes, reader.skins(), order)
