"""Blending the splats of a tile over its pixels, front to back, and the gradients.

Both passes run through a tile's list in the same direction, one row of 16 pixels at a time. The
backward pass needs no stored weights: what lies behind a splat is the pixel's total minus what has
been passed.
"""

import numpy as np

from diffusion2.gaussians.rasterize.compile import (
    BLUE,
    DEPTH,
    GREEN,
    LOG_OPACITY,
    POWER_XX,
    POWER_XY,
    POWER_YY,
    RED,
    TILE,
    U,
    V,
    kernel,
)
from diffusion2.gaussians.rasterize.rendering import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from diffusion2.gaussians.rasterize.simd import (
    any_positive,
    lanes,
    load,
    splat,
    store,
    sums_of,
    where_less,
    where_less_equal,
)
from diffusion2.gaussians.rasterize.threads import take

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

_PLANES = 5
"""Values kept per pixel: transmittance (negative once the pixel is finished), RGB, depth."""

_BACK_PLANES = 7
"""Transmittance, what still lies behind, and the gradients of RGB, depth and alpha."""


@kernel
def _exp8(t):
    """exp(8 t) of a vector; only valid where the result is at least 1/255 and at most 1."""
    t = where_less(t, _LOW, _LOW, t)
    e = _E0 + t * (_E1 + t * (_E2 + t * (_E3 + t * (_E4 + t * _E5))))
    e = e * e
    e = e * e
    return e * e


@kernel
def _rows_inside(first, height):
    """Bits of the tile rows that are inside the picture."""
    return (1 << min(height - first, TILE)) - 1


@kernel
def blend(counter, tiles, splats, tile_lists, tile_starts, backgrounds, rgb, alpha, depth, reached):
    """Draw tiles.

    Args:
        counter: see `threads`; a task is a tile, camera after camera.
        tiles: C x tiles per picture.
        splats: (C, N, SPLAT_SIZE).
        tile_lists: see `binning.bin_splats`.
        tile_starts: see `binning.bin_splats`.
        backgrounds: (C, 3).
        rgb: (C, H, W, 3), written.
        alpha: (C, H, W), written.
        depth: (C, H, W), written.
        reached: (C, tiles) int64, written: where in the tile's list all its pixels were finished.
    """
    height, width = alpha.shape[1], alpha.shape[2]
    columns = (width + TILE - 1) // TILE
    per_camera = tile_starts.shape[1] - 1
    pixels = np.empty(TILE * _PLANES * TILE, dtype=np.float32)
    zero = splat(np.float32(0))
    while True:
        task = take(counter)
        if task >= tiles:
            break
        c = task // per_camera
        tile = task - c * per_camera
        x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
        inside = where_less(lanes(), np.float32(width - x0), np.float32(1), np.float32(-1))
        for row in range(TILE):
            store(pixels, row * _PLANES * TILE, inside)
            for plane in range(1, _PLANES):
                store(pixels, (row * _PLANES + plane) * TILE, zero)
        end = _blend_list(
            pixels, splats[c], tile_lists, tile_starts[c, tile], tile_starts[c, tile + 1],
            np.float32(x0 + 0.5), np.float32(y0 + 0.5), _rows_inside(y0, height),
        )  # fmt: skip
        reached[c, tile] = end
        for row in range(min(TILE, height - y0)):
            base = row * _PLANES * TILE
            for i in range(min(TILE, width - x0)):
                left = abs(pixels[base + i])
                y, x = y0 + row, x0 + i
                for k in range(3):
                    rgb[c, y, x, k] = pixels[base + (k + 1) * TILE + i] + left * backgrounds[c, k]
                alpha[c, y, x] = 1 - left
                depth[c, y, x] = pixels[base + 4 * TILE + i]


@kernel
def _blend_list(pixels, splats, tile_lists, start, end, x, y, alive):
    """Blend a tile's list over its pixels; gives the place in the list where nothing was left to do."""
    zero = splat(np.float32(0))
    for place in range(start, end):
        entry = tile_lists[place]
        s = splats[entry >> 8]
        dx = lanes() + (x - s[U])
        fixed = s[LOG_OPACITY] + dx * dx * s[POWER_XX]
        slope = dx * s[POWER_XY]
        red, green, blue, z, curve = s[RED], s[GREEN], s[BLUE], s[DEPTH], s[POWER_YY]
        first, last = entry & 15, (entry >> 4) & 15
        dy = y + np.float32(first) - s[V]
        for row in range(first, last + 1):
            if alive & (1 << row):
                base = row * _PLANES * TILE
                a = _exp8(fixed + dy * curve * dy + slope * dy)
                a = where_less(a, _MIN_ALPHA, zero, where_less(a, _MAX_ALPHA, a, _MAX_ALPHA))
                before = load(pixels, base)
                weight = a * before
                after = before - weight
                finished = where_less(before, zero, before, zero - before)
                store(pixels, base, where_less_equal(after, _MIN_TRANSMITTANCE, finished, after))
                weight = where_less_equal(after, _MIN_TRANSMITTANCE, zero, weight)
                store(pixels, base + 16, load(pixels, base + 16) + weight * red)
                store(pixels, base + 32, load(pixels, base + 32) + weight * green)
                store(pixels, base + 48, load(pixels, base + 48) + weight * blue)
                store(pixels, base + 64, load(pixels, base + 64) + weight * z)
                if not any_positive(load(pixels, base)):
                    alive &= ~(1 << row)
            dy += np.float32(1)
        if alive == 0:
            return place + 1
    return end


