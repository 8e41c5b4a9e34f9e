"""Reconstruction in the loop, as the sampler sees it: drawings, under noise, are sampled on from."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion2.config import SamplingSettings
from diffusion2.events import StageStarted
from diffusion2.image_matrix import Conditions
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling import sample_matrix, sample_references
from diffusion2.sampling.joint import JointSchedule
from diffusion2.sampling.rounds import plan_rounds

from .test_generate import SETTINGS

SIGMAS = [80.0, 20.0, 5.0, 1.0, 0.2]


def looped(rounds: int, sigma: float, **changes):
    sampling = replace(SETTINGS.sampling, loop_rounds=rounds, loop_sigma=sigma, **changes)
    return replace(SETTINGS, sampling=sampling)


@pytest.fixture
def conditions(gaussian_pair: PriorPair) -> Conditions:
    picture = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    return sample_references(gaussian_pair, Conditions(picture), SETTINGS)


@pytest.fixture
def schedule() -> JointSchedule:
    weights = torch.arange(5.0)[:, None].expand(5, 2) / 5
    return JointSchedule(torch.tensor([*SIGMAS, 0.0]), weights, rollback_steps=2)


def test_what_is_left_of_a_schedule_keeps_its_levels_and_weights(schedule: JointSchedule) -> None:
    left = schedule.below(2.0)
    assert left.sigmas.tolist() == pytest.approx([2.0, 1.0, 0.2, 0.0])
    # the level in between has the weights of the one above it
    assert left.weights[:, 0].tolist() == pytest.approx([0.4, 0.6, 0.8])
    assert left.rollback_steps == 0
    assert schedule.below(5.0).sigmas.tolist() == pytest.approx([5.0, 1.0, 0.2, 0.0])
    assert schedule.below(80.0).sigmas.tolist() == pytest.approx([*SIGMAS, 0.0])
    assert schedule.below(0.1).sigmas.tolist() == pytest.approx([0.1, 0.0])


def test_rounds_follow_each_other() -> None:
    rounds = plan_rounds(SamplingSettings(steps=6, rollback_steps=1, loop_rounds=2, sigma_max=80.0), views=4)
    steps = [each.schedule.steps for each in rounds]
    assert steps[0] == 6
    assert 1 < steps[1] == steps[2] < 6
    assert [each.before for each in rounds] == [0, 6, 6 + steps[1]]
    assert [each.is_last for each in rounds] == [False, False, True]


def test_little_noise_keeps_the_drawing_and_much_forgets_it(
    gaussian_pair: PriorPair, conditions: Conditions
) -> None:
    def made(sigma: float, shade: float) -> Tensor:
        seen = []
        latents = sample_matrix(
            gaussian_pair,
            conditions,
            looped(1, sigma, sigma_max=100.0),
            redraw=lambda images: seen.append(images) or torch.full_like(images, shade),
        )
        assert len(seen) == 1
        assert seen[0].shape == latents.shape
        return latents

    assert (made(0.01, 0.9) - 0.9).abs().mean() < 0.02
    assert (made(0.01, 0.1) - 0.1).abs().mean() < 0.02
    assert (made(100.0, 0.9) - made(100.0, 0.1)).abs().mean() < 0.01


def test_a_drawing_is_of_what_the_round_before_made(gaussian_pair: PriorPair, conditions: Conditions) -> None:
    seen: list[Tensor] = []
    events: list[object] = []
    whole = sample_matrix(
        gaussian_pair, conditions, looped(2, 0.5), events.append, redraw=lambda i: seen.append(i) or i
    )
    first = sample_matrix(gaussian_pair, conditions, SETTINGS)
    assert torch.equal(seen[0], first.clamp(0, 1))
    assert not torch.equal(seen[1], seen[0])
    assert not torch.equal(whole.clamp(0, 1), seen[1])
    stages = [event.stage for event in events if isinstance(event, StageStarted)]
    assert stages == ["matrix", "decode", "matrix", "decode", "matrix"]


def test_it_goes_on_from_every_checkpoint_and_draws_only_what_is_still_to_come(
    gaussian_pair: PriorPair, conditions: Conditions
) -> None:
    settings = looped(2, 1.0, checkpoint_every=1)
    kept: dict[int, dict[str, Tensor]] = {}
    drawn: list[Tensor] = []

    def redraw(images: Tensor) -> Tensor:
        drawn.append(images)
        return images.flip(0)

    whole = sample_matrix(gaussian_pair, conditions, settings, on_checkpoint=kept.__setitem__, redraw=redraw)
    rounds = plan_rounds(settings.sampling, settings.views)
    assert sorted(kept) == list(range(1, rounds[-1].end))
    for done, state in kept.items():
        drawn.clear()
        again = sample_matrix(gaussian_pair, conditions, settings, start=(done, state), redraw=redraw)
        assert torch.equal(again, whole)
        assert len(drawn) == sum(done <= each.before for each in rounds[1:])


def test_the_end_of_a_round_is_a_checkpoint_however_rare_they_are(
    gaussian_pair: PriorPair, conditions: Conditions
) -> None:
    kept: dict[int, dict[str, Tensor]] = {}
    settings = looped(1, 1.0, checkpoint_every=1000)
    sample_matrix(
        gaussian_pair, conditions, settings, on_checkpoint=kept.__setitem__, redraw=lambda images: images
    )
    assert sorted(kept) == [6]
