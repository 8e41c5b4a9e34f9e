"""Algorithm 1 with Gaussian priors: what it gives in closed form, and what its samples give.

Every step is linear in the latents, the known cells and the noise, so mean and covariance of the outcome are
known exactly, Euler steps and rollbacks included.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.priors.gaussian import GaussianMatrix, GaussianPrior, Scores
from diffusion2.research.theorem.composition_error import eq3, eq5
from diffusion2.sampling.joint import JointSchedule, sample_joint
from diffusion2.sampling.noise import CellNoise
from diffusion2.sampling.parallel import Sequences, Workers

Composition = Literal["joint", "eq3", "eq5"]
"""The true joint score, row + column - cell, or the weighted mean of row and column."""

SIDE = 64
"""Samples lie side by side as pixels, independent of each other: SIDE² of them."""


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of the n cells.

    Attributes:
        mean: (n, m), the mean as a map of the m known cells.
        covariance: (n, n).
    """

    mean: Tensor
    covariance: Tensor


def propagate(
    matrix: GaussianMatrix,
    schedule: JointSchedule,
    composition: Composition = "eq5",
    on_step: Callable[[float, Moments], None] = lambda sigma, moments: None,
) -> Moments:
    """Compute mean and covariance of what Algorithm 1 samples, in closed form.

    Args:
        matrix: the covariance, and whether references are known.
        schedule: noise levels, weights of the multi-view prior, rollbacks.
        composition: the score that drives it.
        on_step: called with the noise level and the moments before the first step and after each.

    Raises:
        InputError: the schedule's steps are not Euler's.
    """
    if schedule.solver != "euler" or schedule.noise_kept != 1:
        raise InputError("the closed form is that of Euler steps which leave all noise")
    sigmas = [float(sigma) for sigma in schedule.sigmas]
    n, m = matrix.cells, len(matrix.ordered) - matrix.cells
    mean = torch.zeros(n, m, dtype=torch.float64)
    covariance = (1 + sigmas[0] ** 2) * torch.eye(n, dtype=torch.float64)
    on_step(sigmas[0], Moments(mean, covariance))
    for i, (sigma, below) in enumerate(pairwise(sigmas)):
        weight = schedule.weights[i].double().repeat_interleave(matrix.frames)[:, None]
        score = _compose(matrix.scores(sigma), composition, weight)
        step = sigma * (sigma - below) * score
        gain = torch.eye(n, dtype=torch.float64) + step[:, :n]
        for attempt in range(2 if i < schedule.rollback_steps else 1):
            if attempt:
                covariance = covariance + schedule.rollback_scale(i) ** 2 * torch.eye(n, dtype=torch.float64)
            mean, covariance = gain @ mean + step[:, n:], gain @ covariance @ gain.T
        on_step(below, Moments(mean, covariance))
    return Moments(mean, covariance)


def draw_samples(
    matrix: GaussianMatrix,
    schedule: JointSchedule,
    known: Tensor,
    composition: Literal["joint", "eq5"] = "eq5",
    seed: int = 0,
) -> Tensor:
    """Draw SIDE² samples with the sampler that everybody uses, `sampling.joint.sample_joint`.

    Args:
        matrix: the covariance, and whether references are known.
        schedule: noise levels, weights of the multi-view prior, rollbacks.
        known: (m,) the known cells in the order of `GaussianMatrix.ordered`, the same for all samples.
        composition: "joint" samples with the true score, as one prior of one long sequence.
        seed: of the noise.

    Returns:
        (n, SIDE²) float64
    """
    views, frames = matrix.views, matrix.frames
    if composition == "joint":
        mean, covariance = matrix.posterior()
        rows = Sequences(GaussianPrior(covariance), _as_condition((mean @ known)[None]))
        columns, shape = None, (1, matrix.cells, 1, SIDE, SIDE)
        schedule = replace(schedule, weights=torch.zeros(schedule.steps, 1))
    else:
        video, along_row = matrix.row_prior()
        multiview, along_column = matrix.column_prior()
        first, top = (known[:views], known[views:-1]) if matrix.references else (None, None)
        rows = Sequences(video, _as_condition(_means(first, along_row, views)))
        columns = Sequences(multiview, _as_condition(_means(top, along_column, frames)))
        shape = (views, frames, 1, SIDE, SIDE)
    samples = sample_joint(rows, columns, CellNoise(seed, shape), schedule, Workers(batch_size=1000))
    return samples.double().reshape(matrix.cells, -1)


def largest_deviation(samples: Tensor, moments: Moments, known: Tensor) -> float:
    """Measure how far samples are from a mean and covariance, at worst, in standard errors of each number.

    Args:
        samples: (n, N).
        moments: what is expected.
        known: (m,) the known cells.
    """
    count, covariance = samples.shape[1], moments.covariance
    variance = covariance.diagonal()
    centred = samples - (moments.mean @ known)[:, None]
    of_mean = centred.mean(1).abs() / (variance / count).sqrt()
    error = ((variance[:, None] * variance + covariance**2) / count).sqrt()
    of_covariance = (centred @ centred.T / count - covariance).abs() / error
    return float(torch.maximum(of_mean.max(), of_covariance.max()))


def _compose(scores: Scores, composition: Composition, weight: Tensor) -> Tensor:
    if composition == "joint":
        return scores.joint
    return eq3(scores) if composition == "eq3" else eq5(scores, weight)


def _means(known: Tensor | None, per_known: Tensor, count: int) -> Tensor:
    """Compute the means of sequences, (N, T), from their known cells (N,)."""
    return torch.zeros(count, len(per_known)) if known is None else known[:, None] * per_known


def _as_condition(means: Tensor) -> Tensor:
    return means.float()[:, :, None, None, None].expand(-1, -1, 1, SIDE, SIDE)
