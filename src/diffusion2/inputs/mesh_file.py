"""Reading meshes of other formats than glTF (OBJ, PLY, STL) through trimesh."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from diffusion2.errors import InputError
from diffusion2.meshes import AnimatedModel, Primitive
from diffusion2.meshes.gltf import Node

MAX_BYTES = 256 << 20
MAX_TRIANGLES = 2_000_000
MAX_TEXTURE_PX = 8192 * 8192
CREASE_DEG = 40.0
"""Where a face turns away from its neighbours by more than this, there is an edge and no roundness."""
GAMMA = 2.2
"""Of the colours in these files; the renderer takes linear ones."""
GREY = 0.6


def read_mesh(path: Path) -> AnimatedModel:
    """Read an OBJ with its materials, or a PLY or STL; in the file's own axes.

    Raises:
        InputError: the file has no triangles, or is too large.
    """
    import trimesh  # takes half a second, which readers of glTF and Gaussians need not wait for

    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is too large: at most {MAX_BYTES >> 20} MiB in this format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = trimesh.load_scene(path, file_type=path.suffix[1:].lower())
        meshes = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh)]
        primitives = [found for mesh in meshes if (found := _primitive(path, mesh)) is not None]
    if not primitives:
        raise InputError(f"{path} has no triangles to draw" + (", only points" if scene.geometry else ""))
    node = Node(-1, np.zeros(3), np.array([0, 0, 0, 1.0]), np.ones(3), None, np.zeros(0))
    return AnimatedModel(path.stem, primitives, {}, [node], [], [0])


def _primitive(path: Path, mesh: Any) -> Primitive | None:
    """Take a mesh apart into single triangles; those with corners that are not finite are left out."""
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    whole = np.isfinite(vertices[faces]).all((1, 2))
    faces = faces[whole]
    if len(faces) > MAX_TRIANGLES:
        raise InputError(f"{path} has {len(faces):,} triangles, at most {MAX_TRIANGLES:,}: simplify it first")
    if not len(faces):
        return None
    corners, visual = faces.reshape(-1), mesh.visual
    base, texture = _material(mesh)
    colors, places = np.tile(base, (len(corners), 1)), np.zeros((len(corners), 2))
    uvs = getattr(visual, "uv", None)
    if texture is not None and uvs is not None and len(uvs) == len(vertices):
        places = np.nan_to_num(np.asarray(uvs, np.float64)[corners]) * [1, -1] + [0, 1]  # these have v up
    else:
        texture = None
    if visual.kind == "vertex":
        colors = (np.asarray(visual.vertex_colors)[corners, :3] / 255.0) ** GAMMA
    elif visual.kind == "face":
        colors = np.repeat((np.asarray(visual.face_colors)[whole, :3] / 255.0) ** GAMMA, 3, axis=0)
    return Primitive(
        node=0,
        skin=None,
        positions=vertices[corners],
        normals=crease_normals(vertices, faces).reshape(-1, 3),
        triangles=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        colors=colors,
        uvs=places,
        texture=texture,
        joints=None,
        weights=None,
        targets=np.zeros((0, len(corners), 3)),
    )


def crease_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Give unit normals (T, 3, 3) of the triangles' corners: round where a surface is, flat at its edges."""
    corners = vertices[faces]
    edges = _unit(np.roll(corners, -1, axis=1) - corners)
    normals = _unit(np.cross(edges[:, 0], edges[:, 1]))
    # Each face counts by its angle at the corner, so that it does not matter how a flat side is divided.
    angles = np.arccos(np.einsum("tki,tki->tk", edges, -np.roll(edges, 1, axis=1)).clip(-1, 1))
    smooth = np.zeros((len(vertices), 3))
    for k in range(3):
        np.add.at(smooth, faces[:, k], normals * angles[:, k : k + 1])
    smooth = _unit(smooth)[faces]
    flat = np.broadcast_to(normals[:, None], smooth.shape)
    bent = np.einsum("tki,tki->tk", smooth, flat) < np.cos(np.deg2rad(CREASE_DEG))
    return np.where(bent[..., None], flat, smooth)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)


def _material(mesh: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Give a mesh's linear base colour (3,) and its texture (h, w, 3)."""
    material = getattr(mesh.visual, "material", None)
    picture = getattr(material, "image", None) or getattr(material, "baseColorTexture", None)
    if picture is not None:
        if picture.width * picture.height > MAX_TEXTURE_PX:
            raise InputError(f"a texture of {picture.width} x {picture.height} pixels is too large")
        return np.ones(3), np.asarray(picture.convert("RGB"))
    colour = getattr(material, "main_color", None)
    if colour is None:
        return np.full(3, GREY) ** GAMMA, None
    return (np.asarray(colour[:3], np.float64) / 255) ** GAMMA, None
