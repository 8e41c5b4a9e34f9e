"""Priors that look at a matrix and at its mirror image in turn.

What a network makes of a mirror image should be the mirror image of what it makes of the picture. A badly
trained one errs differently; over the steps of a sampling, what differs averages out, at no cost.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.priors.guidance import Guidance
from diffusion2.priors.prior import Condition, PriorPair


@dataclass(frozen=True)
class MirroredCondition:
    """What N sequences are conditioned on, as they are and mirrored."""

    plain: Condition
    mirrored: Condition

    def __len__(self) -> int:
        """Count the sequences."""
        return len(self.plain)

    def __getitem__(self, sequences: slice) -> "MirroredCondition":
        """Select the condition of some of the sequences."""
        return MirroredCondition(self.plain[sequences], self.mirrored[sequences])


class _MirroringPrior:
    """A prior that sees sequences mirrored at some noise levels.

    Args:
        prior: what estimates.
        sigmas: those noise levels.
        mirror: sequences (N, T, C, h, w) to those of the mirror images, and back.
    """

    def __init__(self, prior: Any, sigmas: frozenset[float], mirror: Callable[[Tensor], Tensor]) -> None:
        self._prior, self._sigmas, self._mirror = prior, sigmas, mirror

    def reusing_features(self, fresh: frozenset[float]) -> Any:
        """Make this prior one with features kept between noise levels that are all mirrored, or all not."""
        return type(self)(self._prior.reusing_features(fresh), self._sigmas, self._mirror)

    def half(self, condition: MirroredCondition, *, conditional: bool) -> MirroredCondition:
        """Get the condition of one of the two estimates that guidance combines; see `ConditionedPrior`."""
        sides = (condition.plain, condition.mirrored)
        return MirroredCondition(*(self._prior.half(side, conditional=conditional) for side in sides))

    def denoise(self, latents: Tensor, sigma: float, condition: MirroredCondition) -> Tensor:
        """Estimate the clean latents; see `Prior.denoise`."""
        if sigma not in self._sigmas:
            return self._prior.denoise(latents, sigma, condition.plain)
        mirrored = self._mirror(latents)
        # only the change goes back: what little mirroring loses in latents stays out of them
        return latents + self._mirror(self._prior.denoise(mirrored, sigma, condition.mirrored) - mirrored)


class _MirroringVideoPrior(_MirroringPrior):
    def prepare(self, pictures: Tensor, guidance: Guidance, **conditioning: Any) -> MirroredCondition:
        """Prepare what N videos are conditioned on; see `VideoPrior.prepare`."""
        sides = (pictures, pictures.flip(-1))
        return MirroredCondition(*(self._prior.prepare(side, guidance, **conditioning) for side in sides))


class _MirroringMultiviewPrior(_MirroringPrior):
    def prepare(
        self, pictures: Tensor, cameras: Cameras, guidance: Guidance, **conditioning: Any
    ) -> MirroredCondition:
        """Prepare what N orbits are conditioned on; see `MultiviewPrior.prepare`."""
        turned = replace(guidance, scales=_turn_around(guidance.scales, 0))
        return MirroredCondition(
            self._prior.prepare(pictures, cameras, guidance, **conditioning),
            self._prior.prepare(pictures.flip(-1), cameras.mirrored(), turned, **conditioning),
        )


def mirroring(pair: PriorPair, sigmas: frozenset[float]) -> PriorPair:
    """Make a pair whose priors see sequences mirrored at these noise levels.

    Raises:
        InputError: the pair's latents can't be mirrored.
    """
    pair.codec.mirror(torch.zeros(pair.codec.channels, 1, 1))  # refuses before anything is computed

    def mirror_orbits(latents: Tensor) -> Tensor:
        return _turn_around(pair.codec.mirror(latents), 1)

    return replace(
        pair,
        video=_MirroringVideoPrior(pair.video, sigmas, pair.codec.mirror),
        multiview=_MirroringMultiviewPrior(pair.multiview, sigmas, mirror_orbits),
    )


def _turn_around(views: Tensor, dim: int) -> Tensor:
    """Put views in the order of `Cameras.mirrored`: the other way around, the last where it is."""
    return torch.cat([views.narrow(dim, 0, views.shape[dim] - 1).flip(dim), views.narrow(dim, -1, 1)], dim)
