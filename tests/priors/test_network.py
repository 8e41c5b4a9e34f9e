"""Network priors: guidance, conditions and the codec, with random weights."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.priors.embeddings import orbit_vector
from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.mini import load_pair
from diffusion2.priors.prior import PriorPair


@pytest.fixture
def pair(pair_folder: Path) -> PriorPair:
    return load_pair("mini", pair_folder, precision="float32")


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def guided(scale: float, length: int = 4) -> Guidance:
    return Guidance(constant_scale(length, scale))


def test_video_condition_is_the_mode_of_the_picture_unscaled(pair: PriorPair, pictures: Tensor) -> None:
    condition = pair.video.prepare(pictures, guided(1), cond_aug=0.0)
    assert torch.equal(condition.latents, pair.codec.encode_mode(pictures)[:, None])
    assert torch.allclose(pair.codec.encode_scaled(pictures)[:, None], condition.latents * 0.5)
    assert condition.context.shape == (3, 1, 64)
    assert condition.vector.shape == (3, 1, 48)
    assert len(condition) == 3
    assert torch.equal(condition[1:].latents, condition.latents[1:])
    assert torch.equal(condition[1:].vector, condition.vector[1:])


def test_noise_on_the_condition_follows_seed_and_sequence(pair: PriorPair, pictures: Tensor) -> None:
    def latents(seed: int, count: int = 3) -> Tensor:
        return pair.video.prepare(pictures[:count], guided(1), cond_aug=0.2, seed=seed).latents

    assert torch.equal(latents(1), latents(1))
    assert not torch.equal(latents(1), latents(2))
    assert torch.allclose(latents(1, 2), latents(1)[:2], atol=1e-6)


def test_views_are_told_their_camera(pair: PriorPair, pictures: Tensor) -> None:
    condition = pair.multiview.prepare(pictures, orbit(4, 20.0), guided(1), cond_aug=0.0)
    polars = torch.full((4,), torch.pi * 70 / 180)
    azimuths = torch.tensor([0.5, 1.0, 1.5, 2.0]) * torch.pi
    expected = orbit_vector(polars, azimuths, 0.0, 16)
    assert condition.vector.shape == (3, 4, 80)
    assert torch.allclose(condition.vector[1], expected, atol=1e-6)


def test_unconditional_estimate_sees_no_picture_but_the_same_vector(
    pair: PriorPair, pictures: Tensor
) -> None:
    condition = pair.video.prepare(pictures, guided(0), cond_aug=0.0)
    other = pair.video.prepare(1 - pictures, guided(0), cond_aug=0.0)
    latents = torch.randn(3, 4, 4, 8, 8)
    without = pair.video.denoise(latents, 2.0, condition)
    assert torch.allclose(without, pair.video.denoise(latents, 2.0, other), atol=1e-6)
    faster = pair.video.prepare(pictures, guided(0), cond_aug=0.0, fps_id=3)
    assert (without - pair.video.denoise(latents, 2.0, faster)).abs().max() > 1e-4


def test_scale_one_leaves_the_unconditional_half_out(
    pair: PriorPair, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    forward = pair.video.network.forward
    monkeypatch.setattr(
        pair.video.network,
        "forward",
        lambda sample, *rest: asked.append(len(sample)) or forward(sample, *rest),
    )
    latents = torch.randn(3, 4, 4, 8, 8)
    condition = pair.video.prepare(pictures, guided(1))
    pair.video.denoise(latents, 2.0, condition)
    condition = replace(condition, guidance=replace(guided(2), sigma_high=1.0))
    pair.video.denoise(latents, 2.0, condition)
    pair.video.denoise(latents, 0.5, condition)
    assert asked == [3, 3, 6]


def test_estimate_is_nearly_the_input_where_there_is_hardly_noise(pair: PriorPair, pictures: Tensor) -> None:
    latents = torch.randn(3, 4, 4, 8, 8)
    estimate = pair.video.denoise(latents, 1e-4, pair.video.prepare(pictures, guided(1)))
    assert (estimate - latents).abs().max() < 1e-2
    assert estimate.dtype == torch.float32


def test_half_precision_stays_near(pair_folder: Path, pair: PriorPair, pictures: Tensor) -> None:
    half = load_pair("mini", pair_folder, precision="bfloat16")
    latents = 2 * torch.randn(3, 4, 4, 8, 8)
    condition = pair.video.prepare(pictures, guided(1))
    exact, near = (p.video.denoise(latents, 1.0, condition) for p in (pair, half))
    assert near.dtype == torch.float32
    assert 0 < (exact - near).abs().max() < 0.05 * exact.abs().max()


def test_decoding_does_not_depend_on_the_batch(pair: PriorPair, pictures: Tensor) -> None:
    latents = pair.codec.encode_scaled(pictures)
    whole = pair.codec.decode(latents)
    pair.codec.batch_size = 2
    assert torch.allclose(pair.codec.decode(latents), whole, atol=1e-6)
    assert torch.allclose(pair.codec.encode_scaled(pictures), latents, atol=1e-6)
    assert whole.shape == pictures.shape
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_a_compiler_that_fails_is_an_error_that_says_what_to_do(
    pair: PriorPair, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Exception):
        """Stands for the errors of torch's compiler, which share nothing but their home."""

    Failing.__module__ = "torch._inductor.exc"

    def fail(*inputs: object) -> Tensor:
        raise Failing("RuntimeError: Failed to find C++ compiler.\nYou can set ...")

    monkeypatch.setattr(torch, "compile", lambda network: fail)
    pair.video.compile()
    with pytest.raises(BackendUnavailable, match=r"Failed to find C\+\+ compiler.: leave out"):
        pair.video.denoise(torch.randn(3, 4, 4, 8, 8), 2.0, pair.video.prepare(pictures, guided(1)))


