"""Forward passes of the space-time blocks, over the parameters that diffusers lays out.

diffusers owns the names and shapes of the parameters; the arithmetic here is the same, arranged so
that short sequences on a CPU are not slowed down by copies:

- images stay in channels-last memory, so that tokens, spatial and temporal convolutions are views;
- attention over short sequences is two batched matrix products (the backward of the fused kernel is slow
  there), long sequences use the fused kernel;
- the context is a single token, over which a softmax is 1: cross-attention is a linear map of it;
- all convolutions over time are 2-D convolutions over (time, pixels).

Shapes: N sequences of T images, C channels; an image batch is (N*T, C, h, w).
"""

import torch
import torch.nn.functional as F
from diffusers.models.attention import BasicTransformerBlock, TemporalBasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import Tensor, nn

SHORT_SEQUENCE = 1024
"""Tokens up to which explicit products beat the fused attention kernel on a CPU."""


def res_block(block: SpatioTemporalResBlock, x: Tensor, emb: Tensor, frames: int) -> Tensor:
    """Apply a residual block in space, then one in time, blended by the learned factor.

    Args:
        block: the parameters.
        x: (N*T, C, h, w).
        emb: (N, T or 1, E), the embedding after its SiLU.
        frames: T.

    Returns:
        (N*T, C', h, w)
    """
    x = _spatial_res_block(block.spatial_res_block, x, emb, frames)
    h = _temporal_residual(block.temporal_res_block, x, emb, frames)
    # a·x + (1 - a)·(x + h), where the temporal block has no convolution on its shortcut
    return x + h * (1 - torch.sigmoid(block.time_mixer.mix_factor)).to(h.dtype)


def _spatial_res_block(block: nn.Module, x: Tensor, emb: Tensor, frames: int) -> Tensor:
    h = block.conv1(F.silu(block.norm1(x)))
    shift = block.time_emb_proj(emb)
    shift = shift.expand(-1, frames, -1).reshape(x.shape[0], -1, 1, 1)
    h = block.conv2(F.silu(block.norm2(h + shift)))
    if block.conv_shortcut is not None:
        x = block.conv_shortcut(x)
    return x + h


def _temporal_residual(block: nn.Module, x: Tensor, emb: Tensor, frames: int) -> Tensor:
    images, channels, height, width = x.shape
    # (N, C, T, h*w) over the same channels-last memory
    x = x.permute(0, 2, 3, 1).reshape(images // frames, frames, height * width, channels).permute(0, 3, 1, 2)
    h = _conv_over_time(block.conv1, F.silu(block.norm1(x)))
    h = h + block.time_emb_proj(emb).transpose(1, 2)[..., None]
    h = _conv_over_time(block.conv2, F.silu(block.norm2(h)))
    return h.permute(0, 2, 3, 1).reshape(images, height, width, channels).permute(0, 3, 1, 2)


def _conv_over_time(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """Apply a (3, 1, 1) convolution to (N, C, T, pixels)."""
    return F.conv2d(x, conv.weight[..., 0], conv.bias, padding=(1, 0))


def transformer(module: TransformerSpatioTemporalModel, x: Tensor, context: Tensor, frames: int) -> Tensor:
    """Apply attention over the pixels of each image, then over the images at each pixel.

    Args:
        module: the parameters.
        x: (N*T, C, h, w).
        context: (N, 1, D), one token per sequence.
        frames: T.

    Returns:
        (N*T, C, h, w)
    """
    images, _, height, width = x.shape
    sequences = images // frames
    tokens = module.norm(x).permute(0, 2, 3, 1).reshape(sequences, frames, height * width, -1)
    tokens = module.proj_in(tokens)
    position = module.time_proj(torch.arange(frames, device=x.device)).to(module.proj_in.weight.dtype)
    position = module.time_pos_embed(position)[:, None]
    alpha = torch.sigmoid(module.time_mixer.mix_factor).to(tokens.dtype)
    for spatial, temporal in zip(module.transformer_blocks, module.temporal_transformer_blocks, strict=True):
        tokens = _spatial_transformer_block(spatial, tokens, context)
        mixed = _temporal_transformer_block(temporal, tokens + position, context)
        tokens = mixed + alpha * (tokens - mixed)
    tokens = module.proj_out(tokens)
    return x + tokens.reshape(images, height, width, -1).permute(0, 3, 1, 2)


def _spatial_transformer_block(block: BasicTransformerBlock, x: Tensor, context: Tensor) -> Tensor:
    """Apply a block to tokens (N, T, pixels, C)."""
    x = x + self_attention(block.attn1, block.norm1(x).flatten(0, 1)).view_as(x)
    x = x + one_token_attention(block.attn2, context)[:, None]
    return x + block.ff(block.norm3(x))


def _temporal_transformer_block(block: TemporalBasicTransformerBlock, x: Tensor, context: Tensor) -> Tensor:
    """Apply a block to tokens (N, T, pixels, C)."""
    h = block.ff_in(block.norm_in(x))
    x = x + h if block.is_res else h
    sequence = block.norm1(x).transpose(1, 2)
    attended = self_attention(block.attn1, sequence.flatten(0, 1)).view(sequence.shape).transpose(1, 2)
    x = x + attended
    x = x + one_token_attention(block.attn2, context)[:, None]
    h = block.ff(block.norm3(x))
    return x + h if block.is_res else h


def self_attention(attn: Attention, x: Tensor) -> Tensor:
    """Attend from every token of a sequence to every other.

    Args:
        attn: the parameters.
        x: (B, L, C).

    Returns:
        (B, L, C)
    """
    batch, length, _ = x.shape
    q, k, v = (
        project(x).view(batch, length, attn.heads, -1).transpose(1, 2)
        for project in (attn.to_q, attn.to_k, attn.to_v)
    )
    if x.device.type == "cpu" and length <= SHORT_SEQUENCE:
        weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1), dim=-1)
        out = weights @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return attn.to_out[0](out.transpose(1, 2).reshape(batch, length, -1))


def one_token_attention(attn: Attention, context: Tensor) -> Tensor:
    """Attend to a single token, which every query takes as it is.

    Args:
        attn: the parameters; `to_q`, `to_k` and the norm before them can't matter.
        context: (N, 1, D).

    Returns:
        (N, 1, C), the same for every query.
    """
    return attn.to_out[0](attn.to_v(context))
