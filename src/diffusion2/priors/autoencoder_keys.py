"""Names of the autoencoder's parameters: from the released checkpoints of SVD to diffusers' layout.

A released file holds the parts of SVD's autoencoder in two places. The encoder that makes condition latents,
with its `quant_conv`, is the conditioner's; the decoder with layers in time is the first stage's. SVD's first
stage has an encoder too, which only training needed; SV3D's has none.
"""

import re

from torch import Tensor

from diffusion2.errors import WeightsError
from diffusion2.priors.checkpoint_keys import RES_BLOCK
from diffusion2.weights.tensor_files import Shapes, TensorSource

DECODER_PREFIX = "first_stage_model."
ENCODER_PREFIX = re.compile(r"conditioner\.embedders\.\d+\.encoder\.(?=(encoder|quant_conv)\.)")
"""Which embedder it is differs: the fourth of SVD's, the second of SV3D's."""

_PIECES = {
    "norm_out": "conv_norm_out",
    "conv_out.time_mix_conv": "time_conv_out",
    "mid.attn_1.norm": "mid_block.attentions.0.group_norm",
    "mid.attn_1.q": "mid_block.attentions.0.to_q",
    "mid.attn_1.k": "mid_block.attentions.0.to_k",
    "mid.attn_1.v": "mid_block.attentions.0.to_v",
    "mid.attn_1.proj_out": "mid_block.attentions.0.to_out.0",
}


def autoencoder_key(released: str, levels: int = 4) -> str:
    """Translate one parameter's name.

    Args:
        released: its name below `ENCODER_PREFIX` or `DECODER_PREFIX`.
        levels: resolutions of the autoencoder, which the decoder counts from the other end.

    Returns:
        Its name in `AutoencoderKLTemporalDecoder.state_dict()`.

    Raises:
        WeightsError: it is no parameter of such an autoencoder.
    """
    side, _, name = released.partition(".")
    module, _, leaf = name.rpartition(".")
    if side == "quant_conv" or module in ("conv_in", "conv_out"):
        return released
    if module in _PIECES:
        return f"{side}.{_PIECES[module]}.{leaf}"
    sample = re.fullmatch(r"(down|up)\.(\d+)\.(?:down|up)sample\.conv", module)
    if sample:
        return f"{side}.{_level(sample[1], sample[2], levels)}.{sample[1]}samplers.0.conv.{leaf}"
    block = re.fullmatch(r"(?:mid\.block_(\d)|(down|up)\.(\d+)\.block\.(\d+))\.(.+)", name)
    if block is None:
        raise WeightsError(f"{released!r} is no parameter of SVD's autoencoder")
    if block[1]:
        prefix = f"{side}.mid_block.resnets.{int(block[1]) - 1}"
    else:
        prefix = f"{side}.{_level(block[2], block[3], levels)}.resnets.{block[4]}"
    return f"{prefix}.{_res_block_key(block[5], in_decoder=side == 'decoder')}"


def _level(side: str, number: str, levels: int) -> str:
    return f"down_blocks.{number}" if side == "down" else f"up_blocks.{levels - 1 - int(number)}"


def _res_block_key(rest: str, in_decoder: bool) -> str:
    """Translate what follows a residual block's number; only the decoder's have a part in time."""
    if rest == "mix_factor":
        return "time_mixer.mix_factor"
    module, _, leaf = rest.rpartition(".")
    if module.startswith("time_stack."):
        module = module.removeprefix("time_stack.")
        if module not in RES_BLOCK:
            raise WeightsError(f"{rest!r} is no parameter of a residual block")
        return f"temporal_res_block.{RES_BLOCK[module]}.{leaf}"
    module = "conv_shortcut" if module == "nin_shortcut" else module
    return f"spatial_res_block.{module}.{leaf}" if in_decoder else f"{module}.{leaf}"


def autoencoder_sources(shapes: Shapes, levels: int = 4) -> dict[str, TensorSource]:
    """Find the autoencoder's parameters in a released checkpoint.

    Args:
        shapes: of the checkpoint's tensors, by name.
        levels: as in `autoencoder_key`.

    Raises:
        WeightsError: the checkpoint holds no encoder or no decoder.
    """
    sources = {}
    for name, shape in shapes.items():
        encoder = ENCODER_PREFIX.match(name)
        if encoder:
            key = autoencoder_key(name[encoder.end() :], levels)
        elif name.startswith(f"{DECODER_PREFIX}decoder."):
            key = autoencoder_key(name.removeprefix(DECODER_PREFIX), levels)
        else:
            continue
        sources[key] = _source(key, name, tuple(shape))
    for part in ("encoder.", "decoder."):
        if not any(key.startswith(part) for key in sources):
            raise WeightsError(f"the checkpoint holds no {part.rstrip('.')} of an autoencoder")
    return sources


def _source(key: str, name: str, shape: tuple[int, ...]) -> TensorSource:
    """Turn the attention's 1x1 convolutions into the linear maps that diffusers has there."""
    if ".to_" in key and len(shape) == 4:
        return TensorSource(name, shape[:2], _drop_kernel_axes)
    return TensorSource(name, shape)


def _drop_kernel_axes(kernel: Tensor) -> Tensor:
    return kernel[:, :, 0, 0]
