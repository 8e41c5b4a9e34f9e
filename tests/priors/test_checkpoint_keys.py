"""Translation of parameter names; that it is one to one at full size is a parity test."""

import pytest

from diffusion2.errors import WeightsError
from diffusion2.priors.checkpoint_keys import RELEASED_PREFIX, diffusers_key, unet_sources


@pytest.mark.parametrize(
    ("released", "ours"),
    [
        ("input_blocks.0.0.weight", "conv_in.weight"),
        ("input_blocks.3.0.op.bias", "down_blocks.0.downsamplers.0.conv.bias"),
        ("input_blocks.5.1.proj_in.weight", "down_blocks.1.attentions.1.proj_in.weight"),
        ("middle_block.2.out_layers.3.bias", "mid_block.resnets.1.spatial_res_block.conv2.bias"),
        ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
        ("output_blocks.5.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"),
        (
            "output_blocks.3.1.time_stack.0.attn1.to_q.weight",
            "up_blocks.1.attentions.0.temporal_transformer_blocks.0.attn1.to_q.weight",
        ),
        (
            "output_blocks.3.0.time_stack.emb_layers.1.bias",
            "up_blocks.1.resnets.0.temporal_res_block.time_emb_proj.bias",
        ),
        ("output_blocks.3.0.time_mixer.mix_factor", "up_blocks.1.resnets.0.time_mixer.mix_factor"),
        ("input_blocks.1.1.time_pos_embed.2.bias", "down_blocks.0.attentions.0.time_pos_embed.linear_2.bias"),
        ("label_emb.0.0.weight", "add_embedding.linear_1.weight"),
        ("out.2.weight", "conv_out.weight"),
    ],
)
def test_names(released: str, ours: str) -> None:
    assert diffusers_key(RELEASED_PREFIX + released) == ours


@pytest.mark.parametrize(
    "name", ["first_stage_model.encoder.conv_in.weight", "input_blocks.1.0.nonsense.bias"]
)
def test_foreign_names_are_refused_by_name(name: str) -> None:
    with pytest.raises(WeightsError, match=name.rsplit(".", 2)[1]):
        diffusers_key(name)


def test_only_the_network_is_taken_from_a_checkpoint() -> None:
    shapes = {RELEASED_PREFIX + "out.0.bias": (1,), "first_stage_model.decoder.conv_in.bias": (1,)}
    assert list(unet_sources(shapes)) == ["conv_norm_out.bias"]
    with pytest.raises(WeightsError, match="not a released checkpoint"):
        unet_sources({"conv_in.weight": (1,)})
