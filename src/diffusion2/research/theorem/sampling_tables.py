"""What Algorithm 1 samples for Gaussian matrices: numbers behind docs/theorem.md."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from diffusion2.config import PRESETS, SamplingSettings
from diffusion2.priors.gaussian import GaussianMatrix
from diffusion2.research.theorem.analytic_sampling import (
    Composition,
    Moments,
    draw_samples,
    largest_deviation,
    propagate,
)
from diffusion2.sampling.joint import JointSchedule

Rollback = Literal["none", "variance-reducing", "variance-preserving"]
"""No rollbacks, or what they put back: see `config.RollbackNoise`."""
ROLLBACKS: tuple[Rollback, ...] = ("none", "variance-reducing", "variance-preserving")
COMPOSITIONS: tuple[Composition, ...] = ("joint", "eq3", "eq5")


@dataclass(frozen=True)
class Statistics:
    """What a covariance of all cells says of the cells on average.

    Attributes:
        variance: of a cell.
        view: correlation of a cell with the next view at the same time.
        time: with the next time in the same view.
        diagonal: with the next view at the next time.
    """

    variance: float
    view: float
    time: float
    diagonal: float


def statistics(covariance: Tensor, views: int, frames: int) -> Statistics:
    """Average a covariance (V·F, V·F) over the cells."""
    deviation = covariance.diagonal().sqrt()
    related = (covariance / (deviation[:, None] * deviation)).view(views, frames, views, frames)
    v, f = torch.arange(views - 1)[:, None], torch.arange(frames - 1)
    return Statistics(
        float(covariance.diagonal().mean()),
        float(related[v, f, v + 1, f].mean()),
        float(related[v, f, v, f + 1].mean()),
        float(related[v, f, v + 1, f + 1].mean()),
    )


@dataclass(frozen=True)
class SamplerResult:
    """What Algorithm 1 gives for one matrix, in closed form and as samples.

    Attributes:
        structure: of the matrix.
        references: whether row 0 and column 0 are known.
        composition: what drives the sampler.
        rollback: what the rollbacks put back.
        truth: of the true distribution.
        expected: of what the sampler gives, in closed form.
        mean_error: relative root mean square error of the mean that the references determine; 0 without them.
        covariance_error: relative error of the covariance (Frobenius).
        samples: how many were drawn with the sampler itself; 0: the closed form only.
        drawn: of the samples.
        largest_deviation: how far any mean or covariance of the samples is from the closed form, in standard
            errors of that number.
    """

    structure: str
    references: bool
    composition: Composition
    rollback: Rollback
    truth: Statistics
    expected: Statistics
    mean_error: float
    covariance_error: float
    samples: int = 0
    drawn: Statistics | None = None
    largest_deviation: float | None = None


def measure_sampler(
    structure: str,
    matrix: GaussianMatrix,
    composition: Composition,
    rollback: Rollback,
    sampling: SamplingSettings,
    seed: int,
) -> SamplerResult:
    """Measure what the sampler gives; eq. 3 in closed form only, as the sampler has no prior of one cell."""
    schedule = make_schedule(sampling, matrix.views, rollback)
    truth, got = Moments(*matrix.posterior()), propagate(matrix, schedule, composition)
    size = matrix.views, matrix.frames
    closed = SamplerResult(
        structure,
        matrix.references,
        composition,
        rollback,
        statistics(truth.covariance, *size),
        statistics(got.covariance, *size),
        _mean_error(matrix, got.mean, truth.mean),
        float(torch.linalg.norm(got.covariance - truth.covariance) / torch.linalg.norm(truth.covariance)),
    )
    if composition == "eq3":
        return closed
    known = draw_known(matrix, seed)
    samples = draw_samples(matrix, schedule, known, composition, seed)
    drawn = statistics(torch.cov(samples), *size)
    deviation = largest_deviation(samples, got, known)
    return SamplerResult(
        **{**vars(closed), "samples": samples.shape[1], "drawn": drawn, "largest_deviation": deviation}
    )


def make_schedule(sampling: SamplingSettings, views: int, rollback: Rollback) -> JointSchedule:
    """Build the schedule of a run's settings, with these rollbacks in the same steps."""
    if rollback == "none":
        sampling = replace(sampling, rollback_steps=0)
    else:
        sampling = replace(sampling, rollback_noise=rollback)
    return JointSchedule.from_settings(sampling, views)


def draw_known(matrix: GaussianMatrix, seed: int) -> Tensor:
    """Draw known cells as they are distributed, (m,)."""
    covariance = matrix.ordered[matrix.cells :, matrix.cells :]
    noise = torch.randn(len(covariance), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.cholesky(covariance) @ noise


def _mean_error(matrix: GaussianMatrix, mean: Tensor, truth: Tensor) -> float:
    if not matrix.references:
        return 0.0
    known = matrix.ordered[matrix.cells :, matrix.cells :]

    def length(of: Tensor) -> Tensor:
        return torch.trace(of @ known @ of.T).sqrt()

    return float(length(mean - truth) / length(truth))


@dataclass(frozen=True)
class VarianceCurve:
    """Variance of a cell over the steps, beside what the nominal noise level stands for.

    Attributes:
        preset: whose steps, weights and rollbacks.
        composition: what drives the sampler.
        rollback: what the rollbacks put back.
        sigmas: noise levels before the first step and after each.
        share: the cells' variance divided by that of the true distribution with noise of that level.
    """

    preset: str
    composition: Composition
    rollback: Rollback
    sigmas: list[float]
    share: list[float]


def variance_curve(
    preset: str, matrix: GaussianMatrix, composition: Composition, rollback: Rollback
) -> VarianceCurve:
    """Follow the variance through the steps of a preset, in closed form."""
    truth = matrix.posterior()[1].diagonal()
    sigmas: list[float] = []
    share: list[float] = []

    def on_step(sigma: float, moments: Moments) -> None:
        sigmas.append(sigma)
        share.append(float(moments.covariance.diagonal().mean() / (truth + sigma**2).mean()))

    schedule = make_schedule(PRESETS[preset].sampling, matrix.views, rollback)
    propagate(matrix, schedule, composition, on_step)
    return VarianceCurve(preset, composition, rollback, sigmas, share)
