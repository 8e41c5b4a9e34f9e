"""Posing: from the six numbers that a deformation gives at its nodes to means and rotations of Gaussians.

The six numbers, a shift s and a turn r, are interpolated between nodes. With the quaternion
(w, v) = (1, r) / |(1, r)|, smooth everywhere and under half a turn, a Gaussian's mean x goes to
R(w, v) x + s, and its own rotation q to (w, v) q: every Gaussian moves rigidly. Where there are nine numbers,
the last three, interpolated too, are added to the logarithms of its scales.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from diffusion2.gaussians.posing_kernels import CHUNK, gather_nodes, pose_backward, pose_forward
from diffusion2.kernels.threads import run_tasks
from diffusion2.quaternions import multiply_quats

NEIGHBOURS = 4
"""Nodes that a Gaussian follows."""


@dataclass(frozen=True)
class SkinningWeights:
    """Which nodes each of N Gaussians follows, and how much.

    Attributes:
        index: (N, k) int32.
        weights: (N, k), rows that sum to 1.
        starts: (K + 1,) int64: entries starts[n] up to starts[n + 1] of the next two belong to node n.
        members: (N k,) int32, Gaussians.
        member_weights: (N k,).
    """

    index: Tensor
    weights: Tensor
    starts: Tensor
    members: Tensor
    member_weights: Tensor


class Posed(NamedTuple):
    """N Gaussians in B pictures.

    Attributes:
        means: (B, N, 3) centres.
        quats: (B, N, 4) rotations, wxyz.
        growths: (B, N, 3), added to the logarithms of the scales; None: they stay.
    """

    means: Tensor
    quats: Tensor
    growths: Tensor | None = None

    def pick(self, pictures: int | Tensor) -> "Posed":
        """Return what is in one picture, without the dimension B, or in several (C,)."""
        growths = None if self.growths is None else self.growths[pictures]
        return Posed(self.means[pictures], self.quats[pictures], growths)

    def scales(self, log_scales: Tensor) -> Tensor:
        """Return the standard deviations, (B, N, 3), or (N, 3) where they stay, from canonical (N, 3)."""
        return (log_scales if self.growths is None else log_scales + self.growths).exp()


def make_skinning_weights(index: Tensor, weights: Tensor, nodes: int) -> SkinningWeights:
    """Prepare the interpolation between some nodes (N, k) with weights (N, k)."""
    flat = index.flatten().long()
    order = torch.argsort(flat, stable=True)
    starts = torch.zeros(nodes + 1, dtype=torch.int64, device=flat.device)
    starts[1:] = torch.bincount(flat, minlength=nodes).cumsum(0)
    members = torch.div(order, index.shape[1], rounding_mode="floor").int()
    return SkinningWeights(
        index.int().contiguous(), weights.contiguous(), starts, members, weights.flatten()[order]
    )


def nearest(points: Tensor, nodes: Tensor, count: int, chunk: int = 4096) -> tuple[Tensor, Tensor]:
    """Find so many nearest of some nodes (K, 3) for points (N, 3): distances and indices, (N, count)."""
    parts = [torch.cdist(part, nodes).topk(count, largest=False) for part in points.split(chunk)]
    distances, index = (torch.cat(column) for column in zip(*parts, strict=True))
    return distances, index


def follow_nearest(points: Tensor, nodes: Tensor) -> SkinningWeights:
    """Let points (N, 3) follow their nearest nodes (K, 3).

    The weights fall to zero where a node stops being among the nearest, so that neither motion nor surface
    has jumps.
    """
    near = min(NEIGHBOURS, max(1, len(nodes) - 1))
    distances, index = nearest(points.detach(), nodes, min(near + 1, len(nodes)))
    # A little beyond the first node that doesn't count, so that not all weights are zero.
    reach = 1.001 * distances[:, -1:].clamp(min=1e-9)
    closeness = (1 - distances[:, :near] / reach).square()
    return make_skinning_weights(index[:, :near], closeness / closeness.sum(1, keepdim=True), len(nodes))


def follow_own(count: int, device: torch.device) -> SkinningWeights:
    """Let every point follow a node of its own."""
    own = torch.arange(count, device=device)[:, None]
    return make_skinning_weights(own, torch.ones(count, 1, device=device), count)


def pose(
    outputs: Tensor,
    means: Tensor,
    quats: Tensor,
    skinning: SkinningWeights,
    of_picture: Tensor | None = None,
    gains: Tensor | None = None,
) -> Posed:
    """Return means and rotations of Gaussians in B pictures, and how they grow; differentiable.

    Args:
        outputs: (T, K, 6) shift and turn of every node at T times, or (T, K, 9) with its growth.
        means: (N, 3) canonical centres.
        quats: (N, 4) canonical rotations, wxyz.
        skinning: which nodes each Gaussian follows. No gradient.
        of_picture: (B,) which of the times each picture shows; None for each one once.
        gains: (B,) factors on the gradients that flow to `outputs` alone; None for ones.
    """
    if of_picture is None:
        of_picture = torch.arange(len(outputs), device=outputs.device)
    if gains is None:
        gains = torch.ones(len(of_picture), device=outputs.device)
    rigid, growths = outputs[..., :6], None
    if outputs.shape[-1] > 6:
        growths = interpolate(outputs[..., 6:], skinning, of_picture, gains)
    if means.device.type != "cpu" or means.dtype != torch.float32:
        return Posed(*dense_pose(rigid, means, quats, skinning, of_picture, gains), growths)
    tensors = (t.contiguous() for t in (rigid, means, quats))
    out_means, out_quats = _Pose.apply(skinning, of_picture, gains, *tensors)  # pyright: ignore
    return Posed(out_means, out_quats, growths)


def interpolate(outputs: Tensor, skinning: SkinningWeights, of_picture: Tensor, gains: Tensor) -> Tensor:
    """Interpolate some numbers of every node, (T, K, D), in every picture: (B, N, D); see `pose`."""
    blended = (outputs[:, skinning.index.long()] * skinning.weights.to(outputs)[..., None]).sum(2)[of_picture]
    still = blended.detach()
    return still + gains[:, None, None].to(still) * (blended - still)


def dense_pose(
    outputs: Tensor,
    means: Tensor,
    quats: Tensor,
    skinning: SkinningWeights,
    of_picture: Tensor,
    gains: Tensor,
) -> tuple[Tensor, Tensor]:
    """Move and turn as `pose` does in plain PyTorch, on any device and in any precision."""
    shifts, r = interpolate(outputs, skinning, of_picture, gains).split(3, dim=-1)
    w = torch.rsqrt(1 + r.square().sum(-1, keepdim=True))
    v = r * w
    x = means.expand_as(v)
    turned = 2 * torch.linalg.cross(v, torch.linalg.cross(v, x) + w * x)
    return x + turned + shifts, multiply_quats(torch.cat([w, v], dim=-1), quats)


class _Pose(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, skinning: SkinningWeights, of_picture: Tensor, gains: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        outputs, means, quats = tensors
        count, pictures = len(means), len(of_picture)
        ctx.skinning, ctx.of_picture, ctx.gains = skinning, of_picture.numpy(), gains.numpy()
        posed = torch.empty(pictures, count, 3), torch.empty(pictures, count, 4)
        run_tasks(
            pose_forward, pictures * -(-count // CHUNK), outputs.detach().numpy(), ctx.of_picture,
            skinning.index.numpy(), skinning.weights.numpy(), means.detach().numpy(), quats.detach().numpy(),
            *(t.numpy() for t in posed),
        )  # fmt: skip
        ctx.save_for_backward(*tensors)
        return posed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        outputs, means, quats = (t.detach() for t in ctx.saved_tensors)
        skinning, count, nodes = ctx.skinning, len(means), outputs.shape[1]
        blended = torch.empty(len(ctx.of_picture), count, 6).numpy()
        results = torch.zeros_like(outputs), torch.empty_like(means), torch.empty_like(quats)
        run_tasks(
            pose_backward, -(-count // CHUNK), outputs.numpy(), ctx.of_picture, ctx.gains,
            skinning.index.numpy(), skinning.weights.numpy(), means.numpy(), quats.numpy(),
            *(g.contiguous().numpy() for g in grads), blended, *(t.numpy() for t in results[1:]),
        )  # fmt: skip
        run_tasks(
            gather_nodes, nodes, ctx.of_picture, skinning.starts.numpy(), skinning.members.numpy(),
            skinning.member_weights.numpy(), blended, results[0].numpy(),
        )  # fmt: skip
        return None, None, None, *results
