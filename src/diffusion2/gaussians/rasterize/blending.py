"""Blending the splats of a tile over its pixels, front to back, and the gradients.

Both passes run through a tile's list in the same direction, one block of 4 x 4 pixels at a time. The
backward pass needs no stored weights: what lies behind a splat is the pixel's total minus what has
been passed.
"""

import numpy as np

from diffusion2.gaussians.rasterize.layout import (
    BLOCK,
    BLUE,
    DEPTH,
    GREEN,
    LOG_OPACITY,
    POWER_XX,
    POWER_XY,
    POWER_YY,
    RED,
    TILE_COLUMNS,
    TILE_HEIGHT,
    TILE_ROWS,
    TILE_WIDTH,
    U,
    V,
)
from diffusion2.gaussians.rasterize.pictures import read_gray, read_rgb, write_gray, write_rgb
from diffusion2.gaussians.rasterize.rendering import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from diffusion2.kernels.compile import inline, kernel
from diffusion2.kernels.simd import (
    any_positive,
    block_x,
    block_y,
    load,
    lowest_bit,
    splat,
    store,
    store_past_caches,
    sums_of,
    where_less,
    where_less_equal,
)
from diffusion2.kernels.threads import take

_MIN_ALPHA = np.float32(MIN_ALPHA)
_MAX_ALPHA = np.float32(MAX_ALPHA)
_MIN_TRANSMITTANCE = np.float32(MIN_TRANSMITTANCE)
_LOW = np.float32(np.log(MIN_ALPHA) / 8 - 0.01)
"""Exponents below this give an alpha under 1/255, whatever they are."""