def test_other_errors_of_a_compiled_network_pass(
    pair: PriorPair, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*inputs: object) -> Tensor:
        raise InputError("no such thing")

    monkeypatch.setattr(torch, "compile", lambda network: fail)
    pair.video.compile()
    with pytest.raises(InputError, match="no such thing"):
        pair.video.denoise(torch.randn(3, 4, 4, 8, 8), 2.0, pair.video.prepare(pictures, guided(1)))


@pytest.mark.slow
@pytest.mark.parametrize("reusing", [False, True])
def test_the_compiler_sees_the_whole_network_as_one_graph(
    reusing: bool, pair: PriorPair, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = pair.reusing_features(frozenset({2.0})).video if reusing else pair.video
    latents = torch.randn(3, 4, 4, 8, 8)

    def estimates() -> list[Tensor]:
        condition = prior.prepare(pictures, guided(2))
        return [prior.denoise(latents, sigma, condition) for sigma in (2.0, 1.0)]

    expected = estimates()
    # the code that is then made of the graph takes minutes to compile on a CPU: here it is run as it is
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    prior.compile()
    for got, wanted in zip(estimates(), expected, strict=True):
        assert torch.equal(got, wanted)


def test_views_are_told_the_same_whatever_turns_are_counted(pair: PriorPair, pictures: Tensor) -> None:
    def told(azimuths: list[float]) -> tuple[Tensor, Tensor]:
        condition = pair.multiview.prepare(pictures, make_cameras(azimuths), guided(4), cond_aug=0.0)
        return condition.vector, condition.latents

    vector, latents = told([90, 180, 270, 360])
    for azimuths in ([-270, -180, -90, 0], [450, -180, 270, 720]):
        same_vector, same_latents = told(azimuths)
        # radians are rounded to float32's steps
        torch.testing.assert_close(same_vector, vector, atol=1e-6, rtol=0)
        torch.testing.assert_close(same_latents, latents, atol=1e-6, rtol=0)
