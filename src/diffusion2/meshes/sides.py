"""Which triangles are seen from their front only, as far as that matters.

By its words, glTF draws every surface of a single-sided material from its front only. But exporters
leave that default also where a surface is a sheet that is meant to be seen from both sides: fins, leaves,
capes. Where a surface shows its outside, drawing its back changes nothing, or fills a hole. Where it is
inside out, as rooms are, and hulls that draw outlines, its back hides what is to be seen: there, and only
there, the file is taken at its word.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HOLLOW = 0.05
"""An open surface's front is on its hollow side where the volume about its middle is at least this share
of its area to the power of 3/2: half a sphere has 0.10, a floor with two walls 0.06, a plane 0."""

HUGE = 1e30


def front_only(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Find the triangles whose front is on the inner side of the surface that they belong to.

    Connected triangles are one surface. Where most of the area is inside out, all of it is.

    Args:
        positions: (P, 3).
        triangles: (T, 3), counter-clockwise as seen from their front.

    Returns:
        (T,) bool.
    """
    corners, points = _welded(positions, triangles)
    centers = points[corners].mean(1)
    a, b, c = (points[corners[:, k]] for k in range(3))
    crosses = np.cross(b - a, c - a)
    areas = np.linalg.norm(crosses, axis=1) / 2
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    ones = np.ones(len(edges))
    shape = (len(points), len(points))
    _, of_point = connected_components(coo_array((ones, edges.T), shape), directed=False)
    count, surface = int(of_point.max()) + 1, of_point[corners[:, 0]]
    area = np.bincount(surface, areas, count)
    middle = (
        np.stack([np.bincount(surface, areas * centers[:, k], count) for k in range(3)], 1)
        / np.maximum(area, 1e-300)[:, None]
    )
    volumes = np.einsum("ti,ti->t", centers - middle[surface], crosses) / 6
    volume = np.bincount(surface, volumes, count)
    # A closed surface goes along each of its edges as often forth as back.
    forth = coo_array((ones, edges.T), shape).tocsr()
    unpaired = np.bincount(of_point, np.asarray(abs(forth - forth.T).sum(1)).ravel(), count)
    inside_out = volume < -np.where(unpaired > 0, HOLLOW, 1e-9) * area**1.5
    found = inside_out[surface]
    return np.ones_like(found) if areas[found].sum() > areas.sum() / 2 else found


def _welded(positions: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make vertices at one place one: triangles (T, 3) and points of about unit size."""
    used, corners = np.unique(triangles, return_inverse=True)
    points = np.nan_to_num(positions[used]).clip(-HUGE, HUGE).astype(np.float32) + np.float32(0)  # -0 is 0
    _, first, same = np.unique(
        points.view(np.dtype((np.void, 12))).ravel(), return_index=True, return_inverse=True
    )
    kept = points[first].astype(np.float64)
    kept -= kept.mean(0)
    kept /= max(float(np.abs(kept).max()), 1e-300)
    return same.ravel()[corners.ravel()].reshape(-1, 3), kept
