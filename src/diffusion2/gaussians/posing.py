"""Posing: from the six numbers that a deformation gives at its nodes to means and rotations of Gaussians.

The six numbers, a shift s and a turn r, are interpolated between nodes. With the quaternion
(w, v) = (1, r) / |(1, r)|, smooth everywhere and under half a turn, a Gaussian's mean x goes to
R(w, v) x + s, and its own rotation q to (w, v) q: every Gaussian moves rigidly.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffusion2.gaussians.gaussians import multiply_quats
from diffusion2.gaussians.posing_kernels import CHUNK, gather_nodes, pose_backward, pose_forward
from diffusion2.gaussians.rasterize.threads import run_tasks

NEIGHBOURS = 4
"""Nodes that a Gaussian follows."""


@dataclass(frozen=True)
class Blend:
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


def make_blend(index: Tensor, weights: Tensor, nodes: int) -> Blend:
    """Prepare the interpolation between some nodes (N, k) with weights (N, k)."""
    flat = index.flatten().long()
    order = torch.argsort(flat, stable=True)
    starts = torch.zeros(nodes + 1, dtype=torch.int64, device=flat.device)
    starts[1:] = torch.bincount(flat, minlength=nodes).cumsum(0)
    members = torch.div(order, index.shape[1], rounding_mode="floor").int()
    return Blend(index.int().contiguous(), weights.contiguous(), starts, members, weights.flatten()[order])


def follow_nearest(points: Tensor, nodes: Tensor, chunk: int = 4096) -> Blend:
    """Let points (N, 3) follow their nearest nodes (K, 3).

    The weights fall to zero where a node stops being among the nearest, so that neither motion nor surface
    has jumps.
    """
    near = min(NEIGHBOURS, max(1, len(nodes) - 1))
    parts = []
    for part in points.detach().split(chunk):
        distances, index = torch.cdist(part, nodes).topk(min(near + 1, len(nodes)), largest=False)
        # A little beyond the first node that doesn't count, so that not all weights are zero.
        reach = 1.001 * distances[:, -1:].clamp(min=1e-9)
        closeness = (1 - distances[:, :near] / reach).square()
        parts.append((index[:, :near], closeness / closeness.sum(1, keepdim=True)))
    index, weights = (torch.cat(column) for column in zip(*parts, strict=True))
    return make_blend(index, weights, len(nodes))


def follow_own(count: int, device: torch.device) -> Blend:
    """Let every point follow a node of its own."""
    own = torch.arange(count, device=device)[:, None]
    return make_blend(own, torch.ones(count, 1, device=device), count)


def pose(
    outputs: Tensor,
    means: Tensor,
    quats: Tensor,
    blend: Blend,
    of_picture: Tensor | None = None,
    gains: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Give means (B, N, 3) and rotations (B, N, 4) of Gaussians in B pictures; differentiable.

    Args:
        outputs: (T, K, 6) shift and turn of every node at T times.
        means: (N, 3) canonical centres.
        quats: (N, 4) canonical rotations, wxyz.
        blend: which nodes each Gaussian follows. No gradient.
        of_picture: (B,) which of the times each picture shows; None for each one once.
        gains: (B,) factors on the gradients that flow to `outputs` alone; None for ones.
    """
    if of_picture is None:
        of_picture = torch.arange(len(outputs), device=outputs.device)
    if gains is None:
        gains = torch.ones(len(of_picture), device=outputs.device)
    if means.device.type != "cpu" or means.dtype != torch.float32:
        return dense_pose(outputs, means, quats, blend, of_picture, gains)
    tensors = (t.contiguous() for t in (outputs, means, quats))
    return _Pose.apply(blend, of_picture, gains, *tensors)  # pyright: ignore[reportReturnType]


def dense_pose(
    outputs: Tensor, means: Tensor, quats: Tensor, blend: Blend, of_picture: Tensor, gains: Tensor
) -> tuple[Tensor, Tensor]:
    """Do what `pose` does in plain PyTorch, on any device and in any precision."""
    blended = (outputs[:, blend.index.long()] * blend.weights.to(outputs)[..., None]).sum(2)[of_picture]
    still = blended.detach()
    blended = still + gains[:, None, None].to(still) * (blended - still)
    shifts, r = blended.split(3, dim=-1)
    w = torch.rsqrt(1 + r.square().sum(-1, keepdim=True))
    v = r * w
    x = means.expand_as(v)
    turned = 2 * torch.linalg.cross(v, torch.linalg.cross(v, x) + w * x)
    return x + turned + shifts, multiply_quats(torch.cat([w, v], dim=-1), quats)


class _Pose(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, blend: Blend, of_picture: Tensor, gains: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        outputs, means, quats = tensors
        count, pictures = len(means), len(of_picture)
        ctx.blend, ctx.of_picture, ctx.gains = blend, of_picture.numpy(), gains.numpy()
        posed = torch.empty(pictures, count, 3), torch.empty(pictures, count, 4)
        run_tasks(
            pose_forward, pictures * -(-count // CHUNK), outputs.detach().numpy(), ctx.of_picture,
            blend.index.numpy(), blend.weights.numpy(), means.detach().numpy(), quats.detach().numpy(),
            *(t.numpy() for t in posed),
        )  # fmt: skip
        ctx.save_for_backward(*tensors)
        return posed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        outputs, means, quats = (t.detach() for t in ctx.saved_tensors)
        blend, count, nodes = ctx.blend, len(means), outputs.shape[1]
        blended = torch.empty(len(ctx.of_picture), count, 6).numpy()
        results = torch.zeros_like(outputs), torch.empty_like(means), torch.empty_like(quats)
        run_tasks(
            pose_backward, -(-count // CHUNK), outputs.numpy(), ctx.of_picture, ctx.gains,
            blend.index.numpy(), blend.weights.numpy(), means.numpy(), quats.numpy(),
            *(g.contiguous().numpy() for g in grads), blended, *(t.numpy() for t in results[1:]),
        )  # fmt: skip
        run_tasks(
            gather_nodes, nodes, ctx.of_picture, blend.starts.numpy(), blend.members.numpy(),
            blend.member_weights.numpy(), blended, results[0].numpy(),
        )  # fmt: skip
        return None, None, None, *results
