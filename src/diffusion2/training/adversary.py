"""An adversary for drawn pictures: it learns to tell them from true ones, and so what is wrong with them.

Where a far leg may be here or there, the distance to the one true picture is least at a bit of both, a haze
that no true picture shows. The adversary looks at the feature maps that LPIPS compares. Nobody trains those,
so it learns within some hundred steps and from few pictures (Sauer et al., "Projected GANs Converge Faster",
2021).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

CHANNELS = 64
RATE = 1e-3
ALONE_STEPS = 100
"""Steps in which the adversary learns before anyone learns from it."""


class Adversary:
    """A small convolutional network for each feature map, which gives each of its pixels a verdict.

    It is kept in no checkpoint: it begins anew whenever training does.

    Args:
        channels: of each feature map.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        self._judges = nn.ModuleList(_make_judge(count) for count in channels)
        self._optimizer = torch.optim.Adam(self._judges.parameters(), RATE, betas=(0.0, 0.99))
        self._steps = 0

    def learn(self, made: Sequence[Tensor], true: Sequence[Tensor]) -> None:
        """Take one step, by the hinge loss.

        Args:
            made: feature maps (B, C, h, w), of unit length per pixel, of made pictures; not trained by this.
            true: the same of true ones.
        """
        of_made, of_true = (self._judge([map_.detach() for map_ in maps]) for maps in (made, true))
        losses = [F.relu(1 + m).mean() + F.relu(1 - t).mean() for m, t in zip(of_made, of_true, strict=True)]
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        self._optimizer.step()
        self._steps += 1

    def loss(self, made: Sequence[Tensor]) -> Tensor:
        """Say how much made pictures look made, about -1 to 1; 0 while the adversary learns alone.

        Args:
            made: as in `learn`; the loss is differentiable in them.
        """
        if self._steps < ALONE_STEPS:
            return made[0].new_zeros((), dtype=torch.float32)
        self._judges.requires_grad_(False)
        verdicts = torch.stack([verdict.mean() for verdict in self._judge(made)])
        self._judges.requires_grad_(True)
        return -verdicts.mean()

    def _judge(self, maps: Sequence[Tensor]) -> list[Tensor]:
        scaled = [map_.float() * map_.shape[1] ** 0.5 for map_ in maps]  # channels of about unit size
        return [judge(map_) for judge, map_ in zip(self._judges, scaled, strict=True)]


def _make_judge(channels: int) -> nn.Module:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, CHANNELS, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(CHANNELS, 1, 1)),
    )
