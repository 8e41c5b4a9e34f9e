"""The public rasteriser: what it draws in cases known by hand, and what it refuses."""

import math

import pytest
import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import BackendUnavailable, InputError
from diffusion2.gaussians.rasterize import BACKENDS, rasterize
from diffusion2.gaussians.rasterize.rendering import COVARIANCE_BLUR

BOTH = pytest.mark.parametrize("backend", ["cpu", "reference"])


def front_camera(height: int = 33, width: int = 33) -> dict:
    """A camera 2 units in front of the origin, which is at the centre of the middle pixel."""
    cameras = make_cameras([0.0], 0.0, height=height, width=width)
    return {
        "viewmats": torch.tensor(cameras.viewmats),
        "Ks": torch.tensor(cameras.Ks),
        "width": width,
        "height": height,
    }


def ball(position=(0.0, 0.0, 0.0), scale=0.05, opacity=0.8, color=(1.0, 0.5, 0.25)) -> dict:
    return {
        "means": torch.tensor([position]),
        "quats": torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        "scales": torch.full((1, 3), scale),
        "opacities": torch.tensor([opacity]),
        "colors": torch.tensor([color]),
    }


def together(*balls: dict) -> dict:
    return {name: torch.cat([b[name] for b in balls]) for name in balls[0]}


@BOTH
def test_one_gaussian_has_its_opacity_colour_and_depth_at_its_centre(backend):
    drawn = rasterize(**ball(), **front_camera(), backend=backend)
    torch.testing.assert_close(drawn.alpha[0, 16, 16], torch.tensor([0.8]))
    torch.testing.assert_close(drawn.rgb[0, 16, 16], 0.8 * torch.tensor([1.0, 0.5, 0.25]))
    torch.testing.assert_close(drawn.depth[0, 16, 16], torch.tensor([0.8 * 2.0]))


@BOTH
def test_one_gaussian_falls_off_as_its_projected_covariance_says(backend):
    camera = front_camera()
    focal = camera["Ks"][0, 0, 0].item()
    drawn = rasterize(**ball(), **camera, backend=backend)
    variance = (focal * 0.05 / 2.0) ** 2 + COVARIANCE_BLUR
    assert drawn.alpha[0, 16, 19].item() == pytest.approx(0.8 * math.exp(-0.5 * 9 / variance), rel=1e-4)


@BOTH
def test_nearer_gaussian_hides_the_farther_whatever_their_order(backend):
    near, far = ball((0.5, 0, 0), color=(1.0, 0, 0)), ball((-0.5, 0, 0), color=(0, 1.0, 0))
    for gaussians in (together(near, far), together(far, near)):
        drawn = rasterize(**gaussians, **front_camera(), backend=backend)
        torch.testing.assert_close(drawn.rgb[0, 16, 16], torch.tensor([0.8, 0.2 * 0.8, 0.0]))
        torch.testing.assert_close(drawn.depth[0, 16, 16], torch.tensor([0.8 * 1.5 + 0.2 * 0.8 * 2.5]))


@BOTH
def test_opacity_of_one_gaussian_is_held_below_one(backend):
    drawn = rasterize(**ball(opacity=1.0), **front_camera(), backend=backend)
    assert drawn.alpha[0, 16, 16].item() == pytest.approx(0.999)


@BOTH
def test_background_shows_where_nothing_is(backend):
    background = torch.tensor([[0.2, 0.4, 0.6]])
    drawn = rasterize(**ball(), **front_camera(), backgrounds=background, backend=backend)
    torch.testing.assert_close(drawn.rgb[0, 0, 0], background[0])
    expected = 0.8 * torch.tensor([1.0, 0.5, 0.25]) + 0.2 * background[0]
    torch.testing.assert_close(drawn.rgb[0, 16, 16], expected)


@BOTH
@pytest.mark.parametrize(
    "unseen",
    [
        {"position": (2.5, 0.0, 0.0)},
        {"position": (1.995, 0.0, 0.0)},
        {"position": (0.0, 50.0, 0.0)},
        {"opacity": 0.0},
        {"opacity": 0.0039},
    ],
    ids=["behind the camera", "before the near plane", "off-screen", "transparent", "under 1/255"],
)
def test_unseen_gaussian_changes_nothing(backend, unseen):
    alone = rasterize(**ball(), **front_camera(), backend=backend)
    drawn = rasterize(**together(ball(**unseen), ball()), **front_camera(), backend=backend)
    assert torch.equal(drawn.rgb, alone.rgb)
    assert torch.equal(drawn.depth, alone.depth)


