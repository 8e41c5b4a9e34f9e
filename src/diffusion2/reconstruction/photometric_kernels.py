"""The photometric loss of pictures and its gradient as kernels.

A picture's row is one run of floats (x, then colour), padded to a whole number of vectors, so that a blur
along it is a sum of shifted loads. Blurs go down first, then along, one row of the result at a time.
"""

import numpy as np

from diffusion2.kernels.compile import inline, kernel
from diffusion2.kernels.simd import LANES, count_up, load, splat, store, sums_of, where_less
from diffusion2.kernels.threads import take

RADIUS = 5
"""The window of SSIM is 2 RADIUS + 1 pixels wide, with standard deviation 1.5."""

BAND = 8
"""Rows in one task."""

CHANNELS = 3
_MARGIN = LANES
"""Floats beside a row of scratch that stay 0; at least RADIUS CHANNELS."""

_offsets = np.arange(2 * RADIUS + 1) - RADIUS
_window = np.exp(-0.5 * (_offsets / 1.5) ** 2)
WINDOW = (_window / _window.sum()).astype(np.float32)
"""Weights of the window along one side."""

_C1, _C2 = np.float32(0.01**2), np.float32(0.03**2)


def scratch_size(maps: int, row: int) -> int:
    """Return the floats of scratch for so many maps of rows of that many floats."""
    return maps * (row + 2 * _MARGIN)


@inline
def _along(scratch, base, window):
    """Blur 16 floats of a row of scratch that start at `base`."""
    total = splat(np.float32(0))
    for k in range(2 * RADIUS + 1):
        total += load(scratch, base + (k - RADIUS) * CHANNELS) * window[k]
    return total


@inline
def _blur_down(a, b, place, row, first, last, window, scratch, base, stride):
    """Write the blurs down a column of 16 floats of a, b, a² + b² and a b, to four rows of scratch."""
    zero = splat(np.float32(0))
    mean_a, mean_b, squares, product = zero, zero, zero, zero
    for k in range(first, last):
        x, y = load(a, place + (k - RADIUS) * row), load(b, place + (k - RADIUS) * row)
        weighted = x * window[k]
        mean_a += weighted
        mean_b += y * window[k]
        squares += weighted * x + y * y * window[k]
        product += weighted * y
    store(scratch, base, mean_a)
    store(scratch, base + stride, mean_b)
    store(scratch, base + 2 * stride, squares)
    store(scratch, base + 3 * stride, product)


@kernel
def compare(queues, worker, scratch, a, b, height, row, length, window, partials, sums):
    """Sum up SSIM and L1 of pictures, and keep what the gradient of SSIM needs.

    Args:
        queues: see `threads`; a task is `BAND` rows of a picture.
        worker: see `threads`.
        scratch: (scratch_size(4, row),).
        a: (B height row,) flat; a row has `length` floats and then zeros.
        b: as above.
        height: rows of a picture.
        row: floats in a row with its padding, a multiple of 16.
        length: floats in a row without it.
        window: `WINDOW`.
        partials: (3, B height row) flat, written: the derivatives of SSIM by the blurred a, a² + b², and
            a b; none if it is empty.
        sums: (tasks, 2), written: the sums of SSIM and of |a - b|.
    """
    bands = (height + BAND - 1) // BAND
    stride, size = row + 2 * _MARGIN, len(a)
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    for place in range(0, 4 * stride, LANES):
        store(scratch, place, zero)
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        picture, top = task // bands, task % bands * BAND
        similar, absolute = zero, zero
        for y in range(top, min(top + BAND, height)):
            start = (picture * height + y) * row
            first, last = max(0, RADIUS - y), min(2 * RADIUS + 1, height + RADIUS - y)
            for x in range(0, row, LANES):
                _blur_down(a, b, start + x, row, first, last, window, scratch, _MARGIN + x, stride)
            for x in range(0, row, LANES):
                base = _MARGIN + x
                mean_a, mean_b = _along(scratch, base, window), _along(scratch, base + stride, window)
                squares = _along(scratch, base + 2 * stride, window)
                product = _along(scratch, base + 3 * stride, window)
                means, mean_squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
                n1, n2 = means * 2.0 + _C1, (product - means) * 2.0 + _C2
                d1, d2 = mean_squares + _C1, squares - mean_squares + _C2
                per_d1, per_d2 = one / d1, one / d2
                inside = where_less(count_up() + np.float32(x), np.float32(length), one, zero)
                by_bottom = per_d1 * per_d2 * inside
                value = n1 * n2 * by_bottom
                similar += value
                difference = load(a, start + x) - load(b, start + x)
                absolute += where_less(difference, zero, zero - difference, difference)
                if len(partials) > 0:
                    by_mean = mean_b * (n2 - n1) * by_bottom + mean_a * value * (per_d2 - per_d1)
                    store(partials, start + x, by_mean * 2.0)
                    store(partials, size + start + x, zero - value * per_d2)
                    store(partials, 2 * size + start + x, n1 * by_bottom * 2.0)
        store(scratch, 0, sums_of((similar, absolute)))
        sums[task, 0], sums[task, 1] = scratch[0], scratch[1]
        store(scratch, 0, zero)


@kernel
def differentiate(queues, worker, scratch, a, b, height, row, length, window, partials, scales, out):
    """Write the gradient by a of the loss s · SSIM + t · |a - b|, summed over pixels.

    Args:
        queues: see `threads`; a task is `BAND` rows of a picture.
        worker: see `threads`.
        scratch: (scratch_size(3, row),).
        a: as in `compare`, and so the next five.
        b: as above.
        height: as above.
        row: as above.
        length: as above.
        window: as above.
        partials: as written by `compare`.
        scales: (B, 2) s and t of each picture.
        out: (B height length,) flat, written.
    """
    bands = (height + BAND - 1) // BAND
    stride, size = row + 2 * _MARGIN, len(a)
    zero = splat(np.float32(0))
    for place in range(0, 3 * stride, LANES):
        store(scratch, place, zero)
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        picture, top = task // bands, task % bands * BAND
        of_ssim, of_l1 = splat(scales[picture, 0]), splat(scales[picture, 1])
        for y in range(top, min(top + BAND, height)):
            start, target = (picture * height + y) * row, (picture * height + y) * length
            first, last = max(0, RADIUS - y), min(2 * RADIUS + 1, height + RADIUS - y)
            for x in range(0, row, LANES):
                by_mean, by_squares, by_product = zero, zero, zero
                for k in range(first, last):
                    place = start + x + (k - RADIUS) * row
                    by_mean += load(partials, place) * window[k]
                    by_squares += load(partials, size + place) * window[k]
                    by_product += load(partials, 2 * size + place) * window[k]
                store(scratch, _MARGIN + x, by_mean)
                store(scratch, _MARGIN + x + stride, by_squares)
                store(scratch, _MARGIN + x + 2 * stride, by_product)
            for x in range(0, row, LANES):
                base = _MARGIN + x
                ours, theirs = load(a, start + x), load(b, start + x)
                gradient = _along(scratch, base, window) + theirs * _along(scratch, base + 2 * stride, window)
                gradient += ours * _along(scratch, base + stride, window) * 2.0
                sign = where_less(ours, theirs, zero - of_l1, where_less(theirs, ours, of_l1, zero))
                gradient = gradient * of_ssim + sign
                if x + LANES <= length:
                    store(out, target + x, gradient)
                else:
                    store(scratch, 0, gradient)
                    for k in range(length - x):
                        out[target + x + k] = scratch[k]
                    store(scratch, 0, zero)
