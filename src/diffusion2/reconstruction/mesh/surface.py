"""From a volume to a clean triangle mesh, and its unwrapping onto a texture."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.gaussians.mesh import is_closed
from diffusion2.reconstruction.mesh.fusion import Volume

_SMALLEST_PART = 0.02
"""Share of the largest part's area under which a part is a floater."""

INSTALL = "meshes need more libraries: pip install 'diffusion2[mesh]'"


@dataclass(frozen=True)
class Surface:
    """A triangle mesh.

    Attributes:
        vertices: (P, 3) float32, world units.
        triangles: (T, 3) int64, counter-clockwise seen from outside.
    """

    vertices: Tensor
    triangles: Tensor


def extract_surface(volume: Volume, level: float = 0.0) -> Surface:
    """Find where the distance has this value (marching cubes).

    Raises:
        BackendUnavailable: when scikit-image is not installed.
        InputError: when it has it nowhere.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise BackendUnavailable(INSTALL) from error
    distances = volume.distances.numpy()
    if not distances.min() < level < distances.max():
        raise InputError("the asset has no surface: is it empty?")
    vertices, triangles, _, _ = marching_cubes(distances, level)
    places = volume.corner + volume.cell * torch.from_numpy(vertices.astype(np.float32))
    return turned_outwards(Surface(places, torch.from_numpy(triangles.astype(np.int64))))


def turned_outwards(surface: Surface) -> Surface:
    """Turn the triangles of a closed surface so that they enclose a positive volume."""
    a, b, c = surface.vertices[surface.triangles].unbind(1)
    if float((a * torch.linalg.cross(b, c)).sum()) >= 0:
        return surface
    return Surface(surface.vertices, surface.triangles.flip(1))


def without_floaters(surface: Surface) -> Surface:
    """Keep the largest connected part and those not much smaller."""
    vertices, triangles = surface.vertices, surface.triangles
    edges = triangles[:, [0, 1, 1, 2]].reshape(-1, 2).T.numpy()
    graph = coo_array((np.ones(edges.shape[1], bool), tuple(edges)), (len(vertices), len(vertices)))
    part = torch.from_numpy(connected_components(graph, directed=False)[1]).long()
    corners = vertices[triangles]
    areas = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    of_part = torch.zeros(len(vertices)).index_add_(0, part[triangles[:, 0]], areas)
    kept = of_part[part[triangles[:, 0]]] >= _SMALLEST_PART * of_part.max()
    return compact(Surface(vertices, triangles[kept]))


def compact(surface: Surface) -> Surface:
    """Drop vertices that no triangle uses."""
    used, triangles = surface.triangles.unique(return_inverse=True)
    return Surface(surface.vertices[used], triangles)


def smooth(surface: Surface, rounds: int) -> Surface:
    """Smooth without shrinking (Taubin, 1995)."""
    triangles, vertices = surface.triangles, surface.vertices
    edges = torch.cat([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    degree = torch.zeros(len(vertices)).index_add_(0, edges[:, 0], torch.ones(len(edges)))[:, None]
    for step in range(2 * rounds):
        around = torch.zeros_like(vertices).index_add_(0, edges[:, 0], vertices[edges[:, 1]]) / degree
        vertices = vertices + (0.5 if step % 2 == 0 else -0.53) * (around - vertices)
    return Surface(vertices, triangles)


def simplify(surface: Surface, most: int) -> Surface:
    """Reduce to about so many triangles (quadric error), unless that would tear a closed surface.

    Raises:
        BackendUnavailable: when fast-simplification is not installed.
    """
    if len(surface.triangles) <= most:
        return surface
    try:
        import fast_simplification
    except ImportError as error:
        raise BackendUnavailable(INSTALL) from error
    points, faces = surface.vertices.numpy(), surface.triangles.numpy().astype(np.int32)
    closed = is_closed(surface.triangles)
    # Where parts nearly touch, they may come to touch along an edge; more patient reductions do so less.
    for patience in (5, 3, 2):
        vertices, triangles, *_ = fast_simplification.simplify(points, faces, target_count=most, agg=patience)
        reduced = Surface(torch.from_numpy(vertices).float(), torch.from_numpy(triangles.astype(np.int64)))
        if is_closed(reduced.triangles) or not closed:
            return compact(reduced)
    return surface


def unwrap(surface: Surface, texture_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cut the surface into charts and lay them into the unit square.

    Returns:
        Which vertex (P,) each of the new ones is, triangles (T, 3) of new vertices, places (P, 2) in [0, 1].

    Raises:
        BackendUnavailable: when xatlas is not installed.
    """
    try:
        import xatlas
    except ImportError as error:
        raise BackendUnavailable(INSTALL) from error
    atlas = xatlas.Atlas()
    atlas.add_mesh(surface.vertices.numpy(), surface.triangles.numpy().astype(np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding, pack.bilinear = texture_size, 2, True
    atlas.generate(pack_options=pack)
    same, triangles, uvs = atlas[0]
    return (
        torch.from_numpy(same.astype(np.int64)),
        torch.from_numpy(triangles.astype(np.int64)),
        torch.from_numpy(uvs.astype(np.float32)),
    )
