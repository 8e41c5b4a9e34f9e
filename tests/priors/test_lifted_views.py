"""What a multi-view network is shown of what the lifter makes."""

import math

import pytest
import torch
import torch.nn.functional as F

from diffusion2.cameras import make_cameras, orbit
from diffusion2.priors.lifted_views import (
    DEPTH_CHANNELS,
    DEPTH_REACH,
    guess_orbits,
    lifted_channels,
    lifted_views,
    sees_lifted,
)
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.lifting import straight

SIZE, FACTOR = 32, 8


@pytest.fixture
def lifter() -> Lifter:
    torch.manual_seed(0)
    tiny = {"block_out_channels": (16, 32), "layers_per_block": 1, "transformer_layers": 1}
    return Lifter(sample_size=SIZE, attention_head_dim=16, **tiny).eval()


def means(pictures: torch.Tensor) -> torch.Tensor:
    """Latents that are mean colours less white, and mean alphas."""
    return F.avg_pool2d(pictures - torch.tensor([1.0, 1, 1, 0]).view(4, 1, 1), FACTOR)


def a_box() -> torch.Tensor:
    """White, on white."""
    picture = torch.ones(1, 4, SIZE, SIZE)
    picture[:, 3] = 0
    picture[:, 3, 8:24, 12:20] = 1
    return picture


def test_views_are_those_of_a_thing_that_stands_where_the_picture_shows_it(lifter: Lifter) -> None:
    cameras = orbit(4, 10.0, height=SIZE)
    views = lifted_views(lifter, means, a_box(), cameras)[0]
    assert views.shape == (4, 4 + DEPTH_CHANNELS, 4, 4)
    own = means(a_box())[0, 3]
    # an untrained lifter's Gaussians blur what they show: by much less than a latent
    assert (views[-1, 3] - own).abs().mean() < 0.15
    assert views[:, 3, 1:3, 1:3].min() > 0.1  # a white thing is seen from all sides


def test_depth_is_behind_the_middle_and_nothing_where_nothing_is(lifter: Lifter) -> None:
    cameras = orbit(4, 0.0, height=SIZE)
    views = lifted_views(lifter, means, a_box(), cameras)[0]
    depths = views[-1, 4:]
    # the front layer of an untrained lifter is what is seen: 0.12 before the middle
    middle = depths[:, 1:3, 1:3].mean() / views[-1, 3, 1:3, 1:3].mean()
    assert float(middle) == pytest.approx(-0.12 / DEPTH_REACH, abs=0.06)
    assert not depths[:, :, 0].any()


def test_a_picture_that_shows_nothing_gives_nothing_and_others_are_the_same_beside_it(lifter: Lifter) -> None:
    cameras, empty = orbit(3, height=SIZE), torch.ones(1, 4, SIZE, SIZE)
    empty[:, 3] = 0
    both = lifted_views(lifter, means, torch.cat([empty, a_box()]), cameras)
    assert not both[0].any()
    assert torch.allclose(both[1], lifted_views(lifter, means, a_box(), cameras)[0], atol=1e-2)  # bfloat16


def test_azimuths_count_from_the_last_camera(lifter: Lifter) -> None:
    turned = make_cameras([130.0, 40.0], 5.0, height=SIZE)
    views = lifted_views(lifter, means, a_box(), turned)
    assert torch.allclose(
        views, lifted_views(lifter, means, a_box(), make_cameras([90.0, 0.0], 5.0, height=SIZE)), atol=1e-4
    )


def test_pictures_of_another_size_are_lifted_too(lifter: Lifter) -> None:
    large = F.interpolate(a_box(), scale_factor=2.0)
    views = lifted_views(lifter, means, large, orbit(4, 10.0, height=2 * SIZE))[0]
    assert views.shape[-2:] == (8, 8)
    small = lifted_views(lifter, means, a_box(), orbit(4, 10.0, height=SIZE))[0]
    assert (
        F.avg_pool2d(views[:, 3:4], 2) - small[:, 3:4]
    ).abs().mean() < 0.03  # the rasteriser's blur differs


def test_straight_colours_are_found_again() -> None:
    colours = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    alpha = torch.full((2, 1, SIZE, SIZE), 0.25)
    shown = torch.cat([colours * alpha + 1 - alpha, alpha], 1)
    assert torch.allclose(straight(shown, SIZE), torch.cat([colours, alpha], 1), atol=1e-5)


def test_the_number_of_channels_says_that_a_network_sees_them() -> None:
    assert sees_lifted({"in_channels": lifted_channels(24), "out_channels": 24})
    assert not sees_lifted({"in_channels": 112, "out_channels": 24})  # as version 2's
    assert not sees_lifted({"in_channels": 8, "out_channels": 4})  # the picture alone
    assert DEPTH_CHANNELS == math.isqrt(DEPTH_CHANNELS) ** 2


def test_a_guess_is_what_is_drawn_and_alpha_is_estimated_where_pictures_have_none(lifter: Lifter) -> None:
    cameras, box = orbit(4, 10.0, height=SIZE), a_box()
    box[:, :3] = 1 - box[:, 3:] * torch.tensor([0.2, 0.6, 0.9]).view(3, 1, 1)
    guess = guess_orbits(lifter, means, box, cameras)
    assert torch.equal(guess, lifted_views(lifter, means, box, cameras)[:, :, :-DEPTH_CHANNELS])

    def colours(pictures: torch.Tensor) -> torch.Tensor:
        assert pictures.shape[1] == 3
        return F.avg_pool2d(pictures - 1, FACTOR)

    without = guess_orbits(lifter, colours, box[:, :3], cameras)
    assert without.shape == (1, 4, 3, 4, 4)
    assert torch.allclose(without, guess[:, :, :3], atol=1e-5)
