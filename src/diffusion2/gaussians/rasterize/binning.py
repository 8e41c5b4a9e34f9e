"""Which splats touch which tile, front to back.

One sort by depth per camera comes first; a stable counting sort by tile then leaves every tile's
list in depth order.
"""

import math

import numpy as np

from diffusion2.gaussians.rasterize.layout import (
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
)
from diffusion2.kernels.compile import inline, kernel
from diffusion2.kernels.simd import (
    LANES,
    count_up,
    round_down,
    square_root,
    store_whole,
    where_less,
)
from diffusion2.kernels.threads import take

_RADIX = 2048
_DIGITS = ((0, 2047), (11, 2047), (22, 1023))
_TILES_AT_ONCE = LANES // TILE_COLUMNS
_NOWHERE = 1 << 30


@inline
def _find_visible(splats, top, bottom, depths, order):
    """Write depth and number of the splats that may be seen between two rows; gives their count."""
    visible = 0
    for n in range(len(splats)):
        splat = splats[n]
        # Written in any case, and kept by counting: a branch here would be guessed wrong too often.
        depths[visible], order[visible] = splat[DEPTH], n
        below, above = splat[V] + splat[HALF_HEIGHT] > top, splat[V] - splat[HALF_HEIGHT] < bottom
        visible += np.int64((splat[HALF_WIDTH] > 0) & below & above)
    return visible


def bin_scratch(count: int) -> int:
    """Floats of scratch that `bin_splats` needs for N Gaussians."""
    return 4 * count + _RADIX + 1 + 2 * LANES


@inline
def _sort_by_depth(splats, top, bottom, scratch):
    """Write the numbers of the splats that may be seen between two rows to scratch[:N], front to back.

    Args:
        splats: (N, SPLAT_SIZE).
        top: first row of pixels.
        bottom: first row of pixels after these.
        scratch: see `bin_scratch`; the numbers are int32s.

    Returns:
        How many there are.
    """
    count, whole, bits = len(splats), scratch.view(np.int32), scratch.view(np.uint32)
    next_order, order = whole[:count], whole[count : 2 * count]
    depths, keys, next_keys = (
        scratch[2 * count : 3 * count],
        bits[2 * count : 3 * count],
        bits[3 * count : 4 * count],
    )
    starts = whole[4 * count : 4 * count + _RADIX + 1]
    visible = _find_visible(splats, top, bottom, depths, order)
    # A stable radix sort; the passes are odd in number, so that the last one writes to the first array.
    # Positive floats are in the order of their bits.
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
    return visible


@inline
def _pixels(low, high, size):
    """First and last of `size` pixels whose centre is in [low, high]."""
    half, one, none, all_ = np.float32(0.5), np.float32(1), np.float32(0), np.float32(size)
    first = np.int64(math.ceil(min(max(low - half, none), all_)))
    last = np.int64(math.floor(min(max(high - half, -one), all_ - one)))
    return first, last


@inline
def _rows_between(splat, left, right):
    """Least and greatest y (relative to the mean) of a splat's ellipse for x in [left, right] (vectors).

    The ellipse inside which alpha is at least 1/255 has its points at x at
    slope x ± aspect sqrt(half_width² - x²), with slope = cov_xy / var_x and aspect = sqrt(det) / var_x.
    Its extreme points are at ± TOP_X.
    """
    half_width, aspect, slope, top_x = splat[HALF_WIDTH], splat[ASPECT], splat[SLOPE], splat[TOP_X]
    none = np.float32(0)
    x_high = where_less(right, top_x, right, where_less(top_x, left, left, top_x))
    x_low = where_less(right, -top_x, right, where_less(-top_x, left, left, -top_x))
    of_high, of_low = half_width * half_width - x_high * x_high, half_width * half_width - x_low * x_low
    high = x_high * slope + square_root(where_less(of_high, none, none, of_high)) * aspect
    low = x_low * slope - square_root(where_less(of_low, none, none, of_low)) * aspect
    return low, high


