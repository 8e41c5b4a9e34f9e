"""Deciding what is neither surely object nor surely background, alike in all pictures of a sequence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from diffusion2.errors import BackendUnavailable, WeightsError
from diffusion2.inputs.cutting.background import BLACK, WHITE, Parts
from diffusion2.inputs.cutting.ground import Ground
from diffusion2.inputs.cutting.morphology import close_bays, label_regions, large_regions, median_of_each

WORTH_TELLING = 0.02
"""Share of all that is not background from which on ambiguous regions are worth a question and a note."""
LITTLE_LEFT = 0.2
"""Share of it that must be left as object where all else is taken for light."""
HALF, MOST, SOME = 128, 230, 38
"""What a network must see, of 255: of a soft pixel to take it for the object; of one with the background's
colours, where soft ones are the object's; and of soft regions on average, to be asked about each pixel, or
of a hole, to take it for a part of the object."""
FOLD = 0.08
"""Width of a dark fold at most, as a share of the root of the object's area, to both sides."""
COLOURED = 40
"""How far the channels of a background's colour differ that things rarely have."""
LEAST_HOLE, WIDE_HOLE = 0.005, 0.1
"""Share of the object from which on the network is asked about a region of the background's white or black;
and from which on a black region before black is a hole in any case, not an eye."""

Saliencies = list[np.ndarray]


@dataclass
class SaliencyNetwork:
    """A network that is asked at most once, and maybe not at all.

    Attributes:
        name: for notes.
        look: what it sees as the object in each picture, (H, W) uint8; raises where there is no
            network. None if it may not be asked.
    """

    name: str
    look: Callable[[], Saliencies] | None
    _seen: Saliencies | None = field(default=None, init=False)

    def see(self) -> Saliencies | None:
        """Ask it; None where there is no answer."""
        if self._seen is None and self.look is not None:
            try:
                self._seen = self.look()
            except (WeightsError, BackendUnavailable):
                return None
        return self._seen

    @property
    def absence(self) -> str:
        """What a note says where it was wanted and is not here."""
        return "" if self.look is None or self.see() is not None else "; no network is here to tell"


def decide(
    parts: Sequence[Parts], grounds: Sequence[Ground], network: SaliencyNetwork, tell: Callable[[str], None]
) -> list[np.ndarray]:
    """Decide for each kind of ambiguous regions whether it is the object's.

    Soft regions, faint or light and shadow, are not, but for what a network sees of them as the object: a
    white thing has parts before white that no rule tells from shadows. It is asked unless the background is
    coloured, as things are rarely of just that colour. Where hardly anything else is left, it decides alone.
    Regions of the background's colour inside the object are holes. Before white and black, which bellies and
    eyes have, too, those are that a network does not see, and wide ones before black. Narrow bays before
    black are dark folds of the object where the network sees it.

    Args:
        parts: of every picture.
        grounds: their backgrounds.
        network: what may be asked.
        tell: takes notes.

    Returns:
        the object in each picture, (H, W) bool.
    """
    masks = [part.sure.copy() for part in parts]
    colour = np.median([ground.colour for ground in grounds], axis=0)
    sure, faint, light = (
        sum(int(getattr(p, kind).sum()) for p in parts) for kind in ("sure", "faint", "light")
    )
    whole = max(sure + faint + light, 1)
    if light + faint > WORTH_TELLING * whole:
        if sure < LITTLE_LEFT * whole:
            _find_soft_object(masks, parts, network, tell)
        else:
            coloured = colour.max() - colour.min() >= COLOURED
            _decide_soft(masks, parts, SaliencyNetwork(network.name, None) if coloured else network, tell)
    if colour.max() <= BLACK:
        _fill_dark_folds(masks, parts, network, tell)
    _decide_holes(masks, parts, colour, network, tell)
    return masks


