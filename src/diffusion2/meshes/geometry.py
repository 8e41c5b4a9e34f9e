"""Triangles and their attributes from glTF primitives, also Draco-compressed ones.

Source: glTF 2.0 specification, section 3.7.2, and KHR_draco_mesh_compression.
"""

from typing import Any

import numpy as np

from diffusion2.errors import BackendUnavailable, InputError, in_one_line
from diffusion2.meshes.document import Document, as_floats
from diffusion2.meshes.materials import Material, Materials, TextureLayer
from diffusion2.meshes.model import Primitive
from diffusion2.meshes.sides import front_only

TRIANGLES, STRIP, FAN = 4, 5, 6
DRACO = "KHR_draco_mesh_compression"


def read_primitive(document: Document, raw: dict[str, Any], materials: Materials) -> Primitive | None:
    """Read a primitive of a mesh, not yet on any node; None where it has no triangles.

    Raises:
        InputError: its parts do not fit together.
        BackendUnavailable: it is compressed, and the decoder is not installed.
    """
    mode = raw.get("mode", TRIANGLES)
    if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in raw.get("attributes", {}):
        return None
    attributes, corners, mode = _arrays(document, raw, mode)
    positions = as_floats(attributes["POSITION"])
    count = len(positions)
    for name, values in attributes.items():
        if len(values) != count:
            raise InputError(f"{document.path}: {name} has {len(values)} entries for {count} vertices")
    triangles = to_triangles(np.arange(count) if corners is None else corners.reshape(-1), mode)
    if not len(triangles):
        return None
    if triangles.max() >= count:
        raise InputError(f"{document.path}: a triangle refers to vertex {triangles.max()} of {count}")
    flat = "NORMAL" not in attributes
    if flat:
        normals = vertex_normals(positions, triangles)
    else:
        normals = as_floats(attributes["NORMAL"])
    surface = materials.surface(raw.get("material"))
    colors, alphas = np.tile(surface.base[:3], (count, 1)), np.full(count, surface.base[3])
    if "COLOR_0" in attributes:
        vertex_colors = np.clip(as_floats(attributes["COLOR_0"]), 0, 1)
        colors = colors * vertex_colors[:, :3]
        alphas = alphas * (vertex_colors[:, 3] if vertex_colors.shape[1] == 4 else 1.0)
    emitted = surface.emission_colors
    uvs, emission_uvs = _uvs(attributes, surface.colors), _uvs(attributes, emitted)
    joints, weights = joint_weights(attributes)
    targets = [_target(document, target, "POSITION", count) for target in raw.get("targets", [])]
    bent = [_target(document, target, "NORMAL", count) for target in raw.get("targets", [])]
    has_bent = not flat and any("NORMAL" in target for target in raw.get("targets", []))
    return Primitive(
        node=-1,
        skin=None,
        positions=positions,
        normals=normals,
        triangles=triangles.astype(np.int32),
        colors=colors,
        uvs=np.zeros((count, 2)) if uvs is None else uvs,
        texture=None if surface.colors is None or uvs is None else surface.colors.texture,
        joints=joints,
        weights=weights,
        targets=np.array(targets, np.float64).reshape(-1, count, 3),
        normal_targets=np.array(bent, np.float64) if has_bent else None,
        alphas=None if surface.material.alpha_mode == "OPAQUE" else alphas,
        flat=flat,
        material=surface.material,
        front_only=_front_only(surface.material, positions, triangles),
        emission=surface.emission,
        emission_texture=None if emission_uvs is None or emitted is None else emitted.texture,
        emission_uvs=emission_uvs,
    )


def _front_only(material: Material, positions: np.ndarray, triangles: np.ndarray) -> np.ndarray | None:
    """Find the opaque triangles that are not to be seen from behind; None where there are none."""
    if material.double_sided or material.alpha_mode == "BLEND":
        return None
    found = front_only(positions, triangles)
    return found if found.any() else None


def _uvs(attributes: dict[str, np.ndarray], layer: TextureLayer | None) -> np.ndarray | None:
    """Find where a layer lies, (P, 2); None without it or without its coordinates."""
    if layer is None or f"TEXCOORD_{layer.uv_set}" not in attributes:
        return None
    uvs = as_floats(attributes[f"TEXCOORD_{layer.uv_set}"])
    if layer.uv_transform is not None:
        uvs = uvs @ layer.uv_transform[:, :2].T + layer.uv_transform[:, 2]
    return uvs


