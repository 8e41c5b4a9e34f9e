"""The lifter: where its Gaussians are before and after training, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

from diffusion2.cameras import DEFAULT_RADIUS, make_cameras
from diffusion2.errors import InputError, WeightsError
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.priors.lifter import LARGEST_SCALE, LAYERS, OFFSET_REACH, Lifter
from diffusion2.priors.lifter_blocks import ChannelNorm, ResidualBlock, TransformerBlock
from diffusion2.priors.mini import load_lifter

SIZE = 32
TINY = {
    "sample_size": SIZE,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "transformer_layers": 1,
    "attention_head_dim": 16,
    "samples": (2, 1, 1),
}
ELEVATIONS_DEG = (-30.0, 0.0, 10.0, 60.0)


def tiny_lifter(*, trained: bool = False, **changes) -> Lifter:
    """Build a tiny lifter; a "trained" one has large random weights everywhere."""
    torch.manual_seed(0)
    lifter = Lifter(**{**TINY, **changes})
    if trained:
        for parameter in lifter.parameters():
            nn.init.normal_(parameter, std=0.5)
    return lifter.requires_grad_(False)


def a_square(low: int = 10, high: int = 22) -> torch.Tensor:
    """Show a square of random colours, (1, 4, SIZE, SIZE)."""
    picture = torch.rand(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    picture[:, 3] = 0
    picture[:, 3, low:high, low:high] = 1
    return picture


def project(means: torch.Tensor, elevation_deg: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels (N, 2) and depths (N,) that the reference camera sees points at."""
    camera = make_cameras([0.0], elevation_deg, height=SIZE)
    viewmat, K = (torch.as_tensor(m[0], dtype=torch.float32) for m in (camera.viewmats, camera.Ks))
    seen = means @ viewmat[:3, :3].T + viewmat[:3, 3]
    return (seen / seen[:, 2:] @ K.T)[:, :2], seen[:, 2]


@pytest.mark.parametrize("elevation_deg", ELEVATIONS_DEG)
@pytest.mark.parametrize("trained", [False, True])
def test_front_and_back_gaussians_lie_on_their_points_rays(elevation_deg, trained):
    lifted = tiny_lifter(trained=trained).lift(a_square(), torch.tensor([elevation_deg]))[0]
    start = 0
    for layer, side in ((0, 2), (1, 1)):
        rows, columns = torch.nonzero(lifted.inside[layer], as_tuple=True)
        # the square fills 0.9 of the lattice, and both have their centre at pixel 16
        enlarged = (torch.stack([columns, rows], 1) + 0.5) * (2 / side) - 16
        expected = 16 + enlarged * (12 / 32 / 0.9)
        pixels, depths = project(lifted.gaussians.means[start : start + len(rows)], elevation_deg)
        # rounding of float32: 1e-6 of 32 pixels, made larger by two projections
        assert torch.allclose(pixels, expected, atol=1e-3)
        assert torch.allclose(depths, lifted.depths[layer], atol=1e-5)
        start += len(rows)


