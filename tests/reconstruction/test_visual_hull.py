import pytest
import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import InputError
from diffusion2.reconstruction.visual_hull import carve, project_points, scatter_gaussians


def ball_masks(cameras, center=(0.0, 0.0, 0.0), radius=0.25):
    """Silhouettes of a ball: the pixels whose rays pass within its radius."""
    rows, columns = torch.meshgrid(
        torch.arange(cameras.height) + 0.5, torch.arange(cameras.width) + 0.5, indexing="ij"
    )
    masks = []
    for viewmat, K in zip(cameras.viewmats, cameras.Ks, strict=True):
        rays = torch.stack(
            [(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], torch.ones_like(rows)], dim=-1
        )
        rays = torch.nn.functional.normalize(rays, dim=-1)
        at = torch.as_tensor(viewmat[:3, :3] @ torch.tensor(center).double().numpy() + viewmat[:3, 3]).float()
        nearest = (rays @ at)[..., None] * rays
        masks.append(((nearest - at).norm(dim=-1) < radius).float()[None])
    return torch.stack(masks)


@pytest.mark.parametrize("size", [(48, 48), (48, 64)])
def test_hull_of_a_ball_is_little_larger_than_the_ball(size):
    cameras = orbit(12, 10.0, height=size[0], width=size[1])
    hull = carve(ball_masks(cameras), cameras)
    distances = hull.centres.norm(dim=1)
    volume = len(hull.centres) * hull.cell**3 / (4 / 3 * torch.pi * 0.25**3)
    # Grown by a pixel (0.026 here), and pointed above and below, where a ring of cameras doesn't see.
    assert 1.0 < volume < 1.7
    assert float(distances.max()) < 0.40
    assert hull.ignored_views == 0
    assert hull.covered > 0.97


def test_hull_ignores_a_view_that_contradicts_the_others():
    cameras = orbit(12, 10.0, height=48)
    masks = ball_masks(cameras)
    masks[3] = masks[3].roll(20, dims=-1)
    hull = carve(masks, cameras)
    assert hull.ignored_views == 1
    assert hull.covered > 0.95


def test_hull_leaves_out_views_that_show_nothing():
    cameras = orbit(12, 10.0, height=48)
    masks = ball_masks(cameras)
    masks[3] = 0
    assert carve(masks, cameras).covered > 0.97


@pytest.mark.parametrize("views", [1, 2])
def test_hull_of_few_views_is_no_deeper_than_wide(views):
    cameras = make_cameras([0.0, 180.0][:views], 0.0, height=48)
    hull = carve(ball_masks(cameras), cameras)
    # Grown by a pixel of 0.026 and rounded to cells of 0.022.
    assert 0.25 < float(hull.centres[:, 0].abs().max()) < 0.33
    assert 0.25 < float(hull.centres[:, 1].abs().max()) < 0.33


def test_views_without_an_object_are_refused():
    with pytest.raises(InputError, match="all white"):
        carve(torch.zeros(4, 1, 32, 32), orbit(4, height=32))


def test_views_without_a_common_object_are_refused():
    cameras = make_cameras([0, 90], 0.0, height=32)
    masks = torch.zeros(2, 1, 32, 32)
    masks[0, :, 2:8, 2:8] = masks[1, :, 24:30, 2:8] = 1
    with pytest.raises(InputError, match="no common object"):
        carve(masks, cameras)


def test_gaussians_start_inside_the_hull_in_the_colours_of_their_side(moon_matrix):
    cameras = orbit(8, 10.0, height=48)
    matrix = moon_matrix(cameras, 1, with_alpha=True)
    assert matrix.alphas is not None
    hull = carve(matrix.alphas[:, 0], cameras)
    generator = torch.Generator().manual_seed(0)
    gaussians = scatter_gaussians(hull, matrix.images[:, 0], cameras, 500, generator)
    assert len(gaussians) == 500
    away = torch.cdist(gaussians.means, hull.centres).amin(1)
    assert float(away.max()) <= hull.cell * 3**0.5 / 2 + 1e-6
    # The planet's red grows along x and its green along y.
    outside = gaussians.means.norm(dim=1).sub(0.2).abs() < 0.04
    red, green = gaussians.colors[outside, 0], gaussians.colors[outside, 1]
    x, y = gaussians.means[outside, 0], gaussians.means[outside, 1]
    assert float(torch.corrcoef(torch.stack([red, x]))[0, 1]) > 0.8
    assert float(torch.corrcoef(torch.stack([green, y]))[0, 1]) > 0.8


def test_points_project_as_the_camera_says():
    cameras = make_cameras([30.0], 20.0, height=64, width=80)
    pixels, depths = project_points(torch.zeros(1, 3), cameras, 0)
    torch.testing.assert_close(pixels, torch.tensor([[40.0, 32.0]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(depths, torch.tensor([2.0]), atol=1e-5, rtol=0)


def test_what_a_camera_did_not_see_contradicts_nothing():
    """Half of one picture is missing; without that being known, half of the ball would be carved away."""
    cameras = orbit(8, height=64)
    masks, seen = ball_masks(cameras), torch.ones(8, 1, 64, 64, dtype=torch.bool)
    whole = carve(masks, cameras)
    masks[2, :, :, 32:], seen[2, :, :, 32:] = 0, False
    hull = carve(masks, cameras, seen)
    assert hull.ignored_views == 0
    assert len(hull.centres) >= len(whole.centres)
