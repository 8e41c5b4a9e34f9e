"""Deep features kept between noise levels: which are computed, which used, and what that changes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffusion2.cameras import orbit
from diffusion2.config import GenerateSettings, SamplingSettings
from diffusion2.image_matrix import Conditions
from diffusion2.priors.feature_blending import with_feature_blending
from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.mini import load_pair
from diffusion2.priors.network import NetworkPrior, SequenceCondition
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling import sample_matrix

SEQUENCES, IMAGES = 3, 4
FRESH = frozenset({2.0})


@pytest.fixture
def pair(pair_folder: Path) -> PriorPair:
    return load_pair("mini", pair_folder, precision="float32")


@pytest.fixture
def calls(pair: PriorPair, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count how often the lowest level and the first one of the video network are computed."""
    counts = {"lowest": 0, "first": 0}

    def count(name: str) -> None:
        counts[name] += 1

    network = pair.video.network
    network.mid_block.resnets[0].spatial_res_block.conv1.register_forward_hook(lambda *_: count("lowest"))
    network.conv_in.register_forward_hook(lambda *_: count("first"))
    return counts


def latents(seed: int = 1) -> Tensor:
    return 2 * torch.randn(SEQUENCES, IMAGES, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def prepare(prior: NetworkPrior, guidance: Guidance) -> SequenceCondition:
    pictures = torch.rand(SEQUENCES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return prior.prepare(pictures, guidance, cond_aug=0.0)


def guided(scale: float, **where: float) -> Guidance:
    return Guidance(constant_scale(IMAGES, scale), **where)


@pytest.mark.parametrize("scale", [1.0, 1.75])
def test_fresh_levels_are_the_plain_network(scale: float, pair: PriorPair) -> None:
    reusing = pair.reusing_features(FRESH).video
    condition = prepare(reusing, guided(scale))
    expected = pair.video.denoise(latents(), 2.0, prepare(pair.video, guided(scale)))
    for _ in range(2):
        assert torch.equal(reusing.denoise(latents(), 2.0, condition), expected)


@pytest.mark.parametrize("scale", [1.0, 1.75])
def test_other_levels_compute_the_first_level_alone(
    scale: float, pair: PriorPair, calls: dict[str, int]
) -> None:
    reusing = pair.reusing_features(FRESH).video
    condition = prepare(reusing, guided(scale))
    for sigma, lowest in ((2.0, 1), (1.5, 1), (1.0, 1), (2.0, 2)):
        reusing.denoise(latents(), sigma, condition)
        assert calls["lowest"] == lowest
    assert calls["first"] == 4


def test_what_is_reused_errs_with_the_distance_of_the_levels_and_no_more(pair: PriorPair) -> None:
    reusing = pair.reusing_features(FRESH).video
    condition, plain = prepare(reusing, guided(1.75)), prepare(pair.video, guided(1.75))

    def error(sigma: float) -> float:
        reusing.denoise(latents(), 2.0, condition)
        exact = pair.video.denoise(latents(), sigma, plain)
        return float((reusing.denoise(latents(), sigma, condition) - exact).abs().max() / exact.abs().max())

    assert error(2.0 - 1e-6) < 1e-5
    assert 1e-5 < error(1.9) < error(1.0) < 0.5


def test_chunks_share_what_is_kept(pair: PriorPair) -> None:
    reusing = pair.reusing_features(FRESH).video
    together, apart = (prepare(reusing, guided(1.75)) for _ in range(2))
    reusing.denoise(latents(), 2.0, together)
    for part in (slice(0, 2), slice(2, 3)):
        reusing.denoise(latents()[part], 2.0, apart[part])
    expected = reusing.denoise(latents(2), 1.0, together)
    # cut elsewhere than before
    got = [reusing.denoise(latents(2)[part], 1.0, apart[part]) for part in (slice(0, 1), slice(1, 3))]
    assert (torch.cat(got) - expected).abs().max() < 1e-5


def test_conditions_do_not_share_what_is_kept(pair: PriorPair) -> None:
    reusing = pair.reusing_features(FRESH).video
    one, other = prepare(reusing, guided(1.0)), prepare(reusing, guided(1.0))
    reusing.denoise(latents(), 2.0, one)
    expected = pair.video.denoise(latents(), 1.0, prepare(pair.video, guided(1.0)))
    assert torch.equal(reusing.denoise(latents(), 1.0, other), expected)  # it has nothing to use


def test_where_guidance_ends_the_conditional_half_is_used(pair: PriorPair, calls: dict[str, int]) -> None:
    reusing = pair.reusing_features(FRESH).video
    plain, ending = prepare(reusing, guided(1.0)), prepare(reusing, guided(3.0, sigma_low=1.5))
    for condition in (plain, ending):
        reusing.denoise(latents(), 2.0, condition)
    without, ended = (reusing.denoise(latents(), 1.0, condition) for condition in (plain, ending))
    assert calls["lowest"] == 2
    assert (without - ended).abs().max() < 1e-5


def test_where_guidance_begins_all_is_computed(pair: PriorPair, calls: dict[str, int]) -> None:
    reusing = pair.reusing_features(FRESH).video
    condition = prepare(reusing, guided(3.0, sigma_high=1.5))
    reusing.denoise(latents(), 2.0, condition)
    expected = pair.video.denoise(latents(), 1.0, prepare(pair.video, guided(3.0)))
    before = calls["lowest"]
    assert torch.equal(reusing.denoise(latents(), 1.0, condition), expected)
    assert calls["lowest"] == before + 1


def test_columns_that_share_keys_keep_features_too(pair: PriorPair) -> None:
    blended = with_feature_blending(pair, SEQUENCES).multiview
    reusing = blended.reusing_features(FRESH)
    pictures = torch.rand(SEQUENCES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, keeping = (
        prior.prepare(pictures, orbit(IMAGES), guided(1.75), cond_aug=0.0, seed=0)
        for prior in (blended, reusing)
    )
    assert plain.features is None
    expected = blended.denoise(latents(), 2.0, plain)
    assert torch.equal(reusing.denoise(latents(), 2.0, keeping), expected)
    near = reusing.denoise(latents(), 2.0 - 1e-6, keeping)
    assert (near - expected).abs().max() < 1e-4


def settings(**sampling: int) -> GenerateSettings:
    told = SamplingSettings(steps=7, rollback_steps=1, checkpoint_every=2, feature_reuse=3)
    return GenerateSettings(views=3, frames=IMAGES, size=32, sampling=replace(told, **sampling))


@pytest.fixture
def conditions() -> Conditions:
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, 32, 32, generator=generator)
    video, views = (torch.rand(n, 3, 32, 32, generator=generator) for n in (IMAGES, 3))
    return Conditions(picture, video, views)


def test_a_run_goes_on_from_checkpoints_that_need_nothing_kept(
    pair: PriorPair, conditions: Conditions, calls: dict[str, int]
) -> None:
    kept: dict[int, dict[str, Tensor]] = {}
    whole = sample_matrix(pair, conditions, settings(threads=1), on_checkpoint=kept.__setitem__)
    # steps 0, 0 again after its rollback, 1 and 4 of 0 to 6; two calls for three rows
    assert calls == {"lowest": 2 * 4, "first": 2 * 8}
    assert sorted(kept) == [4]
    for start in kept.items():
        assert torch.equal(sample_matrix(pair, conditions, settings(threads=1), start=start), whole)


def test_reuse_is_near_the_exact_matrix(pair: PriorPair, conditions: Conditions) -> None:
    exact = sample_matrix(pair, conditions, settings(feature_reuse=1))
    reused = sample_matrix(pair, conditions, settings(feature_reuse=2))
    other = sample_matrix(pair, conditions, replace(settings(feature_reuse=1), seed=1))
    assert 0 < (reused - exact).std() < 0.2 * (other - exact).std()
