"""Whole runs of Algorithm 1 against the released joint sampler's."""

import pytest
import torch

from diffusion2.config import SamplingSettings
from diffusion2.priors.guidance import Guidance, constant_scale, linear_scale
from diffusion2.priors.network import NetworkPrior, SequenceCondition
from diffusion2.sampling.composition import multiview_weights
from diffusion2.sampling.joint import JointSchedule, sample_joint
from diffusion2.sampling.parallel import Sequences, Workers

TOLERANCE = 1e-5  # of the largest number, over 6 to 9 evaluations in float32; this code reaches 3e-6


@pytest.mark.parametrize("run", ["paper", "lowsigma", "released"])
def test_joint_sampling(run: str, parity) -> None:
    noise, eps, sigmas, weight, out = (
        parity[f"joint_{run}_{name}"] for name in ("noise", "eps", "sigmas", "mv_weight", "out")
    )
    views, frames = noise.shape[:2]
    rows = sequences(parity, run, "row", "svd", Guidance(linear_scale(frames, 1.5, 3.0)))
    columns = sequences(parity, run, "col", "sv3d", Guidance(constant_scale(views, 2.5)))
    schedule = JointSchedule(sigmas, weight.expand(len(sigmas) - 1, -1), rollback_steps=len(eps))
    evaluations, spreads = [], []
    got = sample_joint(
        rows,
        columns,
        lambda draw: noise if draw == 0 else eps[draw - 1],
        schedule,
        Workers(8),
        lambda done, total, detail: evaluations.append((done, total)),
        lambda step, state, estimate: spreads.append(state["latents"].std()),
    )
    std = parity[f"joint_{run}_std"]
    assert evaluations[-1] == (len(std), len(std))
    # the last evaluation of each step: the second of the first steps, which are repeated
    last = [step + min(step, len(eps)) - 1 for step in range(1, schedule.steps + 1)]
    assert torch.allclose(torch.stack(spreads), std[last], rtol=TOLERANCE)
    assert float((got - out).abs().max() / out.abs().max()) <= TOLERANCE


def sequences(parity, run: str, side: str, kind: str, guidance: Guidance) -> Sequences:
    latents, context, vector = (
        parity[f"joint_{run}_{side}_{name}"] for name in ("concat", "crossattn", "vector")
    )
    # a row's vector is its own; the columns share one vector per view
    vector = vector[:, None] if side == "row" else vector.expand(len(latents), -1, -1)
    prior = NetworkPrior(parity.network(kind, "tiny"))
    return Sequences(prior, SequenceCondition(latents[:, None], context, vector, guidance))


def test_released_view_weights(parity) -> None:
    expected = parity["joint_released_mv_weight"]
    settings = SamplingSettings(steps=3, rollback_steps=0, multiview_weight=0.6, view_factor=True)
    assert torch.allclose(multiview_weights(settings, len(expected))[1], expected, atol=1e-6)
