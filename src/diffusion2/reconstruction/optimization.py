"""The two phases of section 3.4: static Gaussians, then their motion."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from diffusion2.config import ReconstructionSettings
from diffusion2.errors import NumericalError
from diffusion2.gaussians import DeformationField, Gaussians
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.reconstruction.canonical import Canonical, without_dead
from diffusion2.reconstruction.density import relocate_dead
from diffusion2.reconstruction.losses import alpha_loss, photometric_loss
from diffusion2.reconstruction.motion import Motion
from diffusion2.reconstruction.targets import Targets

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
        frame = torch.tensor([targets.reference_frame])
        cells = Cells(views, frame, torch.zeros(batch, dtype=torch.long))
        loss = _losses(canonical.gaussians, None, targets, cells, settings).mean()
        loss.backward()
        canonical.step()
        loss = loss.detach()
        _check_finite(step, loss, *canonical.parameters.values())
        if settings.relocate_every and (step + 1) % settings.relocate_every == 0 and step < 0.8 * steps:
            relocate_dead(canonical, None, generator)
        if (step + 1) % 10 == 0:
            progress(step + 1, total, f"warm-up, loss {float(loss):.4f}")
    return without_dead(canonical.gaussians)


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
    motion = Motion(canonical.gaussians, settings, generator)
    best = Best()
    for step in range(steps):
        cells = _draw_cells(targets, settings, generator)
        weights = targets.weights[cells.views, cells.frames[cells.of_picture]]
        losses = _losses(canonical.gaussians, motion, targets, cells, settings, weights)
        (weights * losses).mean().backward()
        losses = losses.detach()
        best.offer(float(losses.mean()), canonical.parameters, motion.field.state_dict())
        canonical.step()
        motion.step()
        _check_finite(before + step, losses, *canonical.parameters.values(), *motion.field.parameters())
        if (step + 1) % 10 == 0:
            progress(before + step + 1, before + steps, f"dynamics, loss {float(losses.mean()):.4f}")
    if best.state:
        canonical_state, field_state = best.state
        motion.field.load_state_dict(field_state)
        gaussians = Gaussians(**canonical_state)
    else:
        gaussians = Gaussians(**{k: v.detach() for k, v in canonical.parameters.items()})
    return without_dead(gaussians), motion.field.requires_grad_(False)


def _losses(
    gaussians: Gaussians,
    motion: Motion | None,
    targets: Targets,
    cells: Cells,
    settings: ReconstructionSettings,
    weights: Tensor | None = None,
) -> Tensor:
    """Give the loss of every picture of a step, (B,).

    With weights (B,), gradients flow to the motion as if each loss were divided by its weight: the weights
    hold for the canonical Gaussians alone, the motion needs every picture alike.
    """
    frames = cells.frames[cells.of_picture]
    means, quats = gaussians.means, gaussians.quats
    if motion is not None:
        gains = None if weights is None else 1 / weights
        means, quats = motion.pose(gaussians, targets.times[cells.frames], cells.of_picture, gains)
    target = targets.images[cells.views, frames]
    viewmats = targets.viewmats[cells.views]
    rendering = rasterize(
        means,
        quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.colors_seen(means, viewmats),
        viewmats,
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


def _check_finite(step: int, *tensors: Tensor) -> None:
    if not math.isfinite(sum(float(tensor.detach().sum()) for tensor in tensors)):
        raise NumericalError("reconstruction", step, hint="lower gaussians_rate or deformation_rate")
