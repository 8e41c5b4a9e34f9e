"""Which splats touch which tile, front to back.

One sort by depth per camera comes first; a stable counting sort by tile then leaves every tile's
list in depth order.
"""

import math

import numpy as np

from diffusion2.gaussians.rasterize.compile import (
    ASPECT,
    BLOCK,
    DEPTH,
    HALF_HEIGHT,
    HALF_WIDTH,
    SLOPE,
    TILE_COLUMNS,
    TILE_HEIGHT,
    TILE_ROWS,
    TILE_WIDTH,
    TOP_X,
    U,
    V,
    inline,
    kernel,
)
from diffusion2.gaussians.rasterize.threads import take

_RADIX = 2048
_DIGITS = ((0, 2047), (11, 2047), (22, 1023))


@inline
def _find_visible(splats, top, bottom, depths, order):
    """Write depth and number of the splats that may be seen between rows top and bottom; gives their count."""
    visible = 0
    for n in range(len(splats)):
        splat = splats[n]
        if splat[HALF_WIDTH] > 0 and splat[V] + splat[HALF_HEIGHT] > top and splat[V] - splat[HALF_HEIGHT] < bottom:
            depths[visible], order[visible] = splat[DEPTH], n
            visible += 1
    return visible


@inline
def _sort_by_depth(splats, top, bottom):
    """Numbers of the splats that may be seen between two rows, front to back (stable radix sort)."""
    depths = np.empty(len(splats), dtype=np.float32)
    order = np.empty(len(splats), dtype=np.int32)
    visible = _find_visible(splats, top, bottom, depths, order)
    # Positive floats are in the order of their bits.
    keys, order = depths.view(np.uint32)[:visible], order[:visible]
    next_keys, next_order = np.empty(visible, dtype=np.uint32), np.empty(visible, dtype=np.int32)
    starts = np.empty(_RADIX + 1, dtype=np.int64)
    for shift, mask in _DIGITS:
        starts[:] = 0
        for i in range(visible):
            starts[np.int64((keys[i] >> shift) & mask) + 1] += 1
        for digit in range(_RADIX):
            starts[digit + 1] += starts[digit]
        for i in range(visible):
            digit = np.int64((keys[i] >> shift) & mask)
            place = starts[digit]
            starts[digit] = place + 1
            next_keys[place], next_order[place] = keys[i], order[i]
        keys, next_keys, order, next_order = next_keys, keys, next_order, order
    return order


@inline
def rows_between(splat, left, right):
    """Give the least and greatest y (relative to the mean) of a splat's ellipse for x in [left, right].

    The ellipse inside which alpha is at least 1/255 has its points at x at
    slope x ± aspect sqrt(half_width² - x²), with slope = cov_xy / var_x and aspect = sqrt(det) / var_x.
    Its extreme points are at ± TOP_X.
    """
    half_width, aspect, slope, none = splat[HALF_WIDTH], splat[ASPECT], splat[SLOPE], np.float32(0)
    x_high = min(max(splat[TOP_X], left), right)
    x_low = min(max(-splat[TOP_X], left), right)
    high = slope * x_high + aspect * math.sqrt(max(half_width * half_width - x_high * x_high, none))
    low = slope * x_low - aspect * math.sqrt(max(half_width * half_width - x_low * x_low, none))
    return low, high


@inline
def _pixels(low, high, first, end):
    """First and last pixel whose centre is in [low, high], of those from `first` to before `end`."""
    half, one, least, most = np.float32(0.5), np.float32(1), np.float32(first), np.float32(end)
    low = np.int64(math.ceil(min(max(low - half, least), most)))
    high = np.int64(math.floor(min(max(high - half, least - one), most - one)))
    return low, high


