"""One mesh in many places: EXT_mesh_gpu_instancing."""

from dataclasses import replace
from typing import Any

import numpy as np

from diffusion2.errors import InputError
from diffusion2.meshes.animation import compose_transform
from diffusion2.meshes.document import Document, as_floats
from diffusion2.meshes.model import Primitive, keep_angles, normal_matrix

INSTANCING = "EXT_mesh_gpu_instancing"
PLACES = {"TRANSLATION": (3, (0, 0, 0)), "ROTATION": (4, (0, 0, 0, 1)), "SCALE": (3, (1, 1, 1))}
COLOR = "_COLOR_0"
"""No part of the extension, but what exporters of three.js write."""
MAX_CORNERS = 12_000_000


def read_instances(document: Document, node: dict[str, Any]) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Read where a node's mesh stands.

    Returns:
        (N, 4, 4) transforms below the node's own and (N, 3) colours to multiply by, if any; None where
        the node draws its mesh but once.

    Raises:
        InputError: the numbers of its attributes differ, or they are of other widths.
    """
    raw = node.get("extensions", {}).get(INSTANCING)
    if raw is None:
        return None
    read = {name: as_floats(document.accessor(index)) for name, index in raw["attributes"].items()}
    counts = {len(values) for values in read.values()}
    if len(counts) != 1:
        raise InputError(f"{document.path} is damaged: the attributes of its instances differ in number")
    count, parts = counts.pop(), []
    for name, (width, default) in PLACES.items():
        values = read.get(name, np.tile(np.array(default, np.float64), (count, 1)))
        if values.shape != (count, width):
            raise InputError(
                f"{document.path} is damaged: {name} of its instances has other than {width} numbers"
            )
        parts.append(values)
    colors = read[COLOR][:, :3] if COLOR in read and read[COLOR].shape[1] >= 3 else None
    return compose_transform(*parts), colors


def multiply(
    document: Document, shape: Primitive, transforms: np.ndarray, colors: np.ndarray | None
) -> Primitive | None:
    """Put copies of a primitive side by side as one; None of no copies.

    Raises:
        InputError: they are too many.
    """
    count, points = len(transforms), len(shape.positions)
    if not count:
        return None
    if count * max(points, 3 * len(shape.triangles)) > MAX_CORNERS:
        raise InputError(
            f"{document.path} is too large: {count:,} instances of {len(shape.triangles):,} triangles"
        )
    turns, shifts = transforms[:, :3, :3], transforms[:, :3, 3]
    bent = turns if keep_angles(turns) else normal_matrix(turns)
    mirrored = np.linalg.det(turns) < 0
    triangles = np.where(mirrored[:, None, None], shape.triangles[:, ::-1], shape.triangles)
    triangles = triangles + (np.arange(count) * points)[:, None, None]
    tint = np.ones((count, 1, 3)) if colors is None else colors[:, None]

    def along(vectors: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        """Turn (..., P, 3) vectors by each of (N, 3, 3): (..., N P, 3)."""
        turned = np.einsum("nij,...pj->...npi", matrices, vectors)
        return turned.reshape(*vectors.shape[:-2], count * points, 3)

    def again(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else np.concatenate([values] * count)

    return replace(
        shape,
        positions=along(shape.positions, turns) + np.repeat(shifts, points, axis=0),
        normals=along(shape.normals, bent),
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        colors=(shape.colors * tint).reshape(-1, 3),
        uvs=np.concatenate([shape.uvs] * count),
        targets=along(shape.targets, turns),
        normal_targets=None if shape.normal_targets is None else along(shape.normal_targets, bent),
        alphas=again(shape.alphas),
        front_only=again(shape.front_only),
        emission_uvs=again(shape.emission_uvs),
    )
