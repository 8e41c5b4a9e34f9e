"""Random Gaussians and cameras, and what a back end makes of them."""

import torch

from diffusion2.cameras import orbit
from diffusion2.gaussians.rasterize import rasterize


def make_gaussians(count: int, seed: int, *, scale: float = 0.05, per_camera: int = 0) -> dict:
    """Random Gaussians around the origin, some of them behind a camera at distance 2."""
    generator = torch.Generator().manual_seed(seed)
    shape = (per_camera, count) if per_camera else (count,)

    def normal(*tail: int) -> torch.Tensor:
        return torch.randn(*shape, *tail, generator=generator, dtype=torch.float64)

    return {
        "means": 0.4 * normal(3),
        "quats": normal(4),
        "scales": scale * torch.exp(0.7 * normal(3)),
        "opacities": torch.sigmoid(2.5 * normal()),
        "colors": torch.sigmoid(normal(3)),
    }


def make_views(cameras: int, height: int, width: int, seed: int = 0, antialiased: bool = False) -> dict:
    rig = orbit(cameras, height=height, width=width)
    generator = torch.Generator().manual_seed(seed)
    return {
        "viewmats": torch.tensor(rig.viewmats),
        "Ks": torch.tensor(rig.Ks),
        "width": width,
        "height": height,
        "antialiased": antialiased,
        "backgrounds": torch.rand(cameras, 3, generator=generator, dtype=torch.float64),
    }


def draw_and_differentiate(gaussians: dict, views: dict, backend: str, dtype: torch.dtype):
    """Return the pictures and the gradients of a random linear function of rgb, alpha and depth."""
    inputs = {name: values.to(dtype).clone().requires_grad_() for name, values in gaussians.items()}
    background = views["backgrounds"].to(dtype).clone().requires_grad_()
    drawn = rasterize(**inputs, **{**views, "backgrounds": background}, backend=backend)
    generator = torch.Generator().manual_seed(7)
    loss = torch.zeros((), dtype=torch.float64)
    for picture in (drawn.rgb, drawn.alpha, drawn.depth):
        weights = torch.randn(picture.shape, generator=generator, dtype=torch.float64)
        loss = loss + (picture.double() * weights).sum()
    loss.backward()
    gradients = {name: values.grad.double() for name, values in inputs.items()}
    gradients["backgrounds"] = background.grad.double()
    return drawn, gradients
