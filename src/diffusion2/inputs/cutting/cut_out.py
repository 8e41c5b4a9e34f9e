"""Separating an object from its background: by its alpha, by a plain background, by a network."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from diffusion2.config import InputSettings
from diffusion2.errors import BackendUnavailable, InputError, WeightsError
from diffusion2.events import Report, Warned, ignore
from diffusion2.inputs.cutting.alpha import inverted, meaning_of, mended
from diffusion2.inputs.cutting.ambiguous import SaliencyNetwork, decide
from diffusion2.inputs.cutting.background import find_parts
from diffusion2.inputs.cutting.edges import with_sharp_edge, without_fringe
from diffusion2.inputs.cutting.ground import PLAIN_BORDER, Ground, fit_ground
from diffusion2.inputs.cutting.matting import INSTALL, find_matting_network, object_mask
from diffusion2.inputs.cutting.specks import without_specks
from diffusion2.inputs.framing import VISIBLE_ALPHA

Tell = Callable[[str], None]

MIN_OBJECT = 0.002
"""Share of the picture that must be object."""
UNSEEN = 16
"""Alpha up to which a pixel of a picture that alpha does not cut out is not seen."""
IGNORED = {
    "haze": "its alpha is nearly the same everywhere, so that it says nothing about the object",
    "corners": "only corners or edges are transparent, as in screenshots, so alpha cuts nothing out",
}
MENDED = {
    "haze": "what is nearly transparent around the object is left out",
    "shadow": "a drop shadow in its alpha is left out",
    "premultiplied": "its colours were multiplied by alpha, which is undone",
}


def cut_out(
    pictures: Sequence[Image.Image], settings: InputSettings, name: Path | str, report: Report = ignore
) -> list[Image.Image]:
    """Cut the object out of the pictures of one sequence, all in the same way.

    Args:
        pictures: RGBA, of one size.
        settings: by what.
        name: what they are, for messages.
        report: takes notes of what was decided where that could be wrong, and how to decide otherwise.

    Returns:
        RGBA pictures whose alpha is the object; some may show none.

    Raises:
        InputError: no picture shows an object, or the background is not plain and no network is here.
        WeightsError, BackendUnavailable: the network that the settings ask for is missing.
    """

    def tell(note: str) -> None:
        report(Warned(f"{name}: {note}"))

    if max(np.asarray(picture.getchannel("A")).max() for picture in pictures) < UNSEEN:
        raise InputError(f"{name} is fully transparent: there is no object to be seen")
    meaning = meaning_of(pictures)
    if settings.background == "alpha":
        if meaning == "none":
            raise InputError(f"{name} has nothing transparent in it, which --background alpha needs")
        return list(pictures)
    if settings.background == "network":
        found = _by_network(pictures, settings)
        tell(f"the network {_network_name(settings)} found the object, as --background network asks")
    elif meaning in ("object", "inverted"):
        found = _by_alpha(pictures, meaning == "inverted", tell)
    else:
        found = _without_background([_opaque(picture) for picture in pictures], settings, name, tell)
        if meaning == "corners" and not _shows_something(found):  # of a thing with round corners
            found = list(pictures)
        elif meaning != "none":
            tell(f"{IGNORED[meaning]}; --background alpha takes it all the same")
    found, specks = without_specks(found)
    if not _shows_something(found):
        raise InputError(f"{name} shows no object: it has one plain colour, and no alpha channel")
    if specks:
        count = "a speck" if specks == 1 else f"{specks} specks"
        tell(f"{count} beside the object left out; --mask FILE says what the object is")
    return found


def _shows_something(pictures: Sequence[Image.Image]) -> bool:
    return max(np.asarray(picture.getchannel("A")).max() for picture in pictures) >= VISIBLE_ALPHA


def _opaque(picture: Image.Image) -> Image.Image:
    """The picture with all that is seen opaque."""
    opaque = picture.copy()
    opaque.putalpha(picture.getchannel("A").point([255 * (a >= UNSEEN) for a in range(256)]))
    return opaque


def _by_alpha(pictures: Sequence[Image.Image], turned: bool, tell: Tell) -> list[Image.Image]:
    if turned:
        tell(
            "alpha hides the object and shows what is around it, so it is taken the other way round; "
            "--background alpha takes it as it is"
        )
        pictures = [inverted(picture) for picture in pictures]
    found, faults = mended(pictures)
    for fault in faults:
        tell(f"{MENDED[fault]}; --background alpha takes alpha as it is")
    return found


def _without_background(
    pictures: Sequence[Image.Image], settings: InputSettings, name: Path | str, tell: Tell
) -> list[Image.Image]:
    if settings.matting_model:
        # a wrong name is said now, not only where the network is asked
        find_matting_network(settings.matting_model)
    plain = _by_background(pictures, settings, tell)
    if plain is not None:
        return plain
    if settings.background == "plain":
        raise InputError(f"{name} has no alpha channel and its background is not plain")
    try:
        found = _by_network(pictures, settings)
    except (WeightsError, BackendUnavailable) as error:
        if settings.matting_model:
            raise
        raise InputError(
            f"{name} has no alpha channel and its background is not plain: cut the object out first and give "
            f"a PNG with a transparent background, or install background removal ({INSTALL})"
        ) from error
    tell(
        f"its background is not plain, so the network {_network_name(settings)} found the object; where "
        "that is wrong, --mask FILE says what the object is"
    )
    return found


def _by_background(
    pictures: Sequence[Image.Image], settings: InputSettings, tell: Tell
) -> list[Image.Image] | None:
    """Cut out what differs from a plain background; None where there is none."""
    fits = [fit_ground(_pixels(picture), _hidden(picture)) for picture in pictures]
    grounds = [ground for ground, _ in fits if ground is not None]
    if len(grounds) < len(fits) or np.mean([share for _, share in fits]) < PLAIN_BORDER:
        return None
    pairs = list(zip(pictures, grounds, strict=True))
    parts = [find_parts(_pixels(picture), ground, _hidden(picture)) for picture, ground in pairs]
    look = None if settings.background == "plain" else lambda: _saliencies(pictures, settings)
    masks = decide(parts, grounds, SaliencyNetwork(_network_name(settings), look), tell)
    if np.mean([mask.mean() for mask in masks]) < MIN_OBJECT:
        masks = [np.zeros_like(mask) for mask in masks]
    return [_cut(*pair, mask) for pair, mask in zip(pairs, masks, strict=True)]


def _cut(picture: Image.Image, ground: Ground, mask: np.ndarray) -> Image.Image:
    cut = Image.fromarray(with_sharp_edge(_pixels(picture), mask, ground.colours(*mask.shape)))
    cut.putalpha(ImageChops.darker(cut.getchannel("A"), picture.getchannel("A")))
    return cut


def _pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)[..., :3].astype(np.float32)


def _hidden(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.getchannel("A")) < UNSEEN


def _by_network(pictures: Sequence[Image.Image], settings: InputSettings) -> list[Image.Image]:
    network = find_matting_network(settings.matting_model)
    found = []
    for picture in pictures:
        shown = _filled(picture)
        cut = without_fringe(shown, object_mask(shown, network))
        cut.putalpha(ImageChops.darker(cut.getchannel("A"), picture.getchannel("A")))
        found.append(cut)
    return found


def _saliencies(pictures: Sequence[Image.Image], settings: InputSettings) -> list[np.ndarray]:
    """What the network sees as the object in each picture, (H, W) uint8."""
    network = find_matting_network(settings.matting_model)
    return [np.asarray(object_mask(_filled(picture), network)) for picture in pictures]


def _filled(picture: Image.Image) -> Image.Image:
    """The picture without alpha; what can't be seen has the colour of what can be at the border."""
    pixels = np.asarray(picture)
    seen = pixels[..., 3] >= UNSEEN
    if seen.all():
        return picture.convert("RGB")
    border = seen & (np.indices(seen.shape).min(0) < max(1, min(seen.shape) // 20))
    colour = np.median(pixels[border if border.any() else seen][:, :3], axis=0)
    return Image.fromarray(np.where(seen[..., None], pixels[..., :3], colour.astype(np.uint8)))


def _network_name(settings: InputSettings) -> str:
    return Path(settings.matting_model).name if settings.matting_model else "u2netp.onnx"
