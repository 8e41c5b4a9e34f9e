"""Blocks of 4 x 4 pixels to and from pictures, one `Vec16` per channel, lane = 4 y + x.

Whole blocks go row by row through shuffles, those on the edge of a picture pixel by pixel.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from diffusion2.gaussians.rasterize.layout import BLOCK
from diffusion2.kernels.compile import inline, intrinsic
from diffusion2.kernels.simd import LANES, VEC16, load, splat, store

_WHOLE = ir.IntType(32)


def _row_addresses(context, builder, sig, args, width):
    """Addresses of four rows of `width` floats, as vectors, in an array that `args` starts with."""
    data = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).data
    index, rows = args[1], []
    for _ in range(4):
        rows.append(
            builder.bitcast(builder.gep(data, [index]), ir.VectorType(ir.FloatType(), width).as_pointer())
        )
        index = builder.add(index, args[2])
    return rows


def _pick(builder, a, b, places):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_WHOLE, len(places)), places))


@intrinsic
def _load_block(typing_context, array, index, stride):
    """Return a block of 4 x 4 pixels of a flat contiguous float32 array, lane = 4 y + x (not checked)."""

    def generate(context, builder, sig, args):
        rows = [builder.load(r, align=4) for r in _row_addresses(context, builder, sig, args, 4)]
        upper, lower = (
            _pick(builder, a, b, list(range(8))) for a, b in zip(rows[::2], rows[1::2], strict=True)
        )
        return _pick(builder, upper, lower, list(range(LANES)))

    return VEC16(array, types.int64, types.int64), generate


@intrinsic
def _store_block(typing_context, array, index, stride, vector):
    """Write a block of 4 x 4 pixels to a flat contiguous float32 array (not checked)."""

    def generate(context, builder, sig, args):
        for y, row in enumerate(_row_addresses(context, builder, sig, args, 4)):
            builder.store(_pick(builder, args[3], args[3], [4 * y + x for x in range(4)]), row, align=4)
        return context.get_dummy_value()

    return types.none(array, types.int64, types.int64, vector), generate


@intrinsic
def _load_rgb_block(typing_context, array, index, stride):
    """Return red, green and blue of a block of 4 x 4 pixels with three floats each (not checked)."""

    def generate(context, builder, sig, args):
        rows = [builder.load(r, align=4) for r in _row_addresses(context, builder, sig, args, 12)]
        upper, lower = (
            _pick(builder, a, b, list(range(24))) for a, b in zip(rows[::2], rows[1::2], strict=True)
        )
        channels = [_pick(builder, upper, lower, [3 * k + c for k in range(LANES)]) for c in range(3)]
        return context.make_tuple(builder, sig.return_type, channels)

    return types.UniTuple(VEC16, 3)(array, types.int64, types.int64), generate


@intrinsic
def _store_rgb_block(typing_context, array, index, stride, red, green, blue):
    """Write red, green and blue of a block of 4 x 4 pixels with three floats each (not checked)."""

    def generate(context, builder, sig, args):
        red, green, blue = args[3:]
        both = _pick(builder, red, green, list(range(2 * LANES)))
        blue = _pick(builder, blue, blue, [*range(LANES), *([0] * LANES)])
        for y, row in enumerate(_row_addresses(context, builder, sig, args, 12)):
            pixels = [4 * y + x for x in range(4)]
            places = [place for p in pixels for place in (p, LANES + p, 2 * LANES + p)]
            builder.store(_pick(builder, both, blue, places), row, align=4)
        return context.get_dummy_value()

    return types.none(array, types.int64, types.int64, red, green, blue), generate


@inline
def _read(picture, first, stride, step, columns, rows, scratch):
    """A block of a flat picture with `step` floats per pixel; 0 in lanes that are not in the picture."""
    store(scratch, 0, splat(np.float32(0)))
    for y in range(min(rows, BLOCK)):
        for x in range(min(columns, BLOCK)):
            scratch[y * BLOCK + x] = picture[first + y * stride + x * step]
    return load(scratch, 0)


@inline
def _write(picture, first, stride, step, columns, rows, scratch, values):
    store(scratch, 0, values)
    for y in range(min(rows, BLOCK)):
        for x in range(min(columns, BLOCK)):
            picture[first + y * stride + x * step] = scratch[y * BLOCK + x]


@inline
def read_gray(picture, first, stride, columns, rows, scratch):
    """Return a block of a picture with one value per pixel; 0 in lanes that are not in the picture.

    Args:
        picture: flat, contiguous, float32.
        first: place of the block's first pixel, in pixels.
        stride: pixels from row to row.
        columns: pixels from there to the right edge.
        rows: pixels from there to the bottom edge.
        scratch: (16,) float32.
    """
    if columns >= BLOCK and rows >= BLOCK:
        return _load_block(picture, first, stride)
    return _read(picture, first, stride, 1, columns, rows, scratch)


@inline
def read_rgb(picture, first, stride, columns, rows, scratch):
    """As `read_gray`, for a picture with three values per pixel; gives three vectors."""
    if columns >= BLOCK and rows >= BLOCK:
        return _load_rgb_block(picture, 3 * first, 3 * stride)
    return (
        _read(picture, 3 * first, 3 * stride, 3, columns, rows, scratch),
        _read(picture, 3 * first + 1, 3 * stride, 3, columns, rows, scratch),
        _read(picture, 3 * first + 2, 3 * stride, 3, columns, rows, scratch),
    )


@inline
def write_gray(picture, first, stride, columns, rows, scratch, values):
    """Write a block of a picture with one value per pixel; arguments as for `read_gray`."""
    if columns >= BLOCK and rows >= BLOCK:
        _store_block(picture, first, stride, values)
    else:
        _write(picture, first, stride, 1, columns, rows, scratch, values)


@inline
def write_rgb(picture, first, stride, columns, rows, scratch, red, green, blue):
    """As `write_gray`, for a picture with three values per pixel."""
    if columns >= BLOCK and rows >= BLOCK:
        _store_rgb_block(picture, 3 * first, 3 * stride, red, green, blue)
    else:
        _write(picture, 3 * first, 3 * stride, 3, columns, rows, scratch, red)
        _write(picture, 3 * first + 1, 3 * stride, 3, columns, rows, scratch, green)
        _write(picture, 3 * first + 2, 3 * stride, 3, columns, rows, scratch, blue)
