"""Deep features kept from one noise level to later ones, as in DeepCache (Ma et al., CVPR 2024).

The levels below a UNet's first, where most of its arithmetic is, see small images and change little from
step to step. So every other step may take what they made before and compute the first level alone. Not in
the paper, and off by default: `SamplingSettings.feature_reuse`.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class FeatureReuse:
    """What a network keeps of N sequences, and when it uses it.

    Attributes:
        fresh: noise levels at which everything is computed; at others, what the last of these left is used.
        numbers: which of the sequences that share `kept` these are.
        kept: by number, the features (1 or 2 with guidance, T, C, h, w) of a sequence.
    """

    fresh: frozenset[float]
    numbers: range
    kept: dict[int, Tensor] = field(default_factory=dict[int, Tensor])

    def __getitem__(self, sequences: slice) -> "FeatureReuse":
        """Return that of some of the sequences, with the same memory."""
        return replace(self, numbers=self.numbers[sequences])

    def recall(self, sigma: float, count: int) -> Tensor | None:
        """Return the features of a batch to use at a noise level; None: compute them.

        Args:
            sigma: the noise level.
            count: sequences in the batch: the N, or with guidance twice as many, the unconditional ones last.

        Returns:
            (count * T, C, h, w), or None.
        """
        halves = count // len(self.numbers)
        kept = [self.kept.get(number) for number in self.numbers]
        usable = [features[:halves] for features in kept if features is not None and len(features) >= halves]
        if sigma in self.fresh or len(usable) < len(kept):
            return None
        return torch.stack(usable, dim=1).flatten(0, 2)

    def keep(self, features: Tensor, count: int) -> None:
        """Keep the features (count * T, C, h, w) of a batch."""
        by_half = features.unflatten(0, (count // len(self.numbers), len(self.numbers), -1))
        for i, number in enumerate(self.numbers):
            self.kept[number] = by_half[:, i]
