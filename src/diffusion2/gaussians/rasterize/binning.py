"""Which splats touch which tile, front to back.

One sort by depth per camera comes first; a stable counting sort by tile then leaves every tile's
list in depth order.
"""

import math

import numpy as np

from diffusion2.gaussians.rasterize.compile import (
    DEPTH,
    GIVEN_X_VARIANCE,
    HALF_WIDTH,
    INVERSE_VARIANCE,
    REACH,
    SLOPE,
    TILE,
    TOP_X,
    U,
    V,
    kernel,
)
from diffusion2.gaussians.rasterize.threads import take

_RADIX = 2048
_DIGITS = ((0, 2047), (11, 2047), (22, 1023))


@kernel
def sort_by_depth(splats):
    """Give the numbers of the visible among (N, SPLAT_SIZE) splats, front to back (stable radix sort)."""
    visible = 0
    depths = np.empty(len(splats), dtype=np.float32)
    order = np.empty(len(splats), dtype=np.int32)
    for n in range(len(splats)):
        if splats[n, HALF_WIDTH] > 0:
            depths[visible], order[visible] = splats[n, DEPTH], n
            visible += 1
    keys, order = depths.view(np.uint32)[:visible], order[:visible]
    next_keys, next_order = np.empty(visible, dtype=np.uint32), np.empty(visible, dtype=np.int32)
    for shift, mask in _DIGITS:
        starts = np.zeros(_RADIX + 1, dtype=np.int64)
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


@kernel
def rows_between(splat, left, right):
    """Give the least and greatest y (relative to the mean) of a splat's ellipse for x in [left, right].

    The ellipse inside which alpha is at least 1/255 has, at x, the half height
    sqrt((reach - x² / var_x) var_(y given x)) around slope x. Its extreme points are at ± TOP_X.
    """
    reach, inverse, variance, slope = (
        splat[REACH],
        splat[INVERSE_VARIANCE],
        splat[GIVEN_X_VARIANCE],
        splat[SLOPE],
    )
    x_high = min(max(splat[TOP_X], left), right)
    x_low = min(max(-splat[TOP_X], left), right)
    none = np.float32(0)
    high = slope * x_high + math.sqrt(max((reach - x_high * x_high * inverse) * variance, none))
    low = slope * x_low - math.sqrt(max((reach - x_low * x_low * inverse) * variance, none))
    return low, high


@kernel
def _pixels(low, high, size):
    """First and last pixel whose centre is in [low, high], within 0 … size - 1."""
    half, least, most = np.float32(0.5), np.float32(0), np.float32(size)
    first = np.int64(math.ceil(min(max(low - half, least), most)))
    last = np.int64(math.floor(min(max(high - half, -half - half), most - half - half)))
    return first, last


@kernel
def bin_splats(
    counter, cameras, splats, width, height, bases, pairs, tile_lists, tile_slots, tile_starts, spans
):
    """Write each tile's list of (splat, rows) in depth order.

    A pair of splat and tile has a slot: splats in depth order, tiles of one splat side by side. The
    gradients of a splat's pairs can so be added up in a fixed order, whatever the threads do.

    Args:
        counter: see `threads`; a task is a camera.
        cameras: C.
        splats: (C, N, SPLAT_SIZE).
        width: of the picture.
        height: of the picture.
        bases: (C + 1,) int64, the part of the next three arrays that each camera may use.
        pairs: (P, 2) int64, scratch: tile, and splat · 256 + last row · 16 + first row.
        tile_lists: (P,) int64, written: the second column of `pairs`, sorted by tile.
        tile_slots: (P,) int32, written: the slots beside `tile_lists`.
        tile_starts: (C, tiles + 1) int64, written: where the tiles' lists start.
        spans: (C, N, 2) int32, written: first slot of each splat and its number of slots.
    """
    columns = (width + TILE - 1) // TILE
    while True:
        c = take(counter)
        if c >= cameras:
            break
        order = sort_by_depth(splats[c])
        starts = tile_starts[c]
        starts[:] = 0
        spans[c] = 0
        slot, limit = bases[c], bases[c + 1]
        for i in range(len(order)):
            n = order[i]
            splat = splats[c, n]
            u, v, half_width = splat[U], splat[V], splat[HALF_WIDTH]
            spans[c, n, 0] = slot
            left, right = _pixels(u - half_width, u + half_width, width)
            for column in range(left // TILE, right // TILE + 1 if right >= left else 0):
                x_first = np.float32(max(column * TILE, left) + 0.5) - u
                x_last = np.float32(min(column * TILE + TILE - 1, right) + 0.5) - u
                low, high = rows_between(splat, x_first, x_last)
                top, bottom = _pixels(v + low, v + high, height)
                for row in range(top // TILE, bottom // TILE + 1 if bottom >= top else 0):
                    if slot >= limit:
                        break
                    tile = row * columns + column
                    first, last = max(top - row * TILE, 0), min(bottom - row * TILE, TILE - 1)
                    pairs[slot, 0] = tile
                    pairs[slot, 1] = (n << 8) | (last << 4) | first
                    starts[tile + 1] += 1
                    slot += 1
            spans[c, n, 1] = slot - spans[c, n, 0]
        # starts[t] becomes the next free place of tile t, and is the start of tile t + 1 at the end.
        place = bases[c]
        for tile in range(len(starts)):
            place += starts[tile]
            starts[tile] = place
        for i in range(bases[c], slot):
            tile = pairs[i, 0]
            place = starts[tile]
            starts[tile] = place + 1
            tile_lists[place], tile_slots[place] = pairs[i, 1], i
        for tile in range(len(starts) - 1, 0, -1):
            starts[tile] = starts[tile - 1]
        starts[0] = bases[c]
