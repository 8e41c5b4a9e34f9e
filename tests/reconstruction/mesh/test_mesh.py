"""From an asset to a moving textured mesh."""

import math

import pytest
import torch

from diffusion2.cameras import orbit
from diffusion2.config import MeshSettings
from diffusion2.errors import InputError
from diffusion2.events import StageFinished
from diffusion2.gaussians import Asset4D, AssetMetadata, DeformationField, DeformationSettings, Gaussians
from diffusion2.gaussians.gaussians import rgb_to_sh0
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.image_matrix import ImageMatrix
from diffusion2.reconstruction.mesh import extract_mesh
from diffusion2.reconstruction.mesh.texture import Painted, Photo, fill_empty, fit_texture, splat_photos

SMALL = MeshSettings(resolution=32, triangles=1500, texture_size=128, picture_size=128)
NEEDS_MESH = "pip install 'diffusion2[mesh]'"


def planet() -> Gaussians:
    """An opaque ball of radius 0.3 whose colour is its direction, evenly covered along a spiral."""
    k = torch.arange(3000) + 0.5
    z, angle = 1 - 2 * k / 3000, k * math.pi * (3 - 5**0.5)
    directions = torch.stack([angle.cos() * (1 - z * z).sqrt(), angle.sin() * (1 - z * z).sqrt(), z], dim=1)
    return Gaussians(
        means=0.3 * directions,
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(3000, 1),
        log_scales=torch.full((3000, 3), -4.7),
        opacity_logits=torch.full((3000,), 4.0),
        sh0=rgb_to_sh0(0.45 + 0.35 * directions),
    )


def moving_planet() -> Asset4D:
    """It rises by 0.2 at all times but the first: the field's bias alone, times a step in time."""
    field = DeformationField(DeformationSettings(1, 4, 0, 0))
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.zero_()
        field.time_inputs["0"].weight.fill_(1.0)
        field.head.weight[2] = 0.05
    return Asset4D(planet(), field, AssetMetadata(fov_deg=33.8, radius=2.0, elevation_deg=10.0))


@pytest.fixture(scope="module")
def mesh() -> Mesh4D:
    for library in ("skimage", "xatlas", "fast_simplification"):
        pytest.importorskip(library, reason=NEEDS_MESH)
    return extract_mesh(moving_planet(), settings=SMALL)


def test_mesh_of_a_ball_is_a_closed_ball_without_its_inside(mesh):
    assert mesh.is_watertight
    assert len(mesh.triangles) <= 1500
    radii = mesh.vertices.norm(dim=1)
    # Cells are 0.02 wide; nothing is left inside, though the ball is hollow.
    assert float((radii - 0.3).abs().max()) < 0.03
    outwards = (mesh.normals(mesh.vertices) * mesh.vertices).sum(1) / radii
    assert float(outwards.min()) > 0.8


def test_mesh_has_the_colours_of_its_gaussians(mesh):
    texels = (mesh.uvs * (SMALL.texture_size - 1)).round().long()
    found = mesh.texture[texels[:, 1], texels[:, 0]]
    wanted = 0.45 + 0.35 * torch.nn.functional.normalize(mesh.vertices, dim=1)
    # Gaussians blend over about a tenth of the ball.
    assert float((found - wanted).abs().mean()) < 0.03


def test_vertices_are_carried_by_the_deformation(mesh):
    shape = mesh.move([0.0, 0.5, 1.0])
    assert torch.equal(shape[0], mesh.vertices)
    wanted = torch.tensor([0.0, 0, 0.1]).expand_as(mesh.vertices)
    torch.testing.assert_close(shape[1] - mesh.vertices, wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(mesh.at(1.0), shape[2])
    assert torch.equal(mesh.welded[mesh.triangles].unique(), mesh.welded.unique())


@pytest.mark.parametrize("time", [-0.1, 1.5, float("nan")])
def test_mesh_has_no_time_outside_the_sequence(mesh, time):
    with pytest.raises(InputError, match=r"a time lies in \[0, 1\]"):
        mesh.at(time)


def test_texture_is_refined_on_the_reference_view(mesh):
    """The matrix is green where the Gaussians are not: the mesh turns green where the matrix shows it."""
    cameras = orbit(4, 10.0, height=48)
    images, alphas = torch.ones(4, 2, 3, 48, 48), torch.zeros(4, 2, 1, 48, 48)
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    ball = (rows - 23.5).square() + (columns - 23.5).square() < 9**2
    images[..., ball] = torch.tensor([0.1, 0.7, 0.1])[:, None]
    alphas[..., ball] = 1
    matrix = ImageMatrix(images, cameras, torch.tensor([0.0, 1.0]), 8.0, alphas)
    events = []
    still = Asset4D(planet(), None, mesh.metadata)
    green = extract_mesh(still, matrix, SMALL, events.append)
    assert isinstance(events[-1], StageFinished)
    assert green.deformation is None

    def color(found: Mesh4D, direction: list[float]) -> torch.Tensor:
        near = (found.vertices - 0.3 * torch.tensor(direction)).norm(dim=1).argmin()
        column, row = (found.uvs[near] * (SMALL.texture_size - 1)).round().long().tolist()
        return found.texture[row, column]

    torch.testing.assert_close(color(green, [1.0, 0, 0]), torch.tensor([0.1, 0.7, 0.1]), atol=0.1, rtol=0)
    torch.testing.assert_close(color(green, [0, 0, -1.0]), color(mesh, [0, 0, -1.0]), atol=0.1, rtol=0)


def test_settings_outside_their_ranges_are_refused():
    with pytest.raises(InputError, match="resolution must lie between 8 and 1024, not 2"):
        MeshSettings(resolution=2)


def test_gaps_in_a_texture_take_the_colours_around_them():
    total, weight = torch.zeros(16, 16, 1), torch.zeros(16, 16, 1)
    weight[:, :8], total[:, :8] = 2.0, 1.0
    weight[:, 8], total[:, 8] = 100.0, 90.0
    filled = fill_empty(total, weight)
    torch.testing.assert_close(filled[:, :8], torch.full((16, 8, 1), 0.5))
    assert bool(((filled >= 0.49) & (filled <= 0.91)).all())


def square_photo(image: torch.Tensor, size: int) -> tuple[Painted, Photo]:
    """A square before the camera that fills its picture, with the whole texture on it."""
    corners = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    vertices = torch.cat([corners, torch.ones(4, 1)], dim=1)
    triangles = torch.tensor([[0, 2, 1], [0, 3, 2]])
    K = torch.tensor([[size / 2, 0, size / 2], [0, size / 2, size / 2], [0, 0, 1.0]])
    photo = Photo(vertices, image, torch.ones(size, size), torch.eye(4), K, 1.0)
    return Painted(triangles, (corners + 1) / 2, torch.arange(4), 4 * size), photo


def test_a_fitted_texture_gives_the_picture_back():
    image = torch.rand(16, 16, 3, generator=torch.Generator().manual_seed(0))
    mesh, photo = square_photo(image, 16)
    texture = splat_photos(mesh, [photo])
    assert float((pooled(texture) - image).abs().mean()) > 0.01
    fitted = fit_texture(mesh, texture, [photo], 30)
    assert float((pooled(fitted) - image).abs().mean()) < 0.01


def pooled(texture: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(texture.permute(2, 0, 1), 4).permute(1, 2, 0)
