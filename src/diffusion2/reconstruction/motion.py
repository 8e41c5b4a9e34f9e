"""The deformation field while it is being optimised."""

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler

from diffusion2.config import ReconstructionSettings
from diffusion2.gaussians import DeformationField, DeformationSettings, Gaussians
from diffusion2.gaussians.deformation import spread_nodes
from diffusion2.gaussians.posing import Posed, follow_own, pose
from diffusion2.reconstruction.canonical import falling

_FOLLOW_EVERY = 50
"""Steps after which Gaussians look anew which nodes they follow: they hardly move."""


class Motion:
    """The field, its optimiser, and which of its nodes the Gaussians follow.

    Args:
        gaussians: what is to be moved.
        settings: size, rates and number of steps.
        generator: decides the network's first weights.
    """

    def __init__(
        self, gaussians: Gaussians, settings: ReconstructionSettings, generator: torch.Generator
    ) -> None:
        means = gaussians.means.detach()
        self.field = _make_field(means, settings, generator)
        self.optimizer = torch.optim.Adam(
            self.field.parameters(), lr=settings.deformation_rate, eps=1e-15, fused=True
        )
        self._schedule = _rising_and_falling(self.optimizer, settings)
        self._blend = self.field.follow(means)
        self._own = follow_own(len(self.field.nodes) or len(means), means.device)
        self._steps = 0

    def pose(self, gaussians: Gaussians, times: Tensor, of_picture: Tensor, gains: Tensor | None) -> Posed:
        """Pose the Gaussians in B pictures at T times; differentiable.

        Args:
            gaussians: the canonical ones.
            times: (T,).
            of_picture: (B,) which of the times each picture shows.
            gains: (B,) factors on what each picture says about the motion.
        """
        means = gaussians.means.detach()
        if self._steps % _FOLLOW_EVERY == 0 and self.field.settings.nodes:
            self._blend = self.field.follow(means)
        outputs = self.field.outputs(means, times)
        return pose(outputs, gaussians.means, gaussians.quats, self._blend, of_picture, gains)

    def unevenness(self, gaussians: Gaussians, frame: float, generator: torch.Generator) -> Tensor:
        """Return how far nodes are, at a random time, from halfway between half a frame before and after.

        Args:
            gaussians: the canonical ones.
            frame: time between two frames.
            generator: decides the time.
        """
        middle = frame / 2 + (1 - frame) * torch.rand(1, generator=generator)
        times = torch.cat([middle - frame / 2, middle, middle + frame / 2]).to(gaussians.means.device)
        points = self.field.nodes if self.field.settings.nodes else gaussians.means.detach()
        outputs = self.field.evaluate(points, times)
        still = torch.zeros(len(points), 4, device=points.device)
        still[:, 0] = 1
        before, at, after = pose(outputs, points, still, self._own).means
        return (before + after - 2 * at).norm(dim=-1).mean()

    def step(self) -> None:
        """Follow the gradients."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._schedule.step()
        self._steps += 1


def _rising_and_falling(optimizer: torch.optim.Optimizer, settings: ReconstructionSettings) -> LRScheduler:
    """Let the learning rate fall exponentially to its last value, and rise over the first steps besides.

    Adam's first steps are as long as any, in directions of few and noisy gradients. Where views contradict
    each other all that these say is that motion is wrong, and a few dozen such steps turn units off for good:
    the field would be constant.
    """
    first = 1 / (settings.deformation_warmup + 1)
    last = settings.last_deformation_rate / settings.deformation_rate
    rising = LinearLR(optimizer, first, total_iters=settings.deformation_warmup)
    return ChainedScheduler([rising, falling(optimizer, settings.joint_iterations, last)])


def _make_field(
    means: Tensor, settings: ReconstructionSettings, generator: torch.Generator
) -> DeformationField:
    nodes = spread_nodes(means, settings.deformation_nodes)
    size = DeformationSettings(
        settings.deformation_depth,
        settings.deformation_width,
        settings.position_frequencies,
        settings.time_frequencies,
        settings.time_layer,
        len(nodes),
        settings.deformation_scales,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return DeformationField(size, nodes.cpu()).to(means.device)
