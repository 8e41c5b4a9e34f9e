"""Algorithm 1 with priors whose answers are known in closed form."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from diffusion2.config import SamplingSettings
from diffusion2.errors import InputError, NumericalError
from diffusion2.priors.gaussian import GaussianPrior
from diffusion2.sampling.composition import multiview_weights
from diffusion2.sampling.joint import JointSchedule, State, compose, sample_joint
from diffusion2.sampling.noise import CellNoise
from diffusion2.sampling.parallel import Sequences, Workers
from diffusion2.sampling.schedule import karras_sigmas

VIEWS, FRAMES, SIDE = 3, 4, 64  # 4096 independent samples, one per pixel


def correlation(length: int, neighbours: float) -> Tensor:
    index = torch.arange(length)
    return neighbours ** (index[:, None] - index).abs().double()


@dataclass(frozen=True)
class GaussianMatrix:
    """Two Gaussian priors over one matrix, and what sampling from them must give."""

    mean: Tensor
    video: GaussianPrior
    multiview: GaussianPrior

    @property
    def rows(self) -> Sequences:
        return Sequences(self.video, self._condition(self.mean))

    @property
    def columns(self) -> Sequences:
        return Sequences(self.multiview, self._condition(self.mean.T))

    @staticmethod
    def _condition(mean: Tensor) -> Tensor:
        return mean.float()[:, :, None, None, None].expand(-1, -1, 1, SIDE, SIDE)

    def expected(self, schedule: JointSchedule) -> tuple[Tensor, Tensor]:
        """Propagate mean and covariance of the (V·F) cells through the steps, in float64."""
        cells = self.mean.numel()
        identity = torch.eye(cells, dtype=torch.float64)
        sigmas = schedule.sigmas.double()
        offset = -self.mean.flatten()
        covariance = (1 + sigmas[0] ** 2) * identity
        for i, (sigma, below) in enumerate(pairwise(sigmas)):
            weight = schedule.weights[i].double().repeat_interleave(FRAMES)[:, None]
            by_rows = torch.kron(torch.eye(VIEWS).double(), self.video.gain(float(sigma)))
            by_columns = torch.kron(self.multiview.gain(float(sigma)), torch.eye(FRAMES).double())
            estimate = (1 - weight) * by_rows + weight * by_columns
            step = identity + (below - sigma) / sigma * (identity - estimate)
            offset, covariance = step @ offset, step @ covariance @ step.T
            if i < schedule.rollback_steps:
                covariance = covariance + (sigma - below) ** 2 * identity
                offset, covariance = step @ offset, step @ covariance @ step.T
        return self.mean.flatten() + offset, covariance


@pytest.fixture
def matrix() -> GaussianMatrix:
    return GaussianMatrix(
        mean=torch.linspace(-1, 1, VIEWS * FRAMES, dtype=torch.float64).view(VIEWS, FRAMES),
        video=GaussianPrior(correlation(FRAMES, 0.8)),
        multiview=GaussianPrior(0.5 * correlation(VIEWS, 0.6)),
    )


def noise(seed: int = 0) -> CellNoise:
    return CellNoise(seed, (VIEWS, FRAMES, 1, SIDE, SIDE))


def make_schedule(steps: int, weight: float | Tensor, rollback_steps: int = 0) -> JointSchedule:
    weights = torch.as_tensor(weight, dtype=torch.float32).expand(steps, VIEWS)
    return JointSchedule(karras_sigmas(steps, sigma_max=80), weights, rollback_steps)


def assert_moments(samples: Tensor, mean: Tensor, covariance: Tensor) -> None:
    """Compare with what pixels of (V, F, 1, SIDE, SIDE) show, at 5 standard errors."""
    values = samples.double().flatten(2).flatten(0, 1)
    count, variance = values.shape[1], covariance.diagonal()
    assert ((values.mean(1) - mean).abs() <= 5 * (variance / count).sqrt()).all()
    centred = values - mean[:, None]
    error = ((variance[:, None] * variance + covariance**2) / count).sqrt()
    assert ((centred @ centred.T / count - covariance).abs() <= 5 * error).all()


@pytest.mark.parametrize("rollback_steps", [0, 5])
@pytest.mark.parametrize("weight", [0.0, 0.35, 1.0])
def test_samples_have_the_mean_and_covariance_of_the_algorithm(
    weight: float, rollback_steps: int, matrix: GaussianMatrix
) -> None:
    schedule = make_schedule(25, weight, rollback_steps)
    samples = sample_joint(matrix.rows, matrix.columns, noise(), schedule, Workers(8))
    assert_moments(samples, *matrix.expected(schedule))


def test_weights_per_view_are_those_of_the_algorithm(matrix: GaussianMatrix) -> None:
    schedule = make_schedule(25, torch.tensor([0.2, 0.5, 0.9]), 3)
    samples = sample_joint(matrix.rows, matrix.columns, noise(), schedule, Workers(8))
    assert_moments(samples, *matrix.expected(schedule))


def test_one_prior_alone_gives_its_own_distribution(matrix: GaussianMatrix) -> None:
    # 400 Euler steps: what is left of the discretisation is under the test's sampling error
    samples = sample_joint(matrix.rows, None, noise(), make_schedule(400, 0.0), Workers(8))
    assert_moments(
        samples, matrix.mean.flatten(), torch.kron(torch.eye(VIEWS).double(), matrix.video.covariance)
    )
    samples = sample_joint(None, matrix.columns, noise(), make_schedule(400, 1.0), Workers(8))
    covariance = torch.kron(matrix.multiview.covariance, torch.eye(FRAMES).double())
    assert_moments(samples, matrix.mean.flatten(), covariance)


def test_a_prior_without_weight_is_not_asked(matrix: GaussianMatrix) -> None:
    rows_only = sample_joint(matrix.rows, None, noise(), make_schedule(6, 0.0, 2), Workers())
    columns_only = sample_joint(None, matrix.columns, noise(), make_schedule(6, 1.0, 2), Workers())
    rows = sample_joint(matrix.rows, matrix.columns, noise(), make_schedule(6, 0.0, 2), Workers())
    columns = sample_joint(matrix.rows, matrix.columns, noise(), make_schedule(6, 1.0, 2), Workers())
    assert torch.equal(rows, rows_only)
    assert torch.equal(columns, columns_only)


def test_a_row_alone_is_the_row_of_a_matrix_without_multiview_prior(matrix: GaussianMatrix) -> None:
    whole = sample_joint(matrix.rows, None, noise(), make_schedule(6, 0.0, 2), Workers())

    class SecondRow(CellNoise):
        def cell(self, view: int, frame: int, draw: int):
            return super().cell(view + 1, frame, draw)

    schedule = JointSchedule(karras_sigmas(6, sigma_max=80), torch.zeros(6, 1), 2)
    row = Sequences(matrix.video, matrix.rows.condition[1:2])
    alone = sample_joint(row, None, SecondRow(0, (1, FRAMES, 1, SIDE, SIDE)), schedule, Workers())
    assert torch.equal(alone[0], whole[1])


def test_priors_are_exchangeable(matrix: GaussianMatrix) -> None:
    schedule = make_schedule(6, 0.3, 2)
    samples = sample_joint(matrix.rows, matrix.columns, noise(), schedule, Workers())
    turned = GaussianMatrix(matrix.mean.T, matrix.multiview, matrix.video)

    def turned_noise(draw: int) -> Tensor:
        return noise()(draw).transpose(0, 1)

    other = JointSchedule(schedule.sigmas, torch.full((6, FRAMES), 0.7), 2)
    mirrored = sample_joint(turned.rows, turned.columns, turned_noise, other, Workers())
    assert torch.allclose(mirrored.transpose(0, 1), samples, atol=1e-4)


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (2, 1), (3, 2), (100, 3), (1, 4)])
def test_batches_and_threads_change_nothing(batch_size: int, threads: int, matrix: GaussianMatrix) -> None:
    schedule = make_schedule(5, 0.5, 1)
    expected = sample_joint(matrix.rows, matrix.columns, noise(), schedule, Workers())
    torch_threads = torch.get_num_threads()
    with Workers(batch_size, threads) as workers:
        got = sample_joint(matrix.rows, matrix.columns, noise(), schedule, workers)
    assert torch.allclose(got, expected, rtol=1e-5, atol=1e-5)  # a batched product may sum in another order
    assert torch.get_num_threads() == torch_threads


class Zero:
    def denoise(self, latents: Tensor, sigma: float, condition: Tensor) -> Tensor:
        return torch.zeros_like(latents)


def follow_zero(schedule: JointSchedule, draws: list[float]) -> list[tuple[int, float]]:
    """Sample one cell whose estimate is always 0: each step scales by s'/s. Give its state after each."""
    seen: list[tuple[int, float]] = []
    sample_joint(
        Sequences(Zero(), torch.zeros(1, 1)),
        None,
        lambda draw: torch.full((1, 1, 1, 1, 1), draws[draw]),
        schedule,
        Workers(),
        on_step=lambda i, x, _: seen.append((i, float(x["latents"]))),
    )
    return seen