def test_every_pixel_of_a_full_frame_has_a_front_gaussian_of_its_colour():
    picture = a_square(0, SIZE)
    lifted = tiny_lifter().lift(picture, torch.tensor([10.0]))[0]
    assert lifted.crop == (1.0, 0.0, 0.0)
    assert [int(inside.sum()) for inside in lifted.inside] == [SIZE**2, SIZE**2 // 4, SIZE**2 // 4]
    assert len(lifted.gaussians) == SIZE**2 * 3 // 2
    colours = picture[0, :3].flatten(1).T
    # the untrained network changes colours by what weights of 1e-3 make of activations around 1
    assert torch.allclose(lifted.gaussians.colors[: SIZE**2], colours, atol=0.02)


def test_a_small_object_is_enlarged_and_has_as_many_gaussians_as_a_large_one():
    picture = a_square()
    picture[:, 0] = torch.linspace(0, 1, SIZE)
    lifted = tiny_lifter().lift(picture, torch.tensor([10.0]))[0]
    # 12 pixels fill 28.8 points; where the outline is in between, the nearest may count, too
    assert 28**2 <= int(lifted.inside[0].sum()) <= 30**2
    assert 14**2 <= int(lifted.inside[1].sum()) <= 16**2
    count = int(lifted.inside[0].sum())
    pixels, _ = project(lifted.gaussians.means[:count], 10.0)
    assert pixels.min() == pytest.approx(10, abs=0.5)
    assert pixels.max() == pytest.approx(22, abs=0.5)
    # red grows by 1/31 a pixel, and so it does among the points between the pixels
    inner = (pixels - 16).abs().amax(1) < 5
    expected = (pixels[inner, 0] - 0.5) / (SIZE - 1)
    assert torch.allclose(lifted.gaussians.colors[:count][inner, 0], expected, atol=0.02)


@pytest.mark.parametrize("elevation_deg", ELEVATIONS_DEG)
def test_untrained_gaussians_drawn_from_the_reference_show_the_picture(elevation_deg):
    picture = a_square()
    picture[:, :3] = torch.tensor([0.9, 0.5, 0.1])[:, None, None]
    gaussians = tiny_lifter().lift(picture, torch.tensor([elevation_deg]))[0].gaussians
    camera = make_cameras([0.0], elevation_deg, height=SIZE)
    viewmats, Ks = (torch.as_tensor(m, dtype=torch.float32) for m in (camera.viewmats, camera.Ks))
    five = gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors
    drawn = rasterize(*five, viewmats, Ks, SIZE, SIZE, backend="reference")
    inner, outer = drawn.alpha[0, 12:20, 12:20, 0], drawn.alpha[0, :, :, 0].clone()
    outer[7:25, 7:25] = 0
    # opaque inside; nothing farther than three pixels, five standard deviations, outside
    assert inner.min() > 0.98
    assert outer.max() < 1e-3
    assert torch.allclose(drawn.rgb[0, 12:20, 12:20], torch.tensor([0.9, 0.5, 0.1]), atol=0.03)


def test_the_layers_stand_one_behind_the_other():
    lifted = tiny_lifter().lift(a_square(), torch.tensor([10.0]))[0]
    for layer, depths in zip(LAYERS, lifted.depths, strict=True):
        # half a unit, times what weights of 1e-3 make of activations around 1
        assert torch.allclose(depths, torch.tensor(DEFAULT_RADIUS + layer.start), atol=0.03)


def test_whatever_the_weights_are_gaussians_stay_finite_and_bounded():
    lifted = tiny_lifter(trained=True).lift(a_square(), torch.tensor([10.0]))[0]
    gaussians = lifted.gaussians
    assert all(torch.isfinite(tensor).all() for tensor in gaussians.tensors().values())
    pixel = DEFAULT_RADIUS / make_cameras([0.0], height=SIZE).Ks[0, 0, 0]
    assert gaussians.scales.max() <= LARGEST_SCALE * pixel * 1.001
    # depths within half a unit of the layer's start, hidden ones a little more; far from the camera
    largest = 0.12 + 0.5 + 2 * OFFSET_REACH + 0.3 * DEFAULT_RADIUS
    assert gaussians.means.norm(dim=1).max() < largest


def test_a_camera_that_is_higher_sees_the_same_gaussians_turned_with_it():
    class Fixed(nn.Module):
        def forward(self, pictures, elevations_deg):
            rng = torch.Generator().manual_seed(0)
            return torch.randn(len(pictures), 12 * 4 + 12 + 15, SIZE // 2, SIZE // 2, generator=rng)

    lifter, drawn = tiny_lifter(), []
    for elevation in (0.0, 40.0):
        lifted = lifter.assemble(Fixed()(a_square(), None), a_square(), torch.tensor([elevation]))[0]
        camera = make_cameras([0.0], elevation, height=SIZE)
        viewmats, Ks = (torch.as_tensor(m, dtype=torch.float32) for m in (camera.viewmats, camera.Ks))
        g = lifted.gaussians
        drawn.append(
            rasterize(
                g.means,
                g.quats,
                g.scales,
                g.opacities,
                g.colors,
                viewmats,
                Ks,
                SIZE,
                SIZE,
                backend="reference",
            ).rgb
        )
    # rounding of float32 in positions and rotations
    assert torch.allclose(drawn[0], drawn[1], atol=1e-4)


def test_pictures_of_a_batch_do_not_change_each_other():
    pictures = torch.cat([a_square(), a_square(4, 12)])
    angles, lifter = torch.tensor([10.0, -5.0]), tiny_lifter(trained=True)
    both = lifter.lift(pictures, angles)
    alone = lifter.lift(pictures[1:], angles[1:])[0]
    assert torch.allclose(both[1].gaussians.means, alone.gaussians.means, atol=1e-4)


def test_a_line_of_one_pixel_is_lifted_whole():
    picture = a_square()
    picture[:, 3] = 0
    picture[:, 3, 5, 3:29] = 1
    lifted = tiny_lifter().lift(picture, torch.tensor([10.0]))[0]
    assert all(26 * side / 2 <= int(x.sum()) for x, side in zip(lifted.inside, (2, 1, 1), strict=True))
    pixels, _ = project(lifted.gaussians.means[: int(lifted.inside[0].sum())], 10.0)
    assert pixels[:, 0].min() == pytest.approx(3, abs=0.5)
    assert pixels[:, 0].max() == pytest.approx(29, abs=0.5)
    assert (pixels[:, 1] - 5.5).abs().max() < 1


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        (torch.zeros(1, 4, SIZE, SIZE), "alpha is empty"),
        (torch.ones(1, 3, SIZE, SIZE), "takes"),
        (torch.ones(1, 4, 64, 64), "takes"),
    ],
)
def test_what_can_not_be_lifted_is_refused(pictures, reason):
    with pytest.raises(InputError, match=reason):
        tiny_lifter().lift(pictures, torch.tensor([10.0]))


