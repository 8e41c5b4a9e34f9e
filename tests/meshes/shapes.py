"""Models of simple shapes, made without a file."""

import numpy as np

from diffusion2.meshes import AnimatedModel, Primitive
from diffusion2.meshes.animation import Channel, Clip
from diffusion2.meshes.model import Node


def make_model(positions: np.ndarray, triangles: np.ndarray, colour: tuple[float, ...]) -> AnimatedModel:
    """Make a model of triangles (T, 3); its clip "slide" moves it three units to its left in a second."""
    count = len(positions)
    normals = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    colors, uvs, targets = (
        np.tile(np.array(colour), (count, 1)),
        np.zeros((count, 2)),
        np.zeros((0, count, 3)),
    )
    part = Primitive(0, None, positions, normals, triangles, colors, uvs, None, None, None, targets)
    node = Node(-1, np.zeros(3), np.array([0, 0, 0, 1.0]), np.ones(3), None, np.zeros(0))
    ends = np.array([[0, 0, 0], [3.0, 0, 0]])
    slide = Clip("slide", [Channel(0, "translation", np.array([0.0, 1.0]), ends, "LINEAR")])
    return AnimatedModel("shape", [part], {"slide": slide}, [node], [], [0])


def sphere(radius: float = 1.0, rings: int = 96) -> AnimatedModel:
    """Make a sphere of a fine grid of latitudes and longitudes."""
    polar = np.linspace(1e-6, np.pi - 1e-6, rings)
    around = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    p, a = (grid.ravel() for grid in np.meshgrid(polar, around, indexing="ij"))
    positions = radius * np.stack([np.sin(p) * np.cos(a), np.cos(p), np.sin(p) * np.sin(a)], 1)
    index = np.arange(rings * 2 * rings).reshape(rings, -1)
    right = np.roll(index, -1, 1)
    corners = index[:-1], right[:-1], index[1:], right[1:]
    a, b, c, d = (corner.ravel() for corner in corners)
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]).astype(np.int32)
    return make_model(positions, triangles, (1.0, 1.0, 1.0))


def box(size: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> AnimatedModel:
    """Make a box around the origin, `size` along the axes of a file."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array(size) / 2
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return make_model(corners, np.array(triangles, np.int32), (0.8, 0.2, 0.1))
