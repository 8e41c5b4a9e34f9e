"""Attention feature blending against the plain network and against blending done by hooks."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffusion2.cameras import orbit
from diffusion2.errors import InputError
from diffusion2.priors.feature_blending import KERNEL, BlendedMultiviewPrior, mixing_matrix
from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.mini import load_pair
from diffusion2.priors.network import NetworkMultiviewPrior, SequenceCondition

VIEWS, FRAMES = 3, 5
IDENTITY = (0.0, 1.0, 0.0)


@pytest.fixture(params=["float32", "bfloat16"])
def plain(request: pytest.FixtureRequest, pair_folder: Path) -> NetworkMultiviewPrior:
    return load_pair("mini", pair_folder, precision=request.param).multiview


@pytest.fixture
def exact(pair_folder: Path) -> NetworkMultiviewPrior:
    prior = load_pair("mini", pair_folder, precision="float32").multiview
    for block in spatial_blocks(prior.network):
        block.attn1.to_v.weight.data *= 10  # random attention hardly adds anything
    return prior


def spatial_blocks(network: nn.Module) -> list[nn.Module]:
    return [b for module in network.modules() for b in getattr(module, "transformer_blocks", ())]


def prepare(prior: NetworkMultiviewPrior, scale: float, pictures: Tensor | None = None) -> SequenceCondition:
    if pictures is None:
        pictures = torch.rand(FRAMES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    guidance = Guidance(constant_scale(VIEWS, scale))
    return prior.prepare(pictures, orbit(VIEWS), guidance, cond_aug=0.0, seed=0)


def columns(seed: int = 1) -> Tensor:
    return 2 * torch.randn(FRAMES, VIEWS, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [1.0, 1.75])
def test_a_kernel_that_takes_nothing_from_neighbours_is_the_plain_network(
    scale: float, plain: NetworkMultiviewPrior
) -> None:
    condition = prepare(plain, scale)
    blended = BlendedMultiviewPrior(plain, FRAMES, IDENTITY)
    assert torch.equal(blended.denoise(columns(), 2.0, condition), plain.denoise(columns(), 2.0, condition))


@pytest.mark.parametrize("scale", [1.0, 1.75])
def test_equal_frames_are_not_changed(scale: float, exact: NetworkMultiviewPrior) -> None:
    condition = prepare(exact, scale, torch.rand(1, 3, 32, 32).expand(FRAMES, -1, -1, -1))
    latents = columns()[:1].expand(FRAMES, -1, -1, -1, -1).contiguous()
    expected = exact.denoise(latents, 2.0, condition)
    got = BlendedMultiviewPrior(exact, FRAMES).denoise(latents, 2.0, condition)
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()  # sums of three products each


def blend_by_hooks(network: nn.Module, mixing: Tensor) -> None:
    """Blend what each spatial attention's projections to keys and to values give, as the paper says it."""

    def blend(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        by_column = output.reshape(-1, FRAMES, VIEWS, *output.shape[1:])
        return torch.einsum("fg,hgvpc->hfvpc", mixing, by_column).reshape(output.shape)

    for block in spatial_blocks(network):
        block.attn1.to_k.register_forward_hook(blend)
        block.attn1.to_v.register_forward_hook(blend)


@pytest.mark.parametrize("scale", [1.0, 1.75])
def test_keys_and_values_are_blended_each_half_for_itself(scale: float, exact: NetworkMultiviewPrior) -> None:
    condition = prepare(exact, scale)
    got = BlendedMultiviewPrior(exact, FRAMES).denoise(columns(), 2.0, condition)
    without = exact.denoise(columns(), 2.0, condition)
    conditional = prepare(exact, 1.0)
    unconditional = replace(
        conditional,
        latents=torch.zeros_like(conditional.latents),
        context=torch.zeros_like(conditional.context),
    )
    blend_by_hooks(exact.network, mixing_matrix(FRAMES, KERNEL))
    halves = [exact.denoise(columns(), 2.0, half) for half in (conditional, unconditional)]
    expected = Guidance(constant_scale(VIEWS, scale)).combine(*halves)
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()  # another order of float32 sums
    assert (got - without).abs().max() > 1e-3  # and it does something


def test_a_frame_hears_of_a_neighbours_change_only_where_features_are_shared(
    exact: NetworkMultiviewPrior,
) -> None:
    condition = prepare(exact, 1.0)
    other = columns()
    other[3] += 1.0
    blended = BlendedMultiviewPrior(exact, FRAMES)
    assert torch.equal(exact.denoise(columns(), 2.0, condition)[2], exact.denoise(other, 2.0, condition)[2])
    assert (blended.denoise(columns(), 2.0, condition)[2] != blended.denoise(other, 2.0, condition)[2]).any()


def test_the_plain_network_stays_plain(exact: NetworkMultiviewPrior) -> None:
    condition = prepare(exact, 1.75)
    before = exact.denoise(columns(), 2.0, condition)
    BlendedMultiviewPrior(exact, FRAMES).denoise(columns(), 2.0, condition)
    assert torch.equal(exact.denoise(columns(), 2.0, condition), before)


def test_a_part_of_the_columns_is_refused(exact: NetworkMultiviewPrior) -> None:
    condition = prepare(exact, 1.75)
    with pytest.raises(InputError, match="set batch_size to 5"):
        BlendedMultiviewPrior(exact, FRAMES).denoise(columns()[:2], 2.0, condition[:2])


def test_the_end_frames_stand_in_for_missing_neighbours() -> None:
    expected = torch.tensor(
        [[0.75, 0.25, 0, 0], [0.25, 0.5, 0.25, 0], [0, 0.25, 0.5, 0.25], [0, 0, 0.25, 0.75]]
    )
    assert torch.equal(mixing_matrix(4, KERNEL), expected)
    assert torch.equal(mixing_matrix(1, KERNEL), torch.ones(1, 1))
    assert torch.allclose(mixing_matrix(3, (0.2,) * 5).sum(1), torch.ones(3))


@pytest.mark.parametrize("kernel", [(0.5, 0.5), (0.5, 0.5, 0.5), ()])
def test_kernels_that_are_even_or_change_the_scale_are_refused(kernel: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="odd length and sums to 1"):
        mixing_matrix(4, kernel)
