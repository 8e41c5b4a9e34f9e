"""The two phases of section 3.4: static Gaussians, then their motion."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

from diffusion2.config import ReconstructionSettings
from diffusion2.errors import NumericalError
from diffusion2.gaussians import DeformationField, DeformationSettings, Gaussians
from diffusion2.gaussians.gaussians import SH_C0, multiply_quats
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.reconstruction.losses import alpha_loss, photometric_loss
from diffusion2.reconstruction.targets import Targets

RATES = {"means": 3.2e-4, "quats": 1e-3, "log_scales": 5e-3, "opacity_logits": 5e-2, "sh0": 2.5e-3}
"""Learning rates of 3D Gaussian splatting (Kerbl et al., 2023) for a camera distance of 2; a setting
multiplies them."""

_LAST_RATE = 0.1
"""Every learning rate falls exponentially to this share of its first value."""

_DEAD = 0.005
"""Opacity under which a Gaussian is not seen."""

_WINDOW = 25
"""Steps over which the loss is averaged when states are compared."""


class Counter(Protocol):
    """Reports progress: units done, in all, and a detail."""

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Report."""
        ...


@dataclass(frozen=True)
class Cells:
    """The cells of the matrix that one step looks at: B pictures at T times.

    Attributes:
        views: (B,) rows.
        frames: (T,) columns, each once.
        of_picture: (B,) which of the frames each picture shows.
    """

    views: Tensor
    frames: Tensor
    of_picture: Tensor


class Canonical:
    """The canonical Gaussians while they are being optimised."""

    def __init__(self, gaussians: Gaussians, rate: float, steps: int) -> None:
        self.parameters = {
            name: tensor.detach().clone().requires_grad_() for name, tensor in gaussians.tensors().items()
        }
        groups = [{"params": [self.parameters[name]], "lr": rate * RATES[name]} for name in self.parameters]
        self.optimizer = torch.optim.Adam(groups, eps=1e-15, fused=True)
        self._schedule = _falling(self.optimizer, steps)

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
    def relocate_dead(self, generator: torch.Generator) -> None:
        """Move Gaussians that are not seen next to ones that are, keeping what is drawn.

        Source: Kheradmand et al. (2024), "3D Gaussian splatting as Markov chain Monte Carlo", with one
        copy per place. The number of Gaussians and their order stay, which densification by copies and
        deletions would not give.
        """
        opacities = self.parameters["opacity_logits"].sigmoid()
        dead = (opacities < _DEAD).nonzero()[:, 0]
        alive = (opacities >= _DEAD).nonzero()[:, 0]
        dead = dead[: len(alive)]
        if not len(dead):
            return
        # Gaussians that cover much of the pictures gain most from being two.
        sizes = self.parameters["log_scales"].exp().amax(dim=1)
        chosen = torch.multinomial((opacities * sizes)[alive], len(dead), generator=generator)
        sources = alive[chosen]
        shared = 1 - (1 - opacities[sources].clamp(max=0.99)).sqrt()
        self.parameters["opacity_logits"][sources] = torch.logit(shared)
        for tensor in self.parameters.values():
            tensor[dead] = tensor[sources]
            state = self.optimizer.state[tensor]
            for moment in ("exp_avg", "exp_avg_sq"):
                state[moment][dead] = 0
        spread = self.parameters["log_scales"][sources].exp()
        self.parameters["means"][dead] += spread * torch.randn(len(dead), 3, generator=generator)


