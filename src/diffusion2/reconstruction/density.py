"""More Gaussians where the pictures pull at the ones there are, up to a limit.

Where: as in 3D Gaussian splatting (Kerbl et al., 2023), by the gradients of the means. How: as in splatting
by Markov chain Monte Carlo (Kheradmand et al., 2024): a Gaussian and its copies get opacities and sizes such
that the picture stays. The number follows a plan, so that it never runs away.
"""

import math

import torch
from torch import Tensor

from diffusion2.quaternions import rotation_matrices
from diffusion2.reconstruction.canonical import DEAD, Canonical

_EVERY = 20
"""Iterations between two additions."""

_UNTIL = 0.6
"""Share of the warm-up after which the limit is reached; the rest is for the last ones to settle."""

_MOST_COPIES = 10
"""More than these share as if they were these: the sum below has a term for each pair."""


class Growth:
    """Adds Gaussians during the warm-up.

    Args:
        canonical: what grows.
        most: the number it grows to; nothing happens if there are as many already.
        steps: iterations of the warm-up.
        generator: decides which ones and where.
    """

    def __init__(self, canonical: Canonical, most: int, steps: int, generator: torch.Generator) -> None:
        self._canonical, self._generator = canonical, generator
        self._first, self._most, self._last = len(canonical), most, max(1, round(_UNTIL * steps))
        self._pulls: Tensor | None = None

    def note(self) -> None:
        """Add up the gradients of an iteration, before the optimiser follows and forgets them."""
        gradients = self._canonical.parameters["means"].grad
        if gradients is not None:
            pulls = gradients.norm(dim=1)
            self._pulls = pulls if self._pulls is None else self._pulls + pulls

    def act(self, step: int) -> None:
        """Add what the plan says after so many iterations."""
        if (step % _EVERY and step != self._last) or step > self._last or self._pulls is None:
            return
        planned = round(self._first + (self._most - self._first) * step / self._last)
        add(self._canonical, planned - len(self._canonical), self._pulls, self._generator)
        self._pulls = None


@torch.no_grad()
def add(canonical: Canonical, count: int, need: Tensor, generator: torch.Generator) -> None:
    """Add so many copies of Gaussians that are seen, keeping what is drawn.

    Args:
        canonical: what to change.
        count: how many; none if it isn't positive.
        need: (N,) how much each Gaussian would gain from company.
        generator: decides which ones and where.
    """
    chances = need * (canonical.parameters["opacity_logits"].sigmoid() >= DEAD)
    if count < 1 or not float(chances.sum()) > 0:
        return
    sources = torch.multinomial(chances.cpu(), count, replacement=True, generator=generator).to(need.device)
    canonical.append(_share(canonical, sources, generator), sources)


def _share(canonical: Canonical, sources: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Split each source with its copies, change the sources, and give the copies."""
    copies = (torch.bincount(sources, minlength=len(canonical)) + 1).clamp(max=_MOST_COPIES)[sources]
    opacities = canonical.parameters["opacity_logits"][sources].sigmoid().clamp(max=0.99)
    shared, factor = shared_opacity_and_size(opacities, copies)
    values = {name: tensor[sources].clone() for name, tensor in canonical.parameters.items()}
    values["opacity_logits"] = torch.logit(shared.clamp(DEAD, 0.99))
    values["log_scales"] = values["log_scales"] + factor.log()[:, None]
    for name in ("opacity_logits", "log_scales"):
        canonical.parameters[name][sources] = values[name]
    offsets = values["log_scales"].exp() * torch.randn(len(sources), 3, generator=generator).to(shared)
    turned = rotation_matrices(values["quats"]) @ offsets[..., None]
    values["means"] = values["means"] + turned[..., 0]
    return values


def shared_opacity_and_size(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Return the opacity of each of c coinciding copies of a Gaussian, and the factor on their sizes.

    With these, the copies together have the same opacity in the middle as the one, and the same integral
    along a line through it (equation 9 of the source).
    """
    shared = 1 - (1 - opacities) ** (1 / copies)
    integral = torch.zeros_like(opacities)
    most = int(copies.max()) if len(copies) else 0
    for i in range(1, most + 1):
        inner = torch.zeros_like(opacities)
        for k in range(i):
            inner += math.comb(i - 1, k) * (-1) ** k / math.sqrt(k + 1) * shared ** (k + 1)
        integral += torch.where(i <= copies, inner, 0)
    return shared, opacities / integral
