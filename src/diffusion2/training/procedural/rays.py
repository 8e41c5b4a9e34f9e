"""Where a ray from inside a shape leaves it: where eyes, ears and fins sit."""

import numpy as np

from diffusion2.training.procedural.shapes import Shape, cross


def surface(shape: Shape, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find where rays from inside leave a shape: points and outward unit normals, (D, 3) each.

    A ray that meets nothing ends at the vertex that lies farthest along it. Source: Möller and
    Trumbore (1997).
    """
    directions = np.atleast_2d(np.asarray(directions, float))
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    corner, first, second = shape.vertices[shape.triangles].transpose(1, 0, 2)
    first, second, start = first - corner, second - corner, np.asarray(origin) - corner
    normals = cross(first, second)
    across = cross(directions[:, None], second)
    determinant = np.einsum("dti,ti->dt", across, first)
    inverse = 1 / np.where(np.abs(determinant) < 1e-14, np.inf, determinant)
    a = np.einsum("dti,ti->dt", across, start) * inverse
    turned = cross(start, first)
    b = directions @ turned.T * inverse
    distance = np.einsum("ti,ti->t", turned, second) * inverse
    hit = (inverse != 0) & (a > -1e-9) & (b > -1e-9) & (a + b < 1 + 1e-9) & (distance > 0)
    distance = np.where(hit, distance, -1.0)
    face = distance.argmax(1)
    points = origin + directions * distance[np.arange(len(face)), face][:, None]
    missed = ~hit.any(1)
    if missed.any():
        points[missed] = shape.vertices[(directions[missed] @ (shape.vertices - origin).T).argmax(1)]
    chosen = np.where(missed[:, None], directions, normals[face])
    return points, chosen / np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-12)
