"""How kernels are compiled."""

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
    """Fingerprint of this folder's sources, of those beside the function, and of what these compile in."""
    digest = hashlib.sha256()
    own = Path(function.__code__.co_filename)
    here = Path(__file__).parent
    for path in sorted({*here.glob("*.py"), *own.parent.glob("*.py"), here.parent / "quaternions.py"}):
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
