"""Meshes of other formats than glTF (OBJ, PLY, STL), as models that can be drawn."""

from pathlib import Path

import numpy as np

from diffusion2.errors import InputError
from diffusion2.events import Report, Warned, ignore
from diffusion2.inputs.kinds import ModelFormat
from diffusion2.inputs.models.looks import GAMMA, Look
from diffusion2.inputs.models.obj import MAX_TRIANGLES, read_obj
from diffusion2.inputs.models.ply_mesh import read_ply
from diffusion2.inputs.models.polygons import Polygons, corner_normals, triangulate
from diffusion2.inputs.models.stl import read_stl
from diffusion2.meshes import AnimatedModel, Primitive
from diffusion2.meshes.gltf import Node

MAX_BYTES = 256 << 20


def read_mesh(path: Path, kind: ModelFormat, report: Report = ignore) -> AnimatedModel:
    """Read an OBJ with its materials, or a PLY or STL; in the file's own axes.

    Args:
        path: the file; its suffix does not matter.
        kind: its format.
        report: takes notes of what is guessed and left out.

    Raises:
        InputError: the file has no triangles, or is too large, or damaged.
        BackendUnavailable: a library that it needs is missing.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is too large: at most {MAX_BYTES >> 20} MiB in this format")
    if kind == "stl":
        mesh, looks = read_stl(path)
    else:
        mesh, looks = (read_obj if kind == "obj" else read_ply)(path, report)
    sound = mesh.sound()
    if not sound.any():
        raise InputError(f"{path} has no triangles to draw" + (", only points" if len(mesh.points) else ""))
    if not sound.all():
        report(
            Warned(
                f"{path}: {int((~sound).sum())} of {len(mesh)} faces are left out: corners of theirs do not "
                "exist or are not finite"
            )
        )
        mesh = mesh.select(sound)
    if int((mesh.counts - 2).sum()) > MAX_TRIANGLES:
        raise InputError(f"{path} has more than {MAX_TRIANGLES:,} triangles: simplify it first")
    triangles, owners = triangulate(mesh)
    triangles, normals = corner_normals(mesh, triangles)
    looks_of = mesh.looks[owners]
    primitives = [
        _primitive(mesh, looks[k], triangles[looks_of == k], normals[looks_of == k])
        for k in np.unique(looks_of)
    ]
    node = Node(-1, np.zeros(3), np.array([0, 0, 0, 1.0]), np.ones(3), None, np.zeros(0))
    return AnimatedModel(path.stem, primitives, {}, [node], [], [0])


def _primitive(mesh: Polygons, look: Look, triangles: np.ndarray, normals: np.ndarray) -> Primitive:
    """Make single triangles (T, 3), numbers of corners, with normals (T, 3, 3), a part of one look."""
    corners = triangles.reshape(-1)
    uvs, texture = np.zeros((len(corners), 2)), None
    if mesh.uvs is not None and (look.texture is not None or look.emission_texture is not None):
        placed = np.nan_to_num(mesh.uvs[corners]) * look.scale + look.offset
        uvs, texture = placed * [1, -1] + [0, 1], look.texture  # these have v up
    colors = np.tile(look.color, (len(corners), 1))
    if look.texture is None and mesh.colors is not None:
        colors = mesh.colors[corners] ** GAMMA
    opacities = np.ones(len(corners)) if mesh.alphas is None else mesh.alphas[corners]
    return Primitive(
        node=0,
        skin=None,
        positions=mesh.points[mesh.corners[corners]],
        normals=normals.reshape(-1, 3),
        triangles=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        colors=colors,
        uvs=uvs,
        texture=texture,
        joints=None,
        weights=None,
        targets=np.zeros((0, len(corners), 3)),
        alphas=None if look.material.alpha_mode == "OPAQUE" else look.opacity * opacities,
        material=look.material,
        emission=look.emission,
        emission_texture=look.emission_texture,
        emission_uvs=None if look.emission_texture is None else uvs,
    )
