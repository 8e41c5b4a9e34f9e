"""The deformation field while it is being optimised."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler

from diffusion2.config import ReconstructionSettings
from diffusion2.gaussians import DeformationField, DeformationSettings, Gaussians
from diffusion2.gaussians.deformation import spread_nodes
from diffusion2.gaussians.posing import (
    Posed,
    SkinningWeights,
    follow_own,
    make_skinning_weights,
    nearest,
    pose,
)
from diffusion2.reconstruction.canonical import falling

_FOLLOW_EVERY = 50
"""Steps after which Gaussians look anew which nodes they follow: they hardly move."""
_NEIGHBOURS = 8
"""Nodes around a node with which it should move as one body."""


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
        self._neighbours: _Neighbours | None = None
        self._steps = 0

    def outputs(self, gaussians: Gaussians, times: Tensor) -> Tensor:
        """Evaluate the field at its nodes, or else at the Gaussians, at T times: (T, K, 6 or 9)."""
        return self.field.outputs(gaussians.means.detach(), times)

    def pose(
        self, outputs: Tensor, gaussians: Gaussians, of_picture: Tensor, gains: Tensor | None = None
    ) -> Posed:
        """Pose the Gaussians in B pictures; differentiable.

        Args:
            outputs: of the field, (T, K, 6 or 9).
            gaussians: the canonical ones.
            of_picture: (B,) which of the T times each picture shows.
            gains: (B,) factors on what each picture says about the motion.
        """
        if self._steps % _FOLLOW_EVERY == 0 and self.field.settings.nodes:
            self._blend = self.field.follow(gaussians.means.detach())
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
        points = self._points(gaussians)
        before, at, after = _moved(self.field.evaluate(points, times), points, self._own)
        return (before + after - 2 * at).norm(dim=-1).mean()

    def strain(self, outputs: Tensor, gaussians: Gaussians) -> Tensor:
        """Return how far the motion is from rigid around each node: 0 where its neighbours move as it does.

        The mean square of how far from a neighbour's place a node's own motion would take that neighbour, in
        units of their distance: as rigid as possible (Sorkine and Alexa, 2007). What is torn off costs much,
        a joint that bends little.

        Args:
            outputs: of the field, (T, K, 6 or 9).
            gaussians: the canonical ones.
        """
        points = self._points(gaussians)
        if len(points) < 2:
            return outputs.new_zeros(())
        if self._neighbours is None:  # Gaussians hardly move, nodes not at all: once is enough
            self._neighbours = _Neighbours.of(points)
        index, carried_by = self._neighbours
        carried = _moved(outputs, points[index].flatten(0, 1), carried_by).unflatten(1, index.shape)
        moved = _moved(outputs, points, self._own)[:, index]
        distances = (points[index] - points[:, None]).square().sum(-1).clamp(min=1e-12)
        return ((carried - moved).square().sum(-1) / distances).mean()

    def step(self) -> None:
        """Follow the gradients."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._schedule.step()
        self._steps += 1

    def _points(self, gaussians: Gaussians) -> Tensor:
        return self.field.nodes if self.field.settings.nodes else gaussians.means.detach()


class _Neighbours(NamedTuple):
    """Which nodes are around each node.

    Attributes:
        index: (K, k).
        carried_by: lets the neighbours, K·k points, follow the node they are around.
    """

    index: Tensor
    carried_by: SkinningWeights

    @classmethod
    def of(cls, points: Tensor) -> "_Neighbours":
        """Find the neighbours of points (K, 3), at least two."""
        index = nearest(points, points, min(_NEIGHBOURS + 1, len(points)))[1][:, 1:]
        node = torch.arange(len(points), device=points.device).repeat_interleave(index.shape[1])[:, None]
        return cls(index, make_skinning_weights(node, torch.ones_like(node, dtype=points.dtype), len(points)))


def _moved(outputs: Tensor, points: Tensor, skinning: SkinningWeights) -> Tensor:
    """Move points (N, 3) as the nodes that they follow move: (T, N, 3)."""
    still = torch.zeros(len(points), 4, device=points.device)
    still[:, 0] = 1
    return pose(outputs, points, still, skinning).means


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