def _fit_exp(degree: int) -> tuple[np.float32, ...]:
    """Polynomial for exp on [_LOW, 0], interpolated at Chebyshev nodes; lowest power first."""
    fit = np.polynomial.Chebyshev.interpolate(np.exp, degree, domain=[float(_LOW), 0.0])
    return tuple(np.float32(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef)


# exp(8 t) = exp(t)^8: three squarings cost no more than taking an exponent apart, and t is small
# enough for a polynomial of degree 5 (relative error of the result below 3e-6).
_E0, _E1, _E2, _E3, _E4, _E5 = _fit_exp(5)

_PIXELS = BLOCK * BLOCK
_PLANES = 5 * _PIXELS
"""Per block: transmittances (negative once the pixel is finished), red, green, blue, depth."""

_BACK_PLANES = 7 * _PIXELS
"""Per block: transmittances, what still lies behind, and the gradients of RGB, depth and alpha."""

BLEND_SCRATCH = _PIXELS + TILE_COLUMNS * TILE_ROWS * _PLANES
BLEND_BACKWARD_SCRATCH = _PIXELS + TILE_COLUMNS * TILE_ROWS * _BACK_PLANES


@inline
def _exp8(t):
    """exp(8 t) of a vector; only valid where the result is at least 1/255 and at most 1."""
    t = where_less(t, _LOW, _LOW, t)
    e = _E0 + t * (_E1 + t * (_E2 + t * (_E3 + t * (_E4 + t * _E5))))
    e = e * e
    e = e * e
    return e * e


@inline
def _corner(block):
    """Pixels from a tile's corner to a block's."""
    return np.float32((block // TILE_ROWS) * BLOCK), np.float32((block % TILE_ROWS) * BLOCK)


@inline
def _blocks_inside(width, height):
    """The bits of a tile's blocks that reach into the picture, of which this much is left from its corner."""
    bits = 0
    for column in range(min((width + BLOCK - 1) // BLOCK, TILE_COLUMNS)):
        bits |= ((1 << min((height + BLOCK - 1) // BLOCK, TILE_ROWS)) - 1) << (column * TILE_ROWS)
    return bits


@inline
def _find_tile(task, spans, band_rows, width):
    """Camera, row of `tile_starts`, tile in the band, and the tile's corner."""
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    bands = spans.shape[1]
    band, tile = task // (columns * band_rows), task % (columns * band_rows)
    row = (band % bands) * band_rows + tile // columns
    return band // bands, band, tile, (tile % columns) * TILE_WIDTH, row * TILE_HEIGHT


@kernel
def blend(
    queues, worker, scratch, splats, spans, tile_splats, tile_blocks, tile_starts, band_rows, backgrounds,
    rgb, alpha, depth, reached,
):  # fmt: skip
    """Draw tiles.

    Args:
        queues: see `threads`; a task is a tile, band after band.
        worker: see `threads`.
        scratch: (BLEND_SCRATCH,).
        splats: (C, N, SPLAT_SIZE).
        spans: see `binning.bin_splats`, and so for the next three.
        tile_splats: (P,).
        tile_blocks: (P,).
        tile_starts: (C bands, tiles of a band + 1).
        band_rows: rows of tiles in a band.
        backgrounds: (C, 3).
        rgb: (C, H, W, 3), written.
        alpha: (C, H, W, 1), written.
        depth: (C, H, W, 1), written.
        reached: (C bands, tiles of a band) int64, written: where in the tile's list all its pixels
            were finished.
    """
    height, width = alpha.shape[1], alpha.shape[2]
    flat_rgb, flat_alpha, flat_depth = rgb.reshape(-1), alpha.reshape(-1), depth.reshape(-1)
    pixels, scratch = scratch[_PIXELS:], scratch[:_PIXELS]
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        c, band, tile, x0, y0 = _find_tile(task, spans, band_rows, width)
        if y0 >= height:
            continue
        inside = _blocks_inside(width - x0, height - y0)
        for block in range(TILE_COLUMNS * TILE_ROWS):
            x, y = _corner(block)
            left = where_less(block_x() + x, np.float32(width - x0), one, zero - one)
            store(
                pixels, block * _PLANES, where_less(block_y() + y, np.float32(height - y0), left, zero - one)
            )
            for plane in range(_PIXELS, _PLANES, _PIXELS):
                store(pixels, block * _PLANES + plane, zero)
        reached[band, tile] = _blend_list(
            pixels, splats[c], tile_splats, tile_blocks, tile_starts[band, tile], tile_starts[band, tile + 1],
            np.float32(x0 + 0.5), np.float32(y0 + 0.5), inside,
        )  # fmt: skip
        while inside != 0:
            block = lowest_bit(inside)
            inside &= inside - 1
            place = block * _PLANES
            x, y = x0 + block // TILE_ROWS * BLOCK, y0 + block % TILE_ROWS * BLOCK
            first = (c * height + y) * width + x
            left = load(pixels, place)
            left = where_less(left, zero, zero - left, left)
            write_rgb(
                flat_rgb, first, width, width - x, height - y, scratch,
                load(pixels, place + 16) + left * backgrounds[c, 0],
                load(pixels, place + 32) + left * backgrounds[c, 1],
                load(pixels, place + 48) + left * backgrounds[c, 2],
            )  # fmt: skip
            write_gray(flat_alpha, first, width, width - x, height - y, scratch, one - left)
            write_gray(flat_depth, first, width, width - x, height - y, scratch, load(pixels, place + 64))


@inline
def _blend_list(pixels, splats, tile_splats, tile_blocks, start, end, x, y, alive):
    """Blend a tile's list over its pixels; gives the place in the list where nothing was left to do."""
    zero = splat(np.float32(0))
    for place in range(start, end):
        blocks = tile_blocks[place] & alive
        s = splats[tile_splats[place]]
        dx0, dy0 = block_x() + (x - s[U]), block_y() + (y - s[V])
        xx, xy, yy, log_opacity = s[POWER_XX], s[POWER_XY], s[POWER_YY], s[LOG_OPACITY]
        red, green, blue, z = s[RED], s[GREEN], s[BLUE], s[DEPTH]
        while blocks != 0:
            block = lowest_bit(blocks)
            blocks &= blocks - 1
            base = block * _PLANES
            corner_x, corner_y = _corner(block)
            dx, dy = dx0 + corner_x, dy0 + corner_y
            a = _exp8(log_opacity + dx * (xx * dx + xy * dy) + dy * (yy * dy))
            a = where_less(a, _MIN_ALPHA, zero, where_less(a, _MAX_ALPHA, a, _MAX_ALPHA))
            before = load(pixels, base)
            weight = a * before
            after = before - weight
            finished = where_less(before, zero, before, zero - before)
            left = where_less_equal(after, _MIN_TRANSMITTANCE, finished, after)
            weight = where_less_equal(after, _MIN_TRANSMITTANCE, zero, weight)
            store(pixels, base, left)
            store(pixels, base + 16, load(pixels, base + 16) + weight * red)
            store(pixels, base + 32, load(pixels, base + 32) + weight * green)
            store(pixels, base + 48, load(pixels, base + 48) + weight * blue)
            store(pixels, base + 64, load(pixels, base + 64) + weight * z)
            if not any_positive(left):
                alive &= ~(1 << block)
        if alive == 0:
            return place + 1
    return end


@kernel
def blend_backward(
    queues, worker, scratch, splats, spans, tile_splats, tile_blocks, tile_slots, tile_starts,
    band_rows, reached, backgrounds, rgb, alpha, depth, grad_rgb, grad_alpha, grad_depth, grads,
):  # fmt: skip
    """Carry the gradients of the pictures back to every pair of splat and tile.

    Args:
        queues: see `threads`; a task is a tile, band after band.
        worker: see `threads`.
        scratch: (BLEND_BACKWARD_SCRATCH,).
        splats: (C, N, SPLAT_SIZE).
        spans: see `binning.bin_splats`, and so for the next four.
        tile_splats: (P,).
        tile_blocks: (P,).
        tile_slots: (P,).
        tile_starts: (C bands, tiles of a band + 1).
        band_rows: rows of tiles in a band.
        reached: as written by `blend`.
        backgrounds: (C, 3), as given to `blend`.
        rgb: (C, H, W, 3), as written by `blend`, and so for the next two.
        alpha: (C, H, W, 1).
        depth: (C, H, W, 1).
        grad_rgb: (C, H, W, 3).
        grad_alpha: (C, H, W, 1).
        grad_depth: (C, H, W, 1).
        grads: (16 P,), written, 16 per slot. Sums over the tile's pixels, with h = d loss / d log
            alpha: h, h dx, h dx², h dy, h dx dy, h dy², then the gradients of RGB and depth.
    """
    height, width = alpha.shape[1], alpha.shape[2]
    pictures = rgb.reshape(-1), alpha.reshape(-1), depth.reshape(-1)
    grad_pictures = grad_rgb.reshape(-1), grad_alpha.reshape(-1), grad_depth.reshape(-1)
    pixels, scratch = scratch[_PIXELS:], scratch[:_PIXELS]
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        c, band, tile, x0, y0 = _find_tile(task, spans, band_rows, width)
        start, end = tile_starts[band, tile], tile_starts[band, tile + 1]
        if y0 >= height or start == end:
            continue
        inside = _blocks_inside(width - x0, height - y0)
        blocks = inside
        while blocks != 0:
            block = lowest_bit(blocks)
            blocks &= blocks - 1
            x, y = x0 + block // TILE_ROWS * BLOCK, y0 + block % TILE_ROWS * BLOCK
            _start_backward(
                pixels, block * _BACK_PLANES, pictures, grad_pictures, backgrounds[c],
                (c * height + y) * width + x, width, width - x, height - y, scratch,
            )  # fmt: skip
        _blend_list_backward(
            pixels, splats[c], tile_splats, tile_blocks, tile_slots, start, reached[band, tile],
            np.float32(x0 + 0.5), np.float32(y0 + 0.5), inside, grads,
        )  # fmt: skip
        for place in range(reached[band, tile], end):
            store_past_caches(grads, np.int64(tile_slots[place]) * 16, splat(np.float32(0)))


@inline
def _start_backward(
    pixels, place, pictures, grad_pictures, background, first, width, columns, rows, scratch
):  # fmt: skip
    """Write the planes of one block: nothing passed yet, and the pictures' gradients.

    A pixel's rgb is the sum of weight times colour, plus the background times what is left; so the
    value of one unit of weight is its gradient in rgb and depth, and `of_alpha`.
    """
    one = splat(np.float32(1))
    covered = read_gray(pictures[1], first, width, columns, rows, scratch)
    of_alpha = read_gray(grad_pictures[1], first, width, columns, rows, scratch)
    of_depth = read_gray(grad_pictures[2], first, width, columns, rows, scratch)
    total = of_depth * read_gray(pictures[2], first, width, columns, rows, scratch)
    red, green, blue = read_rgb(pictures[0], first, width, columns, rows, scratch)
    of_red, of_green, of_blue = read_rgb(grad_pictures[0], first, width, columns, rows, scratch)
    left = one - covered
    total += of_red * (red - left * background[0]) + of_green * (green - left * background[1])
    total += of_blue * (blue - left * background[2])
    of_alpha -= of_red * background[0] + of_green * background[1] + of_blue * background[2]
    store(pixels, place + 32, of_red)
    store(pixels, place + 48, of_green)
    store(pixels, place + 64, of_blue)
    outside = splat(np.float32(-1))
    alive = where_less(block_x(), np.float32(columns), one, outside)
    store(pixels, place, where_less(block_y(), np.float32(rows), alive, outside))
    store(pixels, place + _PIXELS, total + covered * of_alpha)
    store(pixels, place + 5 * _PIXELS, of_depth)
    store(pixels, place + 6 * _PIXELS, of_alpha)


@inline
def _blend_list_backward(
    pixels, splats, tile_splats, tile_blocks, tile_slots, start, end, x, y, alive, grads
):
    zero = splat(np.float32(0))
    for place in range(start, end):
        blocks = tile_blocks[place] & alive
        s = splats[tile_splats[place]]
        dx0, dy0 = block_x() + (x - s[U]), block_y() + (y - s[V])
        xx, xy, yy, log_opacity = s[POWER_XX], s[POWER_XY], s[POWER_YY], s[LOG_OPACITY]
        red, green, blue, z = s[RED], s[GREEN], s[BLUE], s[DEPTH]
        h_1, h_x, h_xx, h_y, h_xy, h_yy = zero, zero, zero, zero, zero, zero
        to_red, to_green, to_blue, to_depth = zero, zero, zero, zero
        while blocks != 0:
            block = lowest_bit(blocks)
            blocks &= blocks - 1
            base = block * _BACK_PLANES
            corner_x, corner_y = _corner(block)
            dx, dy = dx0 + corner_x, dy0 + corner_y
            raw = _exp8(log_opacity + dx * (xx * dx + xy * dy) + dy * (yy * dy))
            a = where_less(raw, _MIN_ALPHA, zero, where_less(raw, _MAX_ALPHA, raw, _MAX_ALPHA))
            before = load(pixels, base)
            weight = a * before
            after = before - weight
            finished = where_less(before, zero, before, zero - before)
            left = where_less_equal(after, _MIN_TRANSMITTANCE, finished, after)
            weight = where_less_equal(after, _MIN_TRANSMITTANCE, zero, weight)
            store(pixels, base, left)

            grad_red, grad_green = load(pixels, base + 32), load(pixels, base + 48)
            grad_blue, grad_depth = load(pixels, base + 64), load(pixels, base + 80)
            value = red * grad_red + green * grad_green + blue * grad_blue + z * grad_depth
            gain = weight * (value + load(pixels, base + 96))
            behind = load(pixels, base + 16) - gain
            store(pixels, base + 16, behind)
            h = gain - behind * (a / (np.float32(1) - a))
            h = where_less_equal(after, _MIN_TRANSMITTANCE, zero, where_less(raw, _MAX_ALPHA, h, zero))
            hx, hy = h * dx, h * dy
            h_1 += h
            h_x += hx
            h_y += hy
            h_xx += hx * dx
            h_xy += hx * dy
            h_yy += hy * dy
            to_red += weight * grad_red
            to_green += weight * grad_green
            to_blue += weight * grad_blue
            to_depth += weight * grad_depth
            if not any_positive(left):
                alive &= ~(1 << block)
        sums = sums_of((h_1, h_x, h_xx, h_y, h_xy, h_yy, to_red, to_green, to_blue, to_depth))
        store_past_caches(grads, np.int64(tile_slots[place]) * 16, sums)