def test_noise_put_back_is_the_papers() -> None:
    schedule = JointSchedule(torch.tensor([4.0, 1.0, 0.5, 0.0]), torch.zeros(3, 1), rollback_steps=2)
    seen = follow_zero(schedule, [1.0, 10.0, 100.0])
    first = (math.sqrt(17) / 4 + 3 * 10) / 4
    second = (first / 2 + 0.5 * 100) / 2
    assert [step for step, _ in seen] == [1, 2, 3]
    assert [value for _, value in seen] == pytest.approx([first, second, 0])


def test_noise_that_preserves_the_level_restores_it() -> None:
    weights = torch.zeros(2, 1)
    schedule = JointSchedule(torch.tensor([4.0, 1.0, 0.0]), weights, 1, rollback_noise="variance-preserving")
    seen = follow_zero(schedule, [1.0, 10.0])
    assert seen[0][1] == pytest.approx((math.sqrt(17) / 4 + math.sqrt(15) * 10) / 4)


def test_a_step_leaves_the_share_of_its_noise_that_is_kept() -> None:
    sigmas, weights = torch.tensor([4.0, 1.0, 0.5, 0.0]), torch.zeros(3, 1)
    seen = follow_zero(JointSchedule(sigmas, weights, noise_kept=0.9), [1.0])
    assert [v for _, v in seen] == pytest.approx([math.sqrt(17) / 4 * 0.9, math.sqrt(17) / 8 * 0.81, 0])
    with pytest.raises(InputError, match="noise_kept"):
        JointSchedule(sigmas, weights, noise_kept=0.0)


