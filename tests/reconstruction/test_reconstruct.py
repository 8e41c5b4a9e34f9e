from dataclasses import replace

import pytest
import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.config import ReconstructionSettings
from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.events import StageFinished, StageProgress, StageStarted, Warned
from diffusion2.gaussians import Gaussians, render
from diffusion2.gaussians.rasterize.gsplat import has_gsplat
from diffusion2.image_matrix import ImageMatrix
from diffusion2.reconstruction import reconstruct_matrix, stage
from diffusion2.reconstruction.canonical import thin_out

from .conftest import make_ball, moon_position

QUICK = replace(ReconstructionSettings(), warmup_iterations=80, joint_iterations=150, gaussians=600)
TINY = replace(QUICK, warmup_iterations=3, joint_iterations=3, gaussians=60)


def psnr(asset, matrix: ImageMatrix) -> float:
    errors = []
    for frame, time in enumerate(matrix.times.tolist()):
        pictures = render(asset, matrix.cameras, time).rgb.permute(0, 3, 1, 2)
        errors.append((pictures - matrix.images[:, frame]).square().mean())
    return float(-10 * torch.log10(torch.stack(errors).mean()))


@pytest.fixture(scope="module")
def matrix(moon_matrix):
    return moon_matrix(orbit(8, 10.0, height=64), 5)


@pytest.fixture(scope="module")
def between(moon_matrix):
    """The scene from azimuths halfway between the views, at twice as many times."""
    return moon_matrix(make_cameras(45.0 * torch.arange(8).numpy() + 22.5, 10.0, height=64), 9)


@pytest.fixture(scope="module")
def moving(matrix):
    return reconstruct_matrix(matrix, QUICK)


@pytest.fixture(scope="module")
def standing(matrix):
    return reconstruct_matrix(matrix, replace(QUICK, joint_iterations=0))


def test_reconstruction_looks_like_the_matrix(moving, matrix):
    assert psnr(moving, matrix) > 30


def test_reconstruction_holds_between_the_views_and_the_frames(moving, between):
    assert psnr(moving, between) > 28


def test_reconstruction_follows_the_motion(moving, standing, matrix, between):
    assert psnr(moving, matrix) > psnr(standing, matrix) + 5
    assert psnr(moving, between) > psnr(standing, between) + 4


def test_reconstruction_is_solid_in_the_middle_and_empty_around(moving, matrix):
    alpha = render(moving, matrix.cameras, 0.5).alpha
    assert float(alpha[:, 32, 32].min()) > 0.95
    assert float(alpha[:, :5].max()) < 0.02


def test_asset_knows_its_sequence_and_reference_camera(moving):
    wanted = {"fps": 8.0, "frames": 5, "views": 8, "azimuth_deg": 0.0, "elevation_deg": 10.0, "radius": 2.0}
    assert {key: getattr(moving.metadata, key) for key in wanted} == wanted
    assert not any(tensor.requires_grad for tensor in moving.gaussians.tensors().values())
    assert not any(parameter.requires_grad for parameter in moving.deformation.parameters())


def test_same_seed_gives_the_same_asset(matrix):
    first, second, other = (reconstruct_matrix(matrix, TINY, seed=seed) for seed in (3, 3, 4))
    for name, tensor in first.gaussians.tensors().items():
        # Threads add gradients in any order, and Adam makes much of small differences.
        torch.testing.assert_close(tensor, second.gaussians.tensors()[name], atol=1e-3, rtol=1e-3)
    assert not torch.allclose(first.gaussians.means, other.gaussians.means, atol=1e-3)


def test_reconstruction_reports_its_progress(matrix):
    events = []
    reconstruct_matrix(matrix, replace(TINY, warmup_iterations=10, joint_iterations=20), events.append)
    assert isinstance(events[0], StageStarted)
    assert isinstance(events[-1], StageFinished)
    done = [event.done for event in events if isinstance(event, StageProgress)]
    assert done == [0, 10, 20, 30]
    assert all(event.total == 30 for event in events if isinstance(event, StageProgress))
    assert "dynamics, loss" in events[-2].detail


@pytest.mark.parametrize(("views", "frames"), [(1, 1), (1, 4), (3, 1), (2, 2)])
def test_small_matrices_can_be_reconstructed(moon_matrix, views, frames):
    asset = reconstruct_matrix(moon_matrix(orbit(views, height=40, width=56), frames), TINY)
    assert (asset.deformation is None) == (frames == 1)
    assert torch.isfinite(asset.at(1.0).means).all()


def test_known_alphas_are_followed(moon_matrix):
    matrix = moon_matrix(orbit(4, height=32), 2, with_alpha=True)
    assert len(reconstruct_matrix(matrix, TINY).gaussians) > 0


def test_views_that_do_not_belong_together_are_warned_of(moon_matrix):
    matrix = moon_matrix(orbit(6, height=48), 1)
    images = matrix.images.clone()
    images[::2] = images[::2].roll(4, dims=-2)
    images[1::2] = images[1::2].roll(-4, dims=-2)
    events = []
    reconstruct_matrix(ImageMatrix(images, matrix.cameras, matrix.times, 8.0), TINY, events.append)
    assert any(isinstance(event, Warned) and "silhouettes" in event.message for event in events)


