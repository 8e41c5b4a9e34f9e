"""Attention feature blending: columns of the matrix that look at their neighbours in time.

Setting 2 of the paper's ablation (section 4.4; table 3, rows d and e): inside the multi-view network, keys
and values of the attention over pixels are blended over neighbouring frames by a fixed one-dimensional
convolution. The paper gives no kernel. Ours is (1/4, 1/2, 1/4); the first and the last frame stand in for
neighbours that they lack.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.errors import InputError
from diffusion2.priors.guidance import Guidance
from diffusion2.priors.network import NetworkMultiviewPrior, SequenceCondition
from diffusion2.priors.prior import PriorPair

KERNEL = (0.25, 0.5, 0.25)


class BlendedMultiviewPrior:
    """A multi-view network whose columns share keys and values with their neighbours in time.

    Keys and values are linear in the tokens they are made of, and the kernel's weights sum to 1, so blending
    these tokens is blending the keys and the values. With guidance, the conditional and the unconditional
    columns each blend among themselves.

    Args:
        plain: the network; it is shared and stays as it is.
        frames: F, the columns of the matrix. All are denoised in one call, and fewer are refused.
        kernel: weights of an odd number of neighbouring frames, the frame itself in the middle.

    Raises:
        InputError: the kernel is even or does not sum to 1.
    """

    def __init__(self, plain: NetworkMultiviewPrior, frames: int, kernel: Sequence[float] = KERNEL) -> None:
        self.frames = frames
        self._mixing = mixing_matrix(frames, kernel)
        self._prior = copy.copy(plain)
        self._prior.blend = self._blend

    def reusing_features(self, fresh: frozenset[float]) -> "BlendedMultiviewPrior":
        """Return this prior with deep features kept between noise levels; see `ConditionedPrior`."""
        prior = copy.copy(self)
        prior._prior = self._prior.reusing_features(fresh)
        return prior

    def prepare(
        self,
        pictures: Tensor,
        cameras: Cameras,
        guidance: Guidance,
        *,
        cond_aug: float,
        seed: int,
        first: int = 0,
    ) -> SequenceCondition:
        """Prepare what the columns are conditioned on; see `NetworkMultiviewPrior.prepare`."""
        return self._prior.prepare(pictures, cameras, guidance, cond_aug=cond_aug, seed=seed, first=first)

    def half(self, condition: SequenceCondition, *, conditional: bool) -> SequenceCondition:
        """Get the condition of one of the two estimates that guidance combines; see `ConditionedPrior`."""
        return self._prior.half(condition, conditional=conditional)

    def denoise(self, latents: Tensor, sigma: float, condition: SequenceCondition) -> Tensor:
        """Estimate the clean columns, all F of them; see `Prior.denoise`.

        Raises:
            InputError: there are not F columns.
        """
        if len(latents) != self.frames:
            raise InputError(
                f"columns that share features are denoised together, all {self.frames} at once, not "
                f"{len(latents)}: set batch_size to {self.frames} or more"
            )
        return self._prior.denoise(latents, sigma, condition)

    def _blend(self, tokens: Tensor) -> Tensor:
        """Blend tokens (F or 2F, V, pixels, C) over the frames."""
        columns = tokens.reshape(-1, self.frames, tokens[0].numel())
        return (self._mixing.to(tokens) @ columns).view_as(tokens)


def mixing_matrix(frames: int, kernel: Sequence[float]) -> Tensor:
    """Get the (F, F) matrix of a convolution over the frames, with the end frames repeated beyond the ends.

    Raises:
        InputError: the kernel is even or does not sum to 1.
    """
    reach = len(kernel) // 2
    if len(kernel) % 2 == 0 or abs(sum(kernel) - 1) > 1e-6:
        raise InputError(f"a blending kernel has an odd length and sums to 1, not {tuple(kernel)}")
    matrix = torch.zeros(frames, frames)
    for frame in range(frames):
        for offset, weight in zip(range(-reach, reach + 1), kernel, strict=True):
            matrix[frame, min(max(frame + offset, 0), frames - 1)] += weight
    return matrix


def with_feature_blending(pair: PriorPair, frames: int, kernel: Sequence[float] = KERNEL) -> PriorPair:
    """Return the pair with a multi-view prior that blends; for sampling a matrix of F frames, not references.

    Raises:
        InputError: the pair's multi-view prior is not a network, or the kernel is wrong.
    """
    if not isinstance(pair.multiview, NetworkMultiviewPrior):
        raise InputError("only a network's attention features can be blended")
    return replace(pair, multiview=BlendedMultiviewPrior(pair.multiview, frames, kernel))
