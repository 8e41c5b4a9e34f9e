"""The deformation field: a small network that moves every Gaussian at a continuous time."""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from diffusion2.errors import InputError

SKIP_AFTER = 4
"""The encodings enter a second time after this many layers, in networks deeper than that."""


class DeformationOutput(NamedTuple):
    """How N Gaussians move at T times.

    Attributes:
        translations: (T, N, 3) in world units, added to the means; what the rotations move is included.
        rotations: (T, N, 4) unit quaternions wxyz, applied after the Gaussians' own rotations.
    """

    translations: Tensor
    rotations: Tensor


@dataclass(frozen=True)
class DeformationSettings:
    """Size of the network; the defaults are those of the paper's stage 2 (8 layers of 256).

    Attributes:
        depth: number of hidden layers, 1 to 64.
        width: units of a hidden layer, 1 to 4096.
        position_frequencies: octaves of the encoding of a position, 0 to 24.
        time_frequencies: octaves of the encoding of the time, 0 to 24. The highest one swings
            2^(n-2) times over the sequence; more than half as many swings as there are frames can only
            flicker between the frames.
        time_layer: hidden layer, from 0, at which the time enters. The layers before it are computed once
            for all times, which is most of the cost of a small network; 0 is the paper's.
    """

    depth: int = 8
    width: int = 256
    position_frequencies: int = 10
    time_frequencies: int = 6
    time_layer: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that no one means."""
        limits = {
            "depth": (1, 64),
            "width": (1, 4096),
            "position_frequencies": (0, 24),
            "time_frequencies": (0, 24),
            "time_layer": (0, self.depth - 1 if isinstance(self.depth, int) else 0),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"deformation {name} is a whole number in {low}..{high}, not {value!r}")

    @property
    def position_layers(self) -> tuple[int, ...]:
        """The layers that see the encoding of the position."""
        return (0, SKIP_AFTER) if self.depth > SKIP_AFTER else (0,)

    @property
    def time_layers(self) -> tuple[int, ...]:
        """The layers that see the encoding of the time."""
        again = self.depth > SKIP_AFTER > self.time_layer
        return (self.time_layer, SKIP_AFTER) if again else (self.time_layer,)

    def to_dict(self) -> dict[str, int]:
        """Give the sizes as plain numbers, for a file's metadata."""
        return asdict(self)


class DeformationField(nn.Module):
    """Multilayer perceptron (mean, time) -> 6 degrees of freedom; the identity at initialisation.

    Section 3.4 of the paper. The encodings of position and time enter through separate matrices, which
    is the same network as one matrix on their concatenation. Three of its six outputs are a shift, three
    a rotation r as the quaternion (1, r) / |(1, r)|, smooth everywhere and under half a turn. The rotation
    turns both the Gaussian and, about the origin, its mean: a swinging limb is then one constant output,
    and its Gaussians turn with it.
    """

    def __init__(self, settings: DeformationSettings | None = None) -> None:
        """Make a field that moves nothing yet.

        Args:
            settings: its size; None for the paper's.
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
        self.head = nn.Linear(width, 6)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, means: Tensor, times: Tensor) -> DeformationOutput:
        """Give the motion of every Gaussian at every time.

        Args:
            means: (N, 3) canonical centres in world units.
            times: (T,) in [0, 1], any values in between frames too.
        """
        positions = encode(means, self.settings.position_frequencies)
        moments = encode(times.reshape(-1, 1).to(means), self.settings.time_frequencies)
        x = torch.zeros(())
        for layer in range(self.settings.depth):
            x = self.hidden[layer - 1](x) if layer else x
            if layer in self.settings.position_layers:
                x = x + self.position_inputs[str(layer)](positions)
            if layer in self.settings.time_layers:
                x = x + self.time_inputs[str(layer)](moments)[:, None]
            x = x.relu_()
        shifts, r = self.head(x).split(3, dim=-1)
        w = torch.rsqrt(1 + r.square().sum(-1, keepdim=True))
        v = r * w
        # R x - x for the quaternion (w, v) is 2 v × (v × x + w x).
        turned = 2 * torch.linalg.cross(v, torch.linalg.cross(v, means.expand_as(v)) + w * means)
        return DeformationOutput(turned + shifts, torch.cat([w, v], dim=-1))


def encode(values: Tensor, frequencies: int) -> Tensor:
    """Encode (K, D) values as (K, D (1 + 2 L)): themselves, then sin and cos of 2^l pi times them."""
    angles = values[:, None, :] * (math.pi * 2.0 ** torch.arange(frequencies).to(values))[:, None]
    waves = torch.cat([angles.sin(), angles.cos()], dim=1).flatten(1)
    return torch.cat([values, waves], dim=1)
