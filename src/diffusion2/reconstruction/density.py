"""Where Gaussians are needed: moving those that are not seen, adding more up to a limit.

Source: Kheradmand et al. (2024), "3D Gaussian splatting as Markov chain Monte Carlo". Nothing is split or
cloned by hand: copies of a Gaussian share its place with opacities and sizes such that the picture stays.
"""

import math

import torch
from torch import Tensor

from diffusion2.reconstruction.canonical import DEAD, Canonical

_MOST_COPIES = 10
"""More than these share as if they were these: the sum below has a term for each pair."""


@torch.no_grad()
def relocate_dead(canonical: Canonical, need: Tensor | None, generator: torch.Generator) -> int:
    """Move Gaussians that are not seen onto ones that are, keeping what is drawn; gives how many.

    Args:
        canonical: what to change.
        need: (N,) how much each Gaussian would gain from company; None for opacity times size.
        generator: decides which ones.
    """
    opacities = canonical.parameters["opacity_logits"].sigmoid()
    dead = (opacities < DEAD).nonzero()[:, 0]
    alive = (opacities >= DEAD).nonzero()[:, 0]
    dead = dead[: len(alive)]
    if not len(dead):
        return 0
    sources = _choose(canonical, alive, len(dead), need, generator)
    values = _share(canonical, sources, generator)
    canonical.replace(dead, values)
    return len(dead)


@torch.no_grad()
def add(canonical: Canonical, count: int, need: Tensor | None, generator: torch.Generator) -> None:
    """Add so many copies of Gaussians that are seen, keeping what is drawn."""
    opacities = canonical.parameters["opacity_logits"].sigmoid()
    alive = (opacities >= DEAD).nonzero()[:, 0]
    if count < 1 or not len(alive):
        return
    sources = _choose(canonical, alive, count, need, generator)
    canonical.append(_share(canonical, sources, generator))


def _choose(
    canonical: Canonical, alive: Tensor, count: int, need: Tensor | None, generator: torch.Generator
) -> Tensor:
    if need is None:
        # Gaussians that cover much of the pictures gain most from being two.
        sizes = canonical.parameters["log_scales"].exp().amax(dim=1)
        need = canonical.parameters["opacity_logits"].sigmoid() * sizes
    chances = need[alive].clamp(min=1e-12)
    return alive[
        torch.multinomial(chances.cpu(), count, replacement=True, generator=generator).to(alive.device)
    ]


def _share(canonical: Canonical, sources: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Split each source with its copies, change the sources, and give the copies."""
    copies = (torch.bincount(sources, minlength=len(canonical)) + 1).clamp(max=_MOST_COPIES)[sources]
    opacities = canonical.parameters["opacity_logits"][sources].sigmoid().clamp(max=0.99)
    shared, factor = shared_opacity_and_size(opacities, copies)
    values = {name: tensor[sources].clone() for name, tensor in canonical.parameters.items()}
    values["opacity_logits"] = torch.logit(shared.clamp(DEAD, 0.99))
    values["log_scales"] = values["log_scales"] + factor.log()[:, None]
    canonical.replace(sources, values)
    spread = values["log_scales"].exp()
    values["means"] = values["means"] + spread * torch.randn(*spread.shape, generator=generator).to(spread)
    return values


def shared_opacity_and_size(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Give the opacity of each of c coinciding copies of a Gaussian, and the factor on their sizes.

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