class Best:
    """Keeps the state with the lowest loss seen, averaged over a window of steps."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self.loss = float("inf")
        self.state: tuple[dict[str, Tensor], ...] = ()

    def offer(self, loss: float, *tensors: dict[str, Tensor]) -> None:
        """Take the loss of a step, and at the end of a window perhaps the state."""
        self._losses.append(loss)
        if len(self._losses) % _WINDOW:
            return
        mean = sum(self._losses[-_WINDOW:]) / _WINDOW
        if mean < self.loss:
            self.loss = mean
            self.state = tuple({k: v.detach().clone() for k, v in part.items()} for part in tensors)


def warm_up(
    gaussians: Gaussians,
    targets: Targets,
    settings: ReconstructionSettings,
    generator: torch.Generator,
    progress: Counter,
) -> Gaussians:
    """Optimise static Gaussians on the reference column.

    Raises:
        NumericalError: when the loss or a parameter stops being finite.
    """
    steps, total = settings.warmup_iterations, settings.warmup_iterations + settings.joint_iterations
    canonical = Canonical(gaussians, settings.gaussians_rate, steps)
    batch = min(targets.views, settings.times_per_step * settings.views_per_step)
    for step in range(steps):
        views = torch.randperm(targets.views, generator=generator)[:batch]
        cells = Cells(views, torch.zeros(1, dtype=torch.long), torch.zeros(batch, dtype=torch.long))
        loss = _losses(canonical.gaussians, None, targets, cells, settings).mean()
        loss.backward()
        canonical.step()
        loss = loss.detach()
        _check_finite(step, loss, *canonical.parameters.values())
        if settings.relocate_every and (step + 1) % settings.relocate_every == 0 and step < 0.8 * steps:
            canonical.relocate_dead(generator)
        if (step + 1) % 10 == 0:
            progress(step + 1, total, f"warm-up, loss {float(loss):.4f}")
    return _without_dead(canonical.gaussians)


def train_dynamics(
    gaussians: Gaussians,
    targets: Targets,
    settings: ReconstructionSettings,
    generator: torch.Generator,
    progress: Counter,
) -> tuple[Gaussians, DeformationField]:
    """Optimise the deformation on the whole matrix, and the canonical Gaussians with it, but gently.

    Raises:
        NumericalError: when the loss or a parameter stops being finite.
    """
    steps, before = settings.joint_iterations, settings.warmup_iterations
    canonical = Canonical(gaussians, settings.gaussians_rate * settings.canonical_rate, steps)
    field = _make_field(settings, generator)
    optimizer = torch.optim.Adam(field.parameters(), lr=settings.deformation_rate, eps=1e-15, fused=True)
    schedule = _falling(optimizer, steps, settings.last_deformation_rate / settings.deformation_rate)
    best = Best()
    for step in range(steps):
        cells = _draw_cells(targets, settings, generator)
        weights = targets.weights[cells.views, cells.frames[cells.of_picture]]
        losses = _losses(canonical.gaussians, field, targets, cells, settings, weights)
        (weights * losses).mean().backward()
        losses = losses.detach()
        best.offer(float(losses.mean()), canonical.parameters, field.state_dict())
        canonical.step()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        _check_finite(before + step, losses, *canonical.parameters.values(), *field.parameters())
        if (step + 1) % 10 == 0:
            progress(before + step + 1, before + steps, f"dynamics, loss {float(losses.mean()):.4f}")
    if best.state:
        canonical_state, field_state = best.state
        field.load_state_dict(field_state)
        gaussians = Gaussians(**canonical_state)
    else:
        gaussians = Gaussians(**{k: v.detach() for k, v in canonical.parameters.items()})
    return _without_dead(gaussians), field.requires_grad_(False)


def _losses(
    gaussians: Gaussians,
    field: DeformationField | None,
    targets: Targets,
    cells: Cells,
    settings: ReconstructionSettings,
    weights: Tensor | None = None,
) -> Tensor:
    """Give the loss of every picture of a step, (B,)."""
    frames = cells.frames[cells.of_picture]
    means, quats = gaussians.means, gaussians.quats
    if field is not None:
        motion = field(gaussians.means.detach(), targets.times[cells.frames])
        translations, rotations = motion.translations[cells.of_picture], motion.rotations[cells.of_picture]
        if weights is not None:
            # The weights hold for the canonical Gaussians alone: the motion needs every picture alike.
            for tensor in (translations, rotations):
                tensor.register_hook(lambda gradient: gradient / weights[:, None, None])
        means, quats = means + translations, multiply_quats(rotations, quats)
    target = targets.images[cells.views, frames]
    rendering = rasterize(
        means,
        quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.colors,
        targets.viewmats[cells.views],
        targets.Ks[cells.views],
        target.shape[2],
        target.shape[1],
        backgrounds=torch.ones(len(target), 3),
    )
    losses = photometric_loss(rendering.rgb, target, settings.ssim_weight)
    if settings.alpha_weight:
        alphas, known = targets.alphas[cells.views, frames], targets.known[cells.views, frames]
        losses = losses + settings.alpha_weight * alpha_loss(rendering.alpha, alphas, known)
    return losses


def _draw_cells(targets: Targets, settings: ReconstructionSettings, generator: torch.Generator) -> Cells:
    """Draw some frames, and for each of them some views, the reference view (the last one) often.

    Where generated views disagree about the motion, the disagreement averages out to no motion at all; the
    reference view is the one that is right by definition.
    """
    times = min(settings.times_per_step, targets.frames)
    frames = torch.randperm(targets.frames, generator=generator)[:times]
    count = min(settings.views_per_step, targets.views)
    views = torch.stack([torch.randperm(targets.views, generator=generator)[:count] for _ in range(times)])
    last = targets.views - 1
    from_reference = torch.rand(times, generator=generator) < settings.reference_share
    views[:, 0] = torch.where(from_reference & ~(views == last).any(dim=1), last, views[:, 0])
    return Cells(views.flatten(), frames, torch.arange(times).repeat_interleave(count))


def _make_field(settings: ReconstructionSettings, generator: torch.Generator) -> DeformationField:
    size = DeformationSettings(
        settings.deformation_depth,
        settings.deformation_width,
        settings.position_frequencies,
        settings.time_frequencies,
        min(settings.time_layer, settings.deformation_depth - 1),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return DeformationField(size)


def _falling(optimizer: torch.optim.Optimizer, steps: int, last: float = _LAST_RATE) -> LRScheduler:
    gamma = last ** (1 / max(1, steps))
    return ExponentialLR(optimizer, gamma)


def _check_finite(step: int, *tensors: Tensor) -> None:
    if not math.isfinite(sum(float(tensor.detach().sum()) for tensor in tensors)):
        raise NumericalError("reconstruction", step, hint="lower gaussians_rate or deformation_rate")


def _without_dead(gaussians: Gaussians) -> Gaussians:
    """Drop what is not seen, and detach the rest from its gradients."""
    parts = Gaussians(**{name: tensor.detach() for name, tensor in gaussians.tensors().items()})
    seen = parts.opacities >= _DEAD
    return parts.select(seen) if bool(seen.any()) else parts
