"""Closed low-poly shapes: lofts along a spine, and thin sheets; what every part of a creature is made of.

Axes are glTF's: x to the creature's left, y up, z to its front. Triangles run counter-clockwise seen from
outside.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

RIGHT = np.array([1.0, 0.0, 0.0])
UP = np.array([0.0, 1.0, 0.0])
FRONT = np.array([0.0, 0.0, 1.0])
MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Shape:
    """A closed triangle mesh with coordinates along and around it.

    Attributes:
        vertices: (P, 3).
        triangles: (T, 3) int.
        along: (P,) position of the vertices along the spine, as a share of its length.
        spine: (N, 3) the middle line.
        u: (T,) position of the faces along the spine in [0, 1].
        v: (T,) angle of the faces around it in radians; pi/2 is on top.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    along: np.ndarray
    spine: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def mirrored(self) -> "Shape":
        """Mirror it at the plane x = 0."""
        return replace(
            self,
            vertices=self.vertices * MIRROR,
            triangles=self.triangles[:, ::-1],
            spine=self.spine * MIRROR,
        )

    def placed(self, offset: np.ndarray, turn: np.ndarray | None = None) -> "Shape":
        """Turn it by a (3, 3) rotation about the origin, then move it."""
        if turn is None:
            return replace(self, vertices=self.vertices + offset, spine=self.spine + offset)
        return replace(self, vertices=self.vertices @ turn.T + offset, spine=self.spine @ turn.T + offset)

    def at(self, share: float) -> np.ndarray:
        """Interpolate the spine (3,) at a share of its length."""
        steps = np.linalg.norm(np.diff(self.spine, axis=0), axis=1)
        length = np.concatenate([[0.0], np.cumsum(steps)])
        return np.array([np.interp(share * length[-1], length, axis) for axis in self.spine.T])


def xyz(x: float, y: float, z: float) -> np.ndarray:
    """Make a vector (3,): to the left, up, to the front."""
    return np.array([x, y, z])


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply vectors (..., 3); twice as fast as NumPy's own where there are few."""
    x = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    y = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    z = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.stack([x, y, z], axis=-1)