def to_triangles(corners: np.ndarray, mode: int = TRIANGLES) -> np.ndarray:
    """Return the (T, 3) triangles of a list, strip or fan of corners."""
    corners = corners.astype(np.int64)
    if mode == TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if len(corners) < 3:
        return np.zeros((0, 3), np.int64)
    k = np.arange(len(corners) - 2)
    if mode == FAN:
        return np.stack([corners[k + 1], corners[k + 2], np.full(len(k), corners[0])], axis=1)
    odd = k % 2  # every other triangle of a strip is turned over
    return np.stack([corners[k], corners[k + 1 + odd], corners[k + 2 - odd]], axis=1)


def joint_weights(attributes: dict[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return joints and weights (P, K) of all sets; rows sum to 1.

    Weights that are no numbers or negative count for nothing; a vertex without weights follows its
    first joint.
    """
    sets = [k for k in range(8) if {f"JOINTS_{k}", f"WEIGHTS_{k}"} <= attributes.keys()]
    if not sets:
        return None, None
    joints = np.hstack([attributes[f"JOINTS_{k}"].astype(np.int64) for k in sets])
    weights = np.maximum(np.hstack([as_floats(attributes[f"WEIGHTS_{k}"]) for k in sets]), 0.0)
    weights[weights > 1e9] = 0.0  # damaged, or infinite
    total = weights.sum(1, keepdims=True)
    first = np.eye(1, weights.shape[1])
    weights = np.where(total > 0, weights / np.where(total > 0, total, 1), first)
    return np.where(weights > 0, joints, joints[:, :1]), weights


def vertex_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return area-weighted unit normals (P, 3) of a triangle mesh."""
    corners = positions[triangles]
    normals = np.zeros_like(positions)
    with np.errstate(over="ignore", invalid="ignore"):  # of damaged positions
        faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        for k in range(3):
            np.add.at(normals, triangles[:, k], faces)
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _target(document: Document, target: dict[str, int], name: str, count: int) -> np.ndarray:
    """Return the (P, 3) displacements of a morph target; zero where it does not move this attribute."""
    if name not in target:
        return np.zeros((count, 3))
    values = as_floats(document.accessor(target[name]))
    if values.shape != (count, 3):
        raise InputError(f"{document.path}: a morph target has {len(values)} entries for {count} vertices")
    return values


def _arrays(
    document: Document, raw: dict[str, Any], mode: int
) -> tuple[dict[str, np.ndarray], np.ndarray | None, int]:
    """Read the attributes, the indices and what they form, from their accessors or decompressed."""
    packed = raw.get("extensions", {}).get(DRACO)
    if packed is not None:
        try:
            import DracoPy
        except ImportError:
            if DRACO in document.content.get("extensionsRequired", []):
                raise BackendUnavailable(
                    f"{document.path} is Draco-compressed: pip install 'diffusion2[draco]', or save it "
                    "without compression"
                ) from None
            packed = None  # such a file has the same arrays uncompressed
    attributes = {
        name: document.accessor(index)
        for name, index in raw["attributes"].items()
        if packed is None or name not in packed["attributes"]
    }
    if packed is None:
        return attributes, document.accessor(raw["indices"]) if "indices" in raw else None, mode
    try:
        mesh = DracoPy.decode(document.view(packed["bufferView"]))
        stored = {entry["unique_id"]: entry["data"] for entry in mesh.attributes}
    except (DracoPy.FileTypeException, ValueError, AttributeError) as error:
        raise InputError(
            f"{document.path}: its Draco-compressed data is damaged ({in_one_line(error)})"
        ) from error
    for name, unique_id in packed["attributes"].items():
        if unique_id not in stored:
            raise InputError(f"{document.path}: its Draco-compressed data has no {name} (id {unique_id})")
        values = np.asarray(stored[unique_id])
        if (
            document.entry("accessors", raw["attributes"][name]).get("normalized")
            and values.dtype.kind in "iu"
        ):
            values = np.maximum(values / np.iinfo(values.dtype).max, -1.0)
        attributes[name] = values
    return attributes, np.asarray(mesh.faces), TRIANGLES