def test_all_white_matrix_is_refused(matrix):
    white = ImageMatrix(torch.ones_like(matrix.images), matrix.cameras, matrix.times, 8.0)
    with pytest.raises(InputError, match="white"):
        reconstruct_matrix(white, TINY)


# The corners of what is promised: 1 to 36 views, 1 to 100 frames, pictures that are not square.
@pytest.mark.parametrize(
    ("views", "frames", "size"),
    [(36, 2, (24, 24)), (2, 100, (24, 24)), (1, 1, (16, 90)), (3, 3, (90, 16)), (5, 4, (33, 47))],
)
def test_matrices_of_all_shapes_can_be_reconstructed(moon_matrix, views, frames, size):
    matrix = moon_matrix(orbit(views, height=size[0], width=size[1]), frames)
    asset = reconstruct_matrix(matrix, TINY)
    for time in (0.0, 0.31, 1.0):
        assert torch.isfinite(render(asset, matrix.cameras, time).rgb).all()


def test_pictures_without_the_object_are_left_out_with_a_warning(matrix):
    images = matrix.images.clone()
    images[2] = 1  # a view that saw nothing at all
    images[:, 3] = 1  # a frame that was lost
    events = []
    asset = reconstruct_matrix(ImageMatrix(images, matrix.cameras, matrix.times, 8.0), QUICK, events.append)
    (message,) = [event.message for event in events if isinstance(event, Warned)]
    assert "12 of the 40 pictures show nothing" in message
    # As good as with them, but for the missing pictures' share.
    assert psnr(asset, matrix) > 28


def test_one_view_is_reconstructed_with_a_warning(moon_matrix):
    matrix = moon_matrix(orbit(1, height=48), 3)
    events = []
    asset = reconstruct_matrix(matrix, QUICK, events.append)
    assert any(isinstance(event, Warned) and "one view" in event.message for event in events)
    # Each step sees one picture only, so 230 of them get less far than they do with more views.
    assert psnr(asset, matrix) > 20


def test_broken_pictures_are_refused(matrix):
    images = matrix.images.clone()
    images[4, 1, 0, 3, 3] = float("inf")
    with pytest.raises(InputError, match="view 4, frame 1"):
        reconstruct_matrix(ImageMatrix(images, matrix.cameras, matrix.times, 8.0), TINY)


def test_motion_that_diverges_leaves_what_was_good(matrix):
    """A learning rate of a thousand times the usual: the asset still shows the object."""
    wild = replace(QUICK, deformation_rate=1.0, last_deformation_rate=1.0)
    asset = reconstruct_matrix(matrix, wild)
    assert torch.isfinite(asset.at(0.7).means).all()


def test_a_gpu_that_is_not_there_is_refused(matrix, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendUnavailable, match="needs a GPU"):
        reconstruct_matrix(matrix, replace(TINY, device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(stage, "has_gsplat", lambda: False)
    with pytest.raises(BackendUnavailable, match="gsplat"):
        reconstruct_matrix(matrix, replace(TINY, device="cuda"))


@pytest.mark.skipif(
    not (torch.cuda.is_available() and has_gsplat()),
    reason="needs an NVIDIA GPU and gsplat: pip install 'diffusion2[cuda]'",
)
def test_reconstruction_on_a_gpu_is_as_good_as_on_the_cpu(matrix, moving):
    asset = reconstruct_matrix(matrix, replace(QUICK, device="cuda"))
    assert psnr(asset, matrix) > psnr(moving, matrix) - 1


def test_it_may_begin_with_gaussians_that_are_about_right(matrix):
    """The planet and the moon: of few iterations from there more comes than from the hull."""
    planet, moon = make_ball(300, 0.2, 0), make_ball(100, 0.09, 1)
    moon = replace(moon, means=moon.means + moon_position(0.0))
    both = zip(planet.tensors().values(), moon.tensors().values(), strict=True)
    known = Gaussians(*(torch.cat(pair) for pair in both))
    few = replace(QUICK, warmup_iterations=10, joint_iterations=0)
    still = replace(matrix[:, 0], reference_frame=0)
    begun = reconstruct_matrix(still, replace(few, first_gaussians=1.0), start=known)
    assert psnr(begun, still) > psnr(reconstruct_matrix(still, few), still) + 3


def test_gaussians_follow_a_generated_video_at_their_own_rate(matrix):
    frozen = replace(TINY, generated_canonical_rate=0.0)
    one_frame = reconstruct_matrix(matrix, replace(frozen, joint_iterations=0))

    def follows(settings, video_given):
        asset = reconstruct_matrix(matrix, settings, video_given=video_given)
        return not torch.allclose(asset.gaussians.sh0, one_frame.gaussians.sh0, atol=1e-3)

    assert not follows(frozen, video_given=False)
    assert follows(frozen, video_given=True)
    assert follows(TINY, video_given=False)


def test_gaussians_that_are_thinned_out_cover_the_same_and_are_the_opaque_ones():
    ball = make_ball(400, 0.2, 0)
    hidden = replace(ball, opacity_logits=torch.where(torch.arange(400) < 200, -12.0, 3.0))
    few = thin_out(hidden, 100, torch.Generator().manual_seed(0))
    assert len(few) == 100
    assert (few.opacities > 0.5).all()
    assert torch.allclose(few.scales, 2 * ball.scales[:100])
    assert thin_out(ball, 400, torch.Generator()) is ball