def spline(controls: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Interpolate (K, D) control points at t in [0, 1] by a Catmull-Rom spline: (len(t), D)."""
    padded = np.concatenate([[2 * controls[0] - controls[1]], controls, [2 * controls[-1] - controls[-2]]])
    place = t * (len(controls) - 1)
    k = np.minimum(place.astype(int), len(controls) - 2)
    x = (place - k)[:, None]
    a, b, c, d = (padded[k + i] for i in range(4))
    return b + 0.5 * x * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)))


def loft(
    spine: ArrayLike,
    widths: ArrayLike,
    heights: ArrayLike | None = None,
    *,
    sides: int = 8,
    roundness: float = 2.0,
    right: np.ndarray = RIGHT,
    jitter: np.ndarray | None = None,
) -> Shape:
    """Join cross-sections around a spine; an end without width is a point, any other is closed flat.

    Args:
        spine: (N, 3) middles of the cross-sections.
        widths: (N,) half widths along `right`.
        heights: (N,) half widths across it; the widths if None.
        sides: corners of a cross-section.
        roundness: exponent of the superellipse: 2 is round, large is a square, 1 a diamond.
        right: roughly where the width lies.
        jitter: (N, sides) factors of the radii, made symmetric here; None for an even surface.
    """
    spine, widths = np.asarray(spine, float), np.asarray(widths, float)
    heights = widths if heights is None else np.asarray(heights, float)
    tangents = np.gradient(spine, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-9)
    across = right - tangents * (tangents @ right)[:, None]
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    up = cross(tangents, across)
    angles = _angles(sides)
    x, y = np.cos(angles), np.sin(angles)
    if sides == 4:
        x, y = np.sign(x), np.sign(y)
    elif roundness != 2.0:
        x, y = (np.sign(c) * np.abs(c) ** (2 / roundness) for c in (x, y))
    radii = np.stack([widths, heights])[:, :, None] * np.stack([x, y])[:, None]
    if jitter is not None:
        radii = radii * (jitter + jitter[:, ::-1]) / 2
    rings = spine[:, None] + radii[0, ..., None] * across[:, None] + radii[1, ..., None] * up[:, None]
    first, last = (int(widths[i] <= 0 or heights[i] <= 0) for i in (0, -1))
    kept = slice(first, len(spine) - last)
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(spine, axis=0), axis=1))])
    share = (steps / max(steps[-1], 1e-9))[kept]
    triangles, around = _loft_faces(len(share), sides)
    middle = (share[1:] + share[:-1]) / 2
    return Shape(
        vertices=np.concatenate([rings[kept].reshape(-1, 3), spine[:1], spine[-1:]]),
        triangles=triangles,
        along=np.concatenate([np.repeat(share, sides), [0.0, 1.0]]),
        spine=spine,
        u=np.concatenate([np.repeat(middle, 2 * sides), np.zeros(sides), np.ones(sides)]),
        v=around,
    )


def _angles(sides: int) -> np.ndarray:
    """Place the corners of a cross-section (sides,) so that the middle of an edge is on top."""
    return np.pi / 2 + 2 * np.pi * (np.arange(sides) + 0.5) / sides


@functools.lru_cache(maxsize=256)
def _loft_faces(count: int, sides: int) -> tuple[np.ndarray, np.ndarray]:
    """Make the triangles (T, 3) of a loft of so many rings with its two ends, and their angles (T,).

    The vertices are the rings' and the two ends. Quads of the left half are cut the other way than those of
    the right one, as mirror images are.
    """
    k = np.arange(sides)
    beside = (k + 1) % sides
    row = np.arange(count - 1)[:, None] * sides
    low, high, rising = row + k, row + beside, k < sides / 2
    lower = (low, high, np.where(rising, high, low) + sides)
    upper = (np.where(rising, low, high), high + sides, low + sides)
    quads = np.stack([*lower, *upper], -1).reshape(-1, 3)
    start, top = count * sides, (count - 1) * sides
    ends = [
        np.stack([np.full(sides, start), beside, k], -1),
        np.stack([np.full(sides, start + 1), top + k, top + beside], -1),
    ]
    around = _angles(sides) + np.pi / sides
    angles = np.concatenate([np.tile(np.repeat(around, 2), count - 1), around, around])
    return np.concatenate([quads, *ends]), angles


def tube(
    points: ArrayLike,
    widths: ArrayLike,
    heights: ArrayLike | None = None,
    *,
    rings: int = 6,
    sides: int = 8,
    rounded: tuple[float, float] = (0.15, 0.15),
    roundness: float = 2.0,
    right: np.ndarray = RIGHT,
    rough: np.random.Generator | None = None,
) -> Shape:
    """Loft along a smooth curve.

    Args:
        points: (K, 3) points that its middle passes through.
        widths: (K,) half widths there.
        heights: (K,) half heights; the widths if None.
        rings: steps along it.
        sides: as of `loft`.
        rounded: share of the length over which each end is rounded off; 0 leaves it as it is.
        roundness: as of `loft`.
        right: as of `loft`.
        rough: makes the surface a little uneven, the same on both sides.
    """
    rows = np.column_stack([np.asarray(points, float), widths, widths if heights is None else heights])
    t = np.linspace(0, 1, rings + 1)
    bent = (1 - np.cos(np.pi * t)) / 2  # denser towards the ends, where it is round
    t = t + (bent - t) * np.where(t < 0.5, rounded[0] > 0, rounded[1] > 0) / 2
    values = spline(rows, t)
    radii = np.maximum(values[:, 3:], 0.0)
    for distance, share in ((t, rounded[0]), (1 - t, rounded[1])):
        if share > 0:
            radii = radii * np.sqrt(1 - np.maximum(1 - distance / share, 0.0) ** 2)[:, None]
    radii[1:-1] = np.maximum(radii[1:-1], 1e-4)
    jitter = None if rough is None else rough.uniform(0.94, 1.06, (rings + 1, sides))
    return loft(values[:, :3], *radii.T, sides=sides, roundness=roundness, right=right, jitter=jitter)


def ellipsoid(
    center: ArrayLike,
    radii: ArrayLike,
    rings: int = 4,
    sides: int = 8,
    roundness: float = 2.0,
) -> Shape:
    """Make an ellipsoid with half axes along x, y and z, its poles on z; rounder than 2 it becomes a box."""
    angle = np.linspace(0, np.pi, rings + 1)
    profile, place = np.sin(angle), -np.cos(angle)
    if roundness != 2.0:
        profile = np.abs(profile) ** (2 / roundness)
        place = np.sign(place) * np.abs(place) ** (2 / roundness)
    profile[[0, -1]] = 0.0
    width, height, depth = np.broadcast_to(radii, 3)
    spine = np.asarray(center, float) + place[:, None] * FRONT * depth
    return loft(spine, profile * width, profile * height, sides=sides, roundness=roundness)


def box(
    center: ArrayLike,
    halves: tuple[float, float, float],
    bevel: float = 0.0,
    taper: float = 1.0,
) -> Shape:
    """Make a box with half sizes along x, y and z; its edges cut by a share, its top narrowed by a factor."""
    share = np.array([-1.0, 1.0]) if bevel <= 0 else np.array([-1.0, bevel - 1.0, 1.0 - bevel, 1.0])
    size = np.ones(len(share)) if bevel <= 0 else np.array([1.0 - bevel, 1.0, 1.0, 1.0 - bevel])
    size = size * (1 + (taper - 1) * (share + 1) / 2)
    spine = np.asarray(center, float) + share[:, None] * UP * halves[1]
    # Going up, what is across `right` points back.
    return loft(spine, size * halves[0], size * halves[2], sides=8 if bevel > 0 else 4, roundness=8.0)


def cone(start: np.ndarray, end: np.ndarray, radius: float, tip: float = 0.0, sides: int = 6) -> Shape:
    """Make a cone, or a cylinder where the tip's radius is not 0."""
    return loft(np.stack([start, end]), [radius, tip], sides=sides, right=steady(np.asarray(end) - start))


def sheet(grid: np.ndarray, thickness: float, edge: float = 0.3) -> Shape:
    """Thicken a curved surface: fins, wings, capes, leaves.

    Args:
        grid: (R, C, 3) its points; rows go from where it is fastened to its free edge.
        thickness: of the first row.
        edge: share of the thickness that is left at the last row.
    """
    rows, columns = grid.shape[:2]
    normals = cross(np.gradient(grid, axis=0), np.gradient(grid, axis=1))
    mean = normals.sum((0, 1))
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = np.where(lengths > 1e-3 * lengths.max(), normals / np.maximum(lengths, 1e-12), 0.0)
    normals = np.where(
        np.abs(normals).sum(-1, keepdims=True) > 0, normals, mean / max(np.linalg.norm(mean), 1e-12)
    )
    normals = normals * thickness / 2 * np.linspace(1, edge, rows)[:, None, None]
    vertices = np.concatenate([(grid + normals).reshape(-1, 3), (grid - normals).reshape(-1, 3)])
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (x.ravel() for x in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    upper = np.stack([a, b, c, a, c, d], -1).reshape(-1, 3)
    loop = np.concatenate([index[:, 0], index[-1, 1:], index[-2::-1, -1], index[0, -2:0:-1]])
    after, lower = np.roll(loop, -1), rows * columns
    rim = np.stack([loop + lower, after + lower, after, loop + lower, after, loop], -1).reshape(-1, 3)
    share = np.linspace(0, 1, rows)
    middle = np.repeat((share[1:] + share[:-1]) / 2, 2 * (columns - 1))
    turn = np.tile(np.repeat(np.linspace(0, np.pi, columns)[1:], 2), rows - 1)
    around = np.repeat(np.linspace(0, 1, len(loop)), 2)
    edge_share = (share[loop // columns] + share[after // columns]) / 2
    return Shape(
        vertices=vertices,
        triangles=np.concatenate([upper, upper[:, ::-1] + lower, rim]),
        along=np.tile(np.repeat(share, columns), 2),
        spine=grid.mean(1),
        u=np.concatenate([middle, middle, np.repeat(edge_share, 2)]),
        v=np.concatenate([turn, turn, around]),
    )


def steady(direction: np.ndarray) -> np.ndarray:
    """Choose an axis for the width of a loft that its direction is not near to."""
    return FRONT if abs(direction[0]) > 0.7 * np.linalg.norm(direction) else RIGHT


def facing(direction: np.ndarray) -> np.ndarray:
    """Make the (3, 3) rotation that turns +z to a direction and keeps x as level as it can."""
    forward = np.asarray(direction, float) / max(float(np.linalg.norm(direction)), 1e-12)
    level = cross(UP, forward)
    if np.linalg.norm(level) < 1e-3:
        level = RIGHT
    level = level / np.linalg.norm(level)
    return np.stack([level, cross(forward, level), forward], axis=1)
