"""The CUDA back end: the library gsplat (1.5 or newer), whose conventions are ours; float32."""

from typing import Any

import torch

from diffusion2.errors import BackendUnavailable
from diffusion2.gaussians.rasterize.rendering import (
    COVARIANCE_BLUR,
    GAUSSIAN_SHAPES,
    GaussianTensors,
    Rendering,
    Views,
)

INSTALL = "pip install 'diffusion2[cuda]' on a machine with CUDA"


def has_gsplat() -> bool:
    """Say whether the library can be imported."""
    from importlib.util import find_spec

    return find_spec("gsplat") is not None


def rasterize_gsplat(gaussians: GaussianTensors, views: Views) -> Rendering:
    """Draw Gaussians with C cameras; the arguments are those of `rasterize`, already checked.

    Raises:
        BackendUnavailable: when gsplat is not installed.
    """
    try:
        from gsplat import rasterization  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise BackendUnavailable(f"rasterize: drawing on a GPU needs gsplat: {INSTALL}") from error
    cameras, count = len(views.viewmats), gaussians.means.shape[-2]
    viewmats, Ks = (t.to(gaussians.means.device, torch.float32) for t in (views.viewmats, views.Ks))
    own = any(t.dim() > 1 + len(s) for t, s in zip(gaussians, GAUSSIAN_SHAPES, strict=True))
    tensors = [t.float() for t in gaussians]
    if own:  # each camera is a scene of its own: gsplat's leading batch dimension, with one camera in each
        tensors = [t.expand(cameras, count, *s) for t, s in zip(tensors, GAUSSIAN_SHAPES, strict=True)]
        viewmats, Ks = viewmats[:, None], Ks[:, None]
    settings: dict[str, Any] = {
        "near_plane": views.near_plane,
        "eps2d": COVARIANCE_BLUR,
        "packed": False,
        "render_mode": "RGB+D",
        "rasterize_mode": "antialiased" if views.antialiased else "classic",
    }
    drawn, alpha, _ = rasterization(*tensors, viewmats, Ks, views.width, views.height, **settings)
    shape = (cameras, views.height, views.width)
    drawn, alpha = drawn.reshape(*shape, 4), alpha.reshape(*shape, 1)
    rgb, depth = drawn[..., :3], drawn[..., 3:]
    if views.backgrounds is not None:
        rgb = rgb + (1 - alpha) * views.backgrounds[:, None, None, :].to(rgb)
    return Rendering(rgb, alpha, depth)
