"""An object on a plain background, cut out without any network.

Plain is what has the colours of a smooth background, see `ground`. Most pixels are then surely object or
surely background. What is neither is told apart by its kind, for `ambiguous` to decide.
"""

from dataclasses import dataclass

import numpy as np

from diffusion2.inputs.cutting.ground import Ground, border_of, dot, largest_channel
from diffusion2.inputs.cutting.morphology import (
    blur,
    dilate,
    erode,
    highest_nearby,
    label_regions,
    large_regions,
    median_of_each,
    slope,
    wide,
)
from diffusion2.kernels.regions import regions_with

FAINT = 5.0
"""How far from the background the mean colour of a few pixels is seen to differ, where there is no noise."""
SHARP = 0.12
"""Share of its contrast by which a faint region's outline changes in a pixel, if it is no edge of light."""
STRONG, RINGING, RINGING_SHARE, BLOCK_PX = 60.0, 3.0, 0.4, 8
"""How far strong edges differ from the background; how much must ring beside them to be compression; the
share of their contrast that this does not reach; how far it reaches: JPEG's blocks have 8 pixels a side."""
FRINGE_PX = 4
"""How far compression and blur spread an edge."""
SMALLEST_FAINT = 0.05
"""Share of the object that faint regions must have; what compression leaves is smaller."""
DARKEST_SHADOW, BRIGHTEST_LIGHT = 0.4, 1.2
"""What light and shadow make of the background's values, which are no linear light."""
SAME_HUE = 12.0
"""How far from a multiple of the background's colour a shadow may be, per channel; skies tint them."""
SOFT_SLOPE, LEAST_SLOPE, MOST_SLOPE = 2400.0, 3.0, 8.0
"""How steep an edge of light may be, in values per length of the longer side: softness grows with a picture's
scale; and the bounds of that in values per pixel."""
GAP = 0.005
"""Share of the longer side up to which gaps in the outline of a thing are closed."""
HOLE = 0.0005
"""Share of the picture that a hole must have; what is smaller is a spot of the object."""
WHITE, BLACK = 235, 40
"""Backgrounds as bright or as dark have a colour that objects have, too: bellies, eyes, outlines."""


@dataclass
class Parts:
    """What a picture on a plain background is made of, each (H, W) bool, none of them in another.

    Attributes:
        sure: the object, with all that it encloses.
        faint: soft regions that hardly differ from the background, but are no noise.
        light: soft light and shadow on the background.
        holes: regions of the background's colours inside the object.
    """

    sure: np.ndarray
    faint: np.ndarray
    light: np.ndarray
    holes: np.ndarray


def find_parts(pixels: np.ndarray, ground: Ground, hidden: np.ndarray) -> Parts:
    """Tell the parts of a picture apart.

    Args:
        pixels: (H, W, 3) float32, of 255.
        ground: its background.
        hidden: (H, W) bool, what can't be seen, which is background.
    """
    colours = ground.colours(*hidden.shape)
    away = pixels - colours
    smooth = blur(away, 1.5)
    smooth_away = largest_channel(smooth)
    distance = largest_channel(away)
    clear = (distance > ground.sure) & ~hidden
    sure = _without_ringing(clear, distance, largest_channel(away - smooth))
    quiet = max(FAINT, 4 * float(np.median(smooth_away[~sure & ~hidden])))
    border = border_of(*sure.shape)

    sharp, faint = _faint(clear, (smooth_away > quiet) & ~hidden, smooth_away)
    sure |= sharp
    outside = regions_with(border, ~(sure | faint))
    enclosed = ~(sure | faint | outside)
    holes = large_regions(enclosed & (smooth_away <= quiet), HOLE * sure.size)
    light = _light(pixels, colours, outside | holes) & ~outside & ~hidden
    holes |= regions_with(holes, enclosed) | (regions_with(holes, holes | light) & enclosed)
    light &= ~holes
    faint &= ~light
    return Parts(~(outside | faint | light | holes), faint, light, holes)


def _without_ringing(clear: np.ndarray, away: np.ndarray, ripple: np.ndarray) -> np.ndarray:
    """Leave out of what differs clearly from the background what compression has made.

    Strong compression lets every edge ring as far as its blocks reach. Where it does, what differs must be
    wide, or do so by a share of the edge's own contrast.
    """
    strong = away > STRONG
    near = dilate(strong, BLOCK_PX) & ~dilate(strong, 3)
    if not near.any() or np.percentile(ripple[near], 90) < RINGING:
        return clear
    weak = clear & (away <= RINGING_SHARE * highest_nearby(away, BLOCK_PX))
    broad = dilate(wide(weak, 3), 3)
    return large_regions(clear & ~(weak & ~broad), HOLE * away.size)


def _faint(clear: np.ndarray, different: np.ndarray, away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find wide regions that differ a little, those with a sharp outline and those without.

    The blur of what differs clearly is none of them.
    """
    far = different & ~dilate(clear, FRINGE_PX)
    core = wide(far, 3)
    core = large_regions(core, SMALLEST_FAINT * max(int(clear.sum()), 1))
    if not core.any():
        return core, core
    regions = dilate(core, FRINGE_PX + 3) & different & ~clear
    labels, count = label_regions(regions)
    outline = regions & ~erode(regions)
    outline &= ~dilate(clear, 2)
    contrast = median_of_each(away, labels * core, count)
    steep = median_of_each(slope(away, 0.5), labels * outline, count)
    with np.errstate(invalid="ignore"):
        sharp = np.concatenate([[False], steep > SHARP * contrast])
    return sharp[labels], regions & ~sharp[labels]


def _light(pixels: np.ndarray, colours: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Find what has a multiple of the background's colour and is reached from it without crossing an edge."""
    power = dot(colours, colours)
    share = dot(pixels, colours) / np.maximum(power, 1.0)
    tint = largest_channel(pixels - share[..., None] * colours)
    same = (
        (tint <= SAME_HUE) & (share >= DARKEST_SHADOW) & (share <= BRIGHTEST_LIGHT) & (power > 3 * BLACK**2)
    )
    longer = max(background.shape)
    steepness = slope(pixels.mean(-1), 1.0)
    gap = max(1, round(GAP * longer))
    steep = steepness > min(max(SOFT_SLOPE / longer, LEAST_SLOPE), MOST_SLOPE)
    edges = dilate(steep, gap)
    light = regions_with(background & ~edges, (same | background) & ~edges) & ~background
    return (dilate(light, gap + 2) & same & ~background) if light.any() else light
