"""The two phases of section 3.4: static Gaussians, then their motion."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from diffusion2.config import ReconstructionSettings
from diffusion2.errors import NumericalError
from diffusion2.events import Progress
from diffusion2.gaussians import DeformationField, Gaussians
from diffusion2.gaussians.posing import Posed
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.reconstruction.canonical import Canonical, without_dead
from diffusion2.reconstruction.cells import Cells, draw_moving, draw_static
from diffusion2.reconstruction.density import Growth
from diffusion2.reconstruction.losses import PictureLoss
from diffusion2.reconstruction.motion import Motion
from diffusion2.reconstruction.targets import Targets

OnState = Callable[[Gaussians, DeformationField | None], None]
"""Called now and then with what is learned so far; it changes with the next step."""

_WINDOW = 25
"""Steps over which the loss is averaged when states are compared."""
_TOLERANCE = 1.25
"""How far above the lowest loss a state's may lie: windows look at other pictures, and differ by a tenth."""


class Kept:
    """Keeps the newest state that has not diverged: rates fall, so it is better than those before it.

    Args:
        steps: how many there will be; the state after the last one counts as those at the ends of windows do.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._losses: list[float] = []
        self._lowest = float("inf")
        self.state: tuple[dict[str, Tensor], ...] = ()

    def offer(self, loss: float, *tensors: dict[str, Tensor]) -> None:
        """Take the loss of a step and the state after it; keep it at the end of a window of low losses."""
        self._losses.append(loss)
        if len(self._losses) % _WINDOW and len(self._losses) != self._steps:
            return
        window = self._losses[-_WINDOW:]
        mean = sum(window) / len(window)
        self._lowest = min(self._lowest, mean)
        if mean <= _TOLERANCE * self._lowest:
            self.state = tuple({k: v.detach().clone() for k, v in part.items()} for part in tensors)


def warm_up(
    gaussians: Gaussians,
    targets: Targets,
    loss: PictureLoss,
    settings: ReconstructionSettings,
    generator: torch.Generator,
    progress: Progress,
    warn: Callable[[str], None],
    show: OnState = lambda gaussians, field: None,
) -> Gaussians:
    """Optimise static Gaussians on the reference column; gives them.

    Raises:
        NumericalError: when the loss or a parameter stops being finite before there is a state to keep.
    """
    steps, total = settings.warmup_iterations, settings.warmup_iterations + settings.joint_iterations
    canonical = Canonical(gaussians, settings.gaussians_rate, steps)
    growth = Growth(canonical, settings.gaussians, steps, generator)
    kept = Kept(steps)
    for step in range(steps):
        cells = draw_static(targets, settings, generator)
        still = Posed(canonical.gaussians.means, canonical.gaussians.quats)
        losses = _losses(canonical.gaussians, still, targets, cells, loss)
        losses.mean().backward()
        losses = losses.detach()
        growth.note()
        canonical.step()
        if not _are_finite([losses, *canonical.parameters.values()]):
            _give_up_at(step, kept, warn)
            break
        growth.act(step + 1)
        kept.offer(float(losses.mean()), canonical.parameters)
        if (step + 1) % 10 == 0:
            progress(step + 1, total, f"warm-up, loss {float(losses.mean()):.4f}")
            show(canonical.gaussians, None)
    (found,) = kept.state
    return without_dead(Gaussians(**found))


def train_dynamics(
    gaussians: Gaussians,
    targets: Targets,
    loss: PictureLoss,
    settings: ReconstructionSettings,
    generator: torch.Generator,
    progress: Progress,
    warn: Callable[[str], None],
    show: OnState = lambda gaussians, field: None,
) -> tuple[Gaussians, DeformationField]:
    """Optimise the deformation on the whole matrix, and the canonical Gaussians with it, but gently.

    Raises:
        NumericalError: when the loss or a parameter stops being finite before there is a state to keep.
    """
    steps, before = settings.joint_iterations, settings.warmup_iterations
    canonical = Canonical(gaussians, settings.gaussians_rate * settings.canonical_rate, steps)
    motion = Motion(canonical.gaussians, settings, generator)
    kept = Kept(steps)
    for step in range(steps):
        cells = draw_moving(targets, settings, generator)
        # The weights hold for the canonical Gaussians alone: the motion needs every picture alike.
        weights = targets.weights[cells.views, cells.frames[cells.of_picture]]
        outputs = motion.outputs(canonical.gaussians, targets.times[cells.frames])
        posed = motion.pose(outputs, canonical.gaussians, cells.of_picture, gains=1 / weights)
        losses = _losses(canonical.gaussians, posed, targets, cells, loss)
        total = (weights * losses).mean()
        if settings.rigid_weight:
            total = total + settings.rigid_weight * motion.strain(outputs, canonical.gaussians)
        if settings.smooth_weight:
            frame = 1 / (targets.frames - 1)
            total = total + settings.smooth_weight * motion.unevenness(canonical.gaussians, frame, generator)
        total.backward()
        losses = losses.detach()
        canonical.step()
        motion.step()
        if not _are_finite([losses, *canonical.parameters.values(), *motion.field.parameters()]):
            _give_up_at(before + step, kept, warn)
            break
        kept.offer(float(losses.mean()), canonical.parameters, motion.field.state_dict())
        if (step + 1) % 10 == 0:
            progress(before + step + 1, before + steps, f"dynamics, loss {float(losses.mean()):.4f}")
            show(canonical.gaussians, motion.field)
    found, field_state = kept.state
    motion.field.load_state_dict(field_state)
    return without_dead(Gaussians(**found)), motion.field.requires_grad_(False)


def _give_up_at(step: int, kept: Kept, warn: Callable[[str], None]) -> None:
    """Say that the optimisation left the finite numbers, and refuse to go on if there is nothing to keep."""
    hint = "lower gaussians_rate or deformation_rate"
    if not kept.state:
        raise NumericalError("reconstruction", step, hint=hint)
    warn(f"the optimisation diverged at iteration {step}; the last good state is kept ({hint})")


def _losses(gaussians: Gaussians, posed: Posed, targets: Targets, cells: Cells, loss: PictureLoss) -> Tensor:
    """Return the loss of every picture of a step, (B,)."""
    frames = cells.frames[cells.of_picture]
    target = targets.pictures(cells.views, frames)
    viewmats = targets.viewmats[cells.views]
    rendering = rasterize(
        posed.means,
        posed.quats,
        posed.scales(gaussians.log_scales),
        gaussians.opacities,
        gaussians.colors_seen(posed.means, viewmats),
        viewmats,
        targets.Ks[cells.views],
        targets.size[1],
        targets.size[0],
        backgrounds=torch.ones(len(cells.views), 3, device=viewmats.device),
    )
    return loss(rendering, target)


def _are_finite(tensors: Iterable[Tensor]) -> bool:
    return math.isfinite(float(torch.stack([tensor.detach().sum() for tensor in tensors]).sum()))