@inline
def _block_rows(splat, column, left, right, top, end, ranges):
    """Write first and last row of blocks touched in each column of blocks of a tile column; gives their hull."""
    hull_first, hull_last = np.int64(1 << 40), np.int64(-1)
    for k in range(TILE_COLUMNS):
        x = column * TILE_WIDTH + k * BLOCK
        first_x, last_x = max(x, left), min(x + BLOCK - 1, right)
        ranges[k, 0], ranges[k, 1] = 1 << 40, -1
        if first_x <= last_x:
            low, high = rows_between(
                splat, np.float32(first_x + 0.5) - splat[U], np.float32(last_x + 0.5) - splat[U]
            )
            first, last = _pixels(splat[V] + low, splat[V] + high, top, end)
            if first <= last:
                ranges[k, 0], ranges[k, 1] = first // BLOCK, last // BLOCK
                hull_first, hull_last = min(hull_first, first // BLOCK), max(hull_last, last // BLOCK)
    return hull_first, hull_last


@inline
def _blocks_in_tile(ranges, row):
    """The bits of the blocks touched in a tile; see `compile.TILE_ROWS`."""
    blocks = 0
    for k in range(TILE_COLUMNS):
        first = max(ranges[k, 0] - row * TILE_ROWS, 0)
        last = min(ranges[k, 1] - row * TILE_ROWS, TILE_ROWS - 1)
        if first <= last:
            blocks |= ((2 << last) - (1 << first)) << (k * TILE_ROWS)
    return blocks


@kernel
def bin_splats(
    queues, worker, splats, width, height, band_rows, bases, pairs, tile_splats, tile_blocks, tile_slots,
    tile_starts, spans,
):  # fmt: skip
    """Write each tile's list of splats, and the blocks each touches there, in depth order.

    A pair of splat and tile has a slot: splats in depth order, tiles of one splat side by side. The
    gradients of a splat's pairs can so be added up in a fixed order, whatever the threads do.

    Args:
        queues: see `threads`; a task is a band of tile rows in a camera.
        worker: see `threads`.
        splats: (C, N, SPLAT_SIZE).
        width: of the picture.
        height: of the picture.
        band_rows: rows of tiles in a band.
        bases: (C bands + 1,) int64, the part of the next four arrays that each band may use.
        pairs: (P, 2) int64, scratch.
        tile_splats: (P,) int32, written: numbers of splats, in the order of tiles.
        tile_blocks: (P,) int64, written: beside them, the blocks touched.
        tile_slots: (P,) int32, written: beside them, the slots.
        tile_starts: (C bands, tiles of a band + 1) int64, written: where the tiles' lists start.
        spans: (C, bands, N, 2) int32, written: first slot of each splat and its number of slots.
    """
    bands = spans.shape[1]
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    ranges = np.empty((TILE_COLUMNS, 2), dtype=np.int64)
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        c, band = task // bands, task % bands
        top, end = band * band_rows * TILE_HEIGHT, min((band + 1) * band_rows * TILE_HEIGHT, height)
        order = _sort_by_depth(splats[c], top, end)
        starts, span = tile_starts[task], spans[c, band]
        starts[:] = 0
        span[:] = 0
        slot, limit = bases[task], bases[task + 1]
        for i in range(len(order)):
            n = order[i]
            splat = splats[c, n]
            span[n, 0] = slot
            left, right = _pixels(splat[U] - splat[HALF_WIDTH], splat[U] + splat[HALF_WIDTH], 0, width)
            for column in range(left // TILE_WIDTH, right // TILE_WIDTH + 1 if right >= left else 0):
                first, last = _block_rows(splat, column, left, right, top, end, ranges)
                for row in range(first // TILE_ROWS, last // TILE_ROWS + 1 if last >= first else 0):
                    blocks = _blocks_in_tile(ranges, row)
                    if slot < limit and blocks != 0:
                        tile = (row - band * band_rows) * columns + column
                        pairs[slot, 0], pairs[slot, 1] = (n << 32) | tile, blocks
                        starts[tile + 1] += 1
                        slot += 1
            span[n, 1] = slot - span[n, 0]
        _sort_by_tile(pairs, bases[task], slot, starts, tile_splats, tile_blocks, tile_slots)


@inline
def _sort_by_tile(pairs, first, end, starts, tile_splats, tile_blocks, tile_slots):
    """Stable counting sort of pairs; `starts` holds the number of pairs of tile t at t + 1, and then starts."""
    place = first
    for tile in range(len(starts)):
        place += starts[tile]
        starts[tile] = place
    for slot in range(first, end):
        tile = pairs[slot, 0] & 0xFFFFFFFF
        place = starts[tile]
        starts[tile] = place + 1
        tile_splats[place], tile_blocks[place], tile_slots[place] = pairs[slot, 0] >> 32, pairs[slot, 1], slot
    for tile in range(len(starts) - 1, 0, -1):
        starts[tile] = starts[tile - 1]
    starts[0] = first
