"""What is said of the views around an object."""

import pytest
import torch

from diffusion2.metrics.orbit import compare_orbit


def mean_difference(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return (images - others).abs().mean((1, 2, 3))


def test_equal_views_overlap_wholly_and_shifted_ones_by_what_they_share():
    views, masks = torch.ones(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    views[:, :, 2:6, 2:6], masks[:, :, 2:6, 2:6] = 0.5, 1
    same = compare_orbit(mean_difference, views, views, masks, masks)
    assert same == {"lpips": 0, "overlap": 1, "psnr_object": 100}
    found = compare_orbit(mean_difference, views.roll(2, -1), views, masks.roll(2, -1), masks)
    # half of 4 columns is shared, of 6 in all; half of the object is wrong by a half
    assert found["overlap"] == pytest.approx(2 / 6)
    assert found["psnr_object"] == pytest.approx(9.03, abs=0.01)
    assert found["lpips"] == pytest.approx(0.5 * 16 / 64)
