"""Regions of masks, against a plain flood fill."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion2.kernels.regions import regions_at_border, regions_with


def flood(seeds, mask):
    """Spread from each seed through edges of pixels, one pixel at a time."""
    height, width = mask.shape
    reached = np.zeros_like(mask)
    todo = list(zip(*np.nonzero(seeds), strict=True))
    while todo:
        y, x = todo.pop()
        if not (0 <= y < height and 0 <= x < width) or reached[y, x] or not mask[y, x]:
            continue
        reached[y, x] = True
        todo += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return reached


def border(mask):
    height, width = mask.shape
    y, x = np.mgrid[:height, :width]
    return (y == 0) | (y == height - 1) | (x == 0) | (x == width - 1)


SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=50)
@given(SEEDS, SIZES, SIZES, st.floats(0.3, 0.9))
def test_regions_at_the_border_agree_with_a_plain_flood_fill(seed, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert np.array_equal(regions_at_border(mask), flood(border(mask), mask))


@settings(max_examples=50)
@given(SEEDS, st.integers(0, 4), SIZES, SIZES, st.floats(0.3, 0.9), st.floats(0, 0.2))
def test_every_mask_counts_for_itself(seed, count, height, width, share, seeded):
    generator = np.random.default_rng(seed)
    masks = generator.random((count, 1, height, width)) < share
    seeds = generator.random(masks.shape) < seeded
    found = regions_with(seeds, masks)
    assert found.shape == masks.shape
    for kept, marked, mask in zip(found[:, 0], seeds[:, 0], masks[:, 0], strict=True):
        assert np.array_equal(kept, flood(marked, mask))
