"""A scene that is known exactly: a coloured ball that a smaller one circles, drawn by our rasteriser."""

import math
from collections.abc import Callable

import pytest
import torch

from diffusion2.cameras import Cameras
from diffusion2.gaussians.gaussians import Gaussians, rgb_to_sh0
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.image_matrix import ImageMatrix


def make_ball(count: int, radius: float, seed: int) -> Gaussians:
    """A ball of opaque Gaussians, its colours varying with the direction."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    return Gaussians(
        means=radius * directions,
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        log_scales=torch.full((count, 3), math.log(2.2 * radius / count**0.5)),
        opacity_logits=torch.full((count,), 3.0),
        sh0=rgb_to_sh0(0.45 + 0.35 * directions),
    )


def moon_position(time: float) -> torch.Tensor:
    """A sixth of a circle around the planet, slightly upwards."""
    angle = time * math.pi / 3
    return torch.tensor([0.38 * math.cos(angle), 0.38 * math.sin(angle), 0.15 + 0.1 * time])


def draw_scene(cameras: Cameras, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (V, F, 3, H, W) on white and alphas (V, F, 1, H, W)."""
    planet, moon = make_ball(300, 0.2, 0), make_ball(100, 0.09, 1)
    views, frames = len(cameras), len(times)
    means = torch.stack([torch.cat([planet.means, moon.means + moon_position(float(t))]) for t in times])
    both = [torch.cat(pair) for pair in zip(planet.tensors().values(), moon.tensors().values(), strict=True)]
    still = Gaussians(*both)
    rendering = rasterize(
        means.repeat(views, 1, 1),
        still.quats.expand(views * frames, -1, -1),
        still.scales,
        still.opacities,
        still.colors,
        torch.as_tensor(cameras.viewmats, dtype=torch.float32).repeat_interleave(frames, 0),
        torch.as_tensor(cameras.Ks, dtype=torch.float32).repeat_interleave(frames, 0),
        cameras.width,
        cameras.height,
        backgrounds=torch.ones(views * frames, 3),
    )
    images = rendering.rgb.clamp(0, 1).permute(0, 3, 1, 2).unflatten(0, (views, frames))
    return images, rendering.alpha.permute(0, 3, 1, 2).unflatten(0, (views, frames))


@pytest.fixture(scope="session")
def moon_matrix() -> Callable[..., ImageMatrix]:
    """Makes the scene's matrix from cameras, a number of frames and whether alphas are known."""

    def make(cameras: Cameras, frames: int, with_alpha: bool = False) -> ImageMatrix:
        times = torch.linspace(0, 1, frames)
        images, alphas = draw_scene(cameras, times)
        return ImageMatrix(images, cameras, times, 8.0, alphas if with_alpha else None)

    return make
