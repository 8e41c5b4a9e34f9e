"""Surface, drawing and unwrapping of meshes, on shapes whose geometry is known."""

import math
import sys

import pytest
import torch

from diffusion2.cameras import orbit
from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.mesh import is_closed, smooth_normals
from diffusion2.reconstruction.mesh.fusion import Volume, draw_depths, fuse, look_around, smoothed
from diffusion2.reconstruction.mesh.raster import draw_flat, draw_mesh
from diffusion2.reconstruction.mesh.surface import (
    Surface,
    extract_surface,
    simplify,
    smooth,
    turned_outwards,
    unwrap,
    without_floaters,
)

NEEDS_SKIMAGE = "pip install 'diffusion2[mesh]'"


def tetrahedron(center=(0.0, 0.0, 0.0), size: float = 1.0) -> Surface:
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    triangles = torch.tensor([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    return Surface(torch.tensor(center) + size * corners, triangles)


def together(*surfaces: Surface) -> Surface:
    starts = [sum(len(s.vertices) for s in surfaces[:k]) for k in range(len(surfaces))]
    return Surface(
        torch.cat([s.vertices for s in surfaces]),
        torch.cat([s.triangles + start for s, start in zip(surfaces, starts, strict=True)]),
    )


def ball_volume(cells: int = 40, radius: float = 0.3) -> Volume:
    cell = 1.0 / cells
    steps = cell * (torch.arange(cells) + 0.5) - 0.5
    grid = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1)
    return Volume(((grid.norm(dim=-1) - radius) / (3 * cell)).clamp(-1, 1), steps[:1].repeat(3), cell)


def shell(count: int = 3000, radius: float = 0.3, center=(0.0, 0.0, 0.0)) -> Gaussians:
    """Opaque flat Gaussians on a sphere."""
    k = torch.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, math.pi * (1 + 5**0.5) * k
    r = (1 - z * z).sqrt()
    directions = torch.stack([r * turn.cos(), r * turn.sin(), z], dim=1)
    return Gaussians(
        means=radius * directions + torch.tensor(center),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        log_scales=torch.full((count, 3), math.log(2.2 * radius / count**0.5)),
        opacity_logits=torch.full((count,), 4.0),
        sh0=torch.zeros(count, 1, 3),
    )


def test_closed_is_what_has_no_border():
    surface = tetrahedron()
    assert is_closed(surface.triangles)
    assert not is_closed(surface.triangles[:3])
    assert not is_closed(torch.cat([surface.triangles[:3], surface.triangles[3:].flip(1)]))
    assert not is_closed(surface.triangles[:0])
    touching = torch.where(surface.triangles > 1, surface.triangles + 4, surface.triangles)
    assert is_closed(torch.cat([surface.triangles, touching])), "two that share an edge enclose a volume each"


def test_surfaces_are_turned_outwards():
    surface = tetrahedron(center=(3.0, 0, 0))
    outwards = turned_outwards(surface)
    inside_out = turned_outwards(Surface(surface.vertices, outwards.triangles.flip(1)))
    assert torch.equal(inside_out.triangles, outwards.triangles)
    normals = smooth_normals(outwards.vertices, outwards.triangles, torch.arange(4))
    assert bool(((outwards.vertices - torch.tensor([3.0, 0, 0])) * normals).sum(1).gt(0).all())


def test_normals_have_unit_length_where_triangles_cancel():
    sheet = torch.tensor([[0, 1, 2], [0, 2, 1]])
    normals = smooth_normals(tetrahedron().vertices[:3], sheet, torch.arange(3))
    assert torch.equal(normals, torch.tensor([[0.0, 0, 1]]).expand(3, 3))


def test_floaters_are_dropped_and_large_parts_kept():
    surface = together(tetrahedron(), tetrahedron((9.0, 0, 0), 0.05), tetrahedron((-9.0, 0, 0), 0.8))
    kept = without_floaters(surface)
    assert len(kept.triangles) == 8
    assert len(kept.vertices) == 8
    assert float(kept.vertices[:, 0].max()) < 2


def test_marching_cubes_finds_the_ball_and_simplifying_keeps_it_closed():
    pytest.importorskip("skimage", reason=NEEDS_SKIMAGE)
    pytest.importorskip("fast_simplification", reason=NEEDS_SKIMAGE)
    surface = extract_surface(ball_volume())
    # Linear interpolation between cells of 1/40: the sagitta of a cell on the ball is 2.6e-4.
    torch.testing.assert_close(
        surface.vertices.norm(dim=1), torch.full((len(surface.vertices),), 0.3), atol=1e-3, rtol=0
    )
    assert is_closed(surface.triangles)
    reduced = simplify(smooth(surface, 2), 500)
    assert len(reduced.triangles) <= 500
    assert is_closed(reduced.triangles)
    a, b, c = reduced.vertices[reduced.triangles].unbind(1)
    volume = float((a * torch.linalg.cross(b, c)).sum()) / 6
    # A polyhedron of 500 faces in a ball has about 2 % less than 4/3 pi r³.
    assert volume == pytest.approx(4 / 3 * math.pi * 0.3**3, rel=0.05)


def test_gaussians_on_a_sphere_become_a_closed_sphere():
    pytest.importorskip("skimage", reason=NEEDS_SKIMAGE)
    gaussians, cameras = shell(), look_around(2.0, 33.8, 10.0, 128)
    depths = [draw_depths(gaussians, cameras[k]) for k in range(len(cameras))]
    volume = smoothed(fuse(gaussians, cameras, depths, 40))
    surface = without_floaters(extract_surface(volume, 0.3))
    radii = surface.vertices.norm(dim=1)
    # Cells are 0.015 wide, and depths seen at low angles are blurred by pixels of 0.01.
    assert float((radii - 0.3).abs().max()) < 0.025
    assert is_closed(surface.triangles)


def test_transparent_gaussians_have_no_surface():
    gaussians = shell(50)
    gaussians.opacity_logits.fill_(-9)
    with pytest.raises(InputError, match="no surface"):
        fuse(gaussians, look_around(2.0, 33.8, 10.0, 32), [], 20)


def test_volume_without_a_surface_is_refused():
    pytest.importorskip("skimage", reason=NEEDS_SKIMAGE)
    with pytest.raises(InputError, match="no surface"):
        extract_surface(Volume(torch.ones(5, 5, 5), torch.zeros(3), 0.1))


def test_missing_libraries_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'diffusion2\[mesh\]'"):
        extract_surface(ball_volume(8))


def test_unwrapped_triangles_lie_in_the_square_and_apart():
    pytest.importorskip("xatlas", reason=NEEDS_SKIMAGE)
    pytest.importorskip("skimage", reason=NEEDS_SKIMAGE)
    surface = extract_surface(ball_volume(16))
    same, triangles, uvs = unwrap(surface, 256)
    assert torch.equal(
        surface.vertices[same][triangles].sort(1).values, surface.vertices[surface.triangles].sort(1).values
    )
    assert float(uvs.min()) >= 0
    assert float(uvs.max()) <= 1
    a, b, c = uvs[triangles].unbind(1)
    areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs() / 2
    # Without overlap the square's covered part is the sum of the triangles' areas.
    covered = draw_flat(512 * uvs, torch.ones(len(uvs)), triangles, 512, 512).triangles >= 0
    assert float(covered.float().mean()) == pytest.approx(float(areas.sum()), rel=0.03)


def quad(depth: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two triangles that fill [-1, 1]² at a depth, before a camera that looks along z."""
    corners = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    vertices = torch.cat([corners, torch.full((4, 1), depth)], dim=1)
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]])


K = torch.tensor([[20.0, 0, 16], [0, 20, 16], [0, 0, 1]])


def test_the_nearer_surface_is_seen():
    (far, triangles), (near, _) = quad(4.0), quad(2.0)
    vertices = torch.cat([far, 0.2 * near * torch.tensor([1, 1, 5.0])])
    hits = draw_mesh(vertices, torch.cat([triangles, triangles + 4]), torch.eye(4), K, 32, 32)
    assert int(hits.triangles[16, 16]) >= 2
    assert 0 <= int(hits.triangles[16, 12]) < 2
    assert int(hits.triangles[0, 0]) == -1
    assert float(hits.depths[16, 16]) == pytest.approx(2.0)
    assert math.isinf(float(hits.depths[0, 0]))


def test_interpolation_is_that_of_space_and_not_of_the_picture():
    vertices, triangles = quad(2.0)
    vertices[:2, 2] = 6.0  # lean it back
    hits = draw_mesh(vertices, triangles, torch.eye(4), K, 32, 32)
    seen = hits.triangles >= 0
    places = hits.interpolate(vertices, triangles)
    pixels = (places @ K.T)[:, :2] / places[:, 2:]
    rows, columns = seen.nonzero().unbind(1)
    centres = torch.stack([columns, rows], dim=1) + 0.5
    torch.testing.assert_close(pixels, centres, atol=1e-3, rtol=0)
    torch.testing.assert_close(hits.depths[seen], places[:, 2], atol=1e-4, rtol=0)


def test_triangles_behind_the_camera_or_without_area_are_not_drawn():
    vertices, triangles = quad(-2.0)
    assert int(draw_mesh(vertices, triangles, torch.eye(4), K, 32, 32).triangles.max()) == -1
    vertices, _ = quad(2.0)
    flat = torch.tensor([[0, 0, 1], [2, 2, 2]])
    assert int(draw_mesh(vertices, flat, torch.eye(4), K, 32, 32).triangles.max()) == -1


def test_cameras_look_from_all_around():
    cameras = look_around(2.0, 33.8, 10.0, 64)
    assert len(cameras) == 34
    assert cameras.elevations_deg.min() == -80
    assert cameras.elevations_deg.max() == 80
    assert len(orbit(1)) == 1
