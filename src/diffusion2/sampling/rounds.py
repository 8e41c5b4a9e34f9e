"""Reconstruction in the loop: what is sampled is made 3D, drawn again, and sampled on under fresh noise.

The priors know nothing of each other's rows and columns, so what they make together is not quite the picture
of one object. Its reconstruction is, but it is blurred where they disagree. Noise that hides the blur and
leaves the shape gives both their say again; the idea of starting from noised pictures is SDEdit's (Meng et
al., 2022).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor

from diffusion2.config import SamplingSettings
from diffusion2.sampling.joint import JointSchedule, State

Redraw = Callable[[Tensor], Tensor]
"""Reconstructs the images (V, F, P, H, W) of a matrix, the reference frame first, and draws them again."""
OnCheckpoint = Callable[[int, dict[str, Tensor]], None]
"""Called with (steps done, state)."""
OnEstimate = Callable[[Tensor], None]
"""Called with a clean estimate of the matrix's latents, (V, F, C, h, w), the reference frame first."""


@dataclass(frozen=True)
class Round:
    """A part of sampling, down to no noise.

    Attributes:
        schedule: its steps.
        before: how many steps all earlier rounds have.
        is_last: whether the matrix is complete after it.
    """

    schedule: JointSchedule
    before: int
    is_last: bool

    @property
    def end(self) -> int:
        """Count the steps of this and all earlier rounds."""
        return self.before + self.schedule.steps

    def goes_on_from(self, start: tuple[int, State]) -> tuple[int, State] | None:
        """Tell this round's own start of the (steps done, state) of all; None where it begins."""
        done, state = start
        return (done - self.before, state) if done > self.before else None


def plan_rounds(sampling: SamplingSettings, views: int, guess_sigma: float | None = None) -> list[Round]:
    """Plan the rounds: from noise alone, or from a guess under noise, then from drawings under noise.

    Args:
        sampling: noise levels, rounds.
        views: V.
        guess_sigma: the noise that hides what is wrong in the guess; None where there is no guess.
    """
    whole = JointSchedule.from_settings(sampling, views)
    first = whole if guess_sigma is None else whole.below(guess_sigma)
    schedules = [first] + sampling.loop_rounds * [whole.below(sampling.loop_sigma)]
    before = [0, *accumulate(schedule.steps for schedule in schedules)]
    return [Round(s, before[k], k == sampling.loop_rounds) for k, s in enumerate(schedules)]


@dataclass
class Keeper:
    """Hands on what is kept and shown of a sampling that goes on.

    Attributes:
        every: steps between two checkpoints; the end of a round that isn't the last is one, too.
        saved: steps done at the last checkpoint.
        on_checkpoint: takes checkpoints, where the next step needs no features of earlier ones.
        on_estimate: takes the estimate of each step.
    """

    every: int
    saved: int
    on_checkpoint: OnCheckpoint | None
    on_estimate: OnEstimate | None

    def of(self, current: Round) -> Callable[[int, State, Tensor], None]:
        """Return what `sample_joint` calls after each step of a round."""

        def on_step(step: int, state: State, estimate: Tensor) -> None:
            if self.on_estimate:
                self.on_estimate(estimate)
            done = current.before + step
            if done == current.end:
                is_due = not current.is_last
            else:
                is_due = done - self.saved >= self.every and current.schedule.is_fresh(step)
            if self.on_checkpoint and is_due:
                self.on_checkpoint(done, dict(state))
                self.saved = done

        return on_step
