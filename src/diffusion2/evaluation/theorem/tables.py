"""The numbers behind docs/theorem.md: what composing scores gets right for Gaussian matrices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.config import PRESETS, SamplingSettings
from diffusion2.evaluation.theorem.analytic_sampling import (
    Composition,
    Moments,
    Rollback,
    largest_deviation,
    propagate,
    sample,
)
from diffusion2.evaluation.theorem.composition_error import (
    CompositionError,
    ProofGap,
    composition_error,
    composition_errors,
    proof_gap,
)
from diffusion2.evaluation.theorem.covariances import (
    additive,
    composes_exactly,
    correlation,
    crossed,
    one_cross,
    patchwork,
    separable,
)
from diffusion2.priors.gaussian import GaussianMatrix
from diffusion2.sampling.composition import multiview_weights
from diffusion2.sampling.joint import JointSchedule
from diffusion2.sampling.schedule import karras_sigmas

ROLLBACKS: tuple[Rollback, ...] = ("none", "published", "variance-preserving")
COMPOSITIONS: tuple[Composition, ...] = ("joint", "eq3", "eq5")


@dataclass(frozen=True)
class TheoremSettings:
    """What is measured.

    Attributes:
        views: V.
        frames: F.
        view_length: how far apart views are still related, in views.
        time_length: the same in time, in frames; neighbouring frames are more alike than neighbouring views.
        sigmas: noise levels.
        lengths: for the tables over view and time length.
        table_sigmas: noise levels of these tables.
        preset: whose steps, weights and rollbacks are sampled with.
        seed: of the known cells and the noise.
    """

    views: int = 12
    frames: int = 12
    view_length: float = 2.0
    time_length: float = 6.0
    sigmas: tuple[float, ...] = tuple(round(float(10 ** (k / 6 - 1.5)), 4) for k in range(22))
    lengths: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    table_sigmas: tuple[float, ...] = (1.0, 10.0)
    preset: str = "paper"
    seed: int = 0


def structures(settings: TheoremSettings) -> dict[str, Callable[[bool], GaussianMatrix]]:
    """Name the ways in which cells may be related; each is made with or without references."""
    kinds = {"separable": separable, "additive": additive, "crossed": crossed}

    def maker(kind: Callable[[Tensor, Tensor], Tensor]) -> Callable[[bool], GaussianMatrix]:
        def make(references: bool) -> GaussianMatrix:
            view = correlation(settings.views + references, settings.view_length)
            time = correlation(settings.frames + references, settings.time_length)
            return GaussianMatrix(kind(view, time), references)

        return make

    return {name: maker(kind) for name, kind in kinds.items()}


@dataclass(frozen=True)
class ErrorCurve:
    """Errors of the compositions of one matrix over the noise levels, and what the proof lacks there."""

    structure: str
    references: bool
    errors: list[CompositionError]
    proof: list[ProofGap]


def error_curve(name: str, matrix: GaussianMatrix, sigmas: Sequence[float]) -> ErrorCurve:
    """Measure one matrix at all noise levels; the proof is about matrices without references."""
    proof = [] if matrix.references else [proof_gap(matrix, sigma) for sigma in sigmas]
    return ErrorCurve(name, matrix.references, composition_errors(matrix, sigmas), proof)


@dataclass(frozen=True)
class Exactness:
    """Whether eq. 3 should be exact for a structure, and how far it is off at worst over the noise levels."""

    structure: str
    expected: bool
    eq3: float
    eq5: float


def exactness(settings: TheoremSettings) -> list[Exactness]:
    """Try eq. 3 where it is exact and where it is not, without references."""
    views, frames = settings.views, settings.frames
    view, time = correlation(views, settings.view_length), correlation(frames, settings.time_length)
    none_view, none_time = correlation(views, 0), correlation(frames, 0)
    cases = {
        "nothing related": separable(none_view, none_time),
        "rows independent": separable(none_view, time),
        "columns independent": separable(view, none_time),
        "patchwork": patchwork(view, time),
        "one cross": one_cross(view, time),
        **{name: make(False).covariance for name, make in structures(settings).items()},
    }
    found = []
    for name, covariance in cases.items():
        errors = composition_errors(GaussianMatrix(covariance), settings.sigmas)
        worst = max(e.eq3 for e in errors), max(e.eq5 for e in errors)
        found.append(Exactness(name, composes_exactly(covariance), *worst))
    return found


@dataclass(frozen=True)
class LengthTable:
    """Errors over how far views (rows of the table) and times (columns) are related, at one noise level."""

    sigma: float
    references: bool
    lengths: list[float]
    errors: list[list[CompositionError]]


def length_table(settings: TheoremSettings, sigma: float, references: bool) -> LengthTable:
    """Measure separable matrices of all view and time lengths at a noise level."""
    sizes = settings.views + references, settings.frames + references

    def error(view_length: float, time_length: float) -> CompositionError:
        covariance = separable(correlation(sizes[0], view_length), correlation(sizes[1], time_length))
        return composition_error(GaussianMatrix(covariance, references), sigma)

    lengths = list(settings.lengths)
    return LengthTable(sigma, references, lengths, [[error(v, t) for t in lengths] for v in lengths])


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
class Sampled:
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


def sampled(
    structure: str,
    matrix: GaussianMatrix,
    composition: Composition,
    rollback: Rollback,
    sampling: SamplingSettings,
    seed: int,
) -> Sampled:
    """Measure what the sampler gives; eq. 3 in closed form only, as the sampler has no prior of one cell."""
    schedule = make_schedule(sampling, matrix.views)
    truth, got = Moments(*matrix.posterior()), propagate(matrix, schedule, composition, rollback)
    size = matrix.views, matrix.frames
    closed = Sampled(
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
    samples = sample(matrix, schedule, known, composition, rollback, seed)
    drawn = statistics(torch.cov(samples), *size)
    deviation = largest_deviation(samples, got, known)
    return Sampled(
        **{**vars(closed), "samples": samples.shape[1], "drawn": drawn, "largest_deviation": deviation}
    )


def make_schedule(sampling: SamplingSettings, views: int) -> JointSchedule:
    """Give the steps, weights and rollbacks of a run's settings."""
    sigmas = karras_sigmas(sampling.steps, sampling.sigma_min, sampling.sigma_max, sampling.rho)
    return JointSchedule(sigmas, multiview_weights(sampling, views), sampling.rollback_steps)


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
    """Variance of a cell over the steps, beside what the noise level that the priors are told stands for.

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

    propagate(matrix, make_schedule(PRESETS[preset].sampling, matrix.views), composition, rollback, on_step)
    return VarianceCurve(preset, composition, rollback, sigmas, share)