@kernel
def blend_backward(
    counter, tiles, splats, tile_lists, tile_slots, tile_starts, reached, backgrounds, rgb, alpha, depth,
    grad_rgb, grad_alpha, grad_depth, grads,
):  # fmt: skip
    """Carry the gradients of the pictures back to every pair of splat and tile.

    Args:
        counter: see `threads`; a task is a tile, camera after camera.
        tiles: C x tiles per picture.
        splats: (C, N, SPLAT_SIZE).
        tile_lists: see `binning.bin_splats`.
        tile_slots: see `binning.bin_splats`.
        tile_starts: see `binning.bin_splats`.
        reached: as written by `blend`, and so are the next four.
        backgrounds: as given to `blend`.
        rgb: (C, H, W, 3).
        alpha: (C, H, W).
        depth: (C, H, W).
        grad_rgb: (C, H, W, 3).
        grad_alpha: (C, H, W).
        grad_depth: (C, H, W).
        grads: (P, 16), written, row = slot. Sums over the tile's pixels, with h = d loss / d log
            alpha: h, h dx, h dx², h dy, h dx dy, h dy², then the gradients of RGB and depth.
    """
    height, width = alpha.shape[1], alpha.shape[2]
    columns = (width + TILE - 1) // TILE
    per_camera = tile_starts.shape[1] - 1
    pixels = np.empty(TILE * _BACK_PLANES * TILE, dtype=np.float32)
    flat_grads = grads.reshape(-1)
    zero = splat(np.float32(0))
    while True:
        task = take(counter)
        if task >= tiles:
            break
        c = task // per_camera
        tile = task - c * per_camera
        start, end = tile_starts[c, tile], tile_starts[c, tile + 1]
        if start == end:
            continue
        x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
        for row in range(min(TILE, height - y0)):
            base = row * _BACK_PLANES * TILE
            store(pixels, base, splat(np.float32(-1)))
            for plane in range(1, _BACK_PLANES):
                store(pixels, base + plane * TILE, zero)
            for i in range(min(TILE, width - x0)):
                y, x = y0 + row, x0 + i
                covered, total, onto_background = alpha[c, y, x], np.float32(0), np.float32(0)
                for k in range(3):
                    grad = grad_rgb[c, y, x, k]
                    pixels[base + (2 + k) * TILE + i] = grad
                    onto_background += grad * backgrounds[c, k]
                    total += grad * (rgb[c, y, x, k] - (1 - covered) * backgrounds[c, k])
                of_alpha = grad_alpha[c, y, x] - onto_background
                pixels[base + i] = 1
                pixels[base + TILE + i] = total + depth[c, y, x] * grad_depth[c, y, x] + covered * of_alpha
                pixels[base + 5 * TILE + i] = grad_depth[c, y, x]
                pixels[base + 6 * TILE + i] = of_alpha
        _blend_list_backward(
            pixels, splats[c], tile_lists, tile_slots, start, reached[c, tile],
            np.float32(x0 + 0.5), np.float32(y0 + 0.5), _rows_inside(y0, height), flat_grads,
        )  # fmt: skip
        for place in range(reached[c, tile], end):
            store(flat_grads, np.int64(tile_slots[place]) * 16, zero)


@kernel
def _blend_list_backward(pixels, splats, tile_lists, tile_slots, start, end, x, y, alive, grads):
    zero = splat(np.float32(0))
    for place in range(start, end):
        entry = tile_lists[place]
        s = splats[entry >> 8]
        dx = lanes() + (x - s[U])
        fixed = s[LOG_OPACITY] + dx * dx * s[POWER_XX]
        slope = dx * s[POWER_XY]
        red, green, blue, z, curve = s[RED], s[GREEN], s[BLUE], s[DEPTH], s[POWER_YY]
        first, last = entry & 15, (entry >> 4) & 15
        dy = y + np.float32(first) - s[V]
        h0, h1, h2, to_red, to_green, to_blue, to_depth = zero, zero, zero, zero, zero, zero, zero
        for row in range(first, last + 1):
            if alive & (1 << row):
                base = row * _BACK_PLANES * TILE
                raw = _exp8(fixed + dy * curve * dy + slope * dy)
                a = where_less(raw, _MIN_ALPHA, zero, where_less(raw, _MAX_ALPHA, raw, _MAX_ALPHA))
                before = load(pixels, base)
                weight = a * before
                after = before - weight
                finished = where_less(before, zero, before, zero - before)
                store(pixels, base, where_less_equal(after, _MIN_TRANSMITTANCE, finished, after))
                weight = where_less_equal(after, _MIN_TRANSMITTANCE, zero, weight)

                grad_red, grad_green = load(pixels, base + 32), load(pixels, base + 48)
                grad_blue, grad_depth = load(pixels, base + 64), load(pixels, base + 80)
                value = red * grad_red + green * grad_green + blue * grad_blue + z * grad_depth
                gain = weight * (value + load(pixels, base + 96))
                behind = load(pixels, base + 16) - gain
                store(pixels, base + 16, behind)
                h = gain - behind * (a / (np.float32(1) - a))
                h = where_less_equal(after, _MIN_TRANSMITTANCE, zero, where_less(raw, _MAX_ALPHA, h, zero))
                h0 += h
                h1 += h * dy
                h2 += h * (dy * dy)
                to_red += weight * grad_red
                to_green += weight * grad_green
                to_blue += weight * grad_blue
                to_depth += weight * grad_depth
                if not any_positive(load(pixels, base)):
                    alive &= ~(1 << row)
            dy += np.float32(1)
        hx = h0 * dx
        sums = sums_of((h0, hx, hx * dx, h1, h1 * dx, h2, to_red, to_green, to_blue, to_depth))
        store(grads, np.int64(tile_slots[place]) * 16, sums)
