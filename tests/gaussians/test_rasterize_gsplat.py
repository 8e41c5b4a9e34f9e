"""The CUDA back end: what it asks of gsplat, by a stand-in; its results, where there is a GPU."""

import sys
import types

import pytest
import torch
from random_scenes import draw_and_differentiate, make_gaussians, make_views

from diffusion2.errors import BackendUnavailable
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.gaussians.rasterize.gsplat import has_gsplat, rasterize_gsplat
from diffusion2.gaussians.rasterize.rendering import COVARIANCE_BLUR, GaussianTensors, Views

GPU = pytest.mark.skipif(
    not (torch.cuda.is_available() and has_gsplat()),
    reason="needs an NVIDIA GPU and gsplat: pip install 'diffusion2[cuda]'",
)


def stand_in(means, quats, scales, opacities, colors, viewmats, Ks, width, height, **settings):
    """`gsplat.rasterization` as its documentation says, drawn by our reference."""
    assert settings.pop("render_mode") == "RGB+D"
    assert settings.pop("eps2d") == COVARIANCE_BLUR
    assert settings.pop("packed") is False
    mode, near_plane = settings.pop("rasterize_mode"), settings.pop("near_plane")
    assert not settings
    batch, count, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    assert quats.shape == (*batch, count, 4)
    assert scales.shape == (*batch, count, 3)
    assert opacities.shape == (*batch, count)
    assert colors.shape == (*batch, count, 3)
    assert viewmats.shape == (*batch, cameras, 4, 4)
    assert Ks.shape == (*batch, cameras, 3, 3)
    parts = [means, quats, scales, opacities, colors]
    drawn = rasterize(
        *parts,
        viewmats.reshape(-1, 4, 4),
        Ks.reshape(-1, 3, 3),
        width,
        height,
        near_plane=near_plane,
        antialiased=mode == "antialiased",
        backend="reference",
    )
    rgbd = torch.cat([drawn.rgb, drawn.depth], dim=-1)
    shape = (*batch, cameras, height, width)
    return rgbd.reshape(*shape, 4), drawn.alpha.reshape(*shape, 1), {}


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("per_camera", [0, 3])
def test_arguments_and_results_are_carried_over(monkeypatch, per_camera, antialiased):
    module = types.ModuleType("gsplat")
    module.rasterization = stand_in  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "gsplat", module)
    gaussians = {k: v.float() for k, v in make_gaussians(30, seed=31, per_camera=per_camera).items()}
    if per_camera:  # some shared and some not
        gaussians["opacities"] = gaussians["opacities"][0]
    views = make_views(3, 20, 17, antialiased=antialiased)
    found = rasterize_gsplat(GaussianTensors(**gaussians), Views(near_plane=0.01, **views))
    wanted = rasterize(**gaussians, **views, backend="reference")
    for name in ("rgb", "alpha", "depth"):
        # The same numbers in another order.
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), atol=1e-5, rtol=1e-5)


def test_without_gsplat_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", None)
    gaussians = GaussianTensors(**{k: v.float() for k, v in make_gaussians(3, seed=1).items()})
    with pytest.raises(BackendUnavailable, match=r"pip install 'diffusion2\[cuda\]'"):
        rasterize_gsplat(gaussians, Views(near_plane=0.01, **make_views(1, 8, 8)))


def test_gsplat_draws_on_cuda_only():
    gaussians = {k: v.float() for k, v in make_gaussians(3, seed=1).items()}
    with pytest.raises(BackendUnavailable, match=r"CUDA device, got cpu"):
        rasterize(**gaussians, **make_views(1, 8, 8), backend="gsplat")


@GPU
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("per_camera", [0, 2])
def test_gsplat_equals_the_reference(per_camera, antialiased):
    gaussians = make_gaussians(60, seed=32, per_camera=per_camera)
    views = make_views(2, 40, 33, antialiased=antialiased)
    on_gpu = {k: v.cuda() for k, v in gaussians.items()}
    views_on_gpu = {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in views.items()}
    ours, our_gradients = draw_and_differentiate(on_gpu, views_on_gpu, "gsplat", torch.float32)
    theirs, their_gradients = draw_and_differentiate(gaussians, views, "reference", torch.float64)
    for name in ("rgb", "alpha", "depth"):
        # A pixel with an alpha within rounding of 1/255 may fall on either side, a step of 4e-3 each time.
        assert float((getattr(ours, name).cpu() - getattr(theirs, name)).abs().max()) < 2e-2, name
    for name, expected in their_gradients.items():
        error = (our_gradients[name].cpu() - expected).norm() / expected.norm().clamp(min=0.1)
        assert float(error) < 2e-2, name
