"""The network of SVD, SV3D and the mini pair: one class, three configurations."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.models.attention import BasicTransformerBlock, TemporalBasicTransformerBlock
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionModel
from torch import Tensor, nn

from diffusion2.errors import InputError
from diffusion2.priors.unet_blocks import FeatureBlend, norm_silu, res_block, transformer

RES_BLOCK_EPS = 1e-5
"""Epsilon of the residual blocks' group norms in the released networks (attention keeps 1e-6)."""


@dataclass
class DeepFeatures:
    """What the levels below the first made of a batch, before the last upsampling; None: nothing yet.

    It changes less from one noise level to the next than the first level does.

    Attributes:
        features: (N*T, C', h', w').
    """

    features: Tensor | None = None


class _Shared(NamedTuple):
    """What every block of a call is given."""

    emb: Tensor
    context: Tensor
    frames: int
    blend: FeatureBlend | None


class SpatioTemporalUNet(UNetSpatioTemporalConditionModel):
    """diffusers' space-time UNet with one added vector per image, as SV3D needs.

    Parameters, configuration, `from_config`, `from_pretrained` and `save_pretrained` are those of
    diffusers. What differs, and why:

    - diffusers repeats one added embedding per video; SV3D's camera differs from image to image;
    - diffusers builds 72 of the group norms in residual blocks with an epsilon of 1e-6, the released
      networks have 1e-5: it is set after construction, as no configuration holds it;
    - the context is a single token, which makes cross-attention a linear map (see `unet_blocks`).
    """

    down_blocks: Any
    up_blocks: Any
    mid_block: Any

    # diffusers reads the configuration's fields off this signature: it has to be the wrapped one
    @functools.wraps(UNetSpatioTemporalConditionModel.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        set_res_block_eps(self)

    def forward(
        self,
        sample: Tensor,
        c_noise: Tensor,
        context: Tensor,
        vector: Tensor,
        blend: FeatureBlend | None = None,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        """Return the network's raw output, before preconditioning.

        Args:
            sample: (N, T, C_in, h, w), the scaled noisy latents and the condition latents, concatenated.
            c_noise: (N,), the noise condition, `0.25·ln sigma`, of each sequence.
            context: (N, 1, D), the image embedding of each sequence.
            vector: (N, T, A), the added vector of each image; (N, 1, A) where all images share one.
            blend: see `transformer`.
            deep: gets the features of the levels below the first; where it has some, these are taken instead.

        Returns:
            (N, T, C_out, h, w)

        Raises:
            InputError: the shapes do not fit each other or the network.
        """
        sequences, frames, _, height, width = self._check(sample, c_noise, context, vector)
        shared = _Shared(self._embed(c_noise, vector), context, frames, blend)

        x = self.conv_in(sample.flatten(0, 1))
        skips = [x]
        x = _descend(self.down_blocks[0], x, skips, shared)
        if deep is None:
            x = self._lower_levels(x, skips, shared)
        else:
            if deep.features is None:
                deep.features = self._lower_levels(x, skips, shared)
            x = deep.features
        if len(self.up_blocks) > 1:
            x = _upsample(self.up_blocks[-2], x, skips)
        x = _ascend(self.up_blocks[-1], x, skips, shared)
        x = self.conv_out(norm_silu(self.conv_norm_out, x))
        return x.reshape(sequences, frames, -1, height, width)

    def _lower_levels(self, x: Tensor, skips: list[Tensor], shared: _Shared) -> Tensor:
        """Apply all levels but the first, up to the last upsampling; `skips` is the same afterwards."""
        x = _downsample(self.down_blocks[0], x, skips)
        for block in self.down_blocks[1:]:
            x = _descend(block, x, skips, shared)
            x = _downsample(block, x, skips)

        x = res_block(self.mid_block.resnets[0], x, shared.emb, shared.frames)
        for i, resnet in enumerate(self.mid_block.resnets[1:]):
            x = res_block(resnet, _attend(self.mid_block, i, x, shared), shared.emb, shared.frames)

        for i, block in enumerate(self.up_blocks[:-1]):
            if i > 0:
                x = _upsample(self.up_blocks[i - 1], x, skips)
            x = _ascend(block, x, skips, shared)
        return x

    def _embed(self, c_noise: Tensor, vector: Tensor) -> Tensor:
        """Return the (N, T or 1, E) embedding, after the SiLU with which every block begins."""
        dtype = self.conv_in.weight.dtype
        emb = self.time_embedding(self.time_proj(c_noise).to(dtype))[:, None]
        return F.silu(emb + self.add_embedding(vector.to(dtype)))

    def _check(self, sample: Tensor, c_noise: Tensor, context: Tensor, vector: Tensor) -> torch.Size:
        if sample.ndim != 5 or sample.shape[2] != self.config["in_channels"]:
            raise InputError(
                f"the network takes (N, T, {self.config['in_channels']}, h, w), not {tuple(sample.shape)}"
            )
        n, t = sample.shape[:2]
        if c_noise.shape != (n,) or context.ndim != 3 or context.shape[:2] != (n, 1):
            raise InputError(
                f"{n} sequences need c_noise ({n},) and context ({n}, 1, D), "
                f"not {tuple(c_noise.shape)} and {tuple(context.shape)}"
            )
        width = self.config["projection_class_embeddings_input_dim"]
        if tuple(vector.shape) not in ((n, 1, width), (n, t, width)):
            raise InputError(
                f"{n} sequences of {t} images need an added vector ({n}, {t} or 1, {width}), "
                f"not {tuple(vector.shape)}"
            )
        return sample.shape


def _descend(block: Any, x: Tensor, skips: list[Tensor], shared: _Shared) -> Tensor:
    """Apply a level's blocks on the way down; their results are added to `skips`."""
    for i, resnet in enumerate(block.resnets):
        x = _attend(block, i, res_block(resnet, x, shared.emb, shared.frames), shared)
        skips.append(x)
    return x


def _downsample(block: Any, x: Tensor, skips: list[Tensor]) -> Tensor:
    """Go to the next smaller level, where the block does; the result is added to `skips`."""
    for downsampler in block.downsamplers or ():
        x = downsampler(x)
        skips.append(x)
    return x


def _ascend(block: Any, x: Tensor, skips: list[Tensor], shared: _Shared) -> Tensor:
    """Apply a level's blocks on the way up; each takes the last of `skips`."""
    for i, resnet in enumerate(block.resnets):
        # without a name the joined images are gone when attention, which takes most memory, begins
        x = res_block(resnet, torch.cat([x, skips.pop()], dim=1), shared.emb, shared.frames)
        x = _attend(block, i, x, shared)
    return x


def _upsample(block: Any, x: Tensor, skips: list[Tensor]) -> Tensor:
    """Go to the size of the last of `skips`, where the block does."""
    for upsampler in block.upsamplers or ():
        x = upsampler.conv(F.interpolate(x, size=skips[-1].shape[-2:], mode="nearest"))
    return x


def _attend(block: nn.Module, index: int, x: Tensor, shared: _Shared) -> Tensor:
    """Apply the block's transformer at this index, where the block has any."""
    attentions = getattr(block, "attentions", None)
    if attentions is None:
        return x
    return transformer(attentions[index], x, shared.context, shared.frames, shared.blend)


def drop_idle(network: SpatioTemporalUNet) -> SpatioTemporalUNet:
    """Take away, in place, what can't matter: queries and keys of cross-attention to a single token.

    A twentieth of the mini pair's parameters; the released networks have them, and keep them.
    """
    for block in network.modules():
        if isinstance(block, BasicTransformerBlock | TemporalBasicTransformerBlock):
            attention: Any = block.attn2
            attention.to_q = attention.to_k = block.norm2 = None
    return network


def has_idle(names: Iterable[str]) -> bool:
    """Tell from its parameters' names whether a network has what `drop_idle` takes away."""
    return any(name.endswith("attn2.to_q.weight") for name in names)


def set_res_block_eps(network: nn.Module, eps: float = RES_BLOCK_EPS) -> int:
    """Set the epsilon of every group norm inside residual blocks; give how many there are."""
    norms = [
        norm
        for block in network.modules()
        if isinstance(block, SpatioTemporalResBlock)
        for norm in block.modules()
        if isinstance(norm, nn.GroupNorm)
    ]
    for norm in norms:
        norm.eps = eps
    return len(norms)
