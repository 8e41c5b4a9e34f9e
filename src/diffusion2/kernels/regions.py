"""Connected regions of masks."""

from typing import Any

import numpy as np
from scipy.ndimage import label

_EDGES = np.zeros((3, 3, 3), dtype=bool)
"""What counts as connected: pixels that share an edge, and no pictures with each other."""
_EDGES[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def regions_with(seeds: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Keep the regions of masks that hold a seed.

    Args:
        seeds: (..., H, W) bool; those that lie outside the masks do not count.
        masks: (..., H, W) bool, each for itself. Pixels that share an edge are of one region.

    Returns:
        (..., H, W) bool.
    """
    height, width = masks.shape[-2:]
    labels = np.empty((masks.size // (height * width), height, width), dtype=np.int32)
    count: Any = label(masks.reshape(labels.shape), _EDGES, output=labels)
    labels = labels.reshape(masks.shape)
    kept = np.zeros(count + 1, dtype=bool)
    kept[labels[seeds]] = True
    kept[0] = False  # what is no region
    return kept[labels]


def regions_at_border(masks: np.ndarray) -> np.ndarray:
    """Keep the regions of (..., H, W) masks that reach the picture's border."""
    border = np.ones_like(masks)
    border[..., 1:-1, 1:-1] = False
    return regions_with(border, masks)
