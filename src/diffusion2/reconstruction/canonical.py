"""The canonical Gaussians while they are being optimised."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.gaussians import SH_C0

RATES = {
    "means": 3.2e-4,
    "quats": 1e-3,
    "log_scales": 5e-3,
    "opacity_logits": 5e-2,
    "sh0": 2.5e-3,
    "shN": 2.5e-3 / 20,
}
"""Learning rates of 3D Gaussian splatting (Kerbl et al., 2023) for a camera distance of 2; a setting
multiplies them."""

LAST_RATE = 0.1
"""Every learning rate falls exponentially to this share of its first value."""

DEAD = 0.005
"""Opacity under which a Gaussian is not seen."""


class Canonical:
    """The canonical Gaussians and their optimiser.

    Args:
        gaussians: where to start.
        rate: multiplies `RATES`.
        steps: after so many steps the rates have fallen to `LAST_RATE`.
    """

    def __init__(self, gaussians: Gaussians, rate: float, steps: int) -> None:
        self.parameters = {
            name: tensor.detach().clone().requires_grad_() for name, tensor in gaussians.tensors().items()
        }
        groups = [{"params": [self.parameters[name]], "lr": rate * RATES[name]} for name in self.parameters]
        self.optimizer = torch.optim.Adam(groups, eps=1e-15, fused=True)
        self._schedule = falling(self.optimizer, steps)

    def __len__(self) -> int:
        """Return the number of Gaussians."""
        return len(self.parameters["means"])

    @property
    def gaussians(self) -> Gaussians:
        """The Gaussians, attached to the parameters."""
        return Gaussians(**self.parameters)

    def step(self) -> None:
        """Follow the gradients; colours stay colours."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._schedule.step()
        with torch.no_grad():
            self.parameters["sh0"].clamp_(-0.5 / SH_C0, 0.5 / SH_C0)

    @torch.no_grad()
    def append(self, values: dict[str, Tensor], sources: Tensor) -> None:
        """Add Gaussians at the end.

        Args:
            values: their parameters, by name.
            sources: (M,) which Gaussian each is a copy of. The optimiser takes it for as steep as that one.
        """
        for group, name in zip(self.optimizer.param_groups, self.parameters, strict=True):
            old, more = self.parameters[name], values[name]
            new = torch.cat([old.detach(), more]).requires_grad_()
            state = self.optimizer.state.pop(old, {})
            if state:
                state["exp_avg"] = torch.cat([state["exp_avg"], torch.zeros_like(more)])
                state["exp_avg_sq"] = torch.cat([state["exp_avg_sq"], state["exp_avg_sq"][sources]])
                self.optimizer.state[new] = state
            group["params"] = [new]
            self.parameters[name] = new


def falling(optimizer: torch.optim.Optimizer, steps: int, last: float = LAST_RATE) -> LRScheduler:
    """Let the learning rates fall exponentially to a share of their first values."""
    return ExponentialLR(optimizer, last ** (1 / max(1, steps)))


def thin_out(gaussians: Gaussians, count: int, generator: torch.Generator) -> Gaussians:
    """Choose so many of the Gaussians, the more opaque rather, and enlarge them to cover the same surface."""
    if len(gaussians) <= count:
        return gaussians
    chosen = torch.multinomial(gaussians.opacities, count, generator=generator).sort().values
    few = gaussians.select(chosen)
    return replace(few, log_scales=few.log_scales + 0.5 * math.log(len(gaussians) / count))


def without_dead(gaussians: Gaussians) -> Gaussians:
    """Drop what is not seen, and detach the rest from its gradients."""
    parts = Gaussians(**{name: tensor.detach() for name, tensor in gaussians.tensors().items()})
    seen = parts.opacities >= DEAD
    return parts.select(seen) if bool(seen.any()) else parts