@inline
def _block_rows(splat, x, left, right, top, end, firsts, lasts):
    """Write the first and last row of blocks touched in 16 columns of blocks.

    Args:
        splat: (SPLAT_SIZE,).
        x: the left pixel of the first column.
        left: of the pixels that the splat touches.
        right: as above.
        top: first row of pixels to look at.
        end: first row of pixels after these.
        firsts: (16,) int32, written; 2^30 where nothing is touched.
        lasts: (16,) int32, written; -1 where nothing is touched.
    """
    u, v, half = splat[U], splat[V], np.float32(0.5)
    x0, x1 = np.float32(left) + half - u, np.float32(right) + half - u
    from_x = count_up() * np.float32(BLOCK) + (np.float32(x) + half - u)
    to_x = from_x + np.float32(BLOCK - 1)
    from_x, to_x = where_less(from_x, x0, x0, from_x), where_less(x1, to_x, x1, to_x)
    low, high = _rows_between(splat, from_x, to_x)
    first = np.float32(0) - round_down((half - v) - low)
    last = round_down(high + (v - half))
    least, most, per_block = np.float32(top), np.float32(end - 1), np.float32(1 / BLOCK)
    first, last = where_less(first, least, least, first), where_less(most, last, most, last)
    nowhere = where_less(last, first, 1, where_less(to_x, from_x, 1, 0))
    store_whole(firsts, 0, where_less(0, nowhere, _NOWHERE, round_down(first * per_block)))
    store_whole(lasts, 0, where_less(0, nowhere, np.float32(-1), round_down(last * per_block)))


@inline
def _hull(firsts, lasts, start, end):
    """First and last row of blocks over some columns of blocks."""
    first, last = np.int64(_NOWHERE), np.int64(-1)
    for k in range(start, end):
        first, last = min(first, np.int64(firsts[k])), max(last, np.int64(lasts[k]))
    return first, last


@inline
def _blocks_in_tile(firsts, lasts, start, end, row):
    """The bits of the blocks touched in a tile; see `compile.TILE_ROWS`."""
    blocks = np.int64(0)
    for k in range(start, end):
        first = max(np.int64(firsts[k]) - row * TILE_ROWS, 0)
        last = min(np.int64(lasts[k]) - row * TILE_ROWS, TILE_ROWS - 1)
        if first <= last:
            blocks |= ((2 << last) - (1 << first)) << (k % TILE_COLUMNS * TILE_ROWS)
    return blocks


@kernel
def bin_splats(
    queues, worker, scratch, splats, width, height, band_rows, bases, pairs,
    tile_splats, tile_blocks, tile_slots, tile_starts, spans,
):  # fmt: skip
    """Write each tile's list of splats, and the blocks each touches there, in depth order.

    A pair of splat and tile has a slot: splats in depth order, tiles of one splat side by side. The
    gradients of a splat's pairs can so be added up in a fixed order, whatever the threads do.

    Args:
        queues: see `threads`; a task is a band of tile rows in a camera.
        worker: see `threads`.
        scratch: (bin_scratch(N),).
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
    order = scratch.view(np.int32)
    firsts, lasts = order[-2 * LANES : -LANES], order[-LANES:]
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        c, band = task // bands, task % bands
        top, end = band * band_rows * TILE_HEIGHT, min((band + 1) * band_rows * TILE_HEIGHT, height)
        visible = _sort_by_depth(splats[c], top, end, scratch)
        starts, span = tile_starts[task], spans[c, band]
        starts[:] = 0
        span[:] = 0
        slot, limit = bases[task], bases[task + 1]
        for i in range(visible):
            n = np.int64(order[i])
            splat = splats[c, n]
            span[n, 0] = slot
            left, right = _pixels(splat[U] - splat[HALF_WIDTH], splat[U] + splat[HALF_WIDTH], width)
            for column in range(left // TILE_WIDTH, right // TILE_WIDTH + 1 if right >= left else 0):
                part = (column - left // TILE_WIDTH) % _TILES_AT_ONCE * TILE_COLUMNS
                if part == 0:
                    _block_rows(splat, column * TILE_WIDTH, left, right, top, end, firsts, lasts)
                start = part + max(left // BLOCK - column * TILE_COLUMNS, 0)
                stop = part + min(right // BLOCK - column * TILE_COLUMNS + 1, TILE_COLUMNS)
                first, last = _hull(firsts, lasts, start, stop)
                for row in range(first // TILE_ROWS, last // TILE_ROWS + 1):
                    blocks = _blocks_in_tile(firsts, lasts, start, stop, row)
                    if slot < limit and blocks != 0:
                        tile = (row - band * band_rows) * columns + column
                        pairs[slot, 0], pairs[slot, 1] = (n << 32) | tile, blocks
                        starts[tile + 1] += 1
                        slot += 1
            span[n, 1] = slot - span[n, 0]
        _sort_by_tile(pairs, bases[task], slot, starts, tile_splats, tile_blocks, tile_slots)


@inline
def _sort_by_tile(pairs, first, end, starts, tile_splats, tile_blocks, tile_slots):
    """Stable counting sort of pairs; `starts` holds the pairs of tile t at t + 1, later where they start."""
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
