"""The small formulas around the network."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion2.errors import InputError
from diffusion2.priors.edm import scalings
from diffusion2.priors.embeddings import orbit_vector, sinusoids, video_vector
from diffusion2.priors.guidance import Guidance, constant_scale, linear_scale, triangle_scale


@given(st.floats(1e-3, 1e3))
def test_scalings_give_unit_variance_to_the_input_and_to_what_the_network_learns(sigma: float) -> None:
    c_skip, c_out, c_in, c_noise = (float(s) for s in scalings(torch.tensor(sigma, dtype=torch.float64)))
    assert math.isclose(c_in**2 * (1 + sigma**2), 1, rel_tol=1e-9)
    # the target (x0 - c_skip·(x0 + sigma·n)) / c_out has variance 1 where x0 and n have
    variance = ((1 - c_skip) ** 2 + (c_skip * sigma) ** 2) / c_out**2
    assert math.isclose(variance, 1, rel_tol=1e-9)
    assert math.isclose(c_noise, math.log(sigma) / 4, rel_tol=1e-9, abs_tol=1e-12)


def test_scalings_are_those_of_v_prediction() -> None:
    c_skip, c_out, _, _ = scalings(torch.tensor([0.5, 2.0]))
    assert torch.allclose(c_skip, torch.tensor([0.8, 0.2]))
    assert torch.allclose(c_out, torch.tensor([-0.5, -2.0]) / torch.tensor([1.25, 5.0]).sqrt())


@pytest.mark.parametrize("length", [1, 2, 5, 12, 21])
def test_scales_have_the_length_ends_and_top_they_should(length: int) -> None:
    assert linear_scale(length, 1.5, 3.0)[0] == 1.5
    assert linear_scale(length, 1.5, 3.0).shape == constant_scale(length, 2.0).shape == (length,)
    triangle = triangle_scale(length, 1.0, 2.5)
    assert triangle.shape == (length,)
    assert torch.allclose(triangle, triangle.flip(0))
    assert triangle.min() >= 1
    assert triangle.max() <= 2.5
    if length % 2 and length > 1:
        assert triangle[length // 2] == 2.5
        assert triangle[0] == 1


def test_guidance_moves_each_image_by_its_own_scale() -> None:
    conditional, unconditional = torch.randn(2, 3, 1, 2, 2), torch.randn(2, 3, 1, 2, 2)
    guided = Guidance(torch.tensor([0.0, 1.0, 2.0])).combine(conditional, unconditional)
    assert torch.allclose(guided[:, 0], unconditional[:, 0])
    assert torch.allclose(guided[:, 1], conditional[:, 1])
    assert torch.allclose(guided[:, 2], 2 * conditional[:, 2] - unconditional[:, 2])


@pytest.mark.parametrize("levels", [(2.0, 1.0), (-1.0, 1.0), (math.nan, 1.0)])
def test_guidance_that_never_acts_is_refused(levels) -> None:
    with pytest.raises(InputError, match="sigma_low must lie between 0 and"):
        Guidance(torch.ones(2), *levels)


def test_guidance_is_left_out_where_it_changes_nothing() -> None:
    assert not Guidance(torch.ones(4)).acts_at(1.0)
    assert Guidance(torch.tensor([1.0, 1.1])).acts_at(1.0)
    limited = Guidance(torch.full((4,), 2.0), sigma_low=0.5, sigma_high=10)
    assert [limited.acts_at(sigma) for sigma in (0.1, 0.5, 3.0, 10.0, 11.0)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_sinusoids_are_cosines_then_sines() -> None:
    embedded = sinusoids(torch.tensor([0.0, 2.0]), 4)
    assert torch.allclose(embedded[0], torch.tensor([1.0, 1.0, 0.0, 0.0]))
    expected = [math.cos(2), math.cos(0.02), math.sin(2), math.sin(0.02)]
    assert torch.allclose(embedded[1], torch.tensor(expected))


@pytest.mark.parametrize("width", [64, 256])
def test_vectors_have_any_width(width: int) -> None:
    assert video_vector(24, 127, 0.02, width).shape == (1, 3 * width)
    angles = torch.linspace(0, 6, 7)
    vector = orbit_vector(angles, angles, 1e-5, width)
    assert vector.shape == (7, 5 * width)
    assert torch.equal(vector[:, :width], vector[:1, :width].expand(7, -1))
    assert not torch.equal(vector[0], vector[1])


@given(st.integers(-720 * 4, 720 * 4), st.integers(-3, 3))
def test_whole_turns_of_azimuth_do_not_count(quarters: int, turns: int) -> None:
    azimuth = math.radians(quarters / 4)
    both = torch.tensor([azimuth, azimuth + 2 * math.pi * turns], dtype=torch.float64)
    here, there = orbit_vector(torch.zeros(2), both, 0.0)
    # The sum above is rounded, and what it is rounded to may lie on either side of a step of float32.
    torch.testing.assert_close(here, there, atol=1e-6, rtol=0)


@pytest.mark.parametrize("views", [1, 4, 12, 21, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_azimuths_of_an_orbit_are_told_as_they_are(views: int, dtype: torch.dtype) -> None:
    degrees = 360.0 * torch.arange(1, views + 1, dtype=torch.float64) / views
    for azimuths in (degrees.deg2rad().to(dtype), 2 * torch.pi * torch.arange(1, views + 1) / views):
        vector = orbit_vector(torch.zeros(views), azimuths, 0.0, 64)
        assert torch.equal(vector[:, -128:], sinusoids(azimuths, 128))


def test_the_reference_view_stands_at_a_full_turn() -> None:
    zero, full = orbit_vector(torch.zeros(2), torch.tensor([0.0, 2 * math.pi]), 0.0, 64)
    assert torch.equal(zero, full)
    assert torch.equal(full[-128:], sinusoids(torch.tensor(2 * math.pi), 128))