@pytest.mark.parametrize("solver", ["euler", "dpmpp-2m"])
def test_continuing_from_a_step_is_the_same_to_the_bit(solver: str, matrix: GaussianMatrix) -> None:
    schedule = replace(make_schedule(7, 0.4, 3), solver=solver)
    steps: dict[int, State] = {}
    whole = sample_joint(
        matrix.rows,
        matrix.columns,
        noise(),
        schedule,
        Workers(),
        on_step=lambda step, state, _: steps.update({step: state}),
    )
    for step in (1, 2, 3, 6, 7):
        done = []
        again = sample_joint(
            matrix.rows,
            matrix.columns,
            noise(),
            schedule,
            Workers(),
            progress=lambda *told: done.append(told[:2]),  # noqa: B023 (used within the loop)
            start=(step, steps[step]),
        )
        assert torch.equal(again, whole)
        assert done[0] == (step + min(step, 3), 10)
        assert done[-1] == (10, 10)
        assert [d for d, _ in done] == list(range(done[0][0], 11))


def test_a_broken_estimate_is_reported_with_step_and_sigma(matrix: GaussianMatrix) -> None:
    class Broken(GaussianPrior):
        def denoise(self, latents: Tensor, sigma: float, condition: Tensor) -> Tensor:
            out = super().denoise(latents, sigma, condition)
            return out * float("nan") if sigma < 1 else out

    schedule = make_schedule(10, 0.5)
    step = int((schedule.sigmas >= 1).sum())
    rows = Sequences(Broken(correlation(FRAMES, 0.8)), matrix.rows.condition)
    with pytest.raises(NumericalError, match=f"step {step}, sigma 0") as caught:
        sample_joint(rows, matrix.columns, noise(), schedule, Workers())
    assert caught.value.sigma == pytest.approx(float(schedule.sigmas[step]))
    assert caught.value.exit_code == 1


