"""Meshes of polygons, as files of other formats than glTF have them: into triangles, with normals."""

from dataclasses import dataclass

import numpy as np

from diffusion2.errors import BackendUnavailable

CREASE_DEG = 40.0
"""Where a face turns away from its neighbours by more than this, there is an edge and no roundness."""
REFLEX = 1e-6
"""How far a corner may turn inwards, as a share of the polygon's area, by rounding alone."""


@dataclass(frozen=True)
class Polygons:
    """A mesh of F polygons with C corners in all, polygon after polygon.

    Attributes:
        points: (P, 3) float64.
        corners: (C,) which point each corner is at.
        counts: (F,) corners of each polygon.
        looks: (F,) which look each polygon has.
        normals: (C, 3) the file's own; None or NaN where there are none.
        uvs: (C, 2) places in a texture, v up; None or NaN where there are none.
        colors: (C, 3) sRGB in [0, 1], or None.
        alphas: (C,) opacity in [0, 1], or None.
    """

    points: np.ndarray
    corners: np.ndarray
    counts: np.ndarray
    looks: np.ndarray
    normals: np.ndarray | None = None
    uvs: np.ndarray | None = None
    colors: np.ndarray | None = None
    alphas: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.counts)

    def sound(self) -> np.ndarray:
        """Tell which polygons (F,) have at least three corners, all of them at finite points that exist."""
        known = (self.corners >= 0) & (self.corners < len(self.points))
        good = known.copy()
        good[known] = np.isfinite(self.points[self.corners[known]]).all(1)
        bad = np.bincount(self.owners()[~good], minlength=len(self))
        return (bad == 0) & (self.counts >= 3)

    def owners(self) -> np.ndarray:
        """Tell which polygon each corner (C,) belongs to."""
        return np.repeat(np.arange(len(self)), self.counts)

    def select(self, chosen: np.ndarray) -> "Polygons":
        """Keep those polygons that a mask (F,) chooses."""
        kept = np.repeat(chosen, self.counts)

        def of(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[kept]

        return Polygons(
            self.points,
            self.corners[kept],
            self.counts[chosen],
            self.looks[chosen],
            *map(of, (self.normals, self.uvs, self.colors, self.alphas)),
        )


def triangulate(mesh: Polygons) -> tuple[np.ndarray, np.ndarray]:
    """Divide sound polygons into triangles; where one has a notch, the notch stays open.

    Returns:
        (T, 3) numbers of corners, and (T,) which polygon each is a part of.
    """
    firsts = np.cumsum(mesh.counts) - mesh.counts
    triangles, owners = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for count in np.unique(mesh.counts):
        faces = np.nonzero(mesh.counts == count)[0]
        corners = firsts[faces][:, None] + np.arange(count)
        places = mesh.points[mesh.corners[corners]]
        notched = _notched(places) if count > 3 else np.zeros(len(faces), bool)
        k = np.arange(1, count - 1)
        fan = np.stack([np.zeros_like(k), k, k + 1], axis=1)
        triangles.append(corners[~notched][:, fan].reshape(-1, 3))
        owners.append(np.repeat(faces[~notched], len(fan)))
        for index in np.nonzero(notched)[0]:
            parts = _cut_ears(places[index])
            triangles.append(corners[index][parts])
            owners.append(np.full(len(parts), faces[index]))
    return np.concatenate(triangles), np.concatenate(owners)


def _spanned(places: np.ndarray) -> np.ndarray:
    """Return each of (M, K, 3) polygons' doubled area as a vector (M, 3): Newell's normal."""
    centered = places - places.mean(1, keepdims=True)
    return np.cross(centered, np.roll(centered, -1, axis=1)).sum(1)


def _notched(places: np.ndarray) -> np.ndarray:
    """Tell which of (M, K, 3) polygons turn inwards somewhere."""
    normal = _spanned(places)
    before, after = places - np.roll(places, 1, axis=1), np.roll(places, -1, axis=1) - places
    turns = np.einsum("mki,mi->mk", np.cross(before, after), normal)
    return (turns < -REFLEX * np.einsum("mi,mi->m", normal, normal)[:, None]).any(1)


def _cut_ears(places: np.ndarray) -> np.ndarray:
    """Divide one polygon (K, 3), seen along its normal, into (T, 3) triangles that go round as it does."""
    try:
        from mapbox_earcut import triangulate_float64
    except ImportError:
        raise BackendUnavailable(
            "polygons with notches need mapbox_earcut: pip install 'diffusion2[models]'"
        ) from None
    normal = _unit(_spanned(places[None])[0])
    along = _unit(np.cross(normal, np.eye(3)[np.abs(normal).argmin()]))
    flat = (places - places.mean(0)) @ np.stack([along, np.cross(normal, along)], axis=1)
    parts = triangulate_float64(flat, np.array([len(flat)], np.uint32)).astype(np.int64).reshape(-1, 3)
    a, b, c = (flat[parts[:, k]] for k in range(3))
    clockwise = (b - a)[:, 0] * (c - a)[:, 1] < (b - a)[:, 1] * (c - a)[:, 0]
    parts[clockwise] = parts[clockwise][:, ::-1]
    return parts


def corner_normals(mesh: Polygons, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the normals of the triangles' corners, and turn round triangles that contradict their file's.

    Args:
        mesh: polygons with normals of their own, or with none, or with some.
        triangles: (T, 3) numbers of corners.

    Returns:
        (T, 3) triangles, counter-clockwise as seen from where the file's normals point, and (T, 3, 3)
        unit normals: the file's where it has them, else by `crease_normals`.
    """
    own = np.zeros((*triangles.shape, 3)) if mesh.normals is None else np.nan_to_num(mesh.normals[triangles])
    own = np.where(np.abs(own).max(-1, keepdims=True, initial=0) < 1e10, own, 0.0)
    known = np.linalg.norm(own, axis=-1) > 1e-6
    places = mesh.points[mesh.corners[triangles]]
    faces = np.cross(places[:, 1] - places[:, 0], places[:, 2] - places[:, 0])
    wrong = known.all(1) & (np.einsum("ti,ti->t", _unit(own).sum(1), faces) < 0)
    triangles = np.where(wrong[:, None], triangles[:, ::-1], triangles)
    own = np.where(wrong[:, None, None], own[:, ::-1], own)
    if known.all():
        return triangles, _unit(own)
    # Points that a file lists more than once are one: there, too, a surface is round.
    _, first, same = np.unique(mesh.points, axis=0, return_index=True, return_inverse=True)
    found = crease_normals(mesh.points[first], same.reshape(-1)[mesh.corners[triangles]])
    return triangles, np.where((known.all(1))[:, None, None], _unit(own), found)


def crease_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Get unit normals (T, 3, 3) of the triangles' corners: round where a surface is, flat at its edges."""
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
