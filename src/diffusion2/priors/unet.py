"""The network of SVD, SV3D and the mini pair: one class, three configurations."""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionModel
from torch import Tensor, nn

from diffusion2.errors import InputError
from diffusion2.priors.unet_blocks import Blend, norm_silu, res_block, transformer

RES_BLOCK_EPS = 1e-5
"""Epsilon of the residual blocks' group norms in the released networks (attention keeps 1e-6)."""


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
        self, sample: Tensor, c_noise: Tensor, context: Tensor, vector: Tensor, blend: Blend | None = None
    ) -> Tensor:
        """Give the network's raw output, before preconditioning.

        Args:
            sample: (N, T, C_in, h, w), the scaled noisy latents and the condition latents, concatenated.
            c_noise: (N,), the noise condition, `0.25·ln sigma`, of each sequence.
            context: (N, 1, D), the image embedding of each sequence.
            vector: (N, T, A), the added vector of each image; (N, 1, A) where all images share one.
            blend: see `transformer`.

        Returns:
            (N, T, C_out, h, w)

        Raises:
            InputError: the shapes do not fit each other or the network.
        """
        sequences, frames, _, height, width = self._check(sample, c_noise, context, vector)
        emb = self._embed(c_noise, vector)

        x = self.conv_in(sample.flatten(0, 1))
        skips = [x]
        for block in self.down_blocks:
            for i, resnet in enumerate(block.resnets):
                x = _attend(block, i, res_block(resnet, x, emb, frames), context, frames, blend)
                skips.append(x)
            for downsampler in block.downsamplers or ():
                x = downsampler(x)
                skips.append(x)

        x = res_block(self.mid_block.resnets[0], x, emb, frames)
        for i, resnet in enumerate(self.mid_block.resnets[1:]):
            x = res_block(resnet, _attend(self.mid_block, i, x, context, frames, blend), emb, frames)

        for block in self.up_blocks:
            for i, resnet in enumerate(block.resnets):
                # without a name the joined images are gone when attention, which takes most memory, begins
                x = res_block(resnet, torch.cat([x, skips.pop()], dim=1), emb, frames)
                x = _attend(block, i, x, context, frames, blend)
            for upsampler in block.upsamplers or ():
                x = F.interpolate(x, size=skips[-1].shape[-2:], mode="nearest")
                x = upsampler.conv(x)

        x = self.conv_out(norm_silu(self.conv_norm_out, x))
        return x.reshape(sequences, frames, -1, height, width)

    def _embed(self, c_noise: Tensor, vector: Tensor) -> Tensor:
        """Give the (N, T or 1, E) embedding, after the SiLU with which every block begins."""
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


def _attend(
    block: nn.Module, index: int, x: Tensor, context: Tensor, frames: int, blend: Blend | None
) -> Tensor:
    """Apply the block's transformer at this index, where the block has any."""
    attentions = getattr(block, "attentions", None)
    return x if attentions is None else transformer(attentions[index], x, context, frames, blend)


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


def multiview_from_video(video: SpatioTemporalUNet, vector_width: int) -> SpatioTemporalUNet:
    """Build a multi-view network that starts from a video network, as SV3D starts from SVD.

    Every tensor is copied but the weight of the added embedding's first layer, whose input is as wide as the
    added vector: it starts new.

    Args:
        video: the trained video network.
        vector_width: width A of the multi-view network's added vector.

    Returns:
        A network with the video network's configuration, its own parameters and the new width.
    """
    config = {**video.config, "projection_class_embeddings_input_dim": vector_width}
    network: Any = SpatioTemporalUNet.from_config(config)
    state = video.state_dict()
    del state["add_embedding.linear_1.weight"]
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert missing == ["add_embedding.linear_1.weight"]
    assert not unexpected
    return network.to(device=video.device, dtype=video.dtype)
