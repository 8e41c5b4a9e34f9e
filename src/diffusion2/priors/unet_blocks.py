"""Forward passes of the space-time blocks, over the parameters that diffusers lays out.

diffusers owns the names and shapes of the parameters; the arithmetic here is the same, arranged for
short sequences of small images on a CPU. What was measured there (one core with AVX-512, 12 images of 16x16,
64 channels), and what follows from it:

- group norm over channels-last images is 12 times slower than over contiguous ones (35 times in bfloat16):
  images stay contiguous, tokens are copied once per transformer;
- softmax over a last axis of 12 takes 4 times as long as over the axis before it: scores over time are
  kept transposed;
- gate and value of the feed-forward as two products instead of one that is cut in halves: 20 % less;
- the context is a single token, over which a softmax is 1: cross-attention is a linear map of it;
- sums are taken in place where the backward pass does not need what they overwrite;
- arrays have a name no longer than needed: a call's peak memory is 16 times its first images', not 24;
- the backward of the fused attention kernel is slow on short sequences, its forward is faster in float32
  and slower in bfloat16 than plain products.

Shapes: N sequences of T images, C channels; an image batch is (N*T, C, h, w).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Parameters: TypeAlias = Any
"""A module of diffusers, whose submodules a type checker can't know."""

FeatureBlend: TypeAlias = Callable[[Tensor], Tensor]
"""Gives the tokens (N, T, pixels, C) of which keys and values are made, from the images' own."""

EXPLICIT_UP_TO = 1024
"""Tokens up to which attention on a CPU may be plain products, whose scores are kept in memory."""

ATTENDED_AT_ONCE = 32768
"""Sequences in one call of fused attention: a GPU's grid has 65535 places along an axis."""

TRANSPOSED_UP_TO = 64
"""Tokens up to which scores are kept transposed, for the sake of the softmax."""


def res_block(block: Parameters, x: Tensor, emb: Tensor, frames: int) -> Tensor:
    """Apply a residual block in space, then one in time, blended by the learned factor.

    Args:
        block: a `SpatioTemporalResBlock`.
        x: (N*T, C, h, w).
        emb: (N, T or 1, E), the embedding after its SiLU.
        frames: T.

    Returns:
        (N*T, C', h, w)
    """
    x = _spatial_res_block(block.spatial_res_block, x, emb, frames)
    h = _temporal_residual(block.temporal_res_block, x, emb, frames)
    # a·x + (1 - a)·(x + h), as the temporal block has no convolution on its shortcut
    return x + h * (1 - torch.sigmoid(block.time_mixer.mix_factor)).to(h.dtype)


def _spatial_res_block(block: Parameters, x: Tensor, emb: Tensor, frames: int) -> Tensor:
    h = block.conv1(norm_silu(block.norm1, x))
    h += block.time_emb_proj(emb).expand(-1, frames, -1).reshape(x.shape[0], -1, 1, 1)
    h = block.conv2(norm_silu(block.norm2, h))
    if block.conv_shortcut is not None:
        x = block.conv_shortcut(x)
    return h.add_(x)


def _temporal_residual(block: Parameters, x: Tensor, emb: Tensor, frames: int) -> Tensor:
    """Return what the temporal block adds to x, (N*T, C, h, w)."""
    h = x.unflatten(0, (-1, frames)).flatten(3).transpose(1, 2).contiguous()  # (N, C, T, h*w)
    h = _conv_over_time(block.conv1, norm_silu(block.norm1, h))
    h += block.time_emb_proj(emb).transpose(1, 2)[..., None]
    h = _conv_over_time(block.conv2, norm_silu(block.norm2, h))
    return h.transpose(1, 2).reshape(x.shape)


def norm_silu(norm: Parameters, x: Tensor) -> Tensor:
    """Normalise, then apply SiLU; in place where nothing has to be kept for a backward pass."""
    return F.silu(norm(x), inplace=not torch.is_grad_enabled())


def _conv_over_time(conv: Parameters, x: Tensor) -> Tensor:
    """Apply a (3, 1, 1) convolution to (N, C, T, pixels)."""
    return F.conv2d(x, conv.weight[..., 0], conv.bias, padding=(1, 0))