def test_untrained_blocks_are_the_identity():
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(ResidualBlock(16)(x), x)
    assert torch.equal(TransformerBlock(16, 8)(x.flatten(2).mT), x.flatten(2).mT)


def test_a_pixels_channels_are_normalised_without_regard_to_its_neighbours():
    x = torch.randn(2, 16, 8, 8)
    y = ChannelNorm(16)(x)
    assert torch.allclose(y.mean(1), torch.zeros(2, 8, 8), atol=1e-5)
    assert torch.allclose(ChannelNorm(16)(x[:, :, :2]), y[:, :, :2], atol=1e-5)


def test_a_pair_without_a_lifter_and_a_damaged_one_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="has no lifter/"):
        load_lifter(tmp_path)
    (tmp_path / "lifter").mkdir()
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_lifter(tmp_path)


def test_gradients_reach_every_parameter():
    lifter = tiny_lifter(trained=True).requires_grad_(True)
    gaussians = lifter.lift(a_square(), torch.tensor([10.0]))[0].gaussians
    rng = np.random.default_rng(0)
    weighed = [
        (t * torch.from_numpy(rng.standard_normal(t.shape)).float()).sum()
        for t in gaussians.tensors().values()
    ]
    torch.stack(weighed).sum().backward()
    for name, parameter in lifter.named_parameters():
        assert parameter.grad is not None, name
        # keys' biases shift all of a query's weights alike, which the softmax takes away
        assert name.endswith("keys.bias") or parameter.grad.abs().max() > 0, name


def test_a_thing_thinner_than_a_lattice_point_is_lifted():
    picture = torch.zeros(1, 4, SIZE, SIZE)
    picture[:, :, 5:20, 10] = 0.1
    assert len(tiny_lifter().lift(picture, torch.tensor([10.0]))[0].gaussians) >= 15
