"""What happens inside stage 1: both priors' estimates and the noise, evaluation by evaluation."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from diffusion2.config import GenerateSettings
from diffusion2.events import Report, ignore
from diffusion2.image_matrix import Conditions
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling import sample_matrix
from diffusion2.sampling.conditioning import mirrored
from diffusion2.sampling.joint import JointSchedule


@dataclass(frozen=True)
class MatrixEvaluation:
    """One evaluation of the matrix by both priors.

    Attributes:
        step: from 0.
        attempt: 0, or 1 where the step is repeated after a rollback.
        sigma: the noise level that the priors are conditioned on.
        latents: (V, F, C, h, w), what they are given.
        by_rows: the video prior's clean estimate, (V, F, C, h, w).
        by_columns: the multi-view prior's, (V, F, C, h, w).
        weights: (V,), weight of the multi-view prior.
    """

    step: int
    attempt: int
    sigma: float
    latents: Tensor
    by_rows: Tensor
    by_columns: Tensor
    weights: Tensor

    @property
    def denoised(self) -> Tensor:
        """The composed clean estimate."""
        weights = self.weights[:, None, None, None, None]
        return weights * self.by_columns + (1 - weights) * self.by_rows

    @property
    def variance(self) -> float:
        """The variance of the noisy latents."""
        return float(self.latents.var())

    @property
    def noise_left(self) -> float:
        """The noise that is there, as a share of the level that the priors are conditioned on.

        It is the standard deviation of the latents around the clean estimate, over sigma. Where much noise
        hides the image, that is the noise and a little of what the estimate does not show yet.
        """
        return float((self.latents - self.denoised).square().mean().sqrt()) / self.sigma

    @property
    def disagreement(self) -> float:
        """The root mean square difference between the priors' clean estimates; latents deviate by about 1."""
        return float((self.by_rows - self.by_columns).square().mean().sqrt())


class _RecordingPrior:
    """Passes calls on to a prior and keeps what it was given and its estimates."""

    def __init__(self, prior: Any) -> None:
        self._prior: Any = prior
        self.prepare = prior.prepare
        self.calls: list[tuple[float, Tensor, Tensor]] = []

    def reusing_features(self, fresh: frozenset[float]) -> "_RecordingPrior":
        self._prior = self._prior.reusing_features(fresh)
        self.prepare = self._prior.prepare
        return self

    def denoise(self, latents: Tensor, sigma: float, condition: Any) -> Tensor:
        estimate = self._prior.denoise(latents, sigma, condition)
        self.calls.append((sigma, latents, estimate))
        return estimate


def record(
    pair: PriorPair, conditions: Conditions, settings: GenerateSettings, report: Report = ignore
) -> list[MatrixEvaluation]:
    """Sample a matrix and give every evaluation on the way.

    All rows are denoised in one call, and all columns in another, which may change the result by rounding.

    Args:
        pair: the priors.
        conditions: with both references.
        settings: where neither prior has the weight 0 in all views of a step.
        report: takes the events of the stage "matrix".
    """
    pair = mirrored(pair, settings)  # so that no mirror images are recorded
    batch_size = max(settings.views, settings.frames)
    sampling = replace(settings.sampling, batch_size=batch_size, mirror=False)
    rows, columns = _RecordingPrior(pair.video), _RecordingPrior(pair.multiview)
    listening = replace(pair, video=rows, multiview=columns)
    sample_matrix(listening, conditions, replace(settings, sampling=sampling), report)
    weights = JointSchedule.from_settings(sampling, settings.views).weights
    places = [
        (step, attempt)
        for step in range(sampling.steps)
        for attempt in range(2 if step < sampling.rollback_steps else 1)
    ]
    return [
        MatrixEvaluation(step, attempt, sigma, latents, by_rows, by_columns.transpose(0, 1), weights[step])
        for (step, attempt), (sigma, latents, by_rows), (_, _, by_columns) in zip(
            places, rows.calls, columns.calls, strict=True
        )
    ]


def expected_noise_left(schedule: JointSchedule) -> list[float]:
    """Compute the noise that is there, as a share of sigma, if the clean estimate never changed.

    Then a step from sigma to sigma' scales the noise by r = sigma'/sigma, and a rollback turns a share a into
    sqrt(a² r² + n²), where n is 1 - r for variance-reducing noise and sqrt(1 - r²) for variance-preserving
    noise. The former falls with every rollback, the latter stays at 1.

    Returns:
        One share for each evaluation, in the order of `record`.
    """
    share, shares = 1.0, []
    for step in range(schedule.steps):
        shares.append(share)
        if step < schedule.rollback_steps:
            sigma, below = (float(level) for level in schedule.sigmas[step : step + 2])
            share = (share**2 * below**2 + schedule.rollback_scale(step) ** 2) ** 0.5 / sigma
            shares.append(share)
    return shares