def transformer(
    module: Parameters, x: Tensor, context: Tensor, frames: int, blend: FeatureBlend | None = None
) -> Tensor:
    """Apply attention over the pixels of each image, then over the images at each pixel.

    Args:
        module: a `TransformerSpatioTemporalModel`.
        x: (N*T, C, h, w).
        context: (N, 1, D), one token per sequence.
        frames: T.
        blend: of what attention over pixels makes keys and values; None: of each image's own tokens.

    Returns:
        (N*T, C, h, w)
    """
    tokens = module.norm(x).unflatten(0, (-1, frames)).flatten(3).transpose(2, 3)
    tokens = module.proj_in(tokens)
    position = module.time_proj(torch.arange(frames, device=x.device)).to(module.proj_in.weight.dtype)
    position = module.time_pos_embed(position)[:, None]
    alpha = torch.sigmoid(module.time_mixer.mix_factor).to(tokens.dtype)
    for spatial, temporal in zip(module.transformer_blocks, module.temporal_transformer_blocks, strict=True):
        tokens = _spatial_transformer_block(spatial, tokens, context, blend)
        mixed = _temporal_transformer_block(temporal, tokens + position, context)
        tokens = torch.lerp(mixed, tokens, alpha)
    return x + module.proj_out(tokens).transpose(2, 3).reshape(x.shape)


def _spatial_transformer_block(
    block: Parameters, x: Tensor, context: Tensor, blend: FeatureBlend | None
) -> Tensor:
    """Apply a block to tokens (N, T, pixels, C)."""
    h = block.norm1(x)
    source = h if blend is None else blend(h)
    x = self_attention(block.attn1, h.flatten(0, 1), source.flatten(0, 1)).view_as(x).add_(x)
    x += one_token_attention(block.attn2, context)[:, None]
    return feed_forward(block.ff, block.norm3(x)).add_(x)


def _temporal_transformer_block(block: Parameters, x: Tensor, context: Tensor) -> Tensor:
    """Apply a block to tokens (N, T, pixels, C)."""
    h = feed_forward(block.ff_in, block.norm_in(x))
    x = h.add_(x) if block.is_res else h
    x = x + _attend_over_time(block, x)
    x += one_token_attention(block.attn2, context)[:, None]
    h = feed_forward(block.ff, block.norm3(x))
    return h.add_(x) if block.is_res else h


def _attend_over_time(block: Parameters, x: Tensor) -> Tensor:
    """Attend over the images at each pixel of tokens (N, T, pixels, C)."""
    sequence = block.norm1(x).transpose(1, 2)
    return self_attention(block.attn1, sequence.flatten(0, 1)).view(sequence.shape).transpose(1, 2)


def self_attention(attn: Parameters, x: Tensor, source: Tensor | None = None) -> Tensor:
    """Attend from every token of a sequence to every other.

    Args:
        attn: an `Attention`.
        x: (B, L, C).
        source: (B, L, C), of which keys and values are made; None: x.

    Returns:
        (B, L, C)
    """
    source = x if source is None else source
    q, k, v = (
        project(tokens).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        for project, tokens in ((attn.to_q, x), (attn.to_k, source), (attn.to_v, source))
    )
    out = _attend_explicitly(q, k, v) if _is_explicit_faster(q) else _attend_fused(q, k, v)
    return attn.to_out[0](out.transpose(1, 2).flatten(2))


def _is_explicit_faster(q: Tensor) -> bool:
    return (
        q.device.type == "cpu"
        and q.shape[-2] <= EXPLICIT_UP_TO
        and (q.requires_grad or q.dtype != torch.float32 or q.shape[-2] <= TRANSPOSED_UP_TO)
    )


def _attend_fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if len(q) <= ATTENDED_AT_ONCE:
        return F.scaled_dot_product_attention(q, k, v)
    parts = zip(*(tensor.split(ATTENDED_AT_ONCE) for tensor in (q, k, v)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])


def _attend_explicitly(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend by two batched products over (B, heads, L, d)."""
    q = q * q.shape[-1] ** -0.5
    if q.shape[-2] <= TRANSPOSED_UP_TO:
        return torch.softmax(k @ q.transpose(-2, -1), dim=-2).transpose(-2, -1) @ v
    return torch.softmax(q @ k.transpose(-2, -1), dim=-1) @ v


def one_token_attention(attn: Parameters, context: Tensor) -> Tensor:
    """Attend to a single token, which every query takes as it is.

    Args:
        attn: an `Attention`; `to_q`, `to_k` and the norm before them can't matter.
        context: (N, 1, D).

    Returns:
        (N, 1, C), the same for every query.
    """
    return attn.to_out[0](attn.to_v(context))


def feed_forward(ff: Parameters, x: Tensor) -> Tensor:
    """Apply a gated `FeedForward` to (..., C)."""
    project = ff.net[0].proj
    (value, gate), (value_bias, gate_bias) = project.weight.chunk(2), project.bias.chunk(2)
    # these are the largest arrays of all: the gate first, so that no more than two are there at once
    opened = F.gelu(F.linear(x, gate, gate_bias))
    hidden = F.linear(x, value, value_bias)
    return ff.net[2](hidden * opened if torch.is_grad_enabled() else hidden.mul_(opened))
