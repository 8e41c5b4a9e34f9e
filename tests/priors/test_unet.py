"""The network class against diffusers' own forward, and what must survive construction and loading."""

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel

from diffusion2.errors import InputError
from diffusion2.priors.unet import RES_BLOCK_EPS, SpatioTemporalUNet, drop_idle, has_idle, set_res_block_eps

from ..tiny_networks import UNET

TINY = {
    **UNET,
    "cross_attention_dim": 24,
    "projection_class_embeddings_input_dim": 48,
    "num_attention_heads": (2, 4),
}


def tiny_unet(seed: int = 0, **changes: object) -> SpatioTemporalUNet:
    torch.manual_seed(seed)
    return SpatioTemporalUNet(**{**TINY, **changes})


def inputs(sequences: int = 2, frames: int = 5, height: int = 8, width: int = 8) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(sequences, frames, 8, height, width, generator=generator),
        torch.randn(sequences, generator=generator),
        torch.randn(sequences, 1, 24, generator=generator),
        torch.randn(sequences, frames, 48, generator=generator),
    )


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 10), (5, 7)])
def test_output_is_that_of_diffusers_where_images_share_the_added_vector(height: int, width: int) -> None:
    network = tiny_unet()
    theirs = UNetSpatioTemporalConditionModel(**TINY)
    theirs.load_state_dict(network.state_dict())
    set_res_block_eps(theirs)
    sample, c_noise, context, _ = inputs(height=height, width=width)
    ids = torch.rand(2, 3) * 100
    vector = theirs.add_time_proj(ids.flatten()).reshape(2, 1, -1)
    with torch.no_grad():
        expected = theirs(sample, c_noise, context, ids).sample
        got = network(sample, c_noise, context, vector)
    # another order of the same float32 sums
    assert (got - expected).abs().max() <= 2e-6 * expected.abs().max()


def test_gradients_are_those_of_diffusers() -> None:
    network = tiny_unet().double()  # float64, so that a tight tolerance tells a slip from rounding
    theirs = UNetSpatioTemporalConditionModel(**TINY).double()
    theirs.load_state_dict(network.state_dict())
    set_res_block_eps(theirs)
    sample, c_noise, context, _ = (part.double() for part in inputs())
    ids = torch.rand(2, 3) * 100
    vector = theirs.add_time_proj(ids.flatten()).reshape(2, 1, -1)
    theirs(sample, c_noise, context, ids).sample.square().sum().backward()
    network(sample, c_noise, context, vector).square().sum().backward()
    ours = dict(network.named_parameters())
    for name, parameter in theirs.named_parameters():
        gradient = ours[name].grad
        if gradient is None:  # softmax over one token: queries and keys can't matter
            assert "attn2" in name or "norm2" in name
            gradient = torch.zeros_like(parameter)
        assert (gradient - parameter.grad).abs().max() <= 1e-9 * (1 + parameter.grad.abs().max()), name


def test_one_vector_for_all_images_is_the_same_vector_for_each() -> None:
    network = tiny_unet()
    sample, c_noise, context, vector = inputs()
    shared = vector[:, :1]
    with torch.no_grad():
        expected = network(sample, c_noise, context, shared.expand_as(vector))
        got = network(sample, c_noise, context, shared)
    assert (got - expected).abs().max() <= 2e-6 * expected.abs().max()


def test_each_image_follows_its_own_added_vector() -> None:
    network = tiny_unet()
    sample, c_noise, context, vector = inputs()
    with torch.no_grad():
        a = network(sample, c_noise, context, vector)
        b = network(sample, c_noise, context, vector.flip(1))
    assert (a - b).abs().max() > 1e-3


def test_sequences_do_not_see_each_other() -> None:
    network = tiny_unet()
    parts = inputs()
    with torch.no_grad():
        both = network(*parts)
        alone = network(*(part[1:] for part in parts))
    assert (both[1:] - alone).abs().max() <= 2e-6 * both.abs().max()


def res_block_eps(network: torch.nn.Module) -> set[float]:
    return {
        m.eps for n, m in network.named_modules() if "res_block" in n and isinstance(m, torch.nn.GroupNorm)
    }


def test_the_released_epsilon_survives_construction_and_loading(tmp_path) -> None:
    network = tiny_unet()
    network.save_pretrained(tmp_path)
    assert res_block_eps(network) == {RES_BLOCK_EPS}
    assert res_block_eps(SpatioTemporalUNet.from_config(network.config)) == {RES_BLOCK_EPS}
    loaded = SpatioTemporalUNet.from_pretrained(tmp_path)
    assert res_block_eps(loaded) == {RES_BLOCK_EPS}
    assert loaded.down_blocks[0].attentions[0].norm.eps == 1e-6
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_trains_under_bfloat16_autocast() -> None:
    network = tiny_unet()
    parts = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        out = network(*parts)
    out.float().square().mean().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)
    with torch.no_grad():
        exact = network(*parts)
    assert (out - exact).abs().max() < 0.05 * exact.abs().max()  # eight bits of mantissa, through all layers


@pytest.mark.parametrize("broken", range(4))
def test_wrong_shapes_are_refused(broken: int) -> None:
    parts = list(inputs())
    parts[broken] = parts[broken][:1] if broken else parts[broken][:, :, 1:]
    with pytest.raises(InputError):
        tiny_unet()(*parts)


def test_what_a_context_of_one_token_makes_idle_can_go() -> None:
    network = tiny_unet().eval()
    whole = sum(p.numel() for p in network.parameters())
    assert has_idle(network.state_dict())
    arguments = inputs()
    with torch.no_grad():
        expected = network(*arguments)
        assert torch.equal(drop_idle(network)(*arguments), expected)
    assert not has_idle(network.state_dict())
    assert 0 < sum(p.numel() for p in network.parameters()) < whole
