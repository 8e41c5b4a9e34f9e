import math

import pytest
import torch

from diffusion2.config import ReconstructionSettings
from diffusion2.errors import WeightsError
from diffusion2.gaussians.rasterize import Rendering
from diffusion2.metrics import lpips
from diffusion2.reconstruction import losses
from diffusion2.reconstruction.losses import (
    PictureLoss,
    alpha_loss,
    dense_photometric_loss,
    photometric_loss,
)
from diffusion2.reconstruction.targets import TargetPictures

from ..tiny_lpips import tiny_lpips

CPU = torch.device("cpu")


def ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return 1 - photometric_loss(a, b, 1.0)


def slow_ssim(a: torch.Tensor, b: torch.Tensor) -> float:
    """Windows one by one, in float64, zeros outside the picture."""
    offsets = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-offsets.square() / (2 * 1.5**2))
    window = (line[:, None] * line[None] / line.sum() ** 2)[..., None]
    a, b = (torch.nn.functional.pad(x.double(), (0, 0, 5, 5, 5, 5)) for x in (a, b))
    values = []
    for row in range(a.shape[0] - 10):
        for column in range(a.shape[1] - 10):
            x, y = (p[row : row + 11, column : column + 11] for p in (a, b))
            mx, my = (window * x).sum((0, 1)), (window * y).sum((0, 1))
            vx, vy = (window * x * x).sum((0, 1)) - mx**2, (window * y * y).sum((0, 1)) - my**2
            cov = (window * x * y).sum((0, 1)) - mx * my
            values.append(
                (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
            )
    return float(torch.stack(values).mean())


def test_equal_pictures_have_ssim_one_and_no_loss():
    picture = torch.rand(2, 20, 24, 3)
    # float32 cancellation in the variances.
    torch.testing.assert_close(ssim(picture, picture), torch.ones(2), atol=1e-5, rtol=0)
    assert float(photometric_loss(picture, picture, 0.2).abs().max()) < 1e-5


def test_ssim_is_that_of_its_definition():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 14, 17, 3, generator=generator) for _ in range(2))
    # float32 against float64.
    assert math.isclose(float(ssim(a, b)), slow_ssim(a[0], b[0]), abs_tol=2e-5)


def test_photometric_loss_mixes_l1_and_ssim():
    a, b = torch.rand(2, 16, 16, 3), torch.rand(2, 16, 16, 3)
    l1 = (a - b).abs().mean((1, 2, 3))
    torch.testing.assert_close(photometric_loss(a, b, 0.0), l1)
    torch.testing.assert_close(photometric_loss(a, b, 0.2), 0.8 * l1 + 0.2 * (1 - ssim(a, b)))


