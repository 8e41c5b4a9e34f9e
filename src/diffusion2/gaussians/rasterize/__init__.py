"""Drawing 3D Gaussians: one function, several back ends with the same arguments and results."""

import torch

from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.gaussians.rasterize.rendering import GAUSSIAN_SHAPES, GaussianTensors, Rendering, Views

__all__ = ["BACKENDS", "Rendering", "rasterize"]

BACKENDS = ("auto", "cpu", "gsplat", "reference")


def rasterize(
    means: torch.Tensor,
    quats: torch.Tensor,
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    viewmats: torch.Tensor,
    Ks: torch.Tensor,
    width: int,
    height: int,
    *,
    backgrounds: torch.Tensor | None = None,
    near_plane: float = 0.01,
    antialiased: bool = False,
    backend: str = "auto",
) -> Rendering:
    """Draw N Gaussians with C cameras, differentiably.

    Names and semantics are gsplat's: EWA projection with a blur (its `eps2d`, here 0.1 px²) added to the
    projected covariance; at a pixel a Gaussian has alpha = min(0.999, opacity * exp(-power)) and is
    skipped below 1/255; blending is front to back by camera depth and a pixel is finished
    before its transmittance would reach 1e-4.

    Each of the first five arguments may also have a leading dimension C, and then every camera
    sees its own values (a moving scene at several times in one call).

    Args:
        means: (N, 3) or (C, N, 3) centres in the world.
        quats: (N, 4) or (C, N, 4) rotations, wxyz; need not have length 1.
        scales: (N, 3) or (C, N, 3) standard deviations along the axes, at least 0, world units.
        opacities: (N,) or (C, N) in [0, 1].
        colors: (N, 3) or (C, N, 3) RGB; the range is the caller's.
        viewmats: (C, 4, 4) world to camera (OpenCV: x right, y down, z forward). No gradient.
        Ks: (C, 3, 3) intrinsics in pixels. No gradient.
        width: of the pictures, pixels.
        height: of the pictures, pixels.
        backgrounds: (C, 3) colours, black by default.
        near_plane: Gaussians whose centre is nearer than this (camera z) are not drawn.
        antialiased: lower the opacity of every Gaussian by as much as the blur makes it larger, the square
            root of the ratio of the determinants (Yu et al., 2024, "Mip-Splatting"): what is smaller than a
            pixel then stays as faint as it is.
        backend: "cpu" (Numba, float32), "gsplat" (CUDA, float32), "reference" (dense PyTorch, any device and
            float type), or "auto": by the device of `means`.

    Returns:
        The pictures, on the device of `means`; see `Rendering`.

    Raises:
        InputError: a wrong shape, a value that is not finite or out of range, an unknown back end.
        BackendUnavailable: the tensors are on a device the back end does not draw on, or it is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"rasterize backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    gaussians = GaussianTensors(means, quats, scales, opacities, colors)
    views = Views(viewmats, Ks, int(width), int(height), backgrounds, float(near_plane), antialiased)
    _check_shapes(gaussians, views)
    return _draw(gaussians, views, backend)


def _draw(gaussians: GaussianTensors, views: Views, backend: str) -> Rendering:
    """Draw with the chosen back end; each is imported at its first use only."""
    device = gaussians.means.device
    if backend == "auto":
        backend = "gsplat" if device.type == "cuda" else "cpu"
    if backend == "reference":
        _check_values(gaussians)
        from diffusion2.gaussians.rasterize.reference import rasterize_reference

        return rasterize_reference(gaussians, views)
    if backend == "gsplat":
        if device.type != "cuda":
            raise BackendUnavailable(
                f"rasterize: gsplat needs tensors on a CUDA device, got {device}: use .cuda()"
            )
        _check_values(gaussians)
        from diffusion2.gaussians.rasterize.gsplat import rasterize_gsplat

        return rasterize_gsplat(gaussians, views)
    if device.type != "cpu":
        raise BackendUnavailable(
            f"rasterize: the cpu back end needs tensors on the cpu, got {device}; move them with .cpu()"
        )
    from diffusion2.gaussians.rasterize.cpu import rasterize_cpu

    return rasterize_cpu(gaussians, views)


def _check_shapes(gaussians: GaussianTensors, views: Views) -> None:
    viewmats, Ks, width, height, backgrounds, _, _ = views
    if width < 1 or height < 1:
        raise InputError(f"rasterize: expected width and height of at least 1 px, got {width} x {height}")
    if viewmats.dim() != 3 or viewmats.shape[1:] != (4, 4) or len(viewmats) == 0:
        raise InputError(f"rasterize viewmats: expected (C, 4, 4), got {tuple(viewmats.shape)}")
    cameras = len(viewmats)
    if Ks.shape != (cameras, 3, 3):
        raise InputError(f"rasterize Ks: expected ({cameras}, 3, 3) as viewmats, got {tuple(Ks.shape)}")
    if backgrounds is not None and backgrounds.shape != (cameras, 3):
        raise InputError(f"rasterize backgrounds: expected ({cameras}, 3), got {tuple(backgrounds.shape)}")
    for name, tensor in (("viewmats", viewmats), ("Ks", Ks), ("backgrounds", backgrounds)):
        if tensor is not None and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"rasterize {name}: expected finite values, got NaN or infinity")
    if gaussians.means.dim() not in (2, 3):
        raise InputError(
            f"rasterize means: expected (N, 3) or ({cameras}, N, 3), got {tuple(gaussians.means.shape)}"
        )
    count = gaussians.means.shape[-2]
    for name, tensor, tail in zip(gaussians._fields, gaussians, GAUSSIAN_SHAPES, strict=True):
        shared, own = (count, *tail), (cameras, count, *tail)
        if tensor.shape not in (shared, own):
            raise InputError(f"rasterize {name}: expected {shared} or {own}, got {tuple(tensor.shape)}")
        if not tensor.is_floating_point():
            raise InputError(f"rasterize {name}: expected floating point, got {tensor.dtype}")


def _check_values(gaussians: GaussianTensors) -> None:
    for name, values in zip(gaussians._fields, gaussians, strict=True):
        if not bool(torch.isfinite(values).all()):
            raise InputError(f"rasterize {name}: expected finite values, got NaN or infinity")
    if bool(((gaussians.opacities < 0) | (gaussians.opacities > 1)).any()):
        raise InputError("rasterize opacities: expected values in [0, 1]; apply a sigmoid to logits first")
    if bool((gaussians.scales < 0).any()):
        raise InputError("rasterize scales: expected values of at least 0; apply exp to log scales first")
