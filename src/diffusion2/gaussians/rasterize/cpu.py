"""The CPU back end: Numba kernels behind a `torch.autograd.Function`.

Forward: `project` (Gaussians in parallel), `bin_splats` (cameras in parallel), `blend` (tiles in
parallel). Backward: `blend_backward`, `project_backward`. Everything is float32 outside and the
result does not depend on the number of threads.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from diffusion2.errors import InputError
from diffusion2.gaussians.rasterize import projection
from diffusion2.gaussians.rasterize.binning import bin_splats
from diffusion2.gaussians.rasterize.blending import blend, blend_backward
from diffusion2.gaussians.rasterize.compile import SPLAT_SIZE, TILE
from diffusion2.gaussians.rasterize.rendering import GAUSSIAN_SHAPES, GaussianTensors, Rendering, Views
from diffusion2.gaussians.rasterize.threads import run_tasks

_COMPLAINTS = {
    projection.NOT_FINITE_MEANS: "means: expected finite values, got NaN or infinity",
    projection.NOT_FINITE_QUATS: "quats: expected finite values, got NaN or infinity",
    projection.BAD_SCALES: "scales: expected finite values of at least 0; apply exp to log scales first",
    projection.BAD_OPACITIES: "opacities: expected values in [0, 1]; apply a sigmoid to logits first",
    projection.NOT_FINITE_COLORS: "colors: expected finite values, got NaN or infinity",
}


class _Drawing(NamedTuple):
    """The views as arrays, and where to leave the gradients of the projected means."""

    viewmats: np.ndarray
    Ks: np.ndarray
    width: int
    height: int
    near_plane: float
    backgrounds: np.ndarray
    means2d_grad: torch.Tensor

    @property
    def tiles(self) -> int:
        """Tiles in one picture."""
        return -(-self.width // TILE) * -(-self.height // TILE)


def rasterize_cpu(gaussians: GaussianTensors, views: Views) -> Rendering:
    """Draw Gaussians with C cameras; the arguments are those of `rasterize`, shapes already checked."""
    cameras, backgrounds = len(views.viewmats), views.backgrounds
    drawing = _Drawing(
        _as_array(views.viewmats, torch.float64),
        _as_array(views.Ks, torch.float64),
        views.width,
        views.height,
        views.near_plane,
        np.zeros((cameras, 3), np.float32) if backgrounds is None else _as_array(backgrounds, torch.float32),
        torch.zeros(cameras, gaussians.means.shape[-2], 2),
    )
    inputs = [t.to(torch.float32).contiguous() for t in gaussians]
    rgb, alpha, depth = _Rasterize.apply(drawing, *inputs)  # pyright: ignore[reportGeneralTypeIssues]
    if backgrounds is not None and backgrounds.requires_grad:
        # The value is in the picture already; this adds 0 and the gradient.
        change = backgrounds.to(torch.float32) - torch.from_numpy(drawing.backgrounds)
        rgb = rgb + (1 - alpha.detach()) * change[:, None, None, :]
    return Rendering(rgb, alpha, depth, drawing.means2d_grad)


def _as_array(tensor: torch.Tensor, dtype: torch.dtype) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().to("cpu", dtype).numpy())


class _Bins:
    """The splats of every tile: what the forward pass leaves for the backward pass."""

    def __init__(self, drawing: _Drawing, splats: np.ndarray, capacities: np.ndarray) -> None:
        cameras, count = splats.shape[:2]
        bases = np.zeros(cameras + 1, dtype=np.int64)
        np.cumsum(capacities, out=bases[1:])
        pairs = int(bases[-1])
        if pairs >= 2**31:
            raise InputError(
                f"rasterize scales: the Gaussians cover {pairs} tiles, at most {2**31 - 1} can be drawn"
            )
        self.splats = splats
        self.lists = np.empty(pairs, dtype=np.int64)
        self.slots = np.empty(pairs, dtype=np.int32)
        self.starts = np.empty((cameras, drawing.tiles + 1), dtype=np.int64)
        self.spans = np.empty((cameras, count, 2), dtype=np.int32)
        self.reached = np.empty((cameras, drawing.tiles), dtype=np.int64)
        scratch = np.empty((pairs, 2), dtype=np.int64)
        run_tasks(
            bin_splats, cameras, splats, drawing.width, drawing.height, bases, scratch,
            self.lists, self.slots, self.starts, self.spans,
        )  # fmt: skip


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drawing: _Drawing, *gaussians: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.drawing = drawing
        ctx.per_camera = np.array(
            [t.dim() > 1 + len(s) for t, s in zip(gaussians, GAUSSIAN_SHAPES, strict=True)], dtype=np.int64
        )
        ctx.count = gaussians[0].shape[-2]
        ctx.bins = _Bins(drawing, *_project(drawing, _rows(gaussians), ctx.per_camera, ctx.count))
        cameras = len(drawing.viewmats)
        rgb = torch.empty(cameras, drawing.height, drawing.width, 3)
        alpha, depth = (torch.empty(cameras, drawing.height, drawing.width, 1) for _ in range(2))
        run_tasks(
            blend, cameras * drawing.tiles, ctx.bins.splats, ctx.bins.lists, ctx.bins.starts,
            drawing.backgrounds, rgb.numpy(), alpha.numpy()[..., 0], depth.numpy()[..., 0], ctx.bins.reached,
        )  # fmt: skip
        ctx.save_for_backward(*gaussians, rgb, alpha, depth)
        return rgb, alpha, depth

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *gaussians, rgb, alpha, depth = ctx.saved_tensors
        drawing, bins = ctx.drawing, ctx.bins
        pair_grads = np.empty((len(bins.slots), 16), dtype=np.float32)
        grad_rgb, grad_alpha, grad_depth = (g.to(torch.float32).contiguous().numpy() for g in grads)
        tiles = len(drawing.viewmats) * drawing.tiles
        run_tasks(
            blend_backward, tiles, bins.splats, bins.lists, bins.slots, bins.starts, bins.reached,
            drawing.backgrounds, rgb.numpy(), alpha.numpy()[..., 0], depth.numpy()[..., 0],
            grad_rgb, grad_alpha[..., 0], grad_depth[..., 0], pair_grads,
        )  # fmt: skip
        results = [torch.zeros_like(t) for t in gaussians]
        tasks = -(-ctx.count // projection.CHUNK)
        run_tasks(
            projection.project_backward, tasks, ctx.count, *_rows(gaussians[:4]), ctx.per_camera,
            drawing.viewmats, drawing.Ks, drawing.width, drawing.height, bins.spans, pair_grads,
            *_rows(results), drawing.means2d_grad.numpy(),
        )  # fmt: skip
        return None, *results


def _rows(tensors: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Arrays with one row per Gaussian (and camera, where cameras have their own)."""
    return [t.detach().reshape(-1, *s).numpy() for t, s in zip(tensors, GAUSSIAN_SHAPES, strict=False)]


def _project(
    drawing: _Drawing, gaussians: list[np.ndarray], per_camera: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the splats (C, N, SPLAT_SIZE) and how many pairs with tiles each camera may need."""
    cameras = len(drawing.viewmats)
    splats = np.empty((cameras, count, SPLAT_SIZE), dtype=np.float32)
    chunks = -(-count // projection.CHUNK)
    status = np.zeros((cameras * chunks, 2), dtype=np.int64)
    run_tasks(
        projection.project, cameras * chunks, count, *gaussians, per_camera,
        drawing.viewmats, drawing.Ks, drawing.width, drawing.height, drawing.near_plane, splats, status,
    )  # fmt: skip
    wrong = int(np.bitwise_or.reduce(status[:, 0])) if len(status) else 0
    for bit, complaint in _COMPLAINTS.items():
        if wrong & bit:
            raise InputError(f"rasterize {complaint}")
    return splats, status[:, 1].reshape(cameras, chunks).sum(axis=1)