def noisy_pair(shape, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    b = torch.rand(shape, generator=generator, dtype=dtype)
    return (b + 0.1 * torch.randn(shape, generator=generator, dtype=dtype)).clamp(0, 1), b


def test_gradient_of_the_dense_loss_agrees_with_finite_differences():
    a, b = noisy_pair((1, 12, 12, 3), dtype=torch.float64)
    # Away from the kinks of L1 and of clamped pixels.
    a = torch.where((a - b).abs() < 1e-3, b + 2e-3, a)
    loss = torch.autograd.gradcheck(
        lambda x: dense_photometric_loss(x, b, 0.3).sum(), a.requires_grad_(), fast_mode=True
    )
    assert loss


# Whole vectors and bands, less than one, and rows that end within a vector.
@pytest.mark.parametrize("shape", [(2, 16, 32, 3), (3, 7, 5, 3), (1, 1, 1, 3), (2, 19, 43, 3), (1, 40, 6, 3)])
@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_loss_and_gradient_equal_their_dense_twins(shape, weight):
    a, b = noisy_pair(shape)
    per_picture = torch.linspace(0.5, 2, shape[0])
    ours = photometric_loss(a.requires_grad_(), b, weight)
    (gradient,) = torch.autograd.grad((ours * per_picture).sum(), a)
    exact = a.detach().double().requires_grad_()
    theirs = dense_photometric_loss(exact, b.double(), weight)
    (wanted,) = torch.autograd.grad((theirs * per_picture).sum(), exact)
    # float32: the variances are differences of numbers near 1, whose rounding C2 (9e-4) bounds.
    torch.testing.assert_close(ours, theirs.float(), atol=1e-6, rtol=1e-6)
    assert float((gradient - wanted).abs().max()) < 1e-5 * float(wanted.abs().max())


def test_loss_without_gradients_is_the_same():
    a, b = noisy_pair((2, 20, 20, 3))
    with torch.no_grad():
        plain = photometric_loss(a, b, 0.2)
    assert torch.equal(plain, photometric_loss(a.requires_grad_(), b, 0.2).detach())


def test_alpha_loss_ignores_what_is_not_known():
    alpha, target, known = torch.ones(1, 4, 4, 1), torch.zeros(1, 4, 4, 1), torch.zeros(1, 4, 4, 1)
    known[0, 0, 0] = 1
    assert float(alpha_loss(alpha, target, known)) == 1 / 16


def drawn_and_wanted(height: int, width: int) -> tuple[Rendering, TargetPictures]:
    generator = torch.Generator().manual_seed(0)
    rgb, wanted = torch.rand(2, 2, height, width, 3, generator=generator)
    alpha, alphas = torch.rand(2, 2, height, width, 1, generator=generator)
    return Rendering(rgb, alpha, alpha), TargetPictures(wanted, alphas, torch.ones_like(alphas))


def test_parts_of_the_loss_add_up_with_their_weights(monkeypatch):
    network = tiny_lpips()
    monkeypatch.setattr(losses, "load_rounded_lpips", lambda: network)
    drawn, wanted = drawn_and_wanted(40, 48)
    settings = ReconstructionSettings(ssim_weight=0.3, alpha_weight=0.7, lpips_weight=0.4)
    expected = photometric_loss(drawn.rgb, wanted.images, 0.3)
    expected = expected + 0.7 * alpha_loss(drawn.alpha, wanted.alphas, wanted.known)
    expected = expected + 0.4 * network(drawn.rgb.permute(0, 3, 1, 2), wanted.images.permute(0, 3, 1, 2))
    loss = PictureLoss(settings, CPU)
    # LPIPS looks at one of the two pictures in each call, and counts it twice.
    torch.testing.assert_close((loss(drawn, wanted) + loss(drawn, wanted)) / 2, expected)


def test_lpips_pulls_small_pictures_towards_the_target(monkeypatch):
    monkeypatch.setattr(losses, "load_rounded_lpips", tiny_lpips)
    drawn, wanted = drawn_and_wanted(20, 24)  # smaller than the network takes
    loss = PictureLoss(ReconstructionSettings(ssim_weight=0.0, alpha_weight=0.0, lpips_weight=1.0), CPU)
    rgb = drawn.rgb.clone().requires_grad_()
    before = loss(Rendering(rgb, drawn.alpha, drawn.depth), wanted)
    before = before + loss(Rendering(rgb, drawn.alpha, drawn.depth), wanted)
    before.sum().backward()
    assert rgb.grad is not None
    assert torch.isfinite(rgb.grad).all()
    stepped = rgb.detach() - 0.1 * rgb.grad / rgb.grad.abs().max()
    stepped = Rendering(stepped, drawn.alpha, drawn.depth)
    after = loss(stepped, wanted) + loss(stepped, wanted)
    assert (after < before.detach()).all()


def test_lpips_needs_nothing_but_this_package(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFUSION2_METRIC_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    drawn, wanted = drawn_and_wanted(40, 48)
    plain, with_lpips = (
        PictureLoss(ReconstructionSettings(lpips_weight=w), CPU)(drawn, wanted) for w in (0.0, 0.2)
    )
    assert (with_lpips >= plain).all()
    assert float((with_lpips - plain).max()) > 0.01


def test_lpips_with_a_damaged_file_is_an_error_at_once(monkeypatch, tmp_path):
    cut_short = tmp_path / "alexnet.safetensors"
    cut_short.write_bytes(lpips.ROUNDED.read_bytes()[:1_000_000])
    monkeypatch.setattr(lpips, "ROUNDED", cut_short)
    PictureLoss(ReconstructionSettings(), CPU)
    with pytest.raises(WeightsError, match=r"alexnet\.safetensors is damaged"):
        PictureLoss(ReconstructionSettings(lpips_weight=0.1), CPU)
