"""Known values are those of scikit-image 0.26: peak_signal_noise_ratio, and structural_similarity with
channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, full=True."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from diffusion2.metrics.pixels import PSNR_CAP, psnr, ssim

KNOWN_SSIM, KNOWN_SSIM_IN_MASK = 0.6074938500098007, 0.6078021345382298
KNOWN_PSNR, KNOWN_PSNR_IN_MASK = 10.738317486812756, 11.050432692613901
# Inputs are float32: their rounding is 1e-7 of values around 1.
CLOSE = 1e-5


@pytest.fixture
def pair():
    """Waves, the same waves disturbed and with a white corner, and a disc as mask."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij")
    c = torch.arange(3.0)[:, None, None]
    a = 0.5 + 0.5 * torch.sin(0.31 * x + 0.17 * y + c)
    b = (a + 0.2 * torch.sin(1.3 * x - 0.7 * y + 2 * c)).clamp(0, 1)
    b[:, 25:, 30:] = 1
    mask = ((x - 30) ** 2 + (y - 18) ** 2 < 15**2).float()
    return a[None], b[None], mask[None, None]


def test_ssim_is_the_usual_one(pair):
    a, b, _ = pair
    assert ssim(a, b).item() == pytest.approx(KNOWN_SSIM, abs=CLOSE)
    assert ssim(b, a).item() == pytest.approx(KNOWN_SSIM, abs=CLOSE)


def test_masked_ssim_averages_the_usual_map_over_the_mask(pair):
    assert ssim(*pair).item() == pytest.approx(KNOWN_SSIM_IN_MASK, abs=CLOSE)


def test_psnr_is_the_usual_one(pair):
    a, b, mask = pair
    assert psnr(a, b).item() == pytest.approx(KNOWN_PSNR, abs=CLOSE)
    assert psnr(a, b, mask).item() == pytest.approx(KNOWN_PSNR_IN_MASK, abs=CLOSE)


def test_what_lies_outside_the_mask_does_not_count_in_psnr(pair):
    a, b, mask = pair
    disturbed = torch.where(mask > 0, b, 1 - b)
    assert torch.equal(psnr(a, disturbed, mask), psnr(a, b, mask))
    assert psnr(a, disturbed) < psnr(a, b)


def test_equal_pictures_get_the_cap_and_one(pair):
    a, _, mask = pair
    assert psnr(a, a).item() == pytest.approx(PSNR_CAP)
    assert psnr(a, a, mask).item() == pytest.approx(PSNR_CAP)
    assert ssim(a, a).item() == pytest.approx(1)


def test_the_smallest_difference_that_a_file_can_hold_stays_below_the_cap():
    a = torch.zeros(1, 3, 128, 128)
    b = a.clone()
    b[0, 0, 0, 0] = 1 / 255
    assert psnr(a, b).item() < PSNR_CAP - 4


def test_an_empty_mask_gives_no_number_and_leaves_the_others_alone(pair):
    a, b, mask = pair
    masks = torch.cat([mask, torch.zeros_like(mask)])
    for function, known in ((psnr, KNOWN_PSNR_IN_MASK), (ssim, KNOWN_SSIM_IN_MASK)):
        first, second = function(torch.cat([a, a]), torch.cat([b, b]), masks).tolist()
        assert first == pytest.approx(known, abs=CLOSE)
        assert math.isnan(second)


@settings(max_examples=20)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(11, 20), st.integers(11, 20))
@example(0.953, 0.875, 11, 11)
def test_flat_pictures_have_the_value_of_the_formula(level, other, height, width):
    a, b = torch.full((1, 3, height, width), level), torch.full((1, 3, height, width), other)
    expected = (2 * level * other + 1e-4) / (level**2 + other**2 + 1e-4)
    # Structure is 1 but for variances that single precision rounds to some 1e-8, beside a constant of 9e-4.
    assert ssim(a, b).item() == pytest.approx(expected, abs=1e-4)
    error = max((level - other) ** 2, 1e-10)
    assert psnr(a, b).item() == pytest.approx(-10 * math.log10(error), abs=0.01)
