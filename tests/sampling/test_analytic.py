"""The sampler against closed forms, where the true joint distribution is known as well."""

import pytest
import torch

from diffusion2.config import SamplingSettings
from diffusion2.errors import InputError
from diffusion2.priors.gaussian import GaussianMatrix
from diffusion2.research.theorem.analytic_sampling import (
    Moments,
    draw_samples,
    largest_deviation,
    propagate,
)
from diffusion2.research.theorem.covariances import additive, correlation, separable
from diffusion2.research.theorem.sampling_tables import ROLLBACKS, Rollback, draw_known, statistics
from diffusion2.research.theorem.sampling_tables import make_schedule as schedule_of
from diffusion2.sampling.joint import JointSchedule
from diffusion2.sampling.schedule import karras_sigmas

VIEWS, FRAMES = 3, 4
WITHIN = 5.0  # standard errors; of about a hundred numbers none is further off by chance


def make_matrix(references: bool = True) -> GaussianMatrix:
    view, time = correlation(VIEWS + references, 2.0), correlation(FRAMES + references, 5.0)
    return GaussianMatrix(additive(view, time), references)


def make_schedule(rollback: Rollback, steps: int = 50, weight: float = 0.5) -> JointSchedule:
    sampling = SamplingSettings(steps=steps, sigma_max=700, rollback_steps=5, multiview_weight=weight)
    return schedule_of(sampling, VIEWS, rollback)


@pytest.mark.parametrize("references", [False, True])
@pytest.mark.parametrize("rollback", ROLLBACKS)
def test_4096_samples_have_the_moments_of_the_composed_sampler(rollback: Rollback, references: bool) -> None:
    matrix, schedule = make_matrix(references), make_schedule(rollback, weight=0.35)
    known = draw_known(matrix, seed=1)
    samples = draw_samples(matrix, schedule, known)
    assert samples.shape == (VIEWS * FRAMES, 4096)
    assert largest_deviation(samples, propagate(matrix, schedule), known) < WITHIN
    # the truth is something else: this is what composing costs
    assert largest_deviation(samples, Moments(*matrix.posterior()), known) > 3 * WITHIN


@pytest.mark.parametrize("references", [False, True])
def test_with_the_true_score_samples_have_the_true_mean_and_covariance(references: bool) -> None:
    # 1000 Euler steps: what is left of the discretisation is under the sampling error of 4096 samples
    matrix, schedule = make_matrix(references), make_schedule("none", steps=1000)
    known = draw_known(matrix, seed=2)
    samples = draw_samples(matrix, schedule, known, "joint")
    assert largest_deviation(samples, Moments(*matrix.posterior()), known) < WITHIN


def test_variance_reducing_rollbacks_scale_the_covariance_and_relate_no_cells() -> None:
    """Where rollbacks happen the priors see only noise, so they do the same as less noise to start from."""
    matrix, schedules = make_matrix(), [make_schedule(rollback) for rollback in ROLLBACKS]
    sigmas = schedules[0].sigmas.double()
    share = 1.0
    for ratio in (sigmas[1:6] / sigmas[:5]).tolist():
        share = share * ratio**2 + (1 - ratio) ** 2
    assert 0.3 < share < 0.35
    for composition in ("joint", "eq5"):
        without, reducing, preserving = (propagate(matrix, s, composition) for s in schedules)
        # 1 %: at sigma 270 and above the priors know 1e-5 of the latents
        assert torch.allclose(reducing.covariance, share * without.covariance, rtol=0.01, atol=1e-4)
        assert torch.allclose(preserving.covariance, without.covariance, rtol=0.01, atol=1e-4)
        assert torch.allclose(reducing.mean, without.mean, atol=1e-3)


def test_the_closed_form_is_that_of_euler_steps() -> None:
    schedule = JointSchedule(karras_sigmas(5), torch.full((5, VIEWS), 0.5), solver="dpmpp-2m")
    with pytest.raises(InputError, match="Euler"):
        propagate(make_matrix(), schedule)


def test_eq_5_loses_half_of_what_relates_neighbours_and_eq_3_keeps_it() -> None:
    view, time = correlation(6, 3.0), correlation(6, 3.0)
    matrix = GaussianMatrix(separable(view, time))
    schedule = JointSchedule(karras_sigmas(50), torch.full((50, 6), 0.5))
    truth = statistics(matrix.posterior()[1], 6, 6)
    composed, theorem = (statistics(propagate(matrix, schedule, c).covariance, 6, 6) for c in ("eq5", "eq3"))
    assert truth.view == pytest.approx(0.717, abs=1e-3)
    assert composed.view < 0.6 * truth.view
    assert composed.diagonal < 0.4 * truth.diagonal
    assert theorem.view == pytest.approx(truth.view, abs=0.02)
    assert theorem.diagonal == pytest.approx(truth.diagonal, abs=0.05)


def test_one_prior_of_a_matrix_serves_all_rows_or_is_refused() -> None:
    covariance = separable(torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double(), correlation(3, 2.0))
    matrix = GaussianMatrix(covariance)
    matrix.column_prior()
    with pytest.raises(InputError, match="rows of this Gaussian matrix differ"):
        matrix.row_prior()


def test_priors_of_rows_and_columns_are_those_that_the_scores_come_from() -> None:
    matrix, sigma = make_matrix(), 0.8
    prior, per_known = matrix.row_prior()
    z = torch.randn(len(matrix.ordered), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = z[: matrix.cells].view(VIEWS, FRAMES)
    means = z[matrix.cells : matrix.cells + VIEWS, None] * per_known
    denoised = prior.denoise(rows[:, :, None, None, None], sigma, means[:, :, None, None, None])
    scores = ((denoised[..., 0, 0, 0] - rows) / sigma**2).flatten()
    assert torch.allclose(scores, matrix.scores(sigma).rows @ z)
