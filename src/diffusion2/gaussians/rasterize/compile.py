"""How kernels are compiled, and the layout of what they pass to one another."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import extending

FAST = {"contract", "nsz", "arcp", "reassoc"}
"""Liberties in rounding; NaN and infinity keep their meaning."""


def stamp_of(function: Callable[..., Any]) -> str:
    """Fingerprint of this folder's sources and of the function's own."""
    digest = hashlib.sha256()
    own = Path(function.__code__.co_filename)
    for path in sorted({*Path(__file__).parent.glob("*.py"), own}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# Without Numba's run time (_nrt) arrays are not counted, and so none can be made in a kernel: each view
# of an array would add 1 to a number that all threads share, and wait for it.
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": FAST, "error_model": "numpy", "_nrt": False}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function without the GIL, and keep the machine code beside the source if possible."""
    try:
        compiled: Any = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder to write the cache to
        return numba.njit(**_OPTIONS)(function)
    # Numba asks only whether the kernel's own file has changed, but the code of others is inlined.
    with contextlib.suppress(AttributeError):
        compiled._cache._cache_file._source_stamp = stamp_of(function)
    return compiled


def inline(function: Callable[..., Any]) -> Any:
    """Compile a function into the kernels that call it."""
    return numba.njit(forceinline=True, **_OPTIONS)(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make a function that kernels can call from one that writes its LLVM code."""
    return extending.intrinsic(function)


SPLAT_SIZE = 16
"""Floats in the record of one Gaussian as one camera sees it: one cache line."""

# Where they stand in the record. alpha at (dx, dy) from the mean is exp(8 t) with
# t = LOG_OPACITY + POWER_XX dx² + POWER_XY dx dy + POWER_YY dy².
U, V, POWER_XX, POWER_XY, POWER_YY, LOG_OPACITY, RED, GREEN, BLUE, DEPTH = range(10)
# The ellipse inside which alpha is at least 1/255: see `binning._rows_between`.
HALF_WIDTH, HALF_HEIGHT, SLOPE, ASPECT, TOP_X = range(10, 15)

BLOCK = 4
"""Pixels are drawn in blocks of BLOCK x BLOCK, one `Vec16`, lane = 4 y + x. A round Gaussian touches fewer
of them than of any other shape with 16 pixels."""

TILE_COLUMNS, TILE_ROWS = 8, 8
"""Blocks across and down a tile. The blocks a Gaussian touches in a tile are bits of an int64: block
(column, row) is bit TILE_ROWS column + row."""

TILE_WIDTH, TILE_HEIGHT = BLOCK * TILE_COLUMNS, BLOCK * TILE_ROWS
"""In pixels."""


def count_tiles(width: int, height: int) -> tuple[int, int]:
    """Give the tiles across and down a picture."""
    return -(-width // TILE_WIDTH), -(-height // TILE_HEIGHT)
