import math

import pytest
import torch

from diffusion2.reconstruction.losses import alpha_loss, dense_photometric_loss, photometric_loss


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