def test_an_error_in_a_thread_is_that_error(matrix: GaussianMatrix) -> None:
    class Failing(GaussianPrior):
        def denoise(self, latents: Tensor, sigma: float, condition: Tensor) -> Tensor:
            raise InputError("no such thing")

    rows = Sequences(Failing(correlation(FRAMES, 0.8)), matrix.rows.condition)
    threads = torch.get_num_threads()
    with pytest.raises(InputError, match="no such thing"), Workers(1, 2) as workers:
        sample_joint(rows, matrix.columns, noise(), make_schedule(3, 0.5), workers)
    assert torch.get_num_threads() == threads


def test_a_prior_with_weight_is_needed(matrix: GaussianMatrix) -> None:
    with pytest.raises(InputError, match="multi-view"):
        sample_joint(matrix.rows, None, noise(), make_schedule(3, 0.5), Workers())
    with pytest.raises(InputError, match="video prior"):
        sample_joint(None, matrix.columns, noise(), make_schedule(3, 0.5), Workers())


def test_schedules_whose_parts_do_not_fit_are_refused() -> None:
    sigmas = karras_sigmas(4)
    with pytest.raises(InputError, match="weights"):
        JointSchedule(sigmas, torch.zeros(3, 2))
    with pytest.raises(InputError, match="rollback_steps"):
        JointSchedule(sigmas, torch.zeros(4, 2), rollback_steps=5)
    for name, wrong in (("solver", "heun"), ("rollback_noise", "reduced"), ("sigmas", [4.0, 1.0, 0.0])):
        with pytest.raises(InputError, match=f"{name} must be"):
            JointSchedule(**{"sigmas": sigmas, "weights": torch.zeros(4, 2), name: wrong})


def test_the_schedule_of_settings_has_all_that_they_say() -> None:
    settings = SamplingSettings(
        steps=5,
        sigma_min=0.1,
        sigma_max=9.0,
        rho=3.0,
        solver="dpmpp-2m",
        rollback_steps=2,
        rollback_noise="variance-preserving",
        reference_noise_kept=0.9,
        multiview_weight=0.8,
        weight_schedule="linear",
        last_multiview_weight=0.2,
        feature_reuse=2,
    )
    schedule = JointSchedule.from_settings(settings, 3)
    assert torch.equal(schedule.sigmas, karras_sigmas(5, 0.1, 9.0, 3.0))
    assert torch.equal(schedule.weights, multiview_weights(settings, 3))
    assert (schedule.rollback_steps, schedule.rollback_noise) == (2, "variance-preserving")
    assert (schedule.solver, schedule.feature_reuse, schedule.noise_kept) == ("dpmpp-2m", 2, 1.0)


@pytest.mark.parametrize(("alone", "weight"), [("video", 0.0), ("multiview", 1.0)])
def test_a_reference_is_sampled_by_one_prior_without_rollbacks(alone, weight) -> None:
    settings = SamplingSettings(steps=4, rollback_steps=2, reference_noise_kept=0.9, feature_reuse=3)
    schedule = JointSchedule.from_settings(settings, 2, alone)
    assert torch.equal(schedule.weights, torch.full((4, 2), weight))
    assert (schedule.rollback_steps, schedule.noise_kept, schedule.feature_reuse) == (0, 0.9, 1)
    with pytest.raises(InputError, match="views must lie between 1"):
        JointSchedule.from_settings(settings, 0)


def test_composition_is_the_weighted_sum_of_both_estimates(matrix: GaussianMatrix) -> None:
    latents = 3 * noise()(0)
    weights = torch.tensor([0.2, 0.5, 1.0])
    rows = matrix.video.denoise(latents, 2.0, matrix.rows.condition)
    columns = matrix.multiview.denoise(latents.transpose(0, 1), 2.0, matrix.columns.condition).transpose(0, 1)
    got = compose(latents, 2.0, weights, matrix.rows, matrix.columns, Workers(2))
    weights = weights[:, None, None, None, None]
    assert torch.allclose(got, weights * columns + (1 - weights) * rows, atol=1e-5)
