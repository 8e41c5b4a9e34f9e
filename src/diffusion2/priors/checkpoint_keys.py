"""Names of a UNet's parameters: from the released checkpoints of SVD and SV3D to diffusers' layout.

The released files number blocks through (`input_blocks.4.1`), diffusers names them by level, kind and
layer (`down_blocks.1.attentions.0`). The mapping is one to one; shapes do not change.
"""

import re

from diffusion2.errors import WeightsError
from diffusion2.weights.tensor_files import Shapes, TensorSource

RELEASED_PREFIX = "model.diffusion_model."
"""What the UNet's names begin with in a released file, beside those of the VAE and the image encoder."""

_OUTER = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
RES_BLOCK = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
"""Modules of a residual block, in space or in time."""
_MIDDLE = {"0": "mid_block.resnets.0", "1": "mid_block.attentions.0", "2": "mid_block.resnets.1"}


def diffusers_key(released: str, layers_per_block: int = 2) -> str:
    """Translate one parameter's name.

    Args:
        released: its name in the released checkpoint, with or without `model.diffusion_model.`.
        layers_per_block: residual blocks per level on the way down, 2 in SVD and SV3D.

    Returns:
        Its name in `SpatioTemporalUNet.state_dict()`.

    Raises:
        WeightsError: it is no parameter of such a network.
    """
    name = released.removeprefix(RELEASED_PREFIX)
    module, _, leaf = name.rpartition(".")
    if module in _OUTER:
        return f"{_OUTER[module]}.{leaf}"
    block = re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)|middle_block\.(\d)\.(.+)", name)
    if block is None:
        raise WeightsError(f"{released!r} is no parameter of an SVD or SV3D network")
    if block[1] is None:
        prefix = _MIDDLE[block[5]]
        return f"{prefix}.{_inner_key(block[6], is_attention='attentions' in prefix)}"
    index, rest, is_attention = int(block[2]), block[4], block[3] != "0"
    side = "down" if block[1] == "input" else "up"
    level, layer = divmod(index - (side == "down"), layers_per_block + 1)
    if rest.startswith("op."):
        return f"down_blocks.{level}.downsamplers.0.conv.{leaf}"
    if is_attention and rest.startswith("conv."):
        return f"up_blocks.{level}.upsamplers.0.conv.{leaf}"
    kind = "attentions" if is_attention else "resnets"
    return f"{side}_blocks.{level}.{kind}.{layer}.{_inner_key(rest, is_attention)}"


def _inner_key(rest: str, is_attention: bool) -> str:
    """Translate what follows a block's number."""
    if rest == "time_mixer.mix_factor":
        return rest
    if is_attention:
        rest = re.sub(r"^time_stack\.", "temporal_transformer_blocks.", rest)
        return re.sub(
            r"^time_pos_embed\.([02])", lambda m: f"time_pos_embed.linear_{1 + int(m[1]) // 2}", rest
        )
    part = "temporal_res_block" if rest.startswith("time_stack.") else "spatial_res_block"
    module, _, leaf = rest.removeprefix("time_stack.").rpartition(".")
    if module not in RES_BLOCK:
        raise WeightsError(f"{rest!r} is no parameter of a residual block")
    return f"{part}.{RES_BLOCK[module]}.{leaf}"


def unet_sources(shapes: Shapes, layers_per_block: int = 2) -> dict[str, TensorSource]:
    """Find a UNet's parameters in a released checkpoint.

    Args:
        shapes: of the checkpoint's tensors, by name; what is not the UNet's is left out.
        layers_per_block: as in `diffusers_key`.

    Raises:
        WeightsError: the checkpoint holds no such network.
    """
    sources = {
        diffusers_key(name, layers_per_block): TensorSource(name, tuple(shape))
        for name, shape in shapes.items()
        if name.startswith(RELEASED_PREFIX)
    }
    if not sources:
        raise WeightsError(f"no tensor's name begins with {RELEASED_PREFIX!r}: not a released checkpoint")
    return sources
