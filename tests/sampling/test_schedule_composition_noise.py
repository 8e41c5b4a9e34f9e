"""Noise levels, weights, and noise that belongs to its cell."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion2.config import SamplingSettings
from diffusion2.errors import InputError
from diffusion2.sampling.composition import multiview_weights, view_factor
from diffusion2.sampling.noise import CellNoise
from diffusion2.sampling.schedule import karras_sigmas


@given(st.integers(2, 60), st.floats(1e-3, 0.1), st.floats(1, 1000), st.floats(1, 10))
def test_noise_levels_fall_between_their_ends_and_stop_at_zero(
    steps: int, low: float, high: float, rho: float
) -> None:
    sigmas = karras_sigmas(steps, low, high, rho)
    assert len(sigmas) == steps + 1
    assert sigmas[0] == pytest.approx(high, rel=1e-6)
    assert sigmas[-2] == pytest.approx(low, rel=1e-6)
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


def test_one_step_goes_from_the_top_to_zero() -> None:
    assert karras_sigmas(1, sigma_max=80).tolist() == [80, 0]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"sigma_min": 0.0}, {"sigma_min": 3, "sigma_max": 2}])
def test_impossible_schedules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        karras_sigmas(**{"steps": 5, **wrong})


@pytest.mark.parametrize("form", ["constant", "linear", "cosine", "logistic"])
def test_weights_go_from_the_first_to_the_last(form: str) -> None:
    settings = SamplingSettings(
        steps=11, multiview_weight=0.9, last_multiview_weight=0.1, weight_schedule=form
    )
    weights = multiview_weights(settings, 3)
    assert weights.shape == (11, 3)
    assert torch.equal(weights[:, 0], weights[:, 2])
    assert weights[0, 0] == pytest.approx(0.9)
    assert weights[-1, 0] == pytest.approx(0.9 if form == "constant" else 0.1)
    assert (weights[:, 0].diff() <= 0).all()
    middle = 0.9 if form == "constant" else 0.5
    assert weights[5, 0] == pytest.approx(middle)


def test_weights_keep_their_first_value_unless_another_is_given() -> None:
    settings = SamplingSettings(steps=4, rollback_steps=0, multiview_weight=0.3, weight_schedule="cosine")
    assert torch.allclose(multiview_weights(settings, 2), torch.full((4, 2), 0.3))


def test_view_factor_is_full_at_the_reference_and_smallest_at_the_sides() -> None:
    factor = view_factor(12)
    assert factor[11] == pytest.approx(1)
    assert factor[5] == pytest.approx(1)
    assert factor[2] == pytest.approx(0.25)
    settings = SamplingSettings(steps=2, rollback_steps=0, multiview_weight=0.6, view_factor=True)
    weights = multiview_weights(settings, 12)[0]
    assert weights[11] == pytest.approx(0.6)
    assert weights[2] == pytest.approx(0.75 + 0.25 * 0.6)


def test_a_cell_has_the_same_noise_in_every_matrix() -> None:
    small = CellNoise(7, (2, 3, 4, 5, 5))(1)
    large = CellNoise(7, (6, 8, 4, 5, 5))(1)
    assert torch.equal(small, large[:2, :3])
    assert torch.equal(small[1, 2], torch.from_numpy(CellNoise(7, (9, 9, 4, 5, 5)).cell(1, 2, 1)))


@given(st.integers(0, 2**63 - 1), st.integers(0, 20), st.integers(0, 20), st.integers(0, 60))
def test_seed_stream_view_frame_and_draw_each_change_the_noise(
    seed: int, view: int, frame: int, draw: int
) -> None:
    shape = (1, 1, 1, 2, 2)
    here = CellNoise(seed, shape).cell(view, frame, draw)
    others = [
        CellNoise(seed + 1, shape).cell(view, frame, draw),
        CellNoise(seed, shape, stream=1).cell(view, frame, draw),
        CellNoise(seed, shape).cell(view + 1, frame, draw),
        CellNoise(seed, shape).cell(view, frame + 1, draw),
        CellNoise(seed, shape).cell(view, frame, draw + 1),
        CellNoise(seed, shape).cell(frame, view + 1, draw),
    ]
    assert np.array_equal(here, CellNoise(seed, shape).cell(view, frame, draw))
    assert not any(np.array_equal(here, other) for other in others)


def test_noise_is_unit_gaussian_and_cells_are_independent() -> None:
    noise = CellNoise(3, (6, 6, 4, 16, 16))(0).double().flatten(2).flatten(0, 1)  # 36 cells of 1024
    assert abs(float(noise.mean())) < 4 / noise.numel() ** 0.5
    covariance = noise @ noise.T / noise.shape[1]
    # entries of a sample covariance of 1024 draws: standard deviation 1/32 (diagonal: 1/22)
    assert (covariance - torch.eye(36)).abs().max() < 5 / 22
