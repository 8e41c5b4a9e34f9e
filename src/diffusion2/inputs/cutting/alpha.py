"""Whether an alpha channel says what the object is, and what it says once faults of its making are mended."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageChops

from diffusion2.inputs.cutting.ground import border_of
from diffusion2.inputs.cutting.morphology import blur, dilate, wide
from diffusion2.inputs.framing import VISIBLE_ALPHA

Meaning = Literal["none", "object", "haze", "corners", "inverted"]

HALF = 128
NEARLY_OPAQUE = 239
LEAST_RANGE = 64
"""How much alpha must vary to tell one thing from another."""
LEAST_CUT_AWAY = 0.1
"""Share of the pictures that is cut away at least, unless half of their border is."""
BACKGROUND_BORDER = 0.75
"""Share of the border that is opaque where the background was left and the object cut away."""
HIDDEN_DETAIL = 12.0
"""How much colours vary, per channel, of 255, where a picture is hidden by alpha and not erased."""
SHADOW = 0.75
"""Alpha up to which shadows go."""
FAINT, LEAST_FADING = 32, 0.05
"""Alpha of a shadow's end, and the share of its pixels that are as faint; sunglasses don't fade."""
DARK = 24
"""Values up to which a shadow's one colour is dark."""
LEAST_SHADOW = 0.005
"""Share of the pictures that a shadow has."""


def meaning_of(pictures: Sequence[Image.Image]) -> Meaning:
    """Tell what the alpha of RGBA pictures of one sequence is.

    object: it says what the object is. none: everything is opaque. haze: it is nearly the same everywhere, or
    nothing is more transparent than opaque. corners: little is cut away, at the border. inverted: the object
    is cut away and still there in the colours, and the background was left.
    """
    alphas = np.stack([np.asarray(picture.getchannel("A")) for picture in pictures])
    if alphas.min() >= NEARLY_OPAQUE:
        return "none"
    away = alphas < HALF
    if int(alphas.max()) - int(alphas.min()) < LEAST_RANGE or not away.any():
        return "haze"
    border = away[:, border_of(*away.shape[1:])].mean()
    if border < 1 - BACKGROUND_BORDER and _hides_detail(pictures, away):
        return "inverted"
    return "object" if border >= 0.5 or away.mean() >= LEAST_CUT_AWAY else "corners"


def _hides_detail(pictures: Sequence[Image.Image], away: np.ndarray) -> bool:
    """Tell whether there is something to be seen where an inner part of pictures is cut away."""
    inner = away & ~border_of(*away.shape[1:])
    if inner.mean() < 0.5 * away.mean() or inner.mean() < 0.01:
        return False
    colours = np.concatenate(
        [np.asarray(picture)[where][:, :3] for picture, where in zip(pictures, inner, strict=True)]
    )
    return float(colours.std(0).max()) > HIDDEN_DETAIL


def mended(pictures: Sequence[Image.Image]) -> tuple[list[Image.Image], list[str]]:
    """Take out of cut-out pictures of one sequence, RGBA, what programs leave in them besides the object.

    Haze is an alpha that does not fall to 0 along the border: as much is subtracted everywhere. A drop shadow
    is black or another dark colour, the same everywhere, and fades away. Colours that were multiplied by
    alpha are divided by it.

    Returns:
        the pictures and which of "haze", "shadow" and "premultiplied" were mended.
    """
    level = _haze([np.asarray(picture.getchannel("A")) for picture in pictures])
    shadow, divide = [], []
    for picture in pictures:  # one at a time, as a video's floats are too many
        colours, alpha = _without_haze(picture, level)
        found = _drop_shadow(colours, alpha)
        shadow.append(found.mean())
        divide.append(_premultiplied(colours, np.where(found, 0, alpha)))
    faults = {
        "haze": level > 0,
        "shadow": bool(np.mean(shadow) > LEAST_SHADOW),
        "premultiplied": bool(np.mean(divide) > 0.5),
    }
    done = [fault for fault, there in faults.items() if there]
    return [_mend(picture, level, done) for picture in pictures] if done else list(pictures), done


def _mend(picture: Image.Image, level: float, faults: Sequence[str]) -> Image.Image:
    colours, alpha = _without_haze(picture, level)
    if "shadow" in faults:
        alpha = np.where(_drop_shadow(colours, alpha), 0, alpha)
    if "premultiplied" in faults:
        colours = (colours / np.maximum(alpha, 1)[..., None] * 255).clip(0, 255)
    return Image.fromarray(np.dstack([colours, alpha]).round().astype(np.uint8))


def _haze(alphas: Sequence[np.ndarray]) -> float:
    """Find the alpha that faint things along the border reach, if most of it is faint."""
    edge = np.concatenate([alpha[border_of(*alpha.shape)] for alpha in alphas])
    if not 0 < np.median(edge) < LEAST_RANGE:
        return 0.0
    return float(np.percentile(edge[edge < LEAST_RANGE], 99))


def _without_haze(picture: Image.Image, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Colours (H, W, 3) and alpha (H, W), of 255, from which haze is subtracted."""
    pixels = np.asarray(picture).astype(np.float32)
    return pixels[..., :3], ((pixels[..., 3] - level) / (255 - level) * 255).clip(0, 255)


def inverted(picture: Image.Image) -> Image.Image:
    """Swap what is opaque and what is transparent in an RGBA picture."""
    turned = picture.copy()
    turned.putalpha(ImageChops.invert(picture.getchannel("A")))
    return turned


def _drop_shadow(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Find a drop shadow, (H, W) bool: a large translucent region of one dark colour that fades away."""
    soft = (alpha >= 1) & (alpha <= SHADOW * 255) & (colours.max(-1) <= DARK)
    body = wide(soft, 2)
    fades = (alpha[soft] < FAINT).mean() if soft.any() else 0.0
    if not body.any() or fades < LEAST_FADING or colours[body].std(0).max() > 2:
        return np.zeros_like(soft)
    return soft & dilate(body, 4)


def _premultiplied(colours: np.ndarray, alpha: np.ndarray) -> bool:
    """Tell whether colours were multiplied by alpha: none is above it, and divided they fit those beside."""
    edge = (alpha >= VISIBLE_ALPHA) & (alpha < 240)
    solid = alpha >= 250
    if edge.sum() < 20 or not solid.any() or (colours.max(-1) > alpha + 2)[edge].any():
        return False
    amount = blur(solid.astype(np.float32), 2)[..., None]
    beside = blur(colours * solid[..., None], 2) / np.maximum(amount, 1e-6)
    edge &= amount[..., 0] > 1e-3
    if not edge.any():
        return False
    as_it_is = np.abs(colours - beside)[edge].mean()
    divided = np.abs(colours / np.maximum(alpha, 1)[..., None] * 255 - beside)[edge].mean()
    return bool(divided < 0.5 * as_it_is)
