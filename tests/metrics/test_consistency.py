import pytest
import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.metrics.consistency import frame_changes, silhouette_agreement, temporal_errors

VIEWS, SIZE = 8, 64


def silhouettes(cameras, balls):
    """Return (V, 1, H, W) masks of balls (x, y, z, radius): a line of sight that comes close enough hits."""
    rows, columns = torch.meshgrid(torch.arange(cameras.height), torch.arange(cameras.width), indexing="ij")
    pixels = torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(rows)], dim=-1).double()
    masks = []
    for k in range(len(cameras)):
        rays = (
            pixels @ torch.as_tensor(cameras.Ks[k]).inverse().T @ torch.as_tensor(cameras.viewmats[k])[:3, :3]
        )
        rays = rays / rays.norm(dim=-1, keepdim=True)
        hit = torch.zeros(rays.shape[:2], dtype=torch.bool)
        for *centre, radius in balls:
            to = torch.tensor(centre, dtype=torch.float64) - torch.as_tensor(cameras.positions[k])
            hit |= (to - (rays @ to)[..., None] * rays).norm(dim=-1) < radius
        masks.append(hit)
    return torch.stack(masks)[:, None].float()


CREATURE = [(0, 0, 0, 0.2), (0.25, 0.1, 0.1, 0.1), (-0.1, -0.3, -0.1, 0.08)]
MOVED = [(0, 0, 0, 0.2), (0.1, 0.25, 0.15, 0.1), (-0.25, -0.1, -0.2, 0.08)]


@pytest.fixture
def cameras():
    return orbit(VIEWS, 10.0, height=SIZE)


def test_silhouettes_of_one_object_explain_each_other(cameras):
    agreement = silhouette_agreement(silhouettes(cameras, CREATURE), cameras)
    assert agreement.shape == (VIEWS,)
    # Lines of sight are sampled a pixel apart: a rim of one pixel may be missed.
    assert agreement.min() > 0.99


@pytest.mark.parametrize("size", [(48, 64), (200, 150)])
def test_pictures_need_be_neither_square_nor_small(size):
    cameras = orbit(VIEWS, 10.0, height=size[0], width=size[1])
    assert silhouette_agreement(silhouettes(cameras, CREATURE), cameras).min() > 0.99


def test_a_limb_that_is_elsewhere_in_one_view_is_not_explained(cameras):
    masks = silhouettes(cameras, CREATURE)
    masks[3] = silhouettes(cameras, MOVED)[3]
    agreement = silhouette_agreement(masks, cameras)
    assert agreement[3] < 0.97
    assert agreement[3] == agreement.min()


def test_the_measure_ranks_matrices_by_how_many_views_move_on_their_own(cameras):
    still, moved = silhouettes(cameras, CREATURE), silhouettes(cameras, MOVED)
    means = []
    for count in (0, 1, 2, 4):
        masks = torch.cat([moved[:count], still[count:]])
        means.append(float(silhouette_agreement(masks, cameras).mean()))
    assert means == sorted(means, reverse=True)
    assert means[0] - means[-1] > 0.1


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("mirrored orbit", lambda masks: masks.flip(0)),
        ("two views exchanged", lambda masks: masks[[1, 0, *range(2, VIEWS)]]),
        ("a view twice", lambda masks: masks[[0, 1, 2, 2, *range(4, VIEWS)]]),
    ],
)
def test_views_in_wrong_places_are_noticed(cameras, name, spoil):
    masks = silhouettes(cameras, CREATURE)
    truth = silhouette_agreement(masks, cameras).mean()
    assert silhouette_agreement(spoil(masks), cameras).mean() < truth - 0.02, name


def test_cameras_at_another_elevation_are_noticed(cameras):
    masks = silhouettes(cameras, CREATURE)
    wrong = make_cameras(cameras.azimuths_deg, -20.0, height=SIZE)
    assert silhouette_agreement(masks, wrong).mean() < silhouette_agreement(masks, cameras).mean() - 0.02


def test_one_empty_view_leaves_nothing_explained(cameras):
    masks = silhouettes(cameras, CREATURE)
    masks[2] = 0
    assert silhouette_agreement(masks, cameras).max() == 0


def test_there_is_no_agreement_of_nothing_and_of_one_view(cameras):
    masks = silhouettes(cameras, CREATURE)
    assert silhouette_agreement(torch.zeros_like(masks), cameras).isnan().all()
    assert silhouette_agreement(masks[:1], cameras[0]).isnan().all()


@pytest.fixture
def clip():
    """A square that moves to the right by two pixels a frame, (4, 3, 16, 16), and where it is."""
    masks = torch.zeros(4, 1, 16, 16)
    for frame in range(4):
        masks[frame, :, 4:10, 2 + 2 * frame : 8 + 2 * frame] = 1
    return 1 - masks.repeat(1, 3, 1, 1) * torch.tensor([0.8, 0.5, 0.2])[:, None, None], masks


def test_a_perfect_clip_has_no_temporal_error(clip):
    images, masks = clip
    assert torch.equal(temporal_errors(images, images, masks), torch.zeros(3))


def test_a_constant_offset_is_no_temporal_error_but_flicker_is(clip):
    images, masks = clip
    offset = images - 0.1
    # the differences are those of the reference but for rounding
    assert temporal_errors(offset, images, masks).max() < 1e-6
    flicker = images.clone()
    flicker[1::2] -= 0.1
    torch.testing.assert_close(temporal_errors(flicker, images, masks), torch.full((3,), 0.1))


def test_a_clip_that_stands_still_gets_the_references_own_changes(clip):
    images, masks = clip
    still = images[:1].expand_as(images)
    errors = temporal_errors(still, images, masks)
    # two of eight columns appear and two vanish, each by 0.5 in the mean over the channels
    torch.testing.assert_close(errors, torch.full((3,), 0.5 * 4 / 8))
    assert torch.equal(frame_changes(still), torch.zeros(3))


def test_frame_changes_grow_with_the_speed(clip):
    images, _ = clip
    assert frame_changes(images[[0, 2]]).item() == pytest.approx(2 * frame_changes(images)[0].item())


def test_without_an_object_there_is_no_temporal_error(clip):
    images, masks = clip
    assert temporal_errors(images, images, 0 * masks).isnan().all()
