"""What is the object and what a speck beside it: by area and place, alike in all pictures of a sequence."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from diffusion2.inputs.cutting.ground import border_of
from diffusion2.inputs.cutting.morphology import boxes_of, dilate, label_regions
from diffusion2.inputs.framing import VISIBLE_ALPHA

SPECK = 0.02
"""Share of the largest part's area up to which a part may be a speck."""
BESIDE = 0.05
"""How far around the object's box small parts still belong to it, of its longer side."""
EDGE_PX = 3
"""How far the soft edge of a part reaches."""


def without_specks(pictures: Sequence[Image.Image]) -> tuple[list[Image.Image], int]:
    """Make what is small and lies apart from the object transparent.

    Parts are small that have less than 2 % of the area of the largest in any of the pictures, and those that
    lie wholly in the picture's border.

    Args:
        pictures: RGBA, of one sequence.

    Returns:
        the pictures, and how many specks were left out.
    """
    alphas = [np.asarray(picture.getchannel("A")) for picture in pictures]
    found = [_parts(alpha) for alpha in alphas]
    largest = max(float(sizes.max(initial=0)) for _, sizes in found)
    cleaned, count = [], 0
    for picture, alpha, (labels, sizes) in zip(pictures, alphas, found, strict=True):
        kept = np.concatenate([[False], _kept(labels, sizes, SPECK * largest)])
        if not kept[1:].all():
            count += int((~kept[1:]).sum())
            specks = dilate((labels > 0) & ~kept[labels], EDGE_PX)
            specks &= ~dilate(kept[labels], EDGE_PX)
            picture = picture.copy()
            picture.putalpha(Image.fromarray(np.where(specks, 0, alpha).astype(np.uint8)))
        cleaned.append(picture)
    return cleaned, count


def _parts(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label what hangs together, (H, W), 0 where nothing is; and each part's area, 0 in the border."""
    labels, count = label_regions(alpha >= VISIBLE_ALPHA, corners=True)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    inner = np.bincount(labels[~border_of(*alpha.shape)], minlength=count + 1)[1:]
    return labels, np.where(inner > 0, sizes, 0)


def _kept(labels: np.ndarray, sizes: np.ndarray, least: float) -> np.ndarray:
    """Tell which parts are the object's."""
    large = sizes >= max(least, 1)
    if not large.any():
        return large
    boxes = boxes_of(labels)
    low, high = boxes[large, :2].min(0), boxes[large, 2:].max(0)
    room = BESIDE * (high - low).max()
    beside = (boxes[:, :2] >= low - room).all(1) & (boxes[:, 2:] <= high + room).all(1)
    return large | (beside & (sizes > 0))
