"""Algorithm 1: joint denoising of the image matrix by two priors, with variance-reducing sampling."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Annotated, Literal

import torch
from torch import Tensor

from diffusion2.config import (
    Between,
    RollbackNoise,
    SamplingSettings,
    Solver,
    check_range,
    conform_fields,
)
from diffusion2.errors import InputError, NumericalError
from diffusion2.events import Progress
from diffusion2.sampling.composition import multiview_weights
from diffusion2.sampling.parallel import Sequences, Workers
from diffusion2.sampling.schedule import extrapolate, karras_sigmas

State = Mapping[str, Tensor]
"""What the sampler goes on from: "latents" and, for a multistep solver, its last "estimate"."""
OnStep = Callable[[int, State, Tensor], None]
"""Called with (steps done, state, the clean estimate (V, F, C, h, w) that the last step went towards)."""


@dataclass(frozen=True)
class JointSchedule:
    """What happens in which step.

    Attributes:
        sigmas: (steps + 1,) falling noise levels, the last one 0.
        weights: (steps, V), weight of the multi-view prior.
        rollback_steps: N_r, in so many first steps noise is put back once and the step repeated.
        rollback_noise: how much: "variance-reducing", `sigma_i - sigma_{i+1}`, as Algorithm 1 has it; or
            "variance-preserving", `sqrt(sigma_i² - sigma_{i+1}²)`, which restores the noise level sigma_i.
        solver: "euler", as in the paper; or "dpmpp-2m", which corrects each step by the estimate before it.
        noise_kept: share of the next level's noise that a step leaves. Below 1 it takes off what is left of
            earlier noise where priors, which know less noise at that level from their training, don't.
        feature_reuse: after the rollbacks, priors compute all in every so many-th step and may use what they
            kept in the others.
    """

    sigmas: Tensor
    weights: Tensor
    rollback_steps: int = 0
    rollback_noise: RollbackNoise = "variance-reducing"
    solver: Solver = "euler"
    feature_reuse: Annotated[int, Between(1, 100)] = 1
    noise_kept: Annotated[float, Between(1e-6, 1)] = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside their ranges, and parts that do not belong together."""
        conform_fields(self)
        steps = len(self.sigmas) - 1
        if steps < 1 or self.weights.ndim != 2 or len(self.weights) != steps:
            raise InputError(f"{steps} steps need weights ({steps}, V), not {tuple(self.weights.shape)}")
        check_range("rollback_steps", self.rollback_steps, 0, steps)

    @classmethod
    def from_settings(
        cls, settings: SamplingSettings, views: int, alone: Literal["video", "multiview"] | None = None
    ) -> "JointSchedule":
        """Build the schedule that settings describe.

        Args:
            settings: noise levels, weights, rollbacks, solver.
            views: V, rows of the matrix.
            alone: the one prior that samples a reference. There is nothing to reconcile then: no rollbacks,
                and no features kept, but `reference_noise_kept`. None for the matrix.

        Raises:
            InputError: there are no views.
        """
        check_range("views", views, 1, math.inf)
        sigmas = karras_sigmas(settings.steps, settings.sigma_min, settings.sigma_max, settings.rho)
        if alone is not None:
            weights = torch.full((settings.steps, views), 1.0 if alone == "multiview" else 0.0)
            return cls(sigmas, weights, solver=settings.solver, noise_kept=settings.reference_noise_kept)
        return cls(
            sigmas,
            multiview_weights(settings, views),
            settings.rollback_steps,
            settings.rollback_noise,
            settings.solver,
            settings.feature_reuse,
        )

    def below(self, sigma: float) -> "JointSchedule":
        """Get what is left of it from a noise level on: that level, then its own below; without rollbacks."""
        left = [k for k in range(self.steps) if float(self.sigmas[k]) < sigma]
        above = max(self.steps - len(left) - 1, 0)
        return replace(
            self,
            sigmas=torch.cat([self.sigmas.new_tensor([sigma]), self.sigmas[self.steps - len(left) :]]),
            weights=self.weights[[above, *left]],
            rollback_steps=0,
        )

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.sigmas) - 1

    def rollback_scale(self, step: int) -> float:
        """Compute the standard deviation of the noise that is put back in a step."""
        sigma, below = float(self.sigmas[step]), float(self.sigmas[step + 1])
        return sigma - below if self.rollback_noise == "variance-reducing" else (sigma**2 - below**2) ** 0.5

    def is_fresh(self, step: int) -> bool:
        """Say whether a step uses nothing that priors kept of earlier ones, so that a run can go on there."""
        return step < self.rollback_steps or (step - self.rollback_steps) % self.feature_reuse == 0

    @property
    def fresh_sigmas(self) -> frozenset[float]:
        """The noise levels of the steps that are fresh."""
        return frozenset(float(self.sigmas[step]) for step in range(self.steps) if self.is_fresh(step))

    @property
    def alternate_sigmas(self) -> frozenset[float]:
        """The noise levels of every second fresh step, and of those that use what priors kept there."""
        fresh = accumulate(self.is_fresh(step) for step in range(self.steps))
        return frozenset(float(self.sigmas[step]) for step, count in enumerate(fresh) if count % 2 == 0)

    def evaluations(self, start: int = 0) -> int:
        """Count the evaluations of the matrix from a step on."""
        return self.steps - start + max(0, self.rollback_steps - start)


