"""The joint sampler over real network classes: chunks, threads and precision."""

import pytest
import torch

from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.network import NetworkPrior, SequenceCondition
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.sampling.joint import JointSchedule, sample_joint
from diffusion2.sampling.noise import CellNoise
from diffusion2.sampling.parallel import Sequences, Workers
from diffusion2.sampling.schedule import karras_sigmas

from ..tiny_networks import UNET

VIEWS, FRAMES = 3, 4
NETWORK = {
    **UNET,
    "in_channels": 4,
    "out_channels": 2,
    "block_out_channels": (32, 32),
    "cross_attention_dim": 8,
    "projection_class_embeddings_input_dim": 6,
}


def network_sequences(count: int, length: int, dtype: torch.dtype, seed: int) -> Sequences:
    torch.manual_seed(seed)
    network = SpatioTemporalUNet(**NETWORK)
    condition = SequenceCondition(
        torch.randn(count, 1, 2, 8, 8),
        torch.randn(count, 1, 8),
        torch.randn(count, length, 6),
        Guidance(constant_scale(length, 1.75), sigma_low=0.1),
    )
    return Sequences(NetworkPrior(network, dtype), condition)


def sample(batch_size: int, threads: int, dtype: torch.dtype) -> torch.Tensor:
    rows = network_sequences(VIEWS, FRAMES, dtype, 0)
    columns = network_sequences(FRAMES, VIEWS, dtype, 1)
    schedule = JointSchedule(karras_sigmas(4, sigma_max=20), torch.full((4, VIEWS), 0.5), 1)
    with Workers(batch_size, threads) as workers:
        return sample_joint(rows, columns, CellNoise(0, (VIEWS, FRAMES, 2, 8, 8)), schedule, workers)


@pytest.fixture(scope="module")
def exact() -> torch.Tensor:
    return sample(1, 1, torch.float32)


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 2), (2, 1), (3, 2), (16, 1)])
def test_chunks_and_threads_change_no_more_than_rounding(
    batch_size: int, threads: int, exact: torch.Tensor
) -> None:
    got = sample(batch_size, threads, torch.float32)
    assert (got - exact).abs().max() <= 2e-5 * exact.abs().max()  # 5 evaluations, each rounded at 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_change_nothing_at_all(dtype: torch.dtype) -> None:
    assert torch.equal(sample(2, 2, dtype), sample(2, 1, dtype))


def test_half_precision_keeps_the_state_in_float32(exact: torch.Tensor) -> None:
    got = sample(2, 1, torch.bfloat16)
    assert got.dtype == torch.float32
    # the network's error of some 1e-2 of its output, not a state rounded at sigma 20
    assert 0 < (got - exact).abs().max() < 0.1 * exact.abs().max()
