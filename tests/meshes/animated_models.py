"""Animated models whose pictures are known: a cube with a colour on each side, and things that slide."""

from pathlib import Path

import numpy as np

from .make_gltf import GltfBuilder

# Where glTF's axes point: +z is the front, +x is to the right as seen from the front, +y is up.
SIDES = {
    "front": ([0, 0, 1], (255, 0, 0)),
    "right": ([1, 0, 0], (0, 255, 0)),
    "back": ([0, 0, -1], (0, 0, 255)),
    "left": ([-1, 0, 0], (255, 255, 0)),
    "top": ([0, 1, 0], (0, 255, 255)),
    "bottom": ([0, -1, 0], (255, 0, 255)),
}
COLORS = {name: color for name, (_, color) in SIDES.items()}


def unlit(builder: GltfBuilder, color) -> int:
    factor = [*(float(c) / 255 for c in color), 1.0]
    return builder.append(
        "materials",
        {"pbrMetallicRoughness": {"baseColorFactor": factor}, "extensions": {"KHR_materials_unlit": {}}},
    )


def cube(builder: GltfBuilder, half: float = 1.0) -> int:
    """Add a mesh: a cube about the origin, each side in its colour."""
    mesh = None
    for axis, color in SIDES.values():
        normal = np.array(axis, np.float32)
        u = np.roll(normal, 1)
        v = np.cross(normal, u)
        corners = (
            np.array([normal - u - v, normal + u - v, normal + u + v, normal - u + v], np.float32) * half
        )
        side = builder.mesh(
            {"POSITION": corners}, np.array([0, 1, 2, 0, 2, 3], np.uint16), material=unlit(builder, color)
        )
        if mesh is None:
            mesh = side
        else:
            part = builder.document["meshes"].pop()
            builder.document["meshes"][mesh]["primitives"] += part["primitives"]
    assert mesh is not None
    return mesh


def sliding_cube(path: Path) -> Path:
    """Write a cube with four clips of two seconds: all but "turn" move it along its own right."""
    builder = GltfBuilder()
    builder.node(mesh=cube(builder))
    far = [[0, 0, 0], [2.0, 0, 0]]
    builder.clip("slide", (0, "translation", [0, 2], np.array(far), "LINEAR"))
    builder.clip("swing", (0, "translation", [0, 1, 2], np.array([*far, far[0]]), "LINEAR"))
    half = np.sqrt(0.5)
    quarters = np.array([[0, 0, 0, 1], [0, half, 0, half], [0, 1, 0, 0], [0, half, 0, -half], [0, 0, 0, -1]])
    builder.clip("turn", (0, "rotation", [0, 0.5, 1, 1.5, 2], quarters, "LINEAR"))
    builder.clip("pose", (0, "translation", [0], np.array([[1.0, 0, 0]]), "LINEAR"))
    return builder.write(path)