def _decide_soft(
    masks: list[np.ndarray], parts: Sequence[Parts], network: SaliencyNetwork, tell: Callable[[str], None]
) -> None:
    """Add the soft regions that a network sees as the object to the masks, if they are some."""
    soft = [part.light | part.faint for part in parts]
    seen = network.see()
    if seen is None or _share(seen, soft) < SOME:
        tell(
            f"soft light or shadow on the background is left out{network.absence}; --mask FILE says otherwise"
        )
        return
    tell(
        "some of the object differs from the background no more than a shadow does, so the network "
        f"{network.name} found it there; --mask FILE says otherwise"
    )
    for mask, region, part, saliency in zip(masks, soft, parts, seen, strict=True):
        mask |= (region & (saliency >= HALF)) | (~part.holes & (saliency >= MOST))


def _find_soft_object(
    masks: list[np.ndarray], parts: Sequence[Parts], network: SaliencyNetwork, tell: Callable[[str], None]
) -> None:
    """Add what a network sees as the object to the masks, or all that is soft."""
    why = "the object differs from the background no more than a shadow does"
    seen = network.see()
    if seen is None:
        tell(f"{why}, so shadows are taken for parts of it{network.absence}; --mask FILE says otherwise")
    else:
        tell(f"{why}, so the network {network.name} found it; --mask FILE says otherwise")
    for index, (mask, part) in enumerate(zip(masks, parts, strict=True)):
        mask |= part.light | part.faint if seen is None else ~part.holes & (seen[index] >= HALF)


def _fill_dark_folds(
    masks: list[np.ndarray], parts: Sequence[Parts], network: SaliencyNetwork, tell: Callable[[str], None]
) -> None:
    """Add narrow bays of the object to the masks where a network sees it: its dark folds, before black."""
    bays = []
    for mask, part in zip(masks, parts, strict=True):
        closed = close_bays(mask, max(1, round(FOLD * np.sqrt(mask.sum()))))
        bays.append(closed & ~mask & ~part.holes)
    area = sum(int(mask.sum()) for mask in masks)
    if sum(int(bay.sum()) for bay in bays) <= WORTH_TELLING * area:
        return
    if (seen := network.see()) is None:
        if network.absence:
            tell(
                "parts of the object that are as dark as the background may be missing"
                f"{network.absence}; --mask FILE says what the object is"
            )
        return
    folds = [bay & (saliency >= MOST) for bay, saliency in zip(bays, seen, strict=True)]
    for mask, fold in zip(masks, folds, strict=True):
        mask |= fold
    if sum(int(fold.sum()) for fold in folds) > WORTH_TELLING * area:
        tell(
            "some of the object is as dark as the background, and the network "
            f"{network.name} found it there; --mask FILE says otherwise"
        )


def _decide_holes(
    masks: list[np.ndarray],
    parts: Sequence[Parts],
    colour: np.ndarray,
    network: SaliencyNetwork,
    tell: Callable[[str], None],
) -> None:
    """Add regions of the background's colour that are no holes to the masks."""
    if BLACK < colour.max() and colour.min() < WHITE:
        return
    area = max(float(np.mean([mask.sum() for mask in masks])), 1.0)
    doubtful = [large_regions(part.holes, LEAST_HOLE * area) for part in parts]
    seen = network.see() if any(region.any() for region in doubtful) else None
    kept = 0
    for index, (mask, part) in enumerate(zip(masks, parts, strict=True)):
        holes = np.zeros_like(mask)
        if seen is not None:
            holes |= _unseen_regions(doubtful[index], seen[index])
        if colour.max() <= BLACK:
            holes |= large_regions(part.holes, WIDE_HOLE * area)
        mask |= part.holes & ~holes
        kept += int((part.holes & ~holes).sum())
    if kept > WORTH_TELLING * area * len(masks):
        tell(
            "parts inside the object that are as white or black as the background are not taken for holes"
            f"{network.absence}; --mask FILE says otherwise"
        )


def _unseen_regions(regions: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Keep those connected regions that a network does not see as the object."""
    labels, count = label_regions(regions)
    means = median_of_each(saliency.astype(np.float32), labels, count)
    return np.concatenate([[False], means < SOME])[labels]


def _share(seen: Saliencies, regions: Sequence[np.ndarray]) -> float:
    """How much of regions a network sees as the object."""
    return float(np.concatenate([s[r] for s, r in zip(seen, regions, strict=True)]).mean())
