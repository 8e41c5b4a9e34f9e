"""The CPU rasteriser against its dense twin, and the twin against finite differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenes import draw_and_differentiate, make_gaussians, make_views

from diffusion2.gaussians.rasterize import rasterize
from diffusion2.gaussians.rasterize.rendering import MIN_ALPHA, MIN_TRANSMITTANCE

NAMES = ("means", "quats", "scales", "opacities", "colors")


def assert_same(gaussians: dict, views: dict, *, value: float = 1e-5, gradient: float = 2e-5) -> None:
    """Compare the float32 back end with the float64 reference.

    A pixel where some alpha is within rounding of 1/255, or the transmittance of 1e-4, may come out
    on either side of the threshold: a step of 4e-3 in one pixel that says nothing about the rest. The
    seeds are such that it does not occur; the tolerances are float32's with sums over 100 terms.
    """
    ours, our_gradients = draw_and_differentiate(gaussians, views, "cpu", torch.float32)
    theirs, their_gradients = draw_and_differentiate(gaussians, views, "reference", torch.float64)
    for name in ("rgb", "alpha", "depth"):
        difference = (getattr(ours, name) - getattr(theirs, name)).abs().max().item()
        assert difference < value, f"{name} differs by {difference}"
    for name, expected in their_gradients.items():
        error = (our_gradients[name] - expected).norm() / expected.norm().clamp(min=0.1)
        assert error < gradient, f"gradient of {name} differs by {error} of its norm"


@pytest.mark.parametrize(
    ("height", "width", "cameras", "count"),
    [(32, 32, 1, 50), (40, 23, 2, 120), (17, 65, 3, 80), (1, 1, 1, 20), (16, 5, 2, 1)],
)
def test_cpu_equals_reference(height, width, cameras, count):
    assert_same(make_gaussians(count, seed=1), make_views(cameras, height, width))


@pytest.mark.parametrize("scale", [0.003, 0.01, 0.05, 0.3])
def test_cpu_equals_reference_when_antialiased(scale):
    assert_same(
        make_gaussians(80, seed=21, scale=scale), make_views(2, 40, 33, antialiased=True), gradient=1e-4
    )


@pytest.mark.parametrize("scale", [0.03, 0.3])
def test_cpu_equals_reference_over_many_tiles(scale):
    assert_same(make_gaussians(60, seed=7, scale=scale), make_views(1, 150, 110), gradient=1e-4)


@pytest.mark.parametrize("scale", [1e-5, 0.01, 0.3, 3.0])
def test_cpu_equals_reference_for_tiny_and_huge_gaussians(scale):
    assert_same(make_gaussians(40, seed=2, scale=scale), make_views(2, 30, 30), gradient=1e-4)


def test_cpu_equals_reference_for_long_thin_gaussians():
    # Along a diagonal needle the three terms of the exponent are in the thousands and cancel, in float32.
    gaussians = make_gaussians(60, seed=3)
    gaussians["scales"] = gaussians["scales"] * torch.tensor([20.0, 0.01, 1e-4], dtype=torch.float64)
    assert_same(gaussians, make_views(2, 48, 48), value=1e-3, gradient=3e-3)


def test_cpu_equals_reference_where_many_opaque_gaussians_finish_pixels_early():
    gaussians = make_gaussians(300, seed=4, scale=0.2)
    gaussians["opacities"] = 0.9 + 0.1 * gaussians["opacities"]
    views = make_views(2, 40, 40)
    drawn, _ = draw_and_differentiate(gaussians, views, "cpu", torch.float32)
    assert (drawn.alpha > 1 - 20 * MIN_TRANSMITTANCE).any()
    assert_same(gaussians, views, gradient=1e-4)


def test_cpu_equals_reference_for_gaussians_around_the_camera():
    gaussians = make_gaussians(80, seed=5)
    gaussians["means"] = gaussians["means"] * 5
    assert_same(gaussians, make_views(3, 32, 32))


def test_cpu_equals_reference_with_values_per_camera():
    gaussians = make_gaussians(60, seed=6, per_camera=3)
    views = make_views(3, 30, 20)
    assert_same(gaussians, views)
    mixed = {name: v if name in ("means", "quats") else v[0] for name, v in gaussians.items()}
    assert_same(mixed, views)


def test_cpu_equals_reference_with_opacities_at_their_bounds():
    gaussians = make_gaussians(60, seed=8)
    gaussians["opacities"] = torch.tensor([0.0, 1.0, 1 - 1e-4, MIN_ALPHA * 1.01, 0.5]).double().repeat(12)
    assert_same(gaussians, make_views(2, 32, 32))


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_reference_gradients_equal_finite_differences(seed, antialiased):
    gaussians = make_gaussians(6, seed=10 + seed, scale=0.15)
    gaussians["means"][0] = torch.tensor([5.0, 0.1, 0.1])
    views = make_views(2, 7, 9, antialiased=antialiased)

    weights = torch.randn(2, 7, 9, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def draw(*values: torch.Tensor) -> torch.Tensor:
        named = dict(zip((*NAMES, "backgrounds"), values, strict=True))
        drawn = rasterize(**{**views, **named}, backend="reference")
        return (weights * torch.cat([drawn.rgb, drawn.alpha, drawn.depth], dim=-1)).sum()

    inputs = tuple(gaussians[name].requires_grad_() for name in NAMES)
    # In fast mode: along random directions, a few evaluations instead of two per number.
    assert torch.autograd.gradcheck(draw, (*inputs, views["backgrounds"].requires_grad_()), fast_mode=True)


def test_result_does_not_depend_on_the_number_of_threads():
    gaussians, views = make_gaussians(400, seed=11), make_views(3, 70, 50)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 4):
            torch.set_num_threads(count)
            results.append(draw_and_differentiate(gaussians, views, "cpu", torch.float32))
    finally:
        torch.set_num_threads(threads)
    (one, one_gradients), (four, four_gradients) = results
    assert torch.equal(one.rgb, four.rgb)
    assert all(torch.equal(one_gradients[name], four_gradients[name]) for name in NAMES)


def test_float64_input_is_drawn_in_float32_with_float64_gradients():
    gaussians = {name: v.requires_grad_() for name, v in make_gaussians(10, seed=12).items()}
    drawn = rasterize(**gaussians, **make_views(1, 16, 16), backend="cpu")
    assert drawn.rgb.dtype == torch.float32
    drawn.rgb.sum().backward()
    assert gaussians["means"].grad.dtype == torch.float64


def test_gradients_not_asked_for_are_not_given():
    gaussians = {name: v.float() for name, v in make_gaussians(10, seed=13).items()}
    gaussians["colors"].requires_grad_()
    rasterize(**gaussians, **make_views(1, 16, 16)).rgb.sum().backward()
    assert gaussians["colors"].grad is not None
    assert gaussians["means"].grad is None


@settings(max_examples=25)
@given(
    count=st.integers(0, 40),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    log_scale=st.floats(-12, 12),
    spread=st.floats(0, 1e4),
    seed=st.integers(0, 2**31),
    antialiased=st.booleans(),
)
def test_any_gaussians_give_finite_pictures_and_gradients(
    count, height, width, log_scale, spread, seed, antialiased
):
    gaussians = make_gaussians(count, seed, scale=float(torch.exp(torch.tensor(log_scale))))
    gaussians["means"] = gaussians["means"] * spread
    views = make_views(2, height, width, antialiased=antialiased)
    drawn, gradients = draw_and_differentiate(gaussians, views, "cpu", torch.float32)
    assert torch.isfinite(drawn.rgb).all()
    assert ((drawn.alpha >= 0) & (drawn.alpha <= 1)).all()
    # Weights sum to alpha, so the depth lies within the depths that may be seen.
    assert (drawn.depth >= 0.0099 * drawn.alpha).all()
    assert all(torch.isfinite(values).all() for values in gradients.values())


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), factor=st.floats(0.01, 100.0))
def test_length_of_quaternions_changes_nothing(seed, factor):
    gaussians, views = make_gaussians(20, seed), make_views(1, 20, 20)
    first = rasterize(**gaussians, **views, backend="cpu")
    second = rasterize(**{**gaussians, "quats": gaussians["quats"] * factor}, **views, backend="cpu")
    close = (first.rgb - second.rgb).abs().amax(-1) < 1e-5
    assert close.float().mean() > 0.99, "pixels may differ only where an alpha is at the threshold of 1/255"
