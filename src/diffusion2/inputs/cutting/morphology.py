"""Masks that are dilated and eroded, their regions, and smooth values: scipy's, with plain types."""

from typing import Any

import numpy as np
from scipy import ndimage

EIGHT = np.ones((3, 3), dtype=bool)


def dilate(mask: np.ndarray, px: int = 1) -> np.ndarray:
    """Dilate a (H, W) mask by so many pixels, through their edges."""
    return _bool(ndimage.binary_dilation(mask, iterations=px))


def erode(mask: np.ndarray, px: int = 1) -> np.ndarray:
    """Erode a (H, W) mask by so many pixels, but not from the picture's border."""
    return _bool(ndimage.binary_erosion(mask, iterations=px, border_value=1))


def wide(mask: np.ndarray, px: int) -> np.ndarray:
    """Keep what of a (H, W) mask is wider than twice so many pixels."""
    return _bool(ndimage.binary_opening(mask, iterations=px))


def close_bays(mask: np.ndarray, px: int) -> np.ndarray:
    """Fill holes and bays of a (H, W) mask that are at most twice so many pixels wide."""
    width = 2 * px + 1
    return _bool(ndimage.minimum_filter(highest_nearby(mask, px), width))


def highest_nearby(values: np.ndarray, px: int) -> np.ndarray:
    """Take the highest of the (H, W) values in the square that reaches so many pixels to each side."""
    return np.asarray(ndimage.maximum_filter(values, 2 * px + 1))


def blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth (H, W) or (H, W, C) values by a Gaussian of so many pixels' deviation."""
    return np.asarray(ndimage.gaussian_filter(values, (sigma, sigma, 0)[: values.ndim], truncate=3.0))


def slope(values: np.ndarray, sigma: float) -> np.ndarray:
    """How much smoothed (H, W) values change in a pixel."""
    return np.asarray(ndimage.gaussian_gradient_magnitude(values, sigma))


def label_regions(mask: np.ndarray, *, corners: bool = False) -> tuple[np.ndarray, int]:
    """Number the regions of a (H, W) mask from 1 on; with `corners`, pixels hang together by these, too."""
    found: Any = ndimage.label(mask, EIGHT if corners else None)
    return found[0], found[1]


def large_regions(mask: np.ndarray, least: float) -> np.ndarray:
    """Keep the regions of a (H, W) mask that have at least so many pixels."""
    labels, _ = label_regions(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= least)[labels] & mask


def median_of_each(values: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The median of (H, W) values over each of the labels 1 to `count`, (count,); NaN where there is none."""
    return np.array(
        [np.median(found) if (found := values[labels == i]).size else np.nan for i in range(1, count + 1)]
    )


def boxes_of(labels: np.ndarray) -> np.ndarray:
    """Top, left, bottom and right of each label, (N, 4); bottom and right are outside."""
    found: Any = ndimage.find_objects(labels)
    return np.array([[s[0].start, s[1].start, s[0].stop, s[1].stop] for s in found])


def _bool(mask: Any) -> np.ndarray:
    return np.asarray(mask, dtype=bool)
