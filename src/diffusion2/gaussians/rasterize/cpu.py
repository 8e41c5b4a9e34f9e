"""The CPU back end: Numba kernels behind a `torch.autograd.Function`.

Forward: `project` (Gaussians in parallel), `bin_splats` (bands of pictures in parallel), `blend` (tiles
in parallel). Backward: `blend_backward`, `project_backward`. Everything is float32 outside and the
result does not depend on the number of threads. Memory grows with the pairs of Gaussian and tile that
touch (about 100 bytes each with gradients), not with N times the pixels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.gaussians.rasterize import projection
from diffusion2.gaussians.rasterize.binning import bin_scratch, bin_splats
from diffusion2.gaussians.rasterize.blending import (
    BLEND_BACKWARD_SCRATCH,
    BLEND_SCRATCH,
    blend,
    blend_backward,
)
from diffusion2.gaussians.rasterize.layout import SPLAT_SIZE, count_tiles
from diffusion2.gaussians.rasterize.projection_backward import project_backward
from diffusion2.gaussians.rasterize.rendering import GAUSSIAN_SHAPES, GaussianTensors, Rendering, Views
from diffusion2.kernels.threads import run_tasks

_COMPLAINTS = {
    projection.NOT_FINITE_MEANS: "means: expected finite values, got NaN or infinity",
    projection.NOT_FINITE_QUATS: "quats: expected finite values, got NaN or infinity",
    projection.BAD_SCALES: "scales: expected finite values of at least 0; apply exp to log scales first",
    projection.BAD_OPACITIES: "opacities: expected values in [0, 1]; apply a sigmoid to logits first",
    projection.NOT_FINITE_COLORS: "colors: expected finite values, got NaN or infinity",
}


_BANDS = 4
"""Pieces the rows of all pictures are cut into at least, so that threads can share the sorting. A fixed
number, and not that of the threads, on which the order of sums must not depend."""


class _Drawing(NamedTuple):
    """The views as arrays."""

    viewmats: np.ndarray
    Ks: np.ndarray
    width: int
    height: int
    near_plane: float
    antialiased: bool
    backgrounds: np.ndarray

    @property
    def band_rows(self) -> int:
        """Rows of tiles in a band."""
        return -(-count_tiles(self.width, self.height)[1] // -(-_BANDS // len(self.viewmats)))

    @property
    def bands(self) -> int:
        """Bands in one picture."""
        return -(-count_tiles(self.width, self.height)[1] // self.band_rows)

    @property
    def tiles(self) -> int:
        """Tiles in one band."""
        return count_tiles(self.width, self.height)[0] * self.band_rows


def rasterize_cpu(gaussians: GaussianTensors, views: Views) -> Rendering:
    """Draw Gaussians with C cameras; the arguments are those of `rasterize`, shapes already checked."""
    cameras, backgrounds = len(views.viewmats), views.backgrounds
    drawing = _Drawing(
        _as_array(views.viewmats, torch.float64),
        _as_array(views.Ks, torch.float64),
        views.width,
        views.height,
        views.near_plane,
        views.antialiased,
        np.zeros((cameras, 3), np.float32) if backgrounds is None else _as_array(backgrounds, torch.float32),
    )
    inputs = [t.to(torch.float32).contiguous() for t in gaussians]
    rgb, alpha, depth = _Rasterize.apply(drawing, *inputs)  # pyright: ignore[reportGeneralTypeIssues]
    if backgrounds is not None and backgrounds.requires_grad:
        # The value is in the picture already; this adds 0 and the gradient.
        change = backgrounds.to(torch.float32) - torch.from_numpy(drawing.backgrounds)
        rgb = rgb + (1 - alpha.detach()) * change[:, None, None, :]
    return Rendering(rgb, alpha, depth)


def _as_array(tensor: torch.Tensor, dtype: torch.dtype) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().to("cpu", dtype).numpy())


def _empty(*shape: int, dtype: torch.dtype = torch.float32) -> np.ndarray:
    """An array that starts on a cache line, as torch's do and NumPy's do not."""
    array = torch.empty(shape, dtype=dtype).numpy()
    if array.size and array.ctypes.data % 64:
        raise BackendUnavailable(
            "rasterize: the cpu back end needs a torch that puts tensors on 64-byte boundaries"
        )
    return array


class _Bins:
    """The splats of every tile: what the forward pass leaves for the backward pass."""

    def __init__(self, drawing: _Drawing, splats: np.ndarray, capacities: np.ndarray) -> None:
        cameras, count = splats.shape[:2]
        bands = cameras * drawing.bands
        bases = np.zeros(bands + 1, dtype=np.int64)
        np.cumsum(capacities, out=bases[1:])
        pairs = int(bases[-1])
        if pairs >= 2**31:
            raise InputError(
                f"rasterize scales: the Gaussians cover {pairs} tiles, at most {2**31 - 1} can be drawn"
            )
        self.splats = splats
        self.tile_splats, self.tile_slots = (_empty(pairs, dtype=torch.int32) for _ in range(2))
        self.tile_blocks = _empty(pairs, dtype=torch.int64)
        self.tile_starts = _empty(bands, drawing.tiles + 1, dtype=torch.int64)
        self.spans = _empty(cameras, drawing.bands, count, 2, dtype=torch.int32)
        self.reached = _empty(bands, drawing.tiles, dtype=torch.int64)
        scratch = _empty(pairs, 2, dtype=torch.int64)
        run_tasks(
            bin_splats, bands, splats, drawing.width, drawing.height, drawing.band_rows, bases, scratch,
            self.tile_splats, self.tile_blocks, self.tile_slots, self.tile_starts, self.spans,
            scratch=bin_scratch(count),
        )  # fmt: skip


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drawing: _Drawing, *gaussians: torch.Tensor) -> tuple[torch.Tensor, ...]:
        per_camera = [t.dim() > 1 + len(s) for t, s in zip(gaussians, GAUSSIAN_SHAPES, strict=True)]
        ctx.drawing, ctx.count = drawing, gaussians[0].shape[-2]
        ctx.per_camera = np.array(per_camera, dtype=np.int64)
        ctx.bins = bins = _Bins(drawing, *_project(drawing, _rows(gaussians), ctx.per_camera, ctx.count))
        shape = (len(drawing.viewmats), drawing.height, drawing.width)
        rgb, alpha, depth = torch.empty(*shape, 3), torch.empty(*shape, 1), torch.empty(*shape, 1)
        run_tasks(
            blend, bins.reached.size, bins.splats, bins.spans, bins.tile_splats, bins.tile_blocks,
            bins.tile_starts, drawing.band_rows, drawing.backgrounds,
            rgb.numpy(), alpha.numpy(), depth.numpy(), bins.reached, scratch=BLEND_SCRATCH,
        )  # fmt: skip
        ctx.save_for_backward(*gaussians, rgb, alpha, depth)
        return rgb, alpha, depth

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *gaussians, rgb, alpha, depth = ctx.saved_tensors
        drawing, bins = ctx.drawing, ctx.bins
        pair_grads = _empty(16 * len(bins.tile_slots))
        run_tasks(
            blend_backward, bins.reached.size, bins.splats, bins.spans, bins.tile_splats, bins.tile_blocks,
            bins.tile_slots, bins.tile_starts, drawing.band_rows, bins.reached, drawing.backgrounds,
            rgb.numpy(), alpha.numpy(), depth.numpy(), *(g.contiguous().numpy() for g in grads), pair_grads,
            scratch=BLEND_BACKWARD_SCRATCH,
        )  # fmt: skip
        results = [torch.zeros_like(t) for t in gaussians]
        run_tasks(
            project_backward, -(-ctx.count // projection.CHUNK), ctx.count, *_rows(gaussians[:4]),
            ctx.per_camera, drawing.viewmats, drawing.Ks, drawing.width, drawing.height,
            drawing.antialiased, bins.spans, pair_grads, *_rows(results), scratch=16,
        )  # fmt: skip
        return None, *results


def _rows(tensors: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Arrays with one row per Gaussian (and camera, where cameras have their own)."""
    return [t.detach().reshape(-1, *s).numpy() for t, s in zip(tensors, GAUSSIAN_SHAPES, strict=False)]


def _project(
    drawing: _Drawing, gaussians: list[np.ndarray], per_camera: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the splats (C, N, SPLAT_SIZE) and how many pairs with tiles each camera's bands may need."""
    cameras, chunks = len(drawing.viewmats), -(-count // projection.CHUNK)
    splats = _empty(cameras, count, SPLAT_SIZE)
    wrong = np.zeros(cameras * chunks, dtype=np.int64)
    capacities = np.zeros((cameras * chunks, drawing.bands), dtype=np.int64)
    run_tasks(
        projection.project, cameras * chunks, count, *gaussians, per_camera, drawing.viewmats, drawing.Ks,
        drawing.width, drawing.height, drawing.near_plane, drawing.antialiased, drawing.band_rows, splats,
        wrong, capacities,
    )  # fmt: skip
    found = int(np.bitwise_or.reduce(wrong))
    for bit, complaint in _COMPLAINTS.items():
        if found & bit:
            raise InputError(f"rasterize {complaint}")
    return splats, capacities.reshape(cameras, chunks, drawing.bands).sum(axis=1).reshape(-1)
