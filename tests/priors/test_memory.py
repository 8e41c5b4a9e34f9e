"""The memory that priors plan with, against the arrays that are alive; and what a lack of it changes."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from torch import Tensor

from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.device_memory import USED, DeviceMemory
from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.network import NetworkPrior, SequenceCondition
from diffusion2.priors.unet import SpatioTemporalUNet

from ..tiny_networks import UNET, VAE

COUNTER = Path(__file__).parents[2] / "benchmarks" / "memory.py"


@pytest.fixture(scope="module")
def peak_bytes() -> Callable[..., int]:
    if not COUNTER.is_file():
        pytest.skip("needs benchmarks/memory.py, which counts the arrays that are alive")
    return runpy.run_path(str(COUNTER))["peak_bytes"]


def make_network() -> SpatioTemporalUNet:
    torch.manual_seed(0)
    kinds = ("CrossAttnDownBlockSpatioTemporal",) * 2, ("CrossAttnUpBlockSpatioTemporal",) * 2
    config = {**UNET, "down_block_types": kinds[0], "up_block_types": kinds[1]}
    return SpatioTemporalUNet(**config, projection_class_embeddings_input_dim=48)


def make_condition(count: int, length: int, scale: float, side: int) -> SequenceCondition:
    generator = torch.Generator().manual_seed(1)
    return SequenceCondition(
        torch.randn(count, 1, 4, side, side, generator=generator),
        torch.randn(count, 1, 64, generator=generator),
        torch.randn(count, 1, 48, generator=generator),
        Guidance(constant_scale(length, scale)),
    )


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_network_takes_the_memory_that_is_planned_for_it(scale: float, peak_bytes) -> None:
    side = 36  # more pixels than plain attention is used for, whose scores are larger than all else
    prior = NetworkPrior(make_network())
    latents = torch.randn(1, 3, 4, side, side)
    counted = peak_bytes(
        prior.network, lambda: prior.denoise(latents, 2.0, make_condition(1, 3, scale, side))
    )
    planned = prior.bytes_each(latents.shape, guided=scale != 1)
    # enough, and not so much that room is wasted
    assert 0.7 * planned < counted < planned


def test_the_autoencoder_takes_the_memory_that_is_planned_for_it(peak_bytes) -> None:
    asked: list[float] = []

    class Listening(DeviceMemory):
        def work(self, network, call, count, bytes_each, **named):
            asked.append(bytes_each)
            return super().work(network, call, count, bytes_each, **named)

    temporal = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32, 64, 128, 128),
        layers_per_block=2,
    )
    codec = LatentCodec(temporal, memory=Listening())
    encoded = peak_bytes(temporal, lambda: codec.encode_mode(torch.rand(2, 3, 64, 64)))
    decoded = peak_bytes(temporal, lambda: codec.decode(torch.rand(2, 4, 8, 8)))
    for counted, planned in ((encoded, 2 * asked[0]), (decoded, 2 * asked[1])):
        assert 0.7 * planned < counted < planned
    mini = AutoencoderKL(**VAE)
    codec = LatentCodec(mini, pixel_unshuffle=2, memory=Listening())
    assert peak_bytes(mini, lambda: codec.decode(torch.rand(2, 4, 8, 8))) < 2 * asked[2]


def test_a_network_out_of_memory_gives_the_same_from_smaller_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, side = NetworkPrior(make_network(), memory=DeviceMemory("cpu", free=lambda device: None)), 8
    latents, condition = torch.randn(5, 3, 4, side, side), make_condition(5, 3, 2.0, side)
    expected = prior.denoise(latents, 2.0, condition)
    forward, sizes = prior.network.forward, []

    def limited(sample: Tensor, *rest: Tensor) -> Tensor:
        if len(sample) > 4:  # two sequences, with guidance
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        sizes.append(len(sample))
        return forward(sample, *rest)

    monkeypatch.setattr(prior.network, "forward", limited)
    got = prior.denoise(latents, 2.0, condition)
    assert sizes == [4, 4, 2]
    # the same sums, by products over fewer rows
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_pictures_are_coded_in_chunks_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = LatentCodec(AutoencoderKL(**VAE), pixel_unshuffle=2)
    pictures = torch.rand(5, 3, 32, 32)
    latents = codec.encode_mode(pictures)
    images = codec.decode(latents)
    sizes: list[int] = []
    for name in ("encode", "decode"):
        call = getattr(codec.vae, name)
        monkeypatch.setattr(codec.vae, name, lambda x, call=call: sizes.append(len(x)) or call(x))
    # a picture takes 6, or 9, times 8 channels of 16x16 float32 numbers
    codec.memory = DeviceMemory("cpu", free=lambda device: int(2.5 * 9 * 8192 / USED))
    assert torch.allclose(codec.encode_mode(pictures), latents, atol=1e-5)
    assert torch.allclose(codec.decode(latents), images, atol=1e-5)
    assert sizes == [3, 2, 2, 2, 1]


def test_images_that_share_keys_are_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = NetworkPrior(make_network(), memory=DeviceMemory("cpu", free=lambda device: 1))
    prior.blend = lambda tokens: tokens
    asked: list[int] = []
    forward = prior.network.forward
    monkeypatch.setattr(
        prior.network, "forward", lambda sample, *rest: asked.append(len(sample)) or forward(sample, *rest)
    )
    prior.denoise(torch.randn(3, 2, 4, 8, 8), 2.0, make_condition(3, 2, 1.0, 8))
    assert asked == [3]
