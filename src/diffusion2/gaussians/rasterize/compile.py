"""How kernels are compiled, and the layout of what they pass to one another."""

from collections.abc import Callable
from typing import Any

import numba
from numba.core import extending

FAST = {"contract", "nsz", "arcp", "reassoc"}
"""Liberties in rounding; NaN and infinity keep their meaning."""


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function without the GIL, and keep the machine code beside the source if possible."""
    try:
        return numba.njit(nogil=True, fastmath=FAST, error_model="numpy", cache=True)(function)
    except RuntimeError:  # no folder to write the cache to
        return numba.njit(nogil=True, fastmath=FAST, error_model="numpy")(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make a function that kernels can call from one that writes its LLVM code."""
    return extending.intrinsic(function)


SPLAT_SIZE = 16
"""Floats in the record of one Gaussian as one camera sees it: one cache line."""

# Where they stand in the record. alpha at (dx, dy) from the mean is exp(8 t) with
# t = LOG_OPACITY + POWER_XX dx² + POWER_XY dx dy + POWER_YY dy².
U, V, POWER_XX, POWER_XY, POWER_YY, LOG_OPACITY, RED, GREEN, BLUE, DEPTH = range(10)
# The ellipse inside which alpha is at least 1/255: see `binning.rows_between`.
REACH, INVERSE_VARIANCE, GIVEN_X_VARIANCE, SLOPE, TOP_X, HALF_WIDTH = range(10, 16)

TILE = 16
"""Tiles are TILE x TILE pixels; a row of a tile is one `Vec16`."""
