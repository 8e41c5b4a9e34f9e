"""The deformation field: a small network that moves every Gaussian at a continuous time."""

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from diffusion2.config import Between, Settings, check_range
from diffusion2.errors import InputError
from diffusion2.gaussians.posing import SkinningWeights, follow_nearest, follow_own, pose

SKIP_AFTER = 4
"""The encodings enter a second time after this many layers, in networks deeper than that."""


class DeformationOutput(NamedTuple):
    """How N Gaussians move at T times.

    Attributes:
        translations: (T, N, 3) in world units, added to the means; what the rotations move is included.
        rotations: (T, N, 4) unit quaternions wxyz, applied after the Gaussians' own rotations.
        growths: (T, N, 3), added to the logarithms of the scales; None: they stay.
    """

    translations: Tensor
    rotations: Tensor
    growths: Tensor | None = None


@dataclass(frozen=True)
class DeformationSettings(Settings):
    """Size of the network; the defaults are those of the paper's stage 2 (8 layers of 256).

    Attributes:
        depth: number of hidden layers.
        width: units of a hidden layer.
        position_frequencies: octaves of the encoding of a position.
        time_frequencies: octaves of the encoding of the time. The highest one swings
            2^(n-2) times over the sequence; more than half as many swings as there are frames can only
            flicker between the frames.
        time_layer: hidden layer, from 0, at which the time enters. The layers before it are computed once
            for all times, which is most of the cost of a small network; 0 is the paper's.
        nodes: places at which the network is evaluated; Gaussians interpolate its outputs between the
            nearest of them, at a cost that hardly depends on their number. 0, as in the paper, evaluates it
            at every Gaussian.
        scales: whether Gaussians change their sizes, too, for what is stretched or hides itself.
    """

    depth: Annotated[int, Between(1, 64)] = 8
    width: Annotated[int, Between(1, 4096)] = 256
    position_frequencies: Annotated[int, Between(0, 24)] = 10
    time_frequencies: Annotated[int, Between(0, 24)] = 6
    time_layer: Annotated[int, Between(0, 63)] = 0
    nodes: Annotated[int, Between(0, 1_000_000)] = 0
    scales: bool = False

    def check_together(self) -> None:
        """Refuse a time that enters behind the last layer."""
        check_range("time_layer", self.time_layer, 0, self.depth - 1)

    @property
    def position_layers(self) -> tuple[int, ...]:
        """The layers that see the encoding of the position."""
        return (0, SKIP_AFTER) if self.depth > SKIP_AFTER else (0,)

    @property
    def time_layers(self) -> tuple[int, ...]:
        """The layers that see the encoding of the time."""
        again = self.depth > SKIP_AFTER > self.time_layer
        return (self.time_layer, SKIP_AFTER) if again else (self.time_layer,)


class DeformationField(nn.Module):
    """Multilayer perceptron (mean, time) -> 6 degrees of freedom, or 9; the identity at initialisation.

    Section 3.4 of the paper. The encodings of position and time enter through separate matrices, which
    is the same network as one matrix on their concatenation. Three of its outputs are a shift, three
    a rotation, see `posing`. The rotation turns both the Gaussian and, about the origin, its mean: a
    swinging limb is then one constant output, and its Gaussians turn with it. With `scales`, three more are
    added to the logarithms of the Gaussian's scales.

    With nodes, the network sees their places instead of the means. That differs from the paper, and is the
    sparse control of Huang et al. (2024), "SC-GS", with interpolated outputs instead of blended motions.
    """

    nodes: Tensor

    def __init__(self, settings: DeformationSettings | None = None, nodes: Tensor | None = None) -> None:
        """Make a field that moves nothing yet.

        Args:
            settings: its size; None for the paper's.
            nodes: (settings.nodes, 3) their places; None for the origin, to be overwritten.
        """
        super().__init__()
        self.settings = settings = settings or DeformationSettings()
        width = settings.width
        position_size = 3 * (1 + 2 * settings.position_frequencies)
        time_size = 1 + 2 * settings.time_frequencies
        self.position_inputs = nn.ModuleDict(
            {str(layer): nn.Linear(position_size, width) for layer in settings.position_layers}
        )
        self.time_inputs = nn.ModuleDict(
            {str(layer): nn.Linear(time_size, width, bias=False) for layer in settings.time_layers}
        )
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(settings.depth - 1))
        self.head = nn.Linear(width, 9 if settings.scales else 6)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        places = torch.zeros(settings.nodes, 3) if nodes is None else nodes.detach().clone()
        if places.shape != (settings.nodes, 3):
            raise InputError(f"a field of {settings.nodes} nodes got places of shape {tuple(places.shape)}")
        self.register_buffer("nodes", places, persistent=settings.nodes > 0)
        self._followed: tuple[Tensor, int, SkinningWeights] | None = None

    def forward(self, means: Tensor, times: Tensor) -> DeformationOutput:
        """Return the motion of every Gaussian at every time.

        Args:
            means: (N, 3) canonical centres in world units, or any other points.
            times: (T,) in [0, 1], any values in between frames too.
        """
        skinning = self.follow(means)
        still = torch.zeros(len(means), 4).to(means)
        still[:, 0] = 1
        posed = pose(self.outputs(means, times), means, still, skinning)
        return DeformationOutput(posed.means - means, posed.quats, posed.growths)

    def outputs(self, means: Tensor, times: Tensor) -> Tensor:
        """Evaluate the network at its nodes, or else at the means (N, 3): (T, K or N, 6 or 9)."""
        return self.evaluate(self.nodes if self.settings.nodes else means, times)

    def evaluate(self, points: Tensor, times: Tensor) -> Tensor:
        """Evaluate the network at points (K, 3) and times (T,): (T, K, 6), or 9 with growth."""
        positions = encode(points, self.settings.position_frequencies)
        moments = encode(times.reshape(-1, 1).to(points), self.settings.time_frequencies)
        x = torch.zeros(())
        for layer in range(self.settings.depth):
            x = self.hidden[layer - 1](x) if layer else x
            if layer in self.settings.position_layers:
                x = x + self.position_inputs[str(layer)](positions)
            if layer in self.settings.time_layers:
                x = x + self.time_inputs[str(layer)](moments)[:, None]
            x = x.relu_()
        return self.head(x)

    def follow(self, means: Tensor) -> SkinningWeights:
        """Say which nodes each of some points (N, 3) follows; remembered while they stay the same."""
        known = self._followed
        if known is None or known[0] is not means or known[1] != means._version:
            if self.settings.nodes:
                skinning = follow_nearest(means, self.nodes)
            else:
                skinning = follow_own(len(means), means.device)
            self._followed = known = (means, means._version, skinning)
        return known[2]


def spread_nodes(points: Tensor, count: int) -> Tensor:
    """Choose up to that many of some points (N, 3), each as far as can be from those before it."""
    count = min(count, len(points))
    chosen = torch.zeros(count, dtype=torch.long, device=points.device)
    away = (points - points.mean(0)).norm(dim=1)
    for k in range(count):
        chosen[k] = away.argmax()
        distances = (points - points[chosen[k]]).norm(dim=1)
        away = torch.minimum(away, distances) if k else distances
    return points[chosen].clone()


def encode(values: Tensor, frequencies: int) -> Tensor:
    """Encode (K, D) values as (K, D (1 + 2 L)): themselves, then sin and cos of 2^l pi times them."""
    angles = values[:, None, :] * (math.pi * 2.0 ** torch.arange(frequencies).to(values))[:, None]
    waves = torch.cat([angles.sin(), angles.cos()], dim=1).flatten(1)
    return torch.cat([values, waves], dim=1)
