"""Crops of pictures to their object: where they are, and that what is cut lies where it was."""

import pytest
import torch

from diffusion2.priors.lifter_crop import (
    FILLED,
    SMALLEST_SIDE,
    Crop,
    crop_coordinates,
    crop_object,
    crop_picture,
    find_crop,
)

SIZE = 40


def a_mask(top, bottom, left, right):
    mask = torch.zeros(SIZE, SIZE)
    mask[top:bottom, left:right] = 1
    return mask


def test_the_longer_side_fills_its_share_around_the_objects_middle():
    crop = find_crop(a_mask(4, 12, 10, 30))
    assert crop.side == pytest.approx(0.5 / FILLED)
    assert (crop.across, crop.down) == pytest.approx((0.0, -0.6))


@pytest.mark.parametrize("mask", [a_mask(0, 40, 0, 40), a_mask(0, 40, 3, 5), torch.zeros(SIZE, SIZE)])
def test_nothing_is_made_smaller(mask):
    assert find_crop(mask).side == 1


def test_specks_are_not_enlarged_without_end():
    assert find_crop(a_mask(20, 21, 20, 21)).side == SMALLEST_SIDE


def test_faint_objects_are_found_and_a_faint_haze_is_not():
    mask = a_mask(10, 20, 10, 20)
    assert find_crop(0.1 * mask) == find_crop(mask)
    assert find_crop(mask.clamp(min=0.05)) == find_crop(mask)


def test_the_whole_picture_stays_as_it_is():
    picture = torch.rand(3, SIZE, SIZE)
    assert torch.allclose(crop_picture(picture, Crop(1.0, 0.0, 0.0)), picture, atol=1e-5)


def test_what_is_cut_lies_where_its_coordinates_say():
    crop = Crop(0.4, 0.3, -0.2)
    line = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    picture = torch.stack([line.expand(SIZE, SIZE), line[:, None].expand(SIZE, SIZE)])
    across, down = crop_coordinates(crop, SIZE)
    cut = crop_picture(picture, crop)
    assert torch.allclose(cut[0], across.expand(SIZE, SIZE), atol=1e-5)
    assert torch.allclose(cut[1], down[:, None].expand(SIZE, SIZE), atol=1e-5)


def test_beyond_the_picture_nothing_is():
    cut = crop_picture(torch.ones(1, SIZE, SIZE), Crop(0.5, 1.0, 0.0))
    assert cut[:, :, : SIZE // 2 - 1].min() == 1
    assert cut[:, :, SIZE // 2 + 1 :].max() == 0


def test_colours_do_not_fade_at_the_outline():
    mask = a_mask(15, 25, 15, 25)
    cut = crop_object(torch.cat([0.6 * torch.ones(3, SIZE, SIZE), mask[None]]), find_crop(mask))
    seen = cut[3] > 0.01
    assert ((cut[3] > 0.01) & (cut[3] < 0.99)).any()
    assert torch.allclose(cut[:3, seen], torch.tensor(0.6), atol=1e-4)