@BOTH
def test_no_gaussians_give_the_background_and_empty_gradients(backend):
    none = {name: values[:0].requires_grad_() for name, values in ball().items()}
    drawn = rasterize(**none, **front_camera(), backgrounds=torch.ones(1, 3), backend=backend)
    assert torch.equal(drawn.rgb, torch.ones(1, 33, 33, 3))
    assert torch.equal(drawn.alpha, torch.zeros(1, 33, 33, 1))
    drawn.rgb.sum().backward()
    assert none["means"].grad is None or none["means"].grad.shape == (0, 3)


@BOTH
def test_picture_is_turned_as_the_camera_conventions_say(backend):
    up = rasterize(**ball((0, 0, 0.3)), **front_camera(), backend=backend).alpha[0, ..., 0]
    left = rasterize(**ball((0, -0.3, 0)), **front_camera(), backend=backend).alpha[0, ..., 0]
    assert up[:16].sum() > 100 * up[17:].sum(), "world z is up, which is towards row 0"
    assert left[:, :16].sum() > 100 * left[:, 17:].sum(), "from +x, world -y is on the left"


@BOTH
def test_values_per_camera_are_drawn_by_their_camera(backend):
    cameras = orbit(2, height=20, width=30)
    where = {
        "viewmats": torch.tensor(cameras.viewmats),
        "Ks": torch.tensor(cameras.Ks),
        "width": 30,
        "height": 20,
    }
    one, other = ball((0.1, 0, 0)), ball((0, 0, 0.2), opacity=0.5, color=(0.0, 0.0, 1.0))
    both = {name: torch.stack([one[name], other[name]]) for name in one}
    drawn = rasterize(**both, **where, backend=backend)
    for k, gaussians in enumerate((one, other)):
        alone = rasterize(**gaussians, **where, backend=backend)
        assert torch.equal(drawn.rgb[k], alone.rgb[k])
        assert torch.equal(drawn.depth[k], alone.depth[k])


def test_auto_is_the_cpu_back_end_for_tensors_on_the_cpu():
    auto = rasterize(**ball(), **front_camera())
    assert torch.equal(auto.rgb, rasterize(**ball(), **front_camera(), backend="cpu").rgb)


@BOTH
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": torch.zeros(1, 2)}, "means"),
        ({"means": torch.zeros(3)}, "means"),
        ({"quats": torch.zeros(1, 3)}, "quats"),
        ({"scales": torch.zeros(2, 3)}, "scales"),
        ({"opacities": torch.zeros(1, 2)}, "opacities"),
        ({"colors": torch.zeros(5, 1, 3)}, "colors"),
        ({"colors": torch.zeros(1, 3, dtype=torch.int64)}, "floating point"),
        ({"viewmats": torch.eye(4)}, "viewmats"),
        ({"viewmats": torch.full((1, 4, 4), float("nan"))}, "viewmats"),
        ({"Ks": torch.zeros(2, 3, 3)}, "Ks"),
        ({"backgrounds": torch.zeros(3)}, "backgrounds"),
        ({"width": 0}, "width"),
        ({"means": torch.full((1, 3), float("nan"))}, "means"),
        ({"quats": torch.full((1, 4), float("inf"))}, "quats"),
        ({"scales": torch.full((1, 3), -0.1)}, "scales"),
        ({"scales": torch.full((1, 3), float("inf"))}, "scales"),
        ({"opacities": torch.tensor([1.5])}, "opacities"),
        ({"opacities": torch.tensor([float("nan")])}, "opacities"),
        ({"colors": torch.full((1, 3), float("nan"))}, "colors"),
    ],
)
def test_wrong_input_is_refused_with_its_name(backend, change, message):
    with pytest.raises(InputError, match=message):
        rasterize(**{**ball(), **front_camera(), **change}, backend=backend)


def test_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=", ".join(BACKENDS)):
        rasterize(**ball(), **front_camera(), backend="opengl")


def test_cpu_backend_refuses_tensors_elsewhere():
    elsewhere = {name: values.to("meta") for name, values in ball().items()}
    with pytest.raises(BackendUnavailable, match="meta"):
        rasterize(**elsewhere, **front_camera(), backend="cpu")


@BOTH
def test_antialiased_gaussians_cover_as_much_at_every_size_of_picture(backend):
    """A Gaussian far smaller than a pixel: its share of the picture is that of a large picture of it."""

    def covered(size: int, antialiased: bool) -> float:
        drawn = rasterize(
            **ball(scale=0.02), **front_camera(size, size), antialiased=antialiased, backend=backend
        )
        return drawn.alpha.mean().item()

    # It lies on a pixel's centre, where a narrow blur, unlike a pixel, sees more than the average.
    assert covered(17, True) == pytest.approx(covered(257, True), rel=0.15)
    assert covered(17, False) > 2 * covered(257, False)