def sample_joint(
    rows: Sequences | None,
    columns: Sequences | None,
    noise: Callable[[int], Tensor],
    schedule: JointSchedule,
    workers: Workers,
    progress: Progress = lambda done, total, detail="": None,
    on_step: OnStep = lambda step, state, estimate: None,
    start: tuple[int, State] | None = None,
) -> Tensor:
    """Sample a matrix of latents (Algorithm 1 of the paper).

    Per step: the clean estimate is the multi-view prior's of the columns times the weight, plus the video
    prior's of the rows times the rest; one Euler step; in the first N_r steps `(sigma_i - sigma_{i+1})·eps`
    is then added and the step taken again from sigma_i. That noise is smaller than the
    `sqrt(sigma_i² - sigma_{i+1}²)` which would restore the noise level: this is the variance reduction. The
    schedule's `rollback_noise` can choose the latter.

    The solver "dpmpp-2m" takes the same steps towards an estimate that is carried on from the one before
    (`extrapolate`). It costs no evaluation. A rollback changes the noise, so what was estimated before it
    belongs to another path and is forgotten: the repeated step is Euler's.

    Args:
        rows: the video prior and its V conditions; None where the weight is 1 throughout.
        columns: the multi-view prior and its F conditions; None where the weight is 0 throughout.
        noise: gives draw n, (V, F, C, h, w): 0 to start from, 1 + i for the rollback of step i.
        schedule: noise levels, weights, rollbacks.
        workers: how sequences are chunked and shared between threads and processes.
        progress: called with (evaluations done, in all, what was done) at the start and after each.
        on_step: called after each step.
        start: (steps done, state) to go on from, as `on_step` got them.

    Returns:
        (V, F, C, h, w) float32

    Raises:
        InputError: a prior is missing where its weight isn't 0.
        NumericalError: an estimate isn't finite.
    """
    _check_priors(rows, columns, schedule)
    sigmas = [float(sigma) for sigma in schedule.sigmas]
    first, state = start or (0, {"latents": noise(0) * (1 + sigmas[0] ** 2) ** 0.5})
    latents, earlier = state["latents"], state.get("estimate")
    done, total = schedule.evaluations() - schedule.evaluations(first), schedule.evaluations()
    progress(done, total, "")
    for i in range(first, schedule.steps):
        for attempt in range(2 if i < schedule.rollback_steps else 1):
            if attempt:
                latents, earlier = latents + schedule.rollback_scale(i) * noise(1 + i), None
            denoised = compose(latents, sigmas[i], schedule.weights[i], rows, columns, workers)
            if not torch.isfinite(denoised).all():
                raise NumericalError("sampling", i, sigmas[i], "a prior's estimate overflowed")
            target = denoised if earlier is None else extrapolate(earlier, denoised, sigmas[i - 1 : i + 2])
            latents = _step(latents, target, sigmas[i], schedule.noise_kept * sigmas[i + 1])
            if schedule.solver == "dpmpp-2m":
                earlier = denoised
            done += 1
            progress(done, total, f"sigma {sigmas[i]:.3g}")
        on_step(i + 1, {"latents": latents} | ({} if earlier is None else {"estimate": earlier}), denoised)
    return latents


def compose(
    latents: Tensor,
    sigma: float,
    weights: Tensor,
    rows: Sequences | None,
    columns: Sequences | None,
    workers: Workers,
) -> Tensor:
    """Estimate the clean matrix: weight times the columns' estimate plus the rest times the rows'.

    A prior whose weight is 0 in every view is not asked. Each process weights its share of the estimates, and
    one sum over the processes is all that travels.

    Args:
        latents: (V, F, C, h, w).
        sigma: the noise level.
        weights: (V,), weight of the multi-view prior.
        rows: see `sample_joint`.
        columns: see `sample_joint`.
        workers: see `sample_joint`.

    Returns:
        (V, F, C, h, w)
    """
    by_rows, by_columns = bool((weights != 1).any()), bool((weights != 0).any())
    jobs = []
    if by_rows and rows is not None:
        jobs.append((rows, latents))
    if by_columns and columns is not None:
        jobs.append((columns, latents.transpose(0, 1).contiguous()))
    estimates = workers.denoise(jobs, sigma)
    if not by_columns:
        share = estimates[0]
    elif not by_rows:
        share = estimates[0].transpose(0, 1)
    else:
        weight = weights.to(latents)[:, None, None, None, None]
        share = (1 - weight) * estimates[0] + weight * estimates[1].transpose(0, 1)
    return workers.group.sum(share)


def _step(latents: Tensor, target: Tensor, sigma: float, below: float) -> Tensor:
    """Take an Euler step from a noise level to one below it, towards a clean matrix."""
    slope = (latents - target) / sigma
    return latents + (below - sigma) * slope


def _check_priors(rows: Sequences | None, columns: Sequences | None, schedule: JointSchedule) -> None:
    if rows is None and bool((schedule.weights != 1).any()):
        raise InputError("without a video prior the multi-view prior's weight must be 1 throughout")
    if columns is None and bool((schedule.weights != 0).any()):
        raise InputError("without a multi-view prior its weight must be 0 throughout")
